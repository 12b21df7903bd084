#include "decode.h"

enum { LOAD = 0x03, LOAD_FP = 0x07, STORE = 0x23, STORE_FP = 0x27 };

static bool is(struct access *access, bool store, bool floating, bool sign, unsigned width, unsigned reg, unsigned length) {
  *access = (struct access){ store, sign, floating, (uint8_t)width, (uint8_t)reg, (uint8_t)length };
  return true;
}

static bool decode_standard(uint32_t instruction, struct access *access) {
  unsigned funct3 = instruction >> 12 & 7, rd = instruction >> 7 & 31, rs2 = instruction >> 20 & 31;
  switch (instruction & 0x7f) {
    case LOAD: return funct3 != 7 && is(access, false, false, funct3 < 4, 1u << (funct3 & 3), rd, 4);
    case STORE: return funct3 < 4 && is(access, true, false, false, 1u << funct3, rs2, 4);
    case LOAD_FP: return (funct3 == 2 || funct3 == 3) && is(access, false, true, false, 1u << funct3, rd, 4);
    case STORE_FP: return (funct3 == 2 || funct3 == 3) && is(access, true, true, false, 1u << funct3, rs2, 4);
    default: return false;
  }
}

static bool decode_compressed(uint32_t instruction, struct access *access) {
  unsigned funct3 = instruction >> 13 & 7, low = 8 + (instruction >> 2 & 7), rd = instruction >> 7 & 31, rs2 = instruction >> 2 & 31;
  bool alternate = instruction >> 6 & 1;
  switch ((instruction & 3) << 3 | funct3) {
    case 0 << 3 | 1: return is(access, false, true, false, 8, low, 2);   /* c.fld */
    case 0 << 3 | 2: return is(access, false, false, true, 4, low, 2);   /* c.lw */
    case 0 << 3 | 3: return is(access, false, false, true, 8, low, 2);   /* c.ld */
    case 0 << 3 | 4:                                                     /* Zcb */
      switch (instruction >> 10 & 7) {
        case 0: return is(access, false, false, false, 1, low, 2);       /* c.lbu */
        case 1: return is(access, false, false, alternate, 2, low, 2);   /* c.lhu, c.lh */
        case 2: return is(access, true, false, false, 1, low, 2);        /* c.sb */
        case 3: return !alternate && is(access, true, false, false, 2, low, 2); /* c.sh */
        default: return false;
      }
    case 0 << 3 | 5: return is(access, true, true, false, 8, low, 2);    /* c.fsd */
    case 0 << 3 | 6: return is(access, true, false, false, 4, low, 2);   /* c.sw */
    case 0 << 3 | 7: return is(access, true, false, false, 8, low, 2);   /* c.sd */
    case 2 << 3 | 1: return is(access, false, true, false, 8, rd, 2);    /* c.fldsp */
    case 2 << 3 | 2: return rd != 0 && is(access, false, false, true, 4, rd, 2); /* c.lwsp */
    case 2 << 3 | 3: return rd != 0 && is(access, false, false, true, 8, rd, 2); /* c.ldsp */
    case 2 << 3 | 5: return is(access, true, true, false, 8, rs2, 2);    /* c.fsdsp */
    case 2 << 3 | 6: return is(access, true, false, false, 4, rs2, 2);   /* c.swsp */
    case 2 << 3 | 7: return is(access, true, false, false, 8, rs2, 2);   /* c.sdsp */
    default: return false;
  }
}

bool decode_access(uint32_t instruction, struct access *access) {
  return (instruction & 3) == 3 ? decode_standard(instruction, access) : decode_compressed(instruction, access);
}

/* Bits `high` to `low` of an instruction, at a place. */
static unsigned bits(uint32_t instruction, unsigned high, unsigned low, unsigned place) { return (instruction >> low & ((2u << (high - low)) - 1)) << place; }

/* Offsets are those of Unprivileged ISA, 2.6, 28.3 and 28.12. */
static uint64_t compressed_address(uint32_t i, const uint64_t x[32]) {
  unsigned funct3 = bits(i, 15, 13, 0);
  bool wide = funct3 != 2 && funct3 != 6;
  if ((i & 3) == 2) {
    if (funct3 >= 4) return x[2] + (wide ? bits(i, 12, 10, 3) | bits(i, 9, 7, 6) : bits(i, 12, 9, 2) | bits(i, 8, 7, 6));
    return x[2] + (bits(i, 12, 12, 5) | (wide ? bits(i, 6, 5, 3) | bits(i, 4, 2, 6) : bits(i, 6, 4, 2) | bits(i, 3, 2, 6)));
  }
  uint64_t base = x[8 + bits(i, 9, 7, 0)];
  if (funct3 == 4) return base + (bits(i, 5, 5, 1) | (bits(i, 10, 10, 0) ? 0 : bits(i, 6, 6, 0)));
  return base + (bits(i, 12, 10, 3) | (wide ? bits(i, 6, 5, 6) : bits(i, 6, 6, 2) | bits(i, 5, 5, 6)));
}

uint64_t decode_address(uint32_t instruction, const uint64_t x[32]) {
  if ((instruction & 3) != 3) return compressed_address(instruction, x);
  bool store = (instruction & 0x7f) == STORE || (instruction & 0x7f) == STORE_FP;
  int64_t high = (int32_t)instruction >> 25;
  unsigned base = bits(instruction, 19, 15, 0);
  return (base == 0 ? 0 : x[base]) + (uint64_t)(store ? high * 32 + bits(instruction, 11, 7, 0) : (int64_t)((int32_t)instruction >> 20));
}

bool decode_atomic_store(uint32_t instruction) {
  enum { AMO = 0x2f, LR = 2 };
  return ((instruction | 2) & 0x7f) == AMO && instruction >> 27 != LR;
}

bool decode_transformed(uint32_t htinst, struct access *access) {
  /* The field of rs1 says how far behind the beginning it faulted. */
  if (!(htinst & 1) || (htinst >> 15 & 31) != 0 || !decode_standard(htinst | 2, access)) return false;
  access->length = htinst & 2 ? 4 : 2;
  return true;
}
