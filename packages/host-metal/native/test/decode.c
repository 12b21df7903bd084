/* The decoder of accesses, for all encodings, against a list of the instructions as the manuals have them: what is fixed, and where the register is. */
#include "../kernel/decode.h"
#include "test.h"

/* Where the register is: rd (11:7), rs2 (24:20), rd' and rs2' (4:2), rs2 of C (6:2). */
enum place { RD, RS2, SHORT, RS2_C };
static const struct {
  const char *name;
  uint32_t mask, match;
  enum place place;
  struct access access;
  bool not_zero;
} list[] = {
  { "lb", 0x707f, 0x0003, RD, { false, true, false, 1, 0, 4 }, false },
  { "lh", 0x707f, 0x1003, RD, { false, true, false, 2, 0, 4 }, false },
  { "lw", 0x707f, 0x2003, RD, { false, true, false, 4, 0, 4 }, false },
  { "ld", 0x707f, 0x3003, RD, { false, true, false, 8, 0, 4 }, false },
  { "lbu", 0x707f, 0x4003, RD, { false, false, false, 1, 0, 4 }, false },
  { "lhu", 0x707f, 0x5003, RD, { false, false, false, 2, 0, 4 }, false },
  { "lwu", 0x707f, 0x6003, RD, { false, false, false, 4, 0, 4 }, false },
  { "sb", 0x707f, 0x0023, RS2, { true, false, false, 1, 0, 4 }, false },
  { "sh", 0x707f, 0x1023, RS2, { true, false, false, 2, 0, 4 }, false },
  { "sw", 0x707f, 0x2023, RS2, { true, false, false, 4, 0, 4 }, false },
  { "sd", 0x707f, 0x3023, RS2, { true, false, false, 8, 0, 4 }, false },
  { "flw", 0x707f, 0x2007, RD, { false, false, true, 4, 0, 4 }, false },
  { "fld", 0x707f, 0x3007, RD, { false, false, true, 8, 0, 4 }, false },
  { "fsw", 0x707f, 0x2027, RS2, { true, false, true, 4, 0, 4 }, false },
  { "fsd", 0x707f, 0x3027, RS2, { true, false, true, 8, 0, 4 }, false },
  { "c.fld", 0xe003, 0x2000, SHORT, { false, false, true, 8, 0, 2 }, false },
  { "c.lw", 0xe003, 0x4000, SHORT, { false, true, false, 4, 0, 2 }, false },
  { "c.ld", 0xe003, 0x6000, SHORT, { false, true, false, 8, 0, 2 }, false },
  { "c.lbu", 0xfc03, 0x8000, SHORT, { false, false, false, 1, 0, 2 }, false },
  { "c.lhu", 0xfc43, 0x8400, SHORT, { false, false, false, 2, 0, 2 }, false },
  { "c.lh", 0xfc43, 0x8440, SHORT, { false, true, false, 2, 0, 2 }, false },
  { "c.sb", 0xfc03, 0x8800, SHORT, { true, false, false, 1, 0, 2 }, false },
  { "c.sh", 0xfc43, 0x8c00, SHORT, { true, false, false, 2, 0, 2 }, false },
  { "c.fsd", 0xe003, 0xa000, SHORT, { true, false, true, 8, 0, 2 }, false },
  { "c.sw", 0xe003, 0xc000, SHORT, { true, false, false, 4, 0, 2 }, false },
  { "c.sd", 0xe003, 0xe000, SHORT, { true, false, false, 8, 0, 2 }, false },
  { "c.fldsp", 0xe003, 0x2002, RD, { false, false, true, 8, 0, 2 }, false },
  { "c.lwsp", 0xe003, 0x4002, RD, { false, true, false, 4, 0, 2 }, true },
  { "c.ldsp", 0xe003, 0x6002, RD, { false, true, false, 8, 0, 2 }, true },
  { "c.fsdsp", 0xe003, 0xa002, RS2_C, { true, false, true, 8, 0, 2 }, false },
  { "c.swsp", 0xe003, 0xc002, RS2_C, { true, false, false, 4, 0, 2 }, false },
  { "c.sdsp", 0xe003, 0xe002, RS2_C, { true, false, false, 8, 0, 2 }, false },
};

static bool expected(uint32_t instruction, struct access *access) {
  for (unsigned i = 0; i < sizeof list / sizeof list[0]; i++) {
    if ((instruction & list[i].mask) != list[i].match) continue;
    *access = list[i].access;
    switch (list[i].place) {
      case RD: access->reg = instruction >> 7 & 31; break;
      case RS2: access->reg = instruction >> 20 & 31; break;
      case SHORT: access->reg = 8 + (instruction >> 2 & 7); break;
      case RS2_C: access->reg = instruction >> 2 & 31; break;
    }
    return !list[i].not_zero || access->reg != 0;
  }
  return false;
}

static bool same(const struct access *a, const struct access *b) {
  return a->store == b->store && a->sign == b->sign && a->floating == b->floating && a->width == b->width && a->reg == b->reg && a->length == b->length;
}

static void check(uint32_t instruction) {
  struct access want = { 0 }, have = { 0 };
  bool is = expected(instruction, &want);
  EXPECT(decode_access(instruction, &have) == is);
  EXPECT(!is || same(&want, &have));
}

int main(void) {
  random_start();
  for (uint32_t low = 0; low < 0x10000; low++) {
    /* A compressed one with anything behind it; or the lower half of all others, with every register in the upper. */
    if ((low & 3) != 3) check(low | (uint32_t)random_below(0x10000) << 16);
    else
      for (uint32_t second = 0; second < 32; second++) check(low | second << 20 | (uint32_t)random_below(128) << 25 | (uint32_t)random_below(16) << 16);
  }
  struct access access;
  /* lw a0 and c.lw a0, as htinst has them; what it says of page tables; and what it cannot say. */
  EXPECT(decode_transformed(0x00002503, &access) && access.length == 4 && access.width == 4 && access.reg == 10 && access.sign);
  EXPECT(decode_transformed(0x00002501, &access) && access.length == 2 && access.width == 4 && access.reg == 10);
  EXPECT(!decode_transformed(0x3000, &access));
  EXPECT(!decode_transformed(0x3020, &access));
  EXPECT(!decode_transformed(0, &access));
  /* AMOs and SC store, as instructions and in htinst; LR and plain loads do not. */
  EXPECT(decode_atomic_store(0x00c5a52f) && decode_atomic_store(0x18c5b52f) && decode_atomic_store(0x00c0252d | 2) && decode_atomic_store(0x00c0252d));
  EXPECT(!decode_atomic_store(0x1005a52f) && !decode_atomic_store(0x0005a503) && !decode_atomic_store(0x00c5a023));
  /* Where accesses begin: offsets of all forms, with x2 = 2000, x11 = 11000. */
  static const struct { uint32_t instruction; int64_t address; } places[] = {
    { 0xffc5a503, 10996 }, { 0x7ff5b503, 13047 }, { 0xfea5afa3, 10999 }, { 0x80a5b023, 8952 }, { 0x0085b507, 11008 }, { 0x00000503, 0 }, /* lw -4, ld 2047, sw -1, sd -2048, fld 8, lb 0(zero) */
    { 0x41c8, 11004 }, { 0x5de8, 11124 }, { 0x6588, 11008 }, { 0xfde8, 11248 }, { 0xa588, 11008 },                                     /* c.lw 4, c.lw 124, c.ld 8, c.sd 248, c.fsd 8 */
    { 0x4512, 2004 }, { 0x557e, 2252 }, { 0x6522, 2008 }, { 0x757e, 2504 }, { 0xc22a, 2004 }, { 0xdfaa, 2252 }, { 0xe42a, 2008 }, { 0xffaa, 2504 }, /* c.lwsp … c.sdsp: the least and the most */
    { 0x81e8, 11003 }, { 0x85e8, 11002 }, { 0x8588, 11000 }, { 0x89e8, 11003 }, { 0x8da8, 11002 },                                     /* c.lbu 3, c.lh 2, c.lhu 0, c.sb 3, c.sh 2 */
  };
  uint64_t x[32] = { 77 };
  x[2] = 2000, x[11] = 11000;
  for (unsigned n = 0; n < sizeof places / sizeof places[0]; n++) EXPECT(decode_address(places[n].instruction, x) == (uint64_t)places[n].address);
  EXPECT(!decode_transformed(0x00022503, &access));
  return 0;
}
