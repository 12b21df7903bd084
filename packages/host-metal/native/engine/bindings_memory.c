/* Physical memory and registers of devices. */
#include <string.h>
#include "../kernel/memory.h"
#include "../kernel/register.h"
#include "bindings.h"

#define ADDRESS_LIMIT ((uint64_t)1 << 53)

static bool take_range(JSContext *context, JSValueConst address, JSValueConst length, uint64_t most, uint64_t *at, uint64_t *bytes) {
  if (!take_whole(context, address, 0, ADDRESS_LIMIT, "address", at) || !take_whole(context, length, 0, most, "length", bytes)) return false;
  if (ranges_hold(&memory_guests, *at, *bytes)) return true;
  JS_ThrowRangeError(context, "address is not in the memory for guests");
  return false;
}

static JSValue native_ram(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count, (void)arguments;
  JSValue list = JS_NewArray(context);
  for (uint32_t i = 0; i < memory_guests.count; i++) {
    JSValue range = JS_NewObject(context);
    JS_SetPropertyStr(context, range, "base", JS_NewFloat64(context, (double)memory_guests.list[i].base));
    JS_SetPropertyStr(context, range, "length", JS_NewFloat64(context, (double)memory_guests.list[i].length));
    JS_SetPropertyUint32(context, list, i, range);
  }
  return list;
}

static JSValue native_window(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  uint64_t at, bytes;
  if (!take_range(context, arguments[0], arguments[1], 0x7fffffff, &at, &bytes)) return JS_EXCEPTION;
  return JS_NewArrayBuffer(context, (uint8_t *)at, bytes, NULL, NULL, 0);
}

static JSValue native_zero(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  uint64_t at, bytes;
  if (!take_range(context, arguments[0], arguments[1], ADDRESS_LIMIT, &at, &bytes)) return JS_EXCEPTION;
  memset((void *)at, 0, bytes);
  return JS_UNDEFINED;
}

static JSValue native_copy(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  uint64_t to, from, bytes;
  if (!take_range(context, arguments[0], arguments[2], ADDRESS_LIMIT, &to, &bytes) || !take_range(context, arguments[1], arguments[2], ADDRESS_LIMIT, &from, &bytes)) return JS_EXCEPTION;
  memmove((void *)to, (const void *)from, bytes);
  return JS_UNDEFINED;
}

/* A register: not in memory, and aligned. */
static bool take_register(JSContext *context, JSValueConst *arguments, uint64_t *at, uint64_t *width) {
  if (!take_whole(context, arguments[0], 0x1000, ADDRESS_LIMIT, "address", at) || !take_whole(context, arguments[1], 1, 4, "width", width)) return false;
  if (*width != 3 && *at % *width == 0 && !ranges_touch(&memory_all, *at, *width)) return true;
  JS_ThrowRangeError(context, "address is not that of a register");
  return false;
}

static JSValue nobody(JSContext *context) { return JS_ThrowRangeError(context, "there is no register at address"); }

static JSValue native_read(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  uint64_t at, width;
  uint32_t value;
  if (!take_register(context, arguments, &at, &width)) return JS_EXCEPTION;
  return register_read(at, width, &value) ? JS_NewUint32(context, value) : nobody(context);
}

static JSValue native_write(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  uint64_t at, width, value;
  if (!take_register(context, arguments, &at, &width) || !take_whole(context, arguments[2], 0, ((uint64_t)1 << 8 * width) - 1, "value", &value)) return JS_EXCEPTION;
  return register_write(at, width, (uint32_t)value) ? JS_UNDEFINED : nobody(context);
}

static JSValue native_fence(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)context, (void)this, (void)count, (void)arguments;
  asm volatile("fence" ::: "memory");
  return JS_UNDEFINED;
}

const JSCFunctionListEntry memory_functions[] = {
  JS_CFUNC_DEF("ram", 0, native_ram),     JS_CFUNC_DEF("window", 2, native_window), JS_CFUNC_DEF("zero", 2, native_zero),   JS_CFUNC_DEF("copy", 3, native_copy),
  JS_CFUNC_DEF("read", 2, native_read),   JS_CFUNC_DEF("write", 3, native_write),   JS_CFUNC_DEF("fence", 0, native_fence),
};
const int memory_function_count = sizeof memory_functions / sizeof memory_functions[0];
