/* The loop in which a guest runs until something is for TypeScript. */
#include "vcpu.h"
#include <stddef.h>
#include "decode.h"
#include "sbi.h"
#include "shortcuts.h"
#include "time.h"

_Static_assert(offsetof(struct vcpu, record) == 0 && offsetof(struct vcpu, hart) == 8 && offsetof(struct vcpu, host_stack) == 16 && offsetof(struct vcpu, scratch) == 24, "world.S");

/* What a guest's supervisor handles itself: all exceptions of its own making (section 8.2.2). */
#define DELEGATED 0xb1ff
#define VS_INTERRUPTS (IP_VSSIP | IP_VSTIP | IP_VSEIP)
#define HGATP_SV39X4 (8ul << 60)
#define HGATP_VMID_SHIFT 44

uint32_t attention;
static bool sstc, aia, stateen;
static uint64_t vmid_mask;

void vcpu_prepare_hart(struct hart *hart) {
  csr_write(CSR_HGATP, 0x3ffful << HGATP_VMID_SHIFT);
  uint64_t mask = csr_read(CSR_HGATP) >> HGATP_VMID_SHIFT & 0x3fff;
  csr_write(CSR_HGATP, 0);
  if (hart->index == 0) {
    vmid_mask = mask;
    sstc = csr_has_sstc();
    aia = csr_has_interrupt_file();
    stateen = csr_has_stateen();
  }
  csr_write(CSR_HGEIE, UINT64_MAX);
  if (!aia || !(csr_read(CSR_HGEIE) & 2)) hart->guest_file = hart->guest_identities = 0;
  /* Of hstatus.VGEIN a guest hears itself; nobody waits for guests that do not run. */
  csr_write(CSR_HGEIE, 0);
  csr_write(CSR_HEDELEG, DELEGATED);
  csr_write(CSR_HIDELEG, VS_INTERRUPTS);
  csr_write(CSR_HCOUNTEREN, 7);
  csr_write(CSR_HENVCFG, (sstc ? HENVCFG_STCE : 0) | HENVCFG_CBZE | HENVCFG_CBCFE | HENVCFG_CBIE_FLUSH);
  csr_write(CSR_HIE, 0);
  csr_write(CSR_HVIP, 0);
  csr_write(CSR_SIE, IP_SSIP | IP_STIP | (hart->index == 0 ? IP_SEIP : 0));
  fence_tables(0);
  asm volatile(".insn r 0x73, 0, 0x31, x0, x0, x0" ::: "memory"); /* hfence.gvma zero, zero */
}

void hart_alarm(struct hart *hart, uint64_t at) {
  if (hart->armed == at) return;
  hart->armed = at;
  if (sstc) csr_write(CSR_STIMECMP, at);
  else sbi_set_timer(at);
}

static void load(struct hart *hart, struct vcpu *vcpu) {
  const struct record *record = vcpu->record;
  /* UXL is 64 bits unless it says otherwise. */
  csr_write(CSR_VSSTATUS, record->vsstatus & SSTATUS_UXL ? record->vsstatus : record->vsstatus | SSTATUS_UXL_64);
  csr_write(CSR_VSTVEC, record->vstvec);
  csr_write(CSR_VSSCRATCH, record->vsscratch);
  csr_write(CSR_VSEPC, record->vsepc);
  csr_write(CSR_VSCAUSE, record->vscause);
  csr_write(CSR_VSTVAL, record->vstval);
  csr_write(CSR_VSATP, record->vsatp);
  csr_write(CSR_VSIE, record->vsie);
  csr_write(CSR_SCOUNTEREN, record->scounteren);
  csr_write(CSR_SENVCFG, record->senvcfg);
  csr_write(CSR_HTIMEDELTA, record->timeOffset - time_start());
  if (sstc) csr_write(CSR_VSTIMECMP, record->vstimecmp);
  /* What the hardware has no registers for is executed here, and those that a guest is not to have are illegal. Without Smstateen a guest that is told of no AIA reaches siselect, which is its own. */
  csr_write(CSR_HEDELEG, record->identities ? DELEGATED & ~(1ul << CAUSE_ILLEGAL) : DELEGATED);
  if (stateen) csr_write(CSR_HSTATEEN0, HSTATEEN_SE | HSTATEEN_ENVCFG | (record->identities ? HSTATEEN_AIA : 0));
  if (aia) guest_file_load(hart, vcpu);
  uint64_t vmid = vcpu->vm->slot & vmid_mask;
  csr_write(CSR_HGATP, HGATP_SV39X4 | vmid << HGATP_VMID_SHIFT | vcpu->vm->tables.root >> 12);
  uint32_t slot = vcpu->vm->slot;
  /* Where there are fewer VMIDs than machines, another one's translations may be there. */
  if (hart->owner[vmid] != slot + 1) {
    hart->owner[vmid] = slot + 1;
    hart->seen[slot] = 0;
    hart->last[slot] = 0;
  }
  /* Its VMID is the whole machine's: what another of its harts knew here, or this one knew long ago, is not to be trusted; nor are instructions that were fetched here. */
  if (hart->last[slot] != vcpu || vcpu->last_hart != hart) {
    fence_guest();
    asm volatile("fence.i" ::: "memory");
  }
  hart->last[slot] = vcpu;
  vcpu->last_hart = hart;
  fp_load(record);
}

static void save(struct vcpu *vcpu) {
  struct record *record = vcpu->record;
  record->vsstatus = csr_read(CSR_VSSTATUS);
  record->vstvec = csr_read(CSR_VSTVEC);
  record->vsscratch = csr_read(CSR_VSSCRATCH);
  record->vsepc = csr_read(CSR_VSEPC);
  record->vscause = csr_read(CSR_VSCAUSE);
  record->vstval = csr_read(CSR_VSTVAL);
  record->vsatp = csr_read(CSR_VSATP);
  record->vsie = csr_read(CSR_VSIE);
  record->scounteren = csr_read(CSR_SCOUNTEREN);
  record->senvcfg = csr_read(CSR_SENVCFG);
  if (sstc) record->vstimecmp = csr_read(CSR_VSTIMECMP);
  if (aia) guest_file_save(vcpu);
  /* The guest may have cleared it. What others raised since is among the requests. */
  if (csr_read(CSR_HVIP) & IP_VSSIP) __atomic_or_fetch(&vcpu->requests, REQUEST_SOFTWARE, __ATOMIC_SEQ_CST);
  csr_write(CSR_HVIP, 0);
  fp_save(record);
}

static uint64_t guest_time(const struct record *record) { return time_ticks() - time_start() + record->timeOffset; }

/* Takes an exception in the guest's supervisor, as hardware does (section 8.6.1). */
static void raise_exception(struct record *record, uint64_t cause, uint64_t value) {
  uint64_t status = csr_read(CSR_VSSTATUS);
  status &= ~(SSTATUS_SPP | SSTATUS_SPIE);
  if (record->mode) status |= SSTATUS_SPP;
  if (status & SSTATUS_SIE) status |= SSTATUS_SPIE;
  csr_write(CSR_VSSTATUS, status & ~SSTATUS_SIE);
  csr_write(CSR_VSCAUSE, cause);
  csr_write(CSR_VSEPC, record->pc);
  csr_write(CSR_VSTVAL, value);
  record->pc = csr_read(CSR_VSTVEC) & ~3ul;
  record->mode = 1;
}

/* What TypeScript decided about the access that the guest is at. */
static void finish_access(struct vcpu *vcpu) {
  struct record *record = vcpu->record;
  if (!vcpu->pending) return;
  vcpu->pending = false;
  if (record->answer == ANSWER_FAULT) {
    static const uint8_t causes[] = { CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS, 1 };
    raise_exception(record, causes[record->access % 3], vcpu->tval);
  } else if (record->answer == ANSWER_DONE && record->width != 0) {
    uint32_t shift = 64 - 8 * (record->width & 15);
    uint64_t value = record->value << (shift & 63);
    value = vcpu->sign ? (uint64_t)((int64_t)value >> (shift & 63)) : value >> (shift & 63);
    if (record->access == VCPU_ACCESS_READ && vcpu->floating) {
      /* Single precision is boxed (Unprivileged ISA, 21.2). */
      record->f[vcpu->reg] = record->width == 4 ? value | 0xfffffffful << 32 : value;
      fp_load(record);
      csr_set(CSR_VSSTATUS, SSTATUS_FS);
    } else if (record->access == VCPU_ACCESS_READ && vcpu->reg != 0) record->x[vcpu->reg] = value;
    record->pc += vcpu->instruction_length;
  }
}

/* What this hart knows of the tables is from before they were changed. */
static void forget_old(struct hart *hart, struct vm *vm) {
  uint64_t generation = __atomic_load_n(&vm->generation, __ATOMIC_SEQ_CST);
  if (hart->seen[vm->slot] == generation) return;
  fence_tables(vm->slot & vmid_mask);
  /* Other frames, and so other instructions. */
  asm volatile("fence.i" ::: "memory");
  __atomic_store_n(&hart->seen[vm->slot], generation, __ATOMIC_SEQ_CST);
}

static bool fetch_half(struct hart *hart, uint64_t address, uint32_t *half) {
  if (guest_fetch(hart, address, half)) return true;
  /* Pages that can only be executed are no matter of MXR with HLVX, but QEMU 7.2 takes it for a load. */
  csr_set(CSR_SSTATUS, SSTATUS_MXR);
  bool there = guest_fetch(hart, address, half);
  csr_clear(CSR_SSTATUS, SSTATUS_MXR);
  return there;
}

/* The instruction at pc, from the guest's memory; 16 bits when it is compressed. False when it cannot be read there any more. */
static bool fetch(struct hart *hart, struct vcpu *vcpu, uint32_t *instruction) {
  uint64_t pc = vcpu->record->pc;
  uint32_t low = 0, high = 0;
  /* By the tables, as the guest does: who changes them waits for this, too. */
  __atomic_store_n(&vcpu->inside, hart->index + 1, __ATOMIC_SEQ_CST);
  forget_old(hart, vcpu->vm);
  bool there = fetch_half(hart, pc, &low) && ((low & 3) != 3 || fetch_half(hart, pc + 2, &high));
  __atomic_store_n(&vcpu->inside, 0, __ATOMIC_SEQ_CST);
  *instruction = high << 16 | low;
  return there;
}

/* The access of the instruction at pc, from htinst or the instruction itself. `*store` is set when it is another one, which stores. */
static bool decode(struct hart *hart, struct vcpu *vcpu, struct access *access, bool *store) {
  const struct record *record = vcpu->record;
  uint64_t htinst = csr_read(CSR_HTINST);
  if (htinst & 1) {
    *store = decode_atomic_store((uint32_t)htinst);
    return decode_transformed((uint32_t)htinst, access);
  }
  /* An implicit access, by the guest's page tables. */
  if (htinst != 0) return false;
  uint32_t instruction;
  if (!fetch(hart, vcpu, &instruction)) return false;
  *store = decode_atomic_store(instruction);
  /* Of an access to two pages the second may fault; devices serve none of the two. */
  return decode_access(instruction, access) && decode_address(instruction, record->x) == vcpu->tval;
}

static uint64_t stored(struct record *record, const struct access *access) {
  if (!access->floating) return access->reg == 0 ? 0 : record->x[access->reg];
  /* The registers are the hart's until it exits. */
  fp_save(record);
  fp_load(record);
  return record->f[access->reg];
}

static void tell_access(struct hart *hart, struct vcpu *vcpu, uint64_t cause, uint64_t address) {
  struct record *record = vcpu->record;
  struct access access = { 0 };
  vcpu->tval = csr_read(CSR_STVAL);
  record->access = cause == CAUSE_FETCH_GUEST_PAGE ? VCPU_ACCESS_EXECUTE : cause == CAUSE_STORE_GUEST_PAGE ? VCPU_ACCESS_WRITE : VCPU_ACCESS_READ;
  bool atomic_store = false;
  bool plain = cause != CAUSE_FETCH_GUEST_PAGE && decode(hart, vcpu, &access, &atomic_store) && access.store == (cause == CAUSE_STORE_GUEST_PAGE);
  /* Hardware that loads first may tell of a load. */
  if (atomic_store) record->access = VCPU_ACCESS_WRITE;
  /* The guest may have changed the instruction meanwhile: what it is now counts, and what does not fit is not plain. */
  record->address = address;
  record->width = plain ? access.width : 0;
  record->value = plain && access.store ? stored(record, &access) & (access.width == 8 ? UINT64_MAX : (1ul << 8 * access.width) - 1) : 0;
  record->answer = ANSWER_RETRY;
  record->cause = (uint32_t)cause;
  vcpu->reg = access.reg;
  vcpu->sign = access.sign;
  vcpu->floating = access.floating;
  vcpu->instruction_length = access.length;
  vcpu->pending = true;
}

/* Makes the access that the record tells of, when TypeScript need not do it. */
static bool serve_access(struct hart *hart, struct vcpu *vcpu) {
  struct record *record = vcpu->record;
  if (record->width == 0 || record->width > 4 || record->address % record->width != 0) return false;
  bool store = record->access == VCPU_ACCESS_WRITE;
  enum shortcut done = shortcuts_serve(vcpu->vm->shortcuts, record->address, store, record->width, &record->value, hart->index == 0);
  if (done == SHORTCUT_NONE) return false;
  record->answer = ANSWER_DONE;
  finish_access(vcpu);
  vcpu->last_fault = NEVER;
  if (done == SHORTCUT_RANG) {
    __atomic_store_n(&attention, 1, __ATOMIC_SEQ_CST);
    hart_wake(&harts[0]);
  }
  return true;
}

/* An instruction on registers of AIA that this hart does not have for the guest. */
static bool serve_aia(struct vcpu *vcpu, uint32_t instruction) {
  struct record *record = vcpu->record;
  if (record->identities == 0) return false;
  if (aia) record->vsiselect = csr_read(CSR_VSISELECT);
  uint64_t interrupts = csr_read(CSR_HIP) & csr_read(CSR_HIE) & VS_INTERRUPTS;
  if (!guest_file_serve(vcpu, instruction, interrupts >> 1)) return false;
  record->pc += 4;
  return true;
}

/* After a trap of the guest: true when it goes on here. */
static bool handle(struct hart *hart, struct vcpu *vcpu) {
  struct record *record = vcpu->record;
  uint64_t cause = csr_read(CSR_SCAUSE);
  switch (cause) {
    case CAUSE_INTERRUPT | 1:
      /* Another hart wants something: the loop looks, or TypeScript. */
      record->exit = VCPU_EXIT_TIME;
      return hart->index != 0 || !__atomic_load_n(&attention, __ATOMIC_SEQ_CST);
    case CAUSE_INTERRUPT | 5:
      /* The alarm went off; the loop arms the next. */
      return true;
    case CAUSE_INTERRUPT | 9:
      record->exit = VCPU_EXIT_TIME;
      return false;
    case CAUSE_VS_ECALL:
      record->pc += 4;
      if (sstc) record->vstimecmp = csr_read(CSR_VSTIMECMP);
      if (!guest_sbi(vcpu)) {
        record->exit = VCPU_EXIT_ECALL;
        return false;
      }
      if (sstc) csr_write(CSR_VSTIMECMP, record->vstimecmp);
      record->exit = VCPU_EXIT_TIME;
      return hart->index != 0 || !__atomic_load_n(&attention, __ATOMIC_SEQ_CST);
    case CAUSE_FETCH_GUEST_PAGE:
    case CAUSE_LOAD_GUEST_PAGE:
    case CAUSE_STORE_GUEST_PAGE: {
      uint64_t address = csr_read(CSR_HTVAL) << 2 | (csr_read(CSR_STVAL) & 3);
      uint64_t page = address >> 12 << 2 | (cause & 3);
      if (vcpu->last_fault == page && vcpu->record->answer == ANSWER_RETRY) {
        /* It was mapped, and faults again: the hart may remember that it was not. */
        vcpu->last_fault = NEVER;
        fence_tables(vcpu->vm->slot & vmid_mask);
        return true;
      }
      vcpu->last_fault = page;
      tell_access(hart, vcpu, cause, address);
      if (vcpu->vm->shortcuts && shortcuts_have(vcpu->vm->shortcuts, address) && serve_access(hart, vcpu)) {
        record->exit = VCPU_EXIT_TIME;
        return hart->index != 0 || !__atomic_load_n(&attention, __ATOMIC_SEQ_CST);
      }
      record->exit = VCPU_EXIT_ACCESS;
      return false;
    }
    case CAUSE_VIRTUAL: {
      uint32_t instruction;
      /* What stval says is not taken: hardware may leave it to us to look (privileged specification, 12.1.9), and QEMU 7.2 tells of an older instruction at times. When the page has gone meanwhile, the guest finds that itself. */
      if (!fetch(hart, vcpu, &instruction)) return true;
      if (instruction == 0x10500073 /* wfi */) {
        record->pc += 4;
        if (csr_read(CSR_HIP) & csr_read(CSR_HIE) & VS_INTERRUPTS) return true;
        if (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) & (REQUEST_SOFTWARE | REQUEST_KICK | REQUEST_MESSAGE)) return true;
        record->exit = VCPU_EXIT_WAIT;
        return false;
      }
      if (serve_aia(vcpu, instruction)) return true;
      raise_exception(record, CAUSE_ILLEGAL, instruction);
      return true;
    }
    case CAUSE_ILLEGAL: {
      /* Not delegated by those who have AIA that the hardware may lack. */
      uint32_t instruction;
      if (!fetch(hart, vcpu, &instruction)) return true;
      if (!serve_aia(vcpu, instruction)) raise_exception(record, CAUSE_ILLEGAL, instruction);
      return true;
    }
    default:
      record->cause = (uint32_t)cause;
      record->exit = VCPU_EXIT_BROKEN;
      return false;
  }
}

/* What was asked of it, and interrupts. True when it is to exit. */
static bool requests(struct hart *hart, struct vcpu *vcpu, uint64_t until) {
  struct record *record = vcpu->record;
  uint32_t wanted = __atomic_exchange_n(&vcpu->requests, 0, __ATOMIC_SEQ_CST);
  if (wanted & REQUEST_FENCE) {
    asm volatile("fence.i" ::: "memory");
    fence_guest();
  }
  uint64_t hvip = csr_read(CSR_HVIP) & IP_VSSIP;
  if (wanted & REQUEST_SOFTWARE) hvip |= IP_VSSIP;
  hvip |= *(volatile uint64_t *)&record->hvip & IP_VSEIP;
  if (*(volatile uint32_t *)&record->external) hvip |= IP_VSEIP;
  uint64_t alarm = until, now = time_ticks();
  if (!sstc) {
    uint64_t guest_now = guest_time(record);
    if (record->vstimecmp <= guest_now) hvip |= IP_VSTIP;
    else if (record->vstimecmp - guest_now < until - now) alarm = now + (record->vstimecmp - guest_now);
  }
  csr_write(CSR_HVIP, hvip);
  if ((wanted & REQUEST_KICK) || now >= until) return true;
  hart_alarm(hart, alarm);
  return false;
}

void vcpu_run(struct hart *hart, struct vcpu *vcpu, uint64_t until) {
  struct record *record = vcpu->record;
  uint64_t kept[12], began = time_ticks();
  fp_keep(kept);
  vcpu->hart = hart;
  load(hart, vcpu);
  finish_access(vcpu);
  for (;;) {
    if (requests(hart, vcpu, until)) {
      record->exit = VCPU_EXIT_TIME;
      break;
    }
    __atomic_store_n(&vcpu->inside, hart->index + 1, __ATOMIC_SEQ_CST);
    forget_old(hart, vcpu->vm);
    /* From here on, who wants something sends an interrupt; what was wanted before is looked at once more. */
    if (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) != 0) {
      __atomic_store_n(&vcpu->inside, 0, __ATOMIC_SEQ_CST);
      continue;
    }
    csr_write(CSR_SEPC, record->pc);
    csr_write(CSR_HSTATUS, HSTATUS_SPV | HSTATUS_VTW | HSTATUS_VSXL_64 | (vcpu->guest_file ? HSTATUS_VGEIN_FIRST : 0) | (record->mode ? HSTATUS_SPVP : 0));
    csr_clear(CSR_SSTATUS, SSTATUS_SPP | SSTATUS_SUM | SSTATUS_MXR);
    csr_set(CSR_SSTATUS, SSTATUS_SPIE | SSTATUS_FS | (record->mode ? SSTATUS_SPP : 0));
    uint64_t retired = csr_read(0xc02);
    world_run(vcpu);
    record->retired += csr_read(0xc02) - retired;
    record->mode = (csr_read(CSR_SSTATUS) & SSTATUS_SPP) != 0;
    bool software = csr_read(CSR_SCAUSE) == (CAUSE_INTERRUPT | 1);
    if (software) csr_clear(CSR_SIP, IP_SSIP);
    __atomic_store_n(&vcpu->inside, 0, __ATOMIC_SEQ_CST);
    if (!handle(hart, vcpu)) break;
  }
  save(vcpu);
  fp_give_back(kept);
  /* What is done here on its behalf counts as much as what it does itself. */
  record->ran += time_ticks() - began;
}

void hart_serve(struct hart *hart) {
  vcpu_prepare_hart(hart);
  for (;;) {
    struct vcpu *vcpu = __atomic_load_n(&hart->work, __ATOMIC_SEQ_CST);
    if (!vcpu) {
      /* SIE is off, so what pends only ends the wait. */
      hart_alarm(hart, NEVER);
      csr_clear(CSR_SIP, IP_SSIP);
      if (!__atomic_load_n(&hart->work, __ATOMIC_SEQ_CST)) asm volatile("wfi");
      continue;
    }
    vcpu_run(hart, vcpu, hart->work_until);
    __atomic_store_n(&hart->work, NULL, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->state, VCPU_EXITED, __ATOMIC_SEQ_CST);
    __atomic_store_n(&attention, 1, __ATOMIC_SEQ_CST);
    hart_wake(&harts[0]);
  }
}
