#include "crash.h"
#include "console.h"
#include "sbi.h"

extern char image_start[], text_end[], image_end[];

static const char *const register_names[32] = {
  "pc ", "ra ", "sp ", "gp ", "tp ", "t0 ", "t1 ", "t2 ", "s0 ", "s1 ", "a0 ", "a1 ", "a2 ", "a3 ", "a4 ", "a5 ",
  "a6 ", "a7 ", "s2 ", "s3 ", "s4 ", "s5 ", "s6 ", "s7 ", "s8 ", "s9 ", "s10", "s11", "t3 ", "t4 ", "t5 ", "t6 ",
};

/* Names of functions, from the linker's first pass: addresses ascending, and a text for each. */
extern const uint64_t symbol_count __attribute__((weak));
extern const uint64_t symbol_addresses[] __attribute__((weak));
extern const char *const symbol_names[] __attribute__((weak));

/* The function is that of the instruction `back` bytes before: a call may be the last one of a function that does not come back. */
static void show_address(uint64_t address, uint64_t back) {
  console_hex(address);
  if (!&symbol_count || address < (uint64_t)image_start || address >= (uint64_t)text_end) return;
  uint64_t low = 0, high = symbol_count;
  while (low < high) {
    uint64_t middle = (low + high) / 2;
    if (symbol_addresses[middle] <= address - back) low = middle + 1;
    else high = middle;
  }
  if (low == 0) return;
  console_text("  ");
  console_text(symbol_names[low - 1]);
  console_text("+");
  console_number(address - symbol_addresses[low - 1]);
}

/* Frames as gcc lays them: the caller's frame pointer and the return address below ours. */
static void show_callers(uint64_t frame, uint64_t stack) {
  for (int depth = 0; depth < 32; depth++) {
    if (frame % 8 != 0 || frame < stack + 16 || frame > (uint64_t)image_end) return;
    uint64_t address = ((uint64_t *)frame)[-1], up = ((uint64_t *)frame)[-2];
    if (address < (uint64_t)image_start || address >= (uint64_t)text_end) return;
    console_text("    by ");
    show_address(address, 1);
    console_text("\n");
    if (up <= frame) return;
    frame = up;
  }
}

void panic(const char *why) {
  console_text("\nmachinist: the kernel stops: ");
  console_text(why);
  console_text("\n");
  show_callers((uint64_t)__builtin_frame_address(0), (uint64_t)__builtin_frame_address(0) - 16);
  sbi_power_off(1);
}

void crash(struct hart *hart) {
  console_text("\nmachinist: the kernel crashed on hart ");
  console_number(hart->index);
  console_text("\n    at ");
  show_address(hart->registers[0], 0);
  console_text("\n");
  show_callers(hart->registers[8], hart->registers[2]);
  console_text("    scause ");
  console_hex(csr_read(CSR_SCAUSE));
  console_text("  stval ");
  console_hex(csr_read(CSR_STVAL));
  console_text("  sstatus ");
  console_hex(csr_read(CSR_SSTATUS));
  console_text("  hstatus ");
  console_hex(csr_read(CSR_HSTATUS));
  console_text("\n");
  for (int i = 0; i < 32; i++) {
    console_text(i % 4 == 0 ? "    " : "  ");
    console_text(register_names[i]);
    console_text(" ");
    console_hex(hart->registers[i]);
    if (i % 4 == 3) console_text("\n");
  }
  sbi_power_off(1);
}
