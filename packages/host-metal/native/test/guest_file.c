/* Random instructions and messages on an interrupt file, against a list of what is pending and enabled. */
#include "guest_file.h"
#include <string.h>
#include "test.h"

enum { IDENTITIES = 191, A0 = 10, A1 = 11 };
static struct record record;
static bool pending[IDENTITIES + 1], enabled[IDENTITIES + 1];
static uint32_t threshold, delivery;

static uint32_t below(uint32_t limit) { return (uint32_t)random_below(limit); }

static bool run(uint32_t number, uint32_t operation, uint32_t rs1, uint64_t interrupts, bool held) {
  return guest_file_csr(&record, number << 20 | rs1 << 15 | operation << 12 | A0 << 7 | 0x73, interrupts, held);
}

static uint32_t top(void) {
  for (uint32_t i = 1; i <= IDENTITIES; i++)
    if (pending[i] && enabled[i]) return threshold == 0 || i < threshold ? i : 0;
  return 0;
}

static uint64_t word_of(const bool *bits, uint32_t word) {
  uint64_t value = 0;
  for (uint32_t i = 0; i < 64 && word * 64 + i <= IDENTITIES; i++) value |= (uint64_t)bits[word * 64 + i] << i;
  return value;
}

/* What a register holds: −1 where there is none, 0 for what is reserved. */
static int model(uint32_t select, uint64_t *value) {
  *value = 0;
  if (select >= 0x70 && select < 0x80) {
    *value = select == 0x70 ? delivery : select == 0x72 ? threshold : 0;
    return 0;
  }
  if (select % 2 || select < 0x30 || (select >= 0x40 && select < 0x80) || select >= 0x100) return -1;
  if (select >= 0x80) *value = word_of(select < 0xc0 ? pending : enabled, (select & 0x3f) / 2);
  return 0;
}

static void set(uint32_t select, uint64_t value) {
  if (select == 0x70) delivery = value & 1;
  if (select == 0x72) threshold = value & 255;
  if (select < 0x80) return;
  bool *bits = select < 0xc0 ? pending : enabled;
  for (uint32_t i = 0, at = (select & 0x3f) / 2 * 64; i < 64; i++)
    if (at + i >= 1 && at + i <= IDENTITIES) bits[at + i] = value >> i & 1;
}

int main(void) {
  random_start();
  memset(&record, 0, sizeof record);
  /* Without a file, and in U-mode, there are no such registers. */
  record.mode = 1;
  EXPECT(!run(0x150, 2, 0, 0, false));
  record.identities = IDENTITIES;
  record.mode = 0;
  EXPECT(!run(0x150, 2, 0, 0, false));
  record.mode = 1;
  EXPECT(!run(0x151, 4, 0, 0, false) && !run(0x155, 1, A1, 0, false) && !guest_file_csr(&record, 0xdb051573 /* csrrw of what is read-only */, 0, false));
  uint32_t claimed = 0;
  for (uint32_t round = 0; round < 400000; round++) {
    uint32_t kind = below(8), operation = 1 + below(3), rs1 = below(4) ? A1 : 0;
    uint64_t value = below(2) ? random_below(UINT64_MAX) : below(512);
    record.x[A1] = value, record.x[A0] = 77;
    bool writes = operation == 1 || rs1 != 0;
    uint64_t operand = rs1 ? value : 0, old;
    if (kind < 2) {
      uint32_t identity = below(260);
      guest_file_message(&record, identity);
      if (identity >= 1 && identity <= IDENTITIES) pending[identity] = true;
    } else if (kind == 2) {
      uint32_t expected = top();
      EXPECT(run(0x15c, operation, rs1, 0, false) && record.x[A0] == expected * 0x10001ul);
      if (writes && expected) pending[expected] = false, claimed++;
    } else if (kind == 3) {
      uint64_t interrupts = below(2) * 2u | below(2) * 32u | below(2) * 512u;
      uint32_t code = interrupts & 512 ? 9 : interrupts & 2 ? 1 : interrupts & 32 ? 5 : 0;
      EXPECT(run(0xdb0, 2, 0, interrupts, false) && record.x[A0] == (code ? code << 16 | 1 : 0));
    } else if (kind == 4) {
      EXPECT(run(0x150, 1, A1, 0, false) && record.vsiselect == (value & 0x1ff));
    } else {
      /* Mostly registers that there are; immediates of 5 bits at times. */
      static const uint32_t likely[] = { 0x70, 0x72, 0x80, 0x82, 0x84, 0x86, 0xc0, 0xc2, 0xc4, 0xc6 };
      if (below(4)) record.vsiselect = likely[below(10)];
      uint32_t select = (uint32_t)record.vsiselect;
      if (below(8) == 0) {
        rs1 = below(32), writes = operation == 1 || rs1 != 0, operand = rs1;
        operation |= 4;
      }
      bool held = below(8) == 0;
      bool there = model(select, &old) == 0;
      bool kept = select == 0x70 || select == 0x72 || (select >= 0x80 && (select & 0x3f) / 2 < (IDENTITIES + 1) / 64);
      bool done = run(0x151, operation, rs1, 0, held);
      EXPECT(done == (there && !(held && kept)));
      EXPECT(record.x[A0] == (done ? old : 77));
      if (done && writes) set(select, (operation & 3) == 1 ? operand : (operation & 3) == 2 ? old | operand : old & ~operand);
    }
    EXPECT(guest_file_top(&record) == top() && record.external == (delivery && top() != 0));
  }
  EXPECT(claimed > 1000);
  return 0;
}
