/* Copying and filling against byte by byte, in all alignments and overlaps; and `%`. */
#include <math.h>
#include <string.h>
#define memcpy our_memcpy
#define memmove our_memmove
#define memset our_memset
#define fmod our_fmod
#include "../engine/fmod.c"
#include "../engine/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef fmod
#include "test.h"

enum { ROOM = 600 };
static uint8_t have[ROOM + 64], want[ROOM + 64];

static double some_number(void) {
  union { uint64_t bits; double value; } number = { .bits = random_below(1ul << 32) << 32 | random_below(1ul << 32) };
  switch (random_below(5)) {
    case 0: return number.value;
    case 1: return (double)(int32_t)number.bits;
    case 2: return (double)(int64_t)number.bits;
    case 3: return (double)(number.bits % 1000000) / 1000;
    default: number.bits &= 0x800ffffffffffffful; return number.value;
  }
}

int main(void) {
  random_start();
  for (int round = 0; round < 300000; round++) {
    size_t to = random_below(300), from = random_below(300), length = random_below(random_below(2) ? 300 : 40);
    for (int i = 0; round % 100 == 0 && i < ROOM; i++) have[i] = want[i] = (uint8_t)random_below(256);
    switch (random_below(3)) {
      case 0:
        if (to < from + length && from < to + length) break;
        our_memcpy(have + to, have + from, length);
        for (size_t i = 0; i < length; i++) want[to + i] = want[from + i];
        break;
      case 1:
        our_memmove(have + to, have + from, length);
        if (to < from) for (size_t i = 0; i < length; i++) want[to + i] = want[from + i];
        else for (size_t i = length; i > 0; i--) want[to + i - 1] = want[from + i - 1];
        break;
      default:
        our_memset(have + to, (int)length * 5, length);
        for (size_t i = 0; i < length; i++) want[to + i] = (uint8_t)(length * 5);
    }
    for (int i = 0; i < ROOM; i++) EXPECT(have[i] == want[i]);
  }
  for (int round = 0; round < 300000; round++) {
    double x = some_number(), y = some_number();
    union { double value; uint64_t bits; } a = { .value = our_fmod(x, y) }, b = { .value = fmod(x, y) };
    EXPECT(a.bits == b.bits || (isnan(a.value) && isnan(b.value)));
  }
  return 0;
}
