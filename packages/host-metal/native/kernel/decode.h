/* What an instruction that accesses memory does: those that a register of a device can serve (RISC-V Unprivileged ISA: RV64I, F, D, C, Zcb). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct access {
  bool store;
  /* Loads to an integer register extend the sign. */
  bool sign;
  /* A floating-point register. */
  bool floating;
  uint8_t width;
  uint8_t reg;
  /* Of the instruction: 2 or 4 bytes. */
  uint8_t length;
};

/* False for all other instructions. Of a compressed one only 16 bits count. */
bool decode_access(uint32_t instruction, struct access *access);
/* Where the access of an instruction that decode_access knows begins. */
uint64_t decode_address(uint32_t instruction, const uint64_t x[32]);
/* Whether it is an atomic access that stores: all AMOs and SC, which fault as stores do (Unprivileged ISA, chapter 13). From the instruction or htinst. */
bool decode_atomic_store(uint32_t instruction);
/* The same as decode_access from htinst, which holds the instruction as if it were not compressed, and says in bit 1 whether it was not (section 8.6.3).
   False also for the pseudoinstructions of implicit accesses, and for what is not the beginning of an access. */
bool decode_transformed(uint32_t htinst, struct access *access);
