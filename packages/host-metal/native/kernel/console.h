/* Text to the hardware's console, by way of firmware, at once. */
#pragma once
#include <stdint.h>

void console_put(char c);
void console_text(const char *text);
void console_bytes(const char *text, uint64_t length);
/* 16 digits. */
void console_hex(uint64_t value);
void console_number(uint64_t value);
