/* A pointer chase through one random cycle over 16 MiB: every load misses what a machine caches, its TLB too. */
#include "rows.h"

enum { SIZE = 16 << 20, COUNT = SIZE / sizeof(void *), STEPS = 5000000 };

static void *cell[COUNT];

uint64_t row_chase(void) {
  static uint32_t order[COUNT];
  uint64_t seed = 3;
  for (uint32_t i = 0; i < COUNT; i++) order[i] = i;
  for (uint32_t i = COUNT - 1; i > 0; i--) {
    uint32_t j = (uint32_t)((next_random(&seed) >> 32) % (i + 1));
    uint32_t swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
  for (uint32_t i = 0; i < COUNT; i++) cell[order[i]] = &cell[order[(i + 1) % COUNT]];
  void **at = &cell[0];
  for (uint32_t i = 0; i < STEPS; i++) at = *at;
  return (uint64_t)((uint8_t *)at - (uint8_t *)cell);
}
