/* The C library's memcpy: large aligned copies, and short ones at every alignment. */
#include "rows.h"
#include <string.h>

enum { SIZE = 4 << 20, LARGE_ROUNDS = 60, SHORT_ROUNDS = 1000000 };

static uint8_t source[SIZE + 64], target[SIZE + 64];

/* Called through a volatile pointer, so that the compiler copies nothing by itself. */
static void *(*volatile copy)(void *, const void *, size_t) = memcpy;

uint64_t row_memcpy(void) {
  uint64_t seed = 4, sum = 0;
  for (uint32_t i = 0; i < SIZE; i++) source[i] = (uint8_t)(next_random(&seed) >> 56);
  for (int round = 0; round < LARGE_ROUNDS; round++) {
    source[round] ^= (uint8_t)round;
    copy(target, source, SIZE);
    sum += target[round];
  }
  for (uint32_t round = 0; round < SHORT_ROUNDS; round++) {
    uint32_t from = round * 7 & 0xFFFF, to = round * 13 & 0xFFFF, length = 1 + (round & 127);
    copy(target + to, source + from, length);
    sum += target[to + length - 1];
  }
  for (uint32_t i = 0; i < SIZE; i++) sum = sum * 31 + target[i];
  return sum;
}
