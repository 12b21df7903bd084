/* Time, interrupts of devices, the console, the end. */
#include "../kernel/console.h"
#include "../kernel/hart.h"
#include "../kernel/interrupt_file.h"
#include "../kernel/plic.h"
#include "../kernel/sbi.h"
#include "../kernel/time.h"
#include "../kernel/vcpu.h"
#include "bindings.h"

static JSValue native_now(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count, (void)arguments;
  return JS_NewFloat64(context, time_ns());
}

static JSValue native_idle(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  double until;
  if (!take_time(context, arguments[0], &until)) return JS_EXCEPTION;
  uint64_t end = time_at(until);
  for (;;) {
    csr_clear(CSR_SIP, IP_SSIP);
    if (__atomic_exchange_n(&attention, 0, __ATOMIC_SEQ_CST) || (csr_read(CSR_SIP) & IP_SEIP) || time_ticks() >= end) break;
    hart_alarm(&harts[0], end);
    /* SIE is off: what pends ends the wait, and traps nowhere. */
    asm volatile("wfi");
  }
  vcpus_publish();
  return JS_UNDEFINED;
}

/* A source of the PLIC, or where there is none, an identity of this hart's interrupt file. */
static bool take_source(JSContext *context, JSValueConst value, uint64_t *source) {
  return take_whole(context, value, 1, plic_sources() > 0 ? plic_sources() : interrupt_file_identities(), "source", source);
}

static JSValue native_claim(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count, (void)arguments;
  return JS_NewUint32(context, plic_sources() > 0 ? plic_claim() : interrupt_file_claim());
}

static JSValue native_complete(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  uint64_t source;
  if (!take_source(context, arguments[0], &source)) return JS_EXCEPTION;
  if (plic_sources() > 0) plic_complete((uint32_t)source);
  return JS_UNDEFINED;
}

static JSValue native_enable(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  uint64_t source;
  if (!take_source(context, arguments[0], &source)) return JS_EXCEPTION;
  bool on = JS_VALUE_GET_TAG(arguments[1]) == JS_TAG_BOOL && JS_VALUE_GET_BOOL(arguments[1]);
  if (plic_sources() > 0) plic_enable((uint32_t)source, on);
  else interrupt_file_enable((uint32_t)source, on);
  return JS_UNDEFINED;
}

static JSValue native_print(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  size_t length;
  const char *text = JS_ToCStringLen(context, &length, arguments[0]);
  if (!text) return JS_EXCEPTION;
  console_bytes(text, length);
  JS_FreeCString(context, text);
  return JS_UNDEFINED;
}

static JSValue native_power_off(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  uint64_t status;
  if (!take_whole(context, arguments[0], 0, 255, "status", &status)) return JS_EXCEPTION;
  sbi_power_off(status != 0);
}

static JSValue native_jobs(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count, (void)arguments;
  run_jobs(context);
  return JS_UNDEFINED;
}

const JSCFunctionListEntry board_functions[] = {
  JS_CFUNC_DEF("now", 0, native_now),         JS_CFUNC_DEF("idle", 1, native_idle),   JS_CFUNC_DEF("claim", 0, native_claim),         JS_CFUNC_DEF("complete", 1, native_complete),
  JS_CFUNC_DEF("enable", 2, native_enable),   JS_CFUNC_DEF("print", 1, native_print), JS_CFUNC_DEF("powerOff", 1, native_power_off), JS_CFUNC_DEF("jobs", 0, native_jobs),
};
const int board_function_count = sizeof board_functions / sizeof board_functions[0];
