/* Harts of guests, and the guests' address spaces. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "gstage.h"
#include "hart.h"
#include "ram.h"
#include "record.h"

#define MAX_VCPUS 256
#define MAX_VM_VCPUS 64

/* Requests to a vCPU, which its loop looks at before the guest goes on. */
enum { REQUEST_KICK = 1, REQUEST_SOFTWARE = 2, REQUEST_FENCE = 4, REQUEST_MESSAGE = 8 };

struct vm {
  bool used;
  uint32_t slot;
  struct gstage tables;
  /* Counts changes after which harts must forget what they know of the tables; only ever grows, since a slot is used again. */
  uint64_t generation;
  struct vcpu *vcpus[MAX_VM_VCPUS];
  /* TypeScript's too, once it asked for it. */
  struct shortcuts *shortcuts;
  /* The engine's buffer over them. */
  void *shortcuts_page;
  /* No table: nobody said where it is. */
  struct ram ram;
};

enum vcpu_state { VCPU_FREE, VCPU_STOPPED, VCPU_HERE, VCPU_DISPATCHED, VCPU_EXITED };

struct vcpu {
  /* The first three are assembly's (world.S). */
  struct record *record;
  struct hart *hart;
  uint64_t host_stack;
  uint64_t scratch;
  struct vm *vm;
  uint32_t id, index;
  volatile enum vcpu_state state;
  /* Set from any hart. */
  uint32_t requests;
  /* The hart whose guest it is at this moment, plus one; 0: it executes nothing. */
  uint32_t inside;
  struct hart *last_hart;
  /* Of the access that the record tells of. */
  uint64_t tval;
  uint8_t reg, instruction_length;
  bool sign, floating, pending;
  /* The engine's buffer over the record. */
  void *page;
  /* Whoever is at the hart's interrupt file has it. */
  uint32_t file_lock;
  /* Where its messages go while the hardware's guest interrupt file is its; 0: to the record. */
  uint64_t guest_file;
  /* The page of the last fault that was to be done again. */
  uint64_t last_fault;
};

/* Set when something happened that TypeScript, on hart 0, should look at: it exits from a guest, or from `idle`. */
extern uint32_t attention;

extern struct vm vms[MAX_VMS];
extern struct vcpu vcpus[MAX_VCPUS];
/* Those that exist are below. */
extern uint32_t vcpu_limit;

/* Sets what a hart's CSRs hold whatever guest runs. */
void vcpu_prepare_hart(struct hart *hart);
/* Null when there is no room. */
struct vm *vm_create(void);
/* It has no vCPU any more. */
void vm_destroy(struct vm *vm);
/* Harts forget what they know of the tables, before this returns. */
void vm_forget(struct vm *vm);
struct vcpu *vcpu_create(struct vm *vm, uint32_t index);
/* Its record stays: that is the engine's buffer (bindings_machine.c). */
void vcpu_destroy(struct vcpu *vcpu);
/* Runs it on this hart until it exits, at the latest at a value of `time`. */
void vcpu_run(struct hart *hart, struct vcpu *vcpu, uint64_t until);
void vcpu_request(struct vcpu *vcpu, uint32_t request);
/* Sends it out of its guest for a moment, if it is there. */
void vcpu_nudge(struct vcpu *vcpu);
/* Waits until it has seen all requests, or executes nothing. */
void vcpu_wait(struct vcpu *vcpu, uint32_t request);
/* On hart 0: what became of a vCPU while it was not TypeScript's goes into its record; that and what others want of it. */
void vcpu_publish(struct vcpu *vcpu);
void vcpus_publish(void);
/* A message for its interrupt file. From any hart. */
void vcpu_message(struct vcpu *vcpu, uint32_t identity);
/* Its interrupt file goes where the hart can see it, and comes back. */
void guest_file_load(struct hart *hart, struct vcpu *vcpu);
void guest_file_save(struct vcpu *vcpu);
/* Executes an instruction on the registers of AIA that trapped; false when it is illegal. */
bool guest_file_serve(struct vcpu *vcpu, uint32_t instruction, uint64_t interrupts);
/* Serves an SBI call of a guest. False: it is TypeScript's. */
bool guest_sbi(struct vcpu *vcpu);
/* Enters the guest, and comes back at its next trap; its registers are in the record before and after. */
void world_run(struct vcpu *vcpu);
void fp_load(const struct record *record);
void fp_save(struct record *record);
void fp_keep(uint64_t kept[12]);
void fp_give_back(const uint64_t kept[12]);
/* Loads 16 bits of a guest's instruction by its own rights (HLVX.HU). False when that traps. */
bool guest_fetch(struct hart *hart, uint64_t address, uint32_t *half);
/* HFENCE.VVMA and HFENCE.GVMA of all addresses of the VMID in hgatp, or given. */
void fence_guest(void);
void fence_tables(uint64_t vmid);
