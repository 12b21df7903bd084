/* `native`: what TypeScript can ask of the kernel (src/native.ts). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "quickjs.h"

/* Arguments are numbers, whole and in range, or a RangeError is thrown; nothing is converted, so no code of the program runs meanwhile. */
bool take_whole(JSContext *context, JSValueConst value, uint64_t least, uint64_t most, const char *name, uint64_t *result);
bool take_time(JSContext *context, JSValueConst value, double *result);

extern const JSCFunctionListEntry machine_functions[], memory_functions[], board_functions[], page_functions[], ram_functions[];
extern const int machine_function_count, memory_function_count, board_function_count, page_function_count, ram_function_count;

/* Prints an exception with its stack. */
void show_exception(JSContext *context, JSValueConst error);
/* Runs what promises wait for. */
void run_jobs(JSContext *context);
void note_rejection(JSContext *context, JSValueConst promise, JSValueConst reason, JS_BOOL handled, void *opaque);
