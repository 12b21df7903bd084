/* Quick sort of 64-bit numbers by our own code, twice over: unpredictable branches, short recursion, swaps. */
#include "rows.h"

enum { COUNT = 1000000, ROUNDS = 5 };

static uint64_t numbers[COUNT];

static void sort(uint64_t *from, uint64_t *to) {
  while (to - from > 16) {
    uint64_t a = from[0], b = from[(to - from) / 2], c = to[-1];
    uint64_t pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
    uint64_t *low = from, *high = to - 1;
    for (;;) {
      while (*low < pivot) low++;
      while (*high > pivot) high--;
      if (low >= high) break;
      uint64_t swapped = *low;
      *low++ = *high;
      *high-- = swapped;
    }
    /* The smaller side by recursion, the larger by going on: the stack stays shallow. */
    if (low - from < to - low) {
      sort(from, low);
      from = low;
    } else {
      sort(low, to);
      to = low;
    }
  }
  for (uint64_t *at = from + 1; at < to; at++) {
    uint64_t value = *at, *hole = at;
    for (; hole > from && hole[-1] > value; hole--) *hole = hole[-1];
    *hole = value;
  }
}

uint64_t row_qsort(void) {
  uint64_t sum = 0, state = 7;
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < COUNT; i++) numbers[i] = next_random(&state);
    sort(numbers, numbers + COUNT);
    for (int i = 1; i < COUNT; i++)
      if (numbers[i - 1] > numbers[i]) return 0;
    for (int i = 0; i < COUNT; i += 1000) sum = sum * 31 + numbers[i];
  }
  return sum;
}
