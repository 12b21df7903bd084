#include "console.h"
#include "sbi.h"

void console_put(char c) {
  if (c == '\n') sbi_put('\r');
  sbi_put(c);
}

void console_text(const char *text) {
  while (*text) console_put(*text++);
}

void console_bytes(const char *text, uint64_t length) {
  for (uint64_t i = 0; i < length; i++) console_put(text[i]);
}

void console_hex(uint64_t value) {
  for (int shift = 60; shift >= 0; shift -= 4) console_put("0123456789abcdef"[(value >> shift) & 15]);
}

void console_number(uint64_t value) {
  if (value >= 10) console_number(value / 10);
  console_put('0' + value % 10);
}
