/* Guests: address spaces and harts. */
#include <string.h>
#include "../kernel/heap.h"
#include "../kernel/memory.h"
#include "../kernel/time.h"
#include "../kernel/vcpu.h"
#include "bindings.h"

static struct vm *take_vm(JSContext *context, JSValueConst value) {
  uint64_t slot;
  if (!take_whole(context, value, 0, MAX_VMS - 1, "vm", &slot)) return NULL;
  if (vms[slot].used) return &vms[slot];
  JS_ThrowRangeError(context, "vm does not exist");
  return NULL;
}

/* One whose record is TypeScript's at this moment, or any. */
static struct vcpu *take_vcpu(JSContext *context, JSValueConst value, bool stopped) {
  uint64_t id;
  if (!take_whole(context, value, 0, MAX_VCPUS - 1, "vcpu", &id)) return NULL;
  struct vcpu *vcpu = &vcpus[id];
  if (vcpu->state != VCPU_FREE && (!stopped || vcpu->state == VCPU_STOPPED)) return vcpu;
  JS_ThrowRangeError(context, vcpu->state == VCPU_FREE ? "vcpu does not exist" : "vcpu runs, or its exit was not taken");
  return NULL;
}

static JSValue native_create_vm(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count, (void)arguments;
  struct vm *vm = vm_create();
  if (!vm) return JS_ThrowRangeError(context, "there is no room for one more VM");
  return JS_NewUint32(context, vm->slot);
}

/* Brings a vCPU to where it may be destroyed. */
static void stop(struct vcpu *vcpu) {
  while (__atomic_load_n(&vcpu->state, __ATOMIC_SEQ_CST) == VCPU_DISPATCHED) vcpu_request(vcpu, REQUEST_KICK);
}

static void destroy(JSContext *context, struct vcpu *vcpu) {
  stop(vcpu);
  vcpu_destroy(vcpu);
  JS_FreeValue(context, JS_MKPTR(JS_TAG_OBJECT, vcpu->page));
}

static JSValue native_destroy_vm(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  struct vm *vm = take_vm(context, arguments[0]);
  if (!vm) return JS_EXCEPTION;
  for (uint32_t i = 0; i < MAX_VM_VCPUS; i++)
    if (vm->vcpus[i]) destroy(context, vm->vcpus[i]);
  if (vm->shortcuts_page) JS_FreeValue(context, JS_MKPTR(JS_TAG_OBJECT, vm->shortcuts_page));
  vm_destroy(vm);
  return JS_UNDEFINED;
}

static bool take_guest(JSContext *context, JSValueConst address, JSValueConst length, uint64_t *guest, uint64_t *bytes) {
  if (!take_whole(context, address, 0, GUEST_LIMIT, "guest", guest) || !take_whole(context, length, 0, GUEST_LIMIT, "length", bytes)) return false;
  if (((*guest | *bytes) & 4095) == 0 && *bytes <= GUEST_LIMIT - *guest) return true;
  JS_ThrowRangeError(context, "guest or length is out of range");
  return false;
}

static JSValue native_map(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  struct vm *vm = take_vm(context, arguments[0]);
  uint64_t guest, host, length;
  if (!vm || !take_guest(context, arguments[1], arguments[3], &guest, &length) || !take_whole(context, arguments[2], 0, (uint64_t)1 << 53, "host", &host)) return JS_EXCEPTION;
  if ((host & 4095) != 0 || !ranges_hold(&memory_guests, host, length)) return JS_ThrowRangeError(context, "host is not in the memory for guests");
  bool writable = JS_VALUE_GET_TAG(arguments[4]) == JS_TAG_BOOL && JS_VALUE_GET_BOOL(arguments[4]), replaced = false;
  bool mapped = gstage_map(&vm->tables, guest, host, length, writable, &replaced);
  if (replaced) vm_forget(vm);
  return mapped ? JS_UNDEFINED : JS_ThrowRangeError(context, "there is no room for more G-stage tables");
}

static JSValue native_unmap(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  struct vm *vm = take_vm(context, arguments[0]);
  uint64_t guest, length;
  if (!vm || !take_guest(context, arguments[1], arguments[2], &guest, &length)) return JS_EXCEPTION;
  bool replaced = false;
  gstage_unmap(&vm->tables, guest, length, &replaced);
  if (replaced) vm_forget(vm);
  return JS_UNDEFINED;
}

static void free_record(JSRuntime *runtime, void *opaque, void *record) {
  (void)runtime, (void)opaque;
  heap_give(record);
}

static JSValue native_shortcuts(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  struct vm *vm = take_vm(context, arguments[0]);
  if (!vm) return JS_EXCEPTION;
  if (!vm->shortcuts) {
    struct shortcuts *table = heap_take(sizeof *table);
    if (!table) return JS_ThrowRangeError(context, "there is no memory for shortcuts");
    memset(table, 0, sizeof *table);
    JSValue page = JS_NewArrayBuffer(context, (uint8_t *)table, sizeof *table, free_record, NULL, 0);
    if (JS_IsException(page)) {
      heap_give(table);
      return page;
    }
    vm->shortcuts_page = JS_VALUE_GET_PTR(page);
    vm->shortcuts = table;
  }
  /* As long as the VM lives they do, whether or not the program keeps the buffer. */
  return JS_DupValue(context, JS_MKPTR(JS_TAG_OBJECT, vm->shortcuts_page));
}

static JSValue native_create_vcpu(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  struct vm *vm = take_vm(context, arguments[0]);
  uint64_t index;
  if (!vm || !take_whole(context, arguments[1], 0, MAX_VM_VCPUS - 1, "index", &index)) return JS_EXCEPTION;
  if (vm->vcpus[index]) return JS_ThrowRangeError(context, "the vm has a vcpu of this index");
  struct vcpu *vcpu = vcpu_create(vm, (uint32_t)index);
  if (!vcpu) return JS_ThrowRangeError(context, "there is no room for one more vcpu");
  JSValue result = JS_NewObject(context);
  JS_SetPropertyStr(context, result, "id", JS_NewUint32(context, vcpu->id));
  JSValue page = JS_NewArrayBuffer(context, (uint8_t *)vcpu->record, sizeof *vcpu->record, free_record, NULL, 0);
  /* As long as the vCPU lives its record does, whether or not the program keeps the buffer. */
  vcpu->page = JS_VALUE_GET_PTR(JS_DupValue(context, page));
  JS_SetPropertyStr(context, result, "page", page);
  return result;
}

static JSValue native_destroy_vcpu(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  struct vcpu *vcpu = take_vcpu(context, arguments[0], false);
  if (!vcpu) return JS_EXCEPTION;
  destroy(context, vcpu);
  return JS_UNDEFINED;
}

/* What the record wants pending becomes a request, which others may raise meanwhile. */
static void take_pending(struct vcpu *vcpu) {
  if (vcpu->record->hvip & IP_VSSIP) __atomic_or_fetch(&vcpu->requests, REQUEST_SOFTWARE, __ATOMIC_SEQ_CST);
  vcpu->record->hvip &= ~IP_VSSIP;
}

static JSValue native_enter(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  double until;
  struct vcpu *vcpu = take_vcpu(context, arguments[0], true);
  if (!vcpu || !take_time(context, arguments[1], &until)) return JS_EXCEPTION;
  take_pending(vcpu);
  vcpu->state = VCPU_HERE;
  vcpu_run(&harts[0], vcpu, time_at(until));
  vcpu->state = VCPU_STOPPED;
  vcpus_publish();
  return JS_UNDEFINED;
}

static JSValue native_dispatch(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  uint64_t index;
  double until;
  struct vcpu *vcpu = take_vcpu(context, arguments[0], true);
  if (!vcpu || !take_whole(context, arguments[1], 1, hart_count - 1, "hart", &index) || !take_time(context, arguments[2], &until)) return JS_EXCEPTION;
  struct hart *hart = &harts[index];
  if (__atomic_load_n(&hart->work, __ATOMIC_SEQ_CST)) return JS_ThrowRangeError(context, "hart has work");
  take_pending(vcpu);
  vcpu->state = VCPU_DISPATCHED;
  hart->work_until = time_at(until);
  __atomic_store_n(&hart->work, vcpu, __ATOMIC_SEQ_CST);
  hart_wake(hart);
  return JS_UNDEFINED;
}

static JSValue native_exited(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count, (void)arguments;
  __atomic_store_n(&attention, 0, __ATOMIC_SEQ_CST);
  for (uint32_t id = 0; id < vcpu_limit; id++) {
    if (__atomic_load_n(&vcpus[id].state, __ATOMIC_SEQ_CST) != VCPU_EXITED) continue;
    vcpus[id].state = VCPU_STOPPED;
    vcpu_publish(&vcpus[id]);
    return JS_NewUint32(context, id);
  }
  vcpus_publish();
  return JS_NewInt32(context, -1);
}

enum { KICK, RAISE, FLUSH };

static JSValue native_request(JSContext *context, JSValueConst this, int count, JSValueConst *arguments, int which) {
  (void)this, (void)count;
  static const uint32_t requests[] = { REQUEST_KICK, REQUEST_SOFTWARE, REQUEST_FENCE };
  struct vcpu *vcpu = take_vcpu(context, arguments[0], false);
  if (!vcpu) return JS_EXCEPTION;
  vcpu_request(vcpu, requests[which]);
  if (which == FLUSH) vcpu_wait(vcpu, REQUEST_FENCE);
  if (which == RAISE && vcpu->state == VCPU_STOPPED) vcpu_publish(vcpu);
  return JS_UNDEFINED;
}

static JSValue native_message(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  struct vcpu *vcpu = take_vcpu(context, arguments[0], false);
  uint64_t identity;
  if (!vcpu || !take_whole(context, arguments[1], 0, UINT32_MAX, "identity", &identity)) return JS_EXCEPTION;
  vcpu_message(vcpu, (uint32_t)identity);
  return JS_UNDEFINED;
}

const JSCFunctionListEntry machine_functions[] = {
  JS_CFUNC_DEF("createVm", 0, native_create_vm),         JS_CFUNC_DEF("destroyVm", 1, native_destroy_vm), JS_CFUNC_DEF("map", 5, native_map),
  JS_CFUNC_DEF("unmap", 3, native_unmap),                JS_CFUNC_DEF("createVcpu", 2, native_create_vcpu), JS_CFUNC_DEF("destroyVcpu", 1, native_destroy_vcpu),
  JS_CFUNC_DEF("enter", 2, native_enter),                JS_CFUNC_DEF("dispatch", 3, native_dispatch),     JS_CFUNC_DEF("exited", 0, native_exited),
  JS_CFUNC_DEF("shortcuts", 1, native_shortcuts),         JS_CFUNC_DEF("message", 2, native_message),
  JS_CFUNC_MAGIC_DEF("kick", 1, native_request, KICK),   JS_CFUNC_MAGIC_DEF("raise", 1, native_request, RAISE), JS_CFUNC_MAGIC_DEF("flush", 1, native_request, FLUSH),
};
const int machine_function_count = sizeof machine_functions / sizeof machine_functions[0];
