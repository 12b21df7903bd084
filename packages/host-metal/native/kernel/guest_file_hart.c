/* Where the interrupt file of a guest's hart is: in the hardware's first guest interrupt file while the guest runs on a hart that has such a one, else in the record (RISC-V AIA 1.0, chapters 3 and 6). */
#include "guest_file.h"
#include "register.h"
#include "vcpu.h"

/* Of the arrays, registers with odd numbers do not exist with XLEN of 64. */
enum { EIDELIVERY = 0x70, EITHRESHOLD = 0x72, EIP0 = 0x80, EIE0 = 0xc0 };

static void lock(struct vcpu *vcpu) {
  while (__atomic_exchange_n(&vcpu->file_lock, 1, __ATOMIC_ACQUIRE)) {
  }
}

static void unlock(struct vcpu *vcpu) { __atomic_store_n(&vcpu->file_lock, 0, __ATOMIC_RELEASE); }

static void write_register(uint32_t number, uint64_t value) {
  csr_write(CSR_VSISELECT, number);
  csr_write(CSR_VSIREG, value);
}

static uint64_t read_register(uint32_t number) {
  csr_write(CSR_VSISELECT, number);
  return csr_read(CSR_VSIREG);
}

void vcpu_message(struct vcpu *vcpu, uint32_t identity) {
  struct record *record = vcpu->record;
  uint32_t none;
  bool wake = false;
  lock(vcpu);
  if (!vcpu->guest_file) {
    uint32_t before = record->external;
    guest_file_message(record, identity);
    wake = record->external && !before;
  } else if (identity >= 1 && identity <= record->identities) {
    register_write(vcpu->guest_file, 4, identity);
    /* What was read behind it has been: the file has it before another hart may look at it. */
    register_read(vcpu->guest_file, 4, &none);
  }
  unlock(vcpu);
  if (wake) vcpu_request(vcpu, REQUEST_MESSAGE);
}

void guest_file_load(struct hart *hart, struct vcpu *vcpu) {
  struct record *record = vcpu->record;
  if (record->identities != 0 && record->identities == hart->guest_identities) {
    lock(vcpu);
    csr_set(CSR_HSTATUS, HSTATUS_VGEIN_FIRST);
    for (uint32_t word = 0; word <= record->identities / 64; word++) {
      write_register(EIP0 + 2 * word, record->eip[word]);
      write_register(EIE0 + 2 * word, record->eie[word]);
    }
    write_register(EITHRESHOLD, record->eithreshold);
    write_register(EIDELIVERY, record->eidelivery);
    record->external = 0;
    vcpu->guest_file = hart->guest_file;
    unlock(vcpu);
  }
  csr_write(CSR_VSISELECT, record->vsiselect);
}

void guest_file_save(struct vcpu *vcpu) {
  struct record *record = vcpu->record;
  record->vsiselect = csr_read(CSR_VSISELECT);
  if (!vcpu->guest_file) return;
  /* Nothing more comes to the file from here on. */
  lock(vcpu);
  record->eidelivery = read_register(EIDELIVERY) & 1;
  write_register(EIDELIVERY, 0);
  uint64_t threshold = read_register(EITHRESHOLD);
  /* All identities are below. */
  record->eithreshold = threshold > record->identities ? 0 : (uint32_t)threshold;
  for (uint32_t word = 0; word <= record->identities / 64; word++) {
    record->eip[word] = read_register(EIP0 + 2 * word);
    record->eie[word] = read_register(EIE0 + 2 * word);
  }
  record->eip[0] &= ~1ul;
  record->eie[0] &= ~1ul;
  csr_clear(CSR_HSTATUS, HSTATUS_VGEIN_FIRST);
  vcpu->guest_file = 0;
  guest_file_update(record);
  unlock(vcpu);
}

bool guest_file_serve(struct vcpu *vcpu, uint32_t instruction, uint64_t interrupts) {
  lock(vcpu);
  bool served = guest_file_csr(vcpu->record, instruction, interrupts, vcpu->guest_file != 0);
  unlock(vcpu);
  return served;
}
