/* What pages hold, what guests can reach, and what the engine's heap has. */
#include "../kernel/heap.h"
#include "../kernel/memory.h"
#include "../kernel/page.h"
#include "../kernel/vcpu.h"
#include "bindings.h"

static bool take_page(JSContext *context, JSValueConst value, uint64_t *at) {
  if (!take_whole(context, value, 0, (uint64_t)1 << 53, "address", at)) return false;
  if ((*at & (PAGE_BYTES - 1)) == 0 && ranges_hold(&memory_guests, *at, PAGE_BYTES)) return true;
  JS_ThrowRangeError(context, "address is not that of a page in the memory for guests");
  return false;
}

static JSValue native_hash(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  uint64_t at;
  return take_page(context, arguments[0], &at) ? JS_NewUint32(context, page_hash((const void *)at)) : JS_EXCEPTION;
}

static JSValue native_same(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  uint64_t one, other;
  if (!take_page(context, arguments[0], &one) || !take_page(context, arguments[1], &other)) return JS_EXCEPTION;
  return JS_NewBool(context, page_same((const void *)one, (const void *)other));
}

/* The bytes of a Uint8Array. */
static uint8_t *take_bytes(JSContext *context, JSValueConst value, size_t least, size_t *length) {
  size_t offset, width, size;
  JSValue buffer = JS_GetTypedArrayBuffer(context, value, &offset, length, &width);
  if (JS_IsException(buffer)) return NULL;
  uint8_t *bytes = JS_GetArrayBuffer(context, &size, buffer);
  JS_FreeValue(context, buffer);
  if (!bytes) return NULL;
  if (width == 1 && *length >= least && offset <= size && *length <= size - offset) return bytes + offset;
  JS_ThrowRangeError(context, "bytes are too few, or no bytes");
  return NULL;
}

static JSValue native_compress(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  size_t length, most;
  uint8_t *page = take_bytes(context, arguments[0], PAGE_BYTES, &length), *into = page ? take_bytes(context, arguments[1], 0, &most) : NULL;
  return into ? JS_NewUint32(context, (uint32_t)page_compress(page, into, most)) : JS_EXCEPTION;
}

static JSValue native_decompress(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  size_t length, room;
  uint8_t *packed = take_bytes(context, arguments[0], 0, &length), *page = packed ? take_bytes(context, arguments[1], PAGE_BYTES, &room) : NULL;
  if (!page) return JS_EXCEPTION;
  return page_decompress(packed, length, page) ? JS_UNDEFINED : JS_ThrowRangeError(context, "a compressed page is damaged");
}

enum { FIELDS = 4 };

/* Leaves of tables, as they are found. */
struct leaves {
  double *next, *end;
  size_t count;
};

static void note_leaf(void *context, uint64_t guest, uint64_t host, uint64_t length, bool writable) {
  struct leaves *leaves = context;
  leaves->count++;
  if (leaves->next == leaves->end) return;
  *leaves->next++ = (double)guest;
  *leaves->next++ = (double)host;
  *leaves->next++ = (double)length;
  *leaves->next++ = writable;
}

static void free_leaves(JSRuntime *runtime, void *opaque, void *block) {
  (void)runtime, (void)opaque;
  heap_give(block);
}

static JSValue native_mappings(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count;
  uint64_t slot;
  if (!take_whole(context, arguments[0], 0, MAX_VMS - 1, "vm", &slot)) return JS_EXCEPTION;
  if (!vms[slot].used) return JS_ThrowRangeError(context, "vm does not exist");
  struct leaves leaves = { 0 };
  gstage_walk(&vms[slot].tables, note_leaf, &leaves);
  size_t bytes = leaves.count * FIELDS * sizeof(double);
  double *block = heap_take(bytes);
  if (!block) return JS_ThrowOutOfMemory(context);
  leaves = (struct leaves){ block, block + leaves.count * FIELDS, 0 };
  gstage_walk(&vms[slot].tables, note_leaf, &leaves);
  return JS_NewArrayBuffer(context, (uint8_t *)block, bytes, free_leaves, NULL, 0);
}

static JSValue native_heap(JSContext *context, JSValueConst this, int count, JSValueConst *arguments) {
  (void)this, (void)count, (void)arguments;
  struct heap_figures figures = heap_figures();
  JSValue result = JS_NewObject(context);
  JS_SetPropertyStr(context, result, "size", JS_NewFloat64(context, (double)figures.pages * HEAP_PAGE));
  JS_SetPropertyStr(context, result, "taken", JS_NewFloat64(context, (double)(figures.pages - figures.free_pages) * HEAP_PAGE));
  JS_SetPropertyStr(context, result, "used", JS_NewFloat64(context, (double)figures.used));
  return result;
}

const JSCFunctionListEntry page_functions[] = {
  JS_CFUNC_DEF("hash", 1, native_hash),         JS_CFUNC_DEF("same", 2, native_same), JS_CFUNC_DEF("compress", 2, native_compress), JS_CFUNC_DEF("decompress", 2, native_decompress),
  JS_CFUNC_DEF("mappings", 1, native_mappings), JS_CFUNC_DEF("heap", 0, native_heap),
};
const int page_function_count = sizeof page_functions / sizeof page_functions[0];
