#include "register.h"
#include "hart.h"

/* An instruction that may trap: where the hart goes on is known until it is over. The fence after it keeps a store that fails late within. */
#define GUARDED(instruction, there, value, address)                                                                                                                                \
  asm volatile("fence\n la %0, 1f\n sd %0, %c4(%3)\n " instruction " %1, (%2)\n fence\n sd zero, %c4(%3)\n li %0, 1\n j 2f\n .balign 4\n1: li %0, 0\n2:" \
               : "=&r"(there), "+r"(value)                                                                                                                                         \
               : "r"(address), "r"(this_hart()), "i"(HART_RECOVER)                                                                                                                 \
               : "memory")

bool register_read(uint64_t address, uint64_t width, uint32_t *value) {
  unsigned long there, read = 0;
  if (width == 1) GUARDED("lbu", there, read, address);
  else if (width == 2) GUARDED("lhu", there, read, address);
  else GUARDED("lwu", there, read, address);
  *value = (uint32_t)read;
  return there != 0;
}

bool register_write(uint64_t address, uint64_t width, uint32_t value) {
  unsigned long there, written = value;
  if (width == 1) GUARDED("sb", there, written, address);
  else if (width == 2) GUARDED("sh", there, written, address);
  else GUARDED("sw", there, written, address);
  return there != 0;
}
