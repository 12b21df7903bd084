#include "guest_file.h"
#include "csr.h"

/* What siselect selects (2.1, 3.8), and all that it holds. */
enum { IPRIO = 0x30, IPRIO_END = 0x40, EIDELIVERY = 0x70, EITHRESHOLD = 0x72, RESERVED_END = 0x80, EIP = 0x80, EIE = 0xc0, END = 0x100, SELECTABLE = 0x1ff };
enum { CSRRW = 1, CSRRS = 2, CSRRC = 3 };

/* Of the arrays in use; the record is TypeScript's, too, and may say anything. */
static uint32_t words(const struct record *record) { return record->identities > 2047 ? 32 : (record->identities + 1) / 64; }

uint32_t guest_file_top(const struct record *record) {
  for (uint32_t word = 0; word < words(record); word++) {
    uint64_t bits = record->eip[word] & record->eie[word];
    if (bits == 0) continue;
    uint32_t identity = word * 64 + (uint32_t)__builtin_ctzl(bits);
    return record->eithreshold == 0 || identity < record->eithreshold ? identity : 0;
  }
  return 0;
}

void guest_file_update(struct record *record) {
  uint32_t level = record->identities != 0 && record->eidelivery != 0 && guest_file_top(record) != 0;
  __atomic_store_n(&record->external, level, __ATOMIC_SEQ_CST);
}

void guest_file_message(struct record *record, uint32_t identity) {
  if (identity >= 1 && identity / 64 < words(record)) record->eip[identity / 64] |= 1ul << identity % 64;
  guest_file_update(record);
}

/* A register that sireg shows; null for those that hold nothing. `valid` is cleared when there is no such register: of the arrays, RV64 has those with even numbers. */
static uint64_t *array_word(struct record *record, uint32_t select, bool *valid) {
  bool array = select >= EIP && select < END;
  if ((array || (select >= IPRIO && select < IPRIO_END)) && select % 2 != 0) *valid = false;
  if (!array) {
    if (!(select >= IPRIO && select < IPRIO_END) && !(select >= EIDELIVERY && select < RESERVED_END)) *valid = false;
    return 0;
  }
  uint32_t word = (select - (select < EIE ? EIP : EIE)) / 2;
  if (word >= words(record)) return 0;
  return select < EIE ? &record->eip[word] : &record->eie[word];
}

static uint64_t changed(uint32_t operation, uint64_t old, uint64_t operand) {
  return operation == CSRRW ? operand : operation == CSRRS ? old | operand : old & ~operand;
}

/* sireg; false when it is illegal. */
static bool selected(struct record *record, uint32_t operation, bool writes, uint64_t operand, bool held, uint64_t *old) {
  uint32_t select = (uint32_t)record->vsiselect;
  bool valid = true;
  uint64_t *word = array_word(record, select, &valid);
  if (!valid || (held && (word || select == EIDELIVERY || select == EITHRESHOLD))) return false;
  *old = word ? *word : select == EIDELIVERY ? record->eidelivery : select == EITHRESHOLD ? record->eithreshold : 0;
  if (!writes) return true;
  uint64_t value = changed(operation, *old, operand);
  /* Identity 0 does not exist; no other controller could deliver instead (3.8.1); the threshold has as many bits as the last identity. */
  if (word) *word = word == &record->eip[0] || word == &record->eie[0] ? value & ~1ul : value;
  else if (select == EIDELIVERY) record->eidelivery = value & 1;
  else if (select == EITHRESHOLD) record->eithreshold = value & ((1ul << (32 - __builtin_clz(record->identities))) - 1);
  return true;
}

bool guest_file_csr(struct record *record, uint32_t instruction, uint64_t interrupts, bool held) {
  uint32_t number = instruction >> 20, operation = instruction >> 12 & 3, source = instruction >> 15 & 31, destination = instruction >> 7 & 31;
  if ((instruction & 0x7f) != 0x73 || operation == 0 || record->mode == 0 || record->identities == 0) return false;
  uint64_t operand = instruction >> 14 & 1 ? source : source == 0 ? 0 : record->x[source], old;
  bool writes = operation == CSRRW || source != 0;
  if (number == CSR_SISELECT) {
    old = record->vsiselect;
    if (writes) record->vsiselect = changed(operation, old, operand) & SELECTABLE;
  } else if (number == CSR_SIREG) {
    if (!selected(record, operation, writes, operand, held, &old)) return false;
  } else if (number == CSR_STOPEI && !held) {
    uint32_t top = guest_file_top(record);
    old = top * 0x10001ul;
    /* Whatever is written, what was read is claimed (3.9). */
    if (writes) record->eip[top / 64] &= ~(1ul << top % 64);
  } else if (number == CSR_STOPI && !held && !writes) {
    /* Priorities are read-only zero, which shows as 1 (5.4.2). */
    uint32_t code = interrupts & IP_SEIP ? 9 : interrupts & IP_SSIP ? 1 : interrupts & IP_STIP ? 5 : 0;
    old = code == 0 ? 0 : code << 16 | 1;
  } else return false;
  if (destination != 0) record->x[destination] = old;
  if (!held) guest_file_update(record);
  return true;
}
