/* Jobs of promises, and rejections that nobody handles. */
#include "../kernel/console.h"
#include "bindings.h"

/* Promises that were rejected with no handler; one that gets a handler before the jobs are done goes again. */
enum { MOST_REJECTIONS = 64 };
static struct {
  JSValue promise, reason;
} rejections[MOST_REJECTIONS];
static int rejection_count;

void note_rejection(JSContext *context, JSValueConst promise, JSValueConst reason, JS_BOOL handled, void *opaque) {
  (void)opaque;
  if (!handled) {
    if (rejection_count == MOST_REJECTIONS) return;
    rejections[rejection_count].promise = JS_DupValue(context, promise);
    rejections[rejection_count++].reason = JS_DupValue(context, reason);
    return;
  }
  for (int i = 0; i < rejection_count; i++) {
    if (JS_VALUE_GET_PTR(rejections[i].promise) != JS_VALUE_GET_PTR(promise)) continue;
    JS_FreeValue(context, rejections[i].promise);
    JS_FreeValue(context, rejections[i].reason);
    rejections[i] = rejections[--rejection_count];
    return;
  }
}

void run_jobs(JSContext *context) {
  JSContext *owner;
  int done;
  while ((done = JS_ExecutePendingJob(JS_GetRuntime(context), &owner)) != 0) {
    if (done > 0) continue;
    JSValue error = JS_GetException(owner);
    console_text("\nmachinist: uncaught ");
    show_exception(owner, error);
    JS_FreeValue(owner, error);
  }
  while (rejection_count > 0) {
    rejection_count--;
    console_text("\nmachinist: nobody handled ");
    show_exception(context, rejections[rejection_count].reason);
    JS_FreeValue(context, rejections[rejection_count].promise);
    JS_FreeValue(context, rejections[rejection_count].reason);
  }
}
