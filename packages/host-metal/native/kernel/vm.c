#include <string.h>
#include "heap.h"
#include "vcpu.h"

struct vm vms[MAX_VMS];
struct vcpu vcpus[MAX_VCPUS];
uint32_t vcpu_limit;

struct vm *vm_create(void) {
  for (uint32_t slot = 0; slot < MAX_VMS; slot++) {
    struct vm *vm = &vms[slot];
    if (vm->used) continue;
    if (!gstage_init(&vm->tables)) return NULL;
    memset(vm->vcpus, 0, sizeof vm->vcpus);
    vm->shortcuts = NULL;
    vm->shortcuts_page = NULL;
    vm->ram.count = 0;
    vm->used = true;
    vm->slot = slot;
    vm->generation++;
    return vm;
  }
  return NULL;
}

void vm_forget(struct vm *vm) {
  __atomic_add_fetch(&vm->generation, 1, __ATOMIC_SEQ_CST);
  for (uint32_t i = 0; i < MAX_VM_VCPUS; i++)
    if (vm->vcpus[i]) vcpu_nudge(vm->vcpus[i]);
  /* Whoever enters after the count was raised has seen it; who was inside comes out, and sees it then. */
  for (uint32_t i = 0; i < MAX_VM_VCPUS; i++) {
    struct vcpu *vcpu = vm->vcpus[i];
    if (!vcpu) continue;
    uint32_t inside;
    while ((inside = __atomic_load_n(&vcpu->inside, __ATOMIC_SEQ_CST)) != 0 && __atomic_load_n(&harts[inside - 1].seen[vm->slot], __ATOMIC_SEQ_CST) != vm->generation) {
    }
  }
  gstage_settle(&vm->tables);
}

void vm_destroy(struct vm *vm) {
  vm->generation++;
  gstage_end(&vm->tables);
  vm->used = false;
}

struct vcpu *vcpu_create(struct vm *vm, uint32_t index) {
  for (uint32_t id = 0; id < MAX_VCPUS; id++) {
    struct vcpu *vcpu = &vcpus[id];
    if (vcpu->state != VCPU_FREE) continue;
    struct record *record = heap_take(sizeof *record);
    if (!record) return NULL;
    memset(record, 0, sizeof *record);
    memset(vcpu, 0, sizeof *vcpu);
    vcpu->record = record;
    vcpu->vm = vm;
    vcpu->id = id;
    vcpu->index = index;
    vcpu->last_fault = NEVER;
    vcpu->state = VCPU_STOPPED;
    vm->vcpus[index] = vcpu;
    if (id >= vcpu_limit) vcpu_limit = id + 1;
    return vcpu;
  }
  return NULL;
}

void vcpu_destroy(struct vcpu *vcpu) {
  for (uint32_t i = 0; i < MAX_HARTS; i++)
    if (harts[i].last[vcpu->vm->slot] == vcpu) harts[i].last[vcpu->vm->slot] = NULL;
  vcpu->vm->vcpus[vcpu->index] = NULL;
  vcpu->state = VCPU_FREE;
  while (vcpu_limit > 0 && vcpus[vcpu_limit - 1].state == VCPU_FREE) vcpu_limit--;
}

void vcpu_nudge(struct vcpu *vcpu) {
  uint32_t inside = __atomic_load_n(&vcpu->inside, __ATOMIC_SEQ_CST);
  if (inside != 0 && &harts[inside - 1] != this_hart()) hart_wake(&harts[inside - 1]);
}

void vcpu_request(struct vcpu *vcpu, uint32_t request) {
  __atomic_or_fetch(&vcpu->requests, request, __ATOMIC_SEQ_CST);
  vcpu_nudge(vcpu);
}

void vcpu_wait(struct vcpu *vcpu, uint32_t request) {
  while (__atomic_load_n(&vcpu->inside, __ATOMIC_SEQ_CST) != 0 && (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) & request)) {
  }
}

void vcpu_publish(struct vcpu *vcpu) {
  uint32_t software = __atomic_fetch_and(&vcpu->requests, ~REQUEST_SOFTWARE, __ATOMIC_SEQ_CST) & REQUEST_SOFTWARE;
  if (software) vcpu->record->hvip |= IP_VSSIP;
}

void vcpus_publish(void) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  for (uint32_t id = 0; id < vcpu_limit; id++)
    if (vcpus[id].state == VCPU_STOPPED && (vcpus[id].requests & REQUEST_SOFTWARE)) vcpu_publish(&vcpus[id]);
}
