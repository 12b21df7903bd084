/* A machine's RAM, for devices: `QuickMemory` of packages/memory. Its functions have the number of the VM with them. */
#include "../kernel/memory.h"
#include "../kernel/ram.h"
#include "../kernel/vcpu.h"
#include "bindings.h"

/* Nothing is thrown: whoever asks for something strange is told that it cannot be done so. */
static bool whole(JSValueConst value, uint64_t *result) {
  if (JS_VALUE_GET_TAG(value) == JS_TAG_INT) {
    *result = (uint64_t)JS_VALUE_GET_INT(value);
    return JS_VALUE_GET_INT(value) >= 0;
  }
  if (!JS_TAG_IS_FLOAT64(JS_VALUE_GET_TAG(value))) return false;
  double number = JS_VALUE_GET_FLOAT64(value);
  if (!(number >= 0 && number <= 0x1p53)) return false;
  *result = (uint64_t)number;
  return (double)*result == number;
}

static const struct ram *ram_of(int slot) { return vms[slot].used && vms[slot].ram.count ? &vms[slot].ram : NULL; }

/* The elements of a typed array. */
static void *elements(JSContext *context, JSValueConst value, size_t width, uint64_t *count) {
  size_t offset, length, each, size;
  JSValue buffer = JS_GetTypedArrayBuffer(context, value, &offset, &length, &each);
  if (JS_IsException(buffer)) {
    JS_FreeValue(context, JS_GetException(context));
    return NULL;
  }
  uint8_t *bytes = JS_GetArrayBuffer(context, &size, buffer);
  JS_FreeValue(context, buffer);
  if (!bytes || each != width || offset > size || length > size - offset) return NULL;
  *count = length / width;
  return bytes + offset;
}

static JSValue ram_number(JSContext *context, int slot, JSValueConst at, uint32_t width) {
  const struct ram *ram = ram_of(slot);
  uint64_t address;
  uint32_t value;
  if (!ram || !whole(at, &address) || !ram_read_number(ram, address, width, &value)) return JS_NewInt32(context, -1);
  return JS_NewUint32(context, value);
}
static JSValue quick_read16(JSContext *context, JSValueConst this, int count, JSValueConst *arguments, int slot) {
  (void)this, (void)count;
  return ram_number(context, slot, arguments[0], 2);
}
static JSValue quick_read32(JSContext *context, JSValueConst this, int count, JSValueConst *arguments, int slot) {
  (void)this, (void)count;
  return ram_number(context, slot, arguments[0], 4);
}

/* Of a value any low bits. */
static bool set_number(JSValueConst *arguments, int slot, uint32_t width) {
  const struct ram *ram = ram_of(slot);
  uint64_t address, value;
  return ram && whole(arguments[0], &address) && whole(arguments[1], &value) && ram_write_number(ram, address, width, (uint32_t)value);
}
static JSValue quick_write16(JSContext *context, JSValueConst this, int count, JSValueConst *arguments, int slot) {
  (void)this, (void)count;
  return JS_NewBool(context, set_number(arguments, slot, 2));
}
static JSValue quick_write32(JSContext *context, JSValueConst this, int count, JSValueConst *arguments, int slot) {
  (void)this, (void)count;
  return JS_NewBool(context, set_number(arguments, slot, 4));
}

static JSValue quick_read(JSContext *context, JSValueConst this, int count, JSValueConst *arguments, int slot) {
  (void)this, (void)count;
  const struct ram *ram = ram_of(slot);
  uint64_t address, length;
  uint8_t *bytes;
  return JS_NewBool(context, ram && whole(arguments[0], &address) && (bytes = elements(context, arguments[1], 1, &length)) && ram_read(ram, address, bytes, length));
}
static JSValue quick_write(JSContext *context, JSValueConst this, int count, JSValueConst *arguments, int slot) {
  (void)this, (void)count;
  const struct ram *ram = ram_of(slot);
  uint64_t address, length;
  const uint8_t *bytes;
  return JS_NewBool(context, ram && whole(arguments[0], &address) && (bytes = elements(context, arguments[1], 1, &length)) && ram_write(ram, address, bytes, length));
}
static JSValue quick_read_words(JSContext *context, JSValueConst this, int count, JSValueConst *arguments, int slot) {
  (void)this, (void)count;
  const struct ram *ram = ram_of(slot);
  uint64_t address, length;
  uint32_t *words;
  return JS_NewBool(context, ram && whole(arguments[0], &address) && (words = elements(context, arguments[1], 4, &length)) && ram_read(ram, address, (uint8_t *)words, 4 * length));
}
static JSValue quick_chain(JSContext *context, JSValueConst this, int count, JSValueConst *arguments, int slot) {
  (void)this, (void)count;
  const struct ram *ram = ram_of(slot);
  uint64_t table, entries, head, length;
  uint32_t *words;
  if (!ram || !whole(arguments[0], &table) || !whole(arguments[1], &entries) || !whole(arguments[2], &head) || entries > 65536 || head > 65536) return JS_NewInt32(context, 0);
  if (!(words = elements(context, arguments[3], 4, &length))) return JS_NewInt32(context, 0);
  return JS_NewUint32(context, ram_chain(ram, table, (uint32_t)entries, (uint32_t)head, words, (uint32_t)(length / DESCRIPTOR_WORDS)));
}

static JSValue native_quick_memory(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  static const struct {
    const char *name;
    JSCFunctionMagic *function;
    int arguments;
  } functions[] = {
    { "read16", quick_read16, 1 }, { "read32", quick_read32, 1 }, { "write16", quick_write16, 2 }, { "write32", quick_write32, 2 },
    { "read", quick_read, 2 },     { "write", quick_write, 2 },   { "readWords", quick_read_words, 2 }, { "readDescriptors", quick_chain, 4 },
  };
  uint64_t slot, base, length, table;
  if (!take_whole(context, arguments[0], 0, MAX_VMS - 1, "vm", &slot) || !take_whole(context, arguments[1], 0, (uint64_t)1 << 53, "base", &base) ||
      !take_whole(context, arguments[2], sizeof(struct ram_table), (uint64_t)1 << 32, "length", &length) || !take_whole(context, arguments[3], 0, length - sizeof(struct ram_table), "table", &table))
    return JS_EXCEPTION;
  if (!vms[slot].used) return JS_ThrowRangeError(context, "vm does not exist");
  if (!ranges_hold(&memory_guests, base, length) || (base | table) % 8 != 0) return JS_ThrowRangeError(context, "base is not in the memory for guests");
  struct ram *ram = &vms[slot].ram;
  if (ram->count == RAM_PIECES) return JS_ThrowRangeError(context, "vm has its pieces of memory");
  ram->pieces[ram->count++] = (struct ram_piece){ (uint8_t *)base, length, (const struct ram_table *)(base + table) };
  JSValue result = JS_NewObject(context);
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
    JS_SetPropertyStr(context, result, functions[i].name, JS_NewCFunctionMagic(context, functions[i].function, functions[i].name, functions[i].arguments, JS_CFUNC_generic_magic, (int)slot));
  return result;
}

const JSCFunctionListEntry ram_functions[] = { JS_CFUNC_DEF("quickMemory", 4, native_quick_memory) };
const int ram_function_count = sizeof ram_functions / sizeof ram_functions[0];
