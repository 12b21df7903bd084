#include "interrupt_file.h"
#include "board.h"
#include "csr.h"

/* Sections 3.8.1 to 3.8.4. Of the arrays, registers with odd numbers do not exist with XLEN of 64. */
enum { EIDELIVERY = 0x70, EITHRESHOLD = 0x72, EIP0 = 0x80, EIE0 = 0xc0 };
enum { IDENTITY_SHIFT = 16 };

uint32_t interrupt_file_identities(void) { return board.identities; }

static void write_register(uint32_t number, uint64_t value) {
  csr_write(CSR_SISELECT, number);
  csr_write(CSR_SIREG, value);
}

void interrupt_file_init(void) {
  if (board.identities == 0) return;
  for (uint32_t identity = 0; identity <= board.identities; identity += 64) {
    write_register(EIE0 + identity / 32, 0);
    write_register(EIP0 + identity / 32, 0);
  }
  write_register(EITHRESHOLD, 0);
  write_register(EIDELIVERY, 1);
}

uint32_t interrupt_file_claim(void) {
  if (board.identities == 0) return 0;
  uint64_t claimed;
  /* Reading and writing it at once claims what was read. */
  asm volatile("csrrw %0, " csr_text(CSR_STOPEI) ", zero" : "=r"(claimed)::"memory");
  return (uint32_t)(claimed >> IDENTITY_SHIFT) & 0x7ff;
}

void interrupt_file_enable(uint32_t identity, bool on) {
  csr_write(CSR_SISELECT, EIE0 + identity / 64 * 2);
  if (on) csr_set(CSR_SIREG, 1ul << identity % 64);
  else csr_clear(CSR_SIREG, 1ul << identity % 64);
}
