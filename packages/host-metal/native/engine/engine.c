#include "engine.h"
#include "../kernel/board.h"
#include "../kernel/console.h"
#include "../kernel/crash.h"
#include "../kernel/interrupt_file.h"
#include "../kernel/sbi.h"
#include "../kernel/time.h"
#include "allocator.h"
#include "bindings.h"

/* The kernel's own frames below the engine's need some of the stack (image.ld). */
enum { ENGINE_STACK = 900 * 1024 };

extern const uint8_t bytecode[];
extern const uint8_t bytecode_end[];
extern const uint8_t files[];
extern const uint8_t files_end[];

void show_exception(JSContext *context, JSValueConst error) {
  const char *text = JS_ToCString(context, error);
  console_text(text ? text : "an exception that has no text");
  console_text("\n");
  JS_FreeCString(context, text);
  if (!JS_IsError(context, error)) return;
  JSValue stack = JS_GetPropertyStr(context, error, "stack");
  const char *frames = JS_ToCString(context, stack);
  if (frames) console_text(frames);
  JS_FreeCString(context, frames);
  JS_FreeValue(context, stack);
}

static void add_number(JSContext *context, JSValue object, const char *name, double value) { JS_SetPropertyStr(context, object, name, JS_NewFloat64(context, value)); }

static void make_native(JSContext *context) {
  JSValue global = JS_GetGlobalObject(context), native = JS_NewObject(context);
  JS_SetPropertyFunctionList(context, native, memory_functions, memory_function_count);
  JS_SetPropertyFunctionList(context, native, machine_functions, machine_function_count);
  JS_SetPropertyFunctionList(context, native, board_functions, board_function_count);
  JS_SetPropertyFunctionList(context, native, page_functions, page_function_count);
  JS_SetPropertyFunctionList(context, native, ram_functions, ram_function_count);
  add_number(context, native, "harts", hart_count);
  add_number(context, native, "bootHart", (double)harts[0].id);
  add_number(context, native, "identities", interrupt_file_identities());
  add_number(context, native, "guestIdentities", harts[0].guest_identities);
  add_number(context, native, "frequency", time_frequency());
  JS_SetPropertyStr(context, native, "fdt", JS_NewArrayBufferCopy(context, board.fdt.base, board.fdt.size));
  /* The image's own, which nobody else uses: no copy. */
  JS_SetPropertyStr(context, native, "files", JS_NewArrayBuffer(context, (uint8_t *)files, (size_t)(files_end - files), NULL, NULL, 0));
  JS_SetPropertyStr(context, global, "native", native);
  JS_FreeValue(context, global);
}

void engine_run(void) {
  JSRuntime *runtime = JS_NewRuntime2(&engine_allocator, NULL);
  if (!runtime) panic("there is no room for the engine");
  JS_SetMaxStackSize(runtime, ENGINE_STACK);
  JS_SetHostPromiseRejectionTracker(runtime, note_rejection, NULL);
  JSContext *context = JS_NewContext(runtime);
  if (!context) panic("there is no room for the engine");
  make_native(context);
  JSValue program = JS_ReadObject(context, bytecode, (size_t)(bytecode_end - bytecode), JS_READ_OBJ_BYTECODE);
  JSValue result = JS_IsException(program) ? program : JS_EvalFunction(context, program);
  if (JS_IsException(result)) {
    console_text("\nmachinist: uncaught ");
    show_exception(context, JS_GetException(context));
    sbi_power_off(1);
  }
  run_jobs(context);
  sbi_power_off(0);
}
