#include <math.h>
#include "bindings.h"

static bool refuse(JSContext *context, const char *name) {
  JS_ThrowRangeError(context, "%s is out of range", name);
  return false;
}

bool take_whole(JSContext *context, JSValueConst value, uint64_t least, uint64_t most, const char *name, uint64_t *result) {
  double number;
  if (!JS_IsNumber(value) || JS_ToFloat64(context, &number, value) != 0) return refuse(context, name);
  if (!(number >= 0 && number <= 0x1p53) || number != floor(number)) return refuse(context, name);
  *result = (uint64_t)number;
  return (*result >= least && *result <= most) || refuse(context, name);
}

bool take_time(JSContext *context, JSValueConst value, double *result) {
  if (JS_IsNumber(value) && JS_ToFloat64(context, result, value) == 0 && !isnan(*result)) return true;
  return refuse(context, "time");
}
