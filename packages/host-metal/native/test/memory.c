/* Ranges of memory against a map of pages. */
#include "../kernel/memory.h"
#include <string.h>
#include "test.h"

enum { PAGES = 256, ROUNDS = 2000 };

int main(void) {
  random_start();
  for (int round = 0; round < ROUNDS; round++) {
    struct ranges ranges = { 0 };
    uint8_t map[PAGES] = { 0 };
    ranges_add(&ranges, 0, 100 * 16);
    ranges_add(&ranges, 120 * 16, 136 * 16);
    memset(map, 1, 100);
    memset(map + 120, 1, 136);
    /* Few enough that the list never fills. */
    for (int i = 0; i < 10; i++) {
      uint64_t at = random_below(PAGES), length = random_below(40);
      ranges_remove(&ranges, at * 16, length * 16);
      for (uint64_t k = at; k < at + length && k < PAGES; k++) map[k] = 0;
    }
    for (int i = 0; i < 200; i++) {
      uint64_t at = random_below(PAGES), length = 1 + random_below(30);
      bool all = true, some = false;
      for (uint64_t k = at; k < at + length; k++) {
        bool there = k < PAGES && map[k];
        all &= there, some |= there;
      }
      /* Two ranges that touch do not hold what lies across them; here none touch. */
      EXPECT(ranges_hold(&ranges, at * 16, length * 16) == all);
      EXPECT(ranges_touch(&ranges, at * 16, length * 16) == some);
    }
  }
  struct ranges ranges = { 0 };
  ranges_add(&ranges, 0x1001, 0x3000);
  ranges_add(&ranges, 0x9001, 0x10);
  ranges_align(&ranges, 4096);
  EXPECT(ranges.count == 1 && ranges.list[0].base == 0x2000 && ranges.list[0].length == 0x2000);
  EXPECT(!ranges_hold(&ranges, 0x3000, UINT64_MAX));
  EXPECT(!ranges_hold(&ranges, UINT64_MAX, 2));
  ranges_remove(&ranges, 0x3000, UINT64_MAX);
  EXPECT(ranges.list[0].length == 0x1000);
  for (uint64_t i = 1; i < 100; i++) ranges_add(&ranges, i << 20, 4096);
  EXPECT(ranges.count == MAX_RANGES);
  return 0;
}
