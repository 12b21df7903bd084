#include "memory.h"

struct ranges memory_all, memory_guests;

void ranges_add(struct ranges *ranges, uint64_t base, uint64_t length) {
  if (length == 0 || base + length < base || ranges->count == MAX_RANGES) return;
  ranges->list[ranges->count++] = (struct range){ base, length };
}

static bool overlap(struct range range, uint64_t base, uint64_t length) {
  return length != 0 && base < range.base + range.length && range.base < base + length;
}

void ranges_remove(struct ranges *ranges, uint64_t base, uint64_t length) {
  if (base + length < base) length = UINT64_MAX - base;
  for (uint32_t i = 0; i < ranges->count; i++) {
    struct range range = ranges->list[i];
    if (!overlap(range, base, length)) continue;
    uint64_t before = base > range.base ? base - range.base : 0;
    uint64_t end = base + length, range_end = range.base + range.length;
    uint64_t after = range_end > end ? range_end - end : 0;
    if (before == 0) ranges->list[i] = ranges->list[--ranges->count];
    else ranges->list[i].length = before;
    if (after != 0) ranges_add(ranges, end, after);
    /* What took this place has not been looked at. */
    if (before == 0) i--;
  }
}

bool ranges_hold(const struct ranges *ranges, uint64_t base, uint64_t length) {
  for (uint32_t i = 0; i < ranges->count; i++) {
    struct range range = ranges->list[i];
    if (base >= range.base && base - range.base <= range.length && length <= range.length - (base - range.base)) return true;
  }
  return false;
}

bool ranges_touch(const struct ranges *ranges, uint64_t base, uint64_t length) {
  if (base + length < base) length = UINT64_MAX - base;
  for (uint32_t i = 0; i < ranges->count; i++)
    if (overlap(ranges->list[i], base, length)) return true;
  return false;
}

void ranges_align(struct ranges *ranges, uint64_t alignment) {
  for (uint32_t i = 0; i < ranges->count;) {
    struct range *range = &ranges->list[i];
    uint64_t base = (range->base + alignment - 1) & -alignment, end = (range->base + range->length) & -alignment;
    if (end > base) {
      *range = (struct range){ base, end - base };
      i++;
    } else {
      *range = ranges->list[--ranges->count];
    }
  }
}
