/* The SBI calls that need not enter TypeScript: timer, IPIs, remote fences (RISC-V SBI 1.0). */
#include "vcpu.h"

enum { LEGACY_SET_TIMER = 0, TIME = 0x54494d45, IPI = 0x735049, RFENCE = 0x52464e43, INVALID_PARAM = -3 };
enum { A0 = 10, A1 = 11, A6 = 16, A7 = 17 };

/* The harts that a mask names, in `chosen`; false when one of them does not exist (section 3.1). */
static bool choose(const struct vm *vm, uint64_t mask, uint64_t base, struct vcpu **chosen, uint32_t *count) {
  *count = 0;
  for (uint32_t i = 0; i < MAX_VM_VCPUS; i++) {
    bool all = base == UINT64_MAX, named = all || (i >= base && i - base < 64 && (mask >> (i - base) & 1));
    if (!named) continue;
    if (vm->vcpus[i]) chosen[(*count)++] = vm->vcpus[i];
    else if (!all) return false;
  }
  if (base == UINT64_MAX) return true;
  /* No bit may name a hart beyond those that a machine can have. */
  return mask == 0 || (base < MAX_VM_VCPUS && (base + 63 - (uint64_t)__builtin_clzl(mask)) < MAX_VM_VCPUS);
}

static void answer(struct record *record, long error) {
  record->x[A0] = (uint64_t)error;
  record->x[A1] = 0;
}

bool guest_sbi(struct vcpu *vcpu) {
  struct record *record = vcpu->record;
  uint64_t extension = record->x[A7], function = record->x[A6];
  struct vcpu *chosen[MAX_VM_VCPUS];
  uint32_t count;
  if (extension == LEGACY_SET_TIMER || (extension == TIME && function == 0)) {
    record->vstimecmp = record->x[A0];
    if (extension == TIME) answer(record, 0);
    else record->x[A0] = 0;
    return true;
  }
  bool ipi = extension == IPI && function == 0;
  bool fence = extension == RFENCE && function <= 2;
  if (!ipi && !fence) return false;
  if (!choose(vcpu->vm, record->x[A0], record->x[A1], chosen, &count)) {
    answer(record, INVALID_PARAM);
    return true;
  }
  bool waits = false;
  for (uint32_t i = 0; i < count; i++) {
    /* Whoever stops it looks for requests after that, and we look at what it does after the request. */
    bool pending = __atomic_load_n(&chosen[i]->requests, __ATOMIC_SEQ_CST) & REQUEST_SOFTWARE;
    vcpu_request(chosen[i], ipi ? REQUEST_SOFTWARE : REQUEST_FENCE);
    /* What was published and is not taken yet TypeScript knows: that a hart is stopped is told once, however often it is called. */
    if (!pending && __atomic_load_n(&chosen[i]->state, __ATOMIC_SEQ_CST) == VCPU_STOPPED) waits |= !(__atomic_load_n(&chosen[i]->record->hvip, __ATOMIC_SEQ_CST) & IP_VSSIP);
  }
  if (fence)
    for (uint32_t i = 0; i < count; i++)
      if (chosen[i] != vcpu) vcpu_wait(chosen[i], REQUEST_FENCE);
  /* TypeScript, on hart 0, lets a hart run that waits for this. */
  if (ipi && waits) {
    __atomic_store_n(&attention, 1, __ATOMIC_SEQ_CST);
    if (vcpu->hart != &harts[0]) hart_wake(&harts[0]);
  }
  answer(record, 0);
  return true;
}
