/* Which physical memory is whose: the guests', the kernel's, or not memory at all. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define MAX_RANGES 16

struct range {
  uint64_t base, length;
};
struct ranges {
  uint32_t count;
  struct range list[MAX_RANGES];
};

/* Adds a range that touches none of those that are there. What does not fit in the list is left out: less memory, never wrong memory. */
void ranges_add(struct ranges *ranges, uint64_t base, uint64_t length);
/* Takes a range out of all that it overlaps. */
void ranges_remove(struct ranges *ranges, uint64_t base, uint64_t length);
/* Whether one of them holds all of it. */
bool ranges_hold(const struct ranges *ranges, uint64_t base, uint64_t length);
bool ranges_touch(const struct ranges *ranges, uint64_t base, uint64_t length);
/* Only whole pages stay. */
void ranges_align(struct ranges *ranges, uint64_t alignment);

/* All memory of the hardware, and what is left for guests. */
extern struct ranges memory_all, memory_guests;
