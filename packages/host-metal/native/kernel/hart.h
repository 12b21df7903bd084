/* What each hart of the hardware has of its own. While the kernel runs, sscratch points at it; while a guest runs, at the vCPU. */
#pragma once

/* Offsets that assembly uses; hart.c checks them. */
#define HART_REGISTERS 0
#define HART_CRASH_STACK 256
#define HART_RECOVER 264
#define HART_STACK 272

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>
#include "csr.h"

#define MAX_HARTS 64
#define MAX_VMS 64
#define NEVER UINT64_MAX

struct vcpu;

struct hart {
  /* x1 … x31 at a trap of the kernel itself; [0] is its pc. */
  uint64_t registers[32];
  uint64_t crash_stack;
  /* Where to go on when an instruction traps that may; 0: it may not. */
  uint64_t recover;
  uint64_t stack;
  /* The hardware's number, and ours. */
  uint64_t id;
  uint32_t index;
  bool started;
  /* Where messages for its first guest interrupt file are written, and the identities of that; 0: it has none. */
  uint64_t guest_file;
  uint32_t guest_identities;
  /* When the host timer is to interrupt. */
  uint64_t armed;
  /* What was dispatched to it; the hart takes it. */
  struct vcpu *volatile work;
  uint64_t work_until;
  /* Which vCPU ran last in each VM, and which changes of the VM's tables its TLB has seen. */
  struct vcpu *last[MAX_VMS];
  uint64_t seen[MAX_VMS];
  /* Whose translations a VMID's are here: the VM's slot plus one. */
  uint32_t owner[MAX_VMS];
};

extern struct hart harts[MAX_HARTS];
extern uint32_t hart_count;

static inline struct hart *this_hart(void) { return (struct hart *)csr_read(CSR_SSCRATCH); }
void hart_init(struct hart *hart);
/* Starts all harts but number 0, which is this one. Those that firmware does not start are not counted. */
void harts_start(const uint64_t *ids, uint32_t count);
/* Wakes a hart out of WFI or a guest. */
void hart_wake(struct hart *hart);
/* The host timer of this hart is to interrupt at a value of `time`. */
void hart_alarm(struct hart *hart, uint64_t at);
/* What harts other than 0 do. */
void hart_serve(struct hart *hart) __attribute__((noreturn));
/* What this hart has. */
bool csr_has_h(void);
bool csr_has_sstc(void);
bool csr_has_interrupt_file(void);
bool csr_has_stateen(void);
#endif
