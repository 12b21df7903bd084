/* On the host: run.c PROGRAM runs a script in the engine, for tests. It may print, and is asked for more (next) whenever it waits for nothing any more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "allocator.h"

/* All objects lie below 4 GiB, as in an image; what else is there, the linker and the kernel put higher, or lower. */
#define HEAP_START 0x10000000ul
#define HEAP_END 0xf0000000ul

static JSContext *context;

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static void report(void) {
  JSValue error = JS_GetException(context);
  const char *text = JS_ToCString(context, error);
  JSValue stack = JS_GetPropertyStr(context, error, "stack");
  const char *lines = JS_IsUndefined(stack) ? "" : JS_ToCString(context, stack);
  fprintf(stderr, "%s\n%s\n", text ? text : "an exception", lines ? lines : "");
  exit(1);
}

static JSValue print(JSContext *ctx, JSValueConst this_value, int count, JSValueConst *arguments) {
  for (int i = 0; i < count; i++) {
    const char *text = JS_ToCString(ctx, arguments[i]);
    if (!text) return JS_EXCEPTION;
    fputs(text, stdout);
    JS_FreeCString(ctx, text);
  }
  putchar('\n');
  fflush(stdout);
  return JS_UNDEFINED;
}

static void run_jobs(void) {
  JSContext *ctx;
  int result;
  while ((result = JS_ExecutePendingJob(JS_GetRuntime(context), &ctx)) > 0) continue;
  if (result < 0) report();
}

static char *read_file(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) fail("cannot read the program");
  *length = (size_t)ftell(file);
  char *text = calloc(*length + 1, 1);
  rewind(file);
  if (!text || fread(text, 1, *length, file) != *length) fail("cannot read the program");
  fclose(file);
  return text;
}

int main(int count, char **arguments) {
  if (count != 2) fail("usage: run PROGRAM");
  size_t length;
  char *text = read_file(arguments[1], &length);
  void *heap = mmap((void *)HEAP_START, HEAP_END - HEAP_START, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (heap != (void *)HEAP_START) fail("no room below 4 GiB");
  heap_init(heap, (void *)HEAP_END);
  JSRuntime *runtime = JS_NewRuntime2(&engine_allocator, NULL);
  JS_SetMaxStackSize(runtime, 6 << 20);
  context = JS_NewContext(runtime);
  JSValue global = JS_GetGlobalObject(context);
  JS_SetPropertyStr(context, global, "print", JS_NewCFunction(context, print, "print", 1));
  if (JS_IsException(JS_Eval(context, text, length, arguments[1], JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_STRICT))) report();
  for (;;) {
    run_jobs();
    JSValue next = JS_GetPropertyStr(context, global, "next");
    if (!JS_IsFunction(context, next)) return 0;
    JSValue more = JS_Call(context, next, JS_UNDEFINED, 0, NULL);
    if (JS_IsException(more)) report();
    if (!JS_ToBool(context, more)) return 0;
    JS_FreeValue(context, next);
  }
}
