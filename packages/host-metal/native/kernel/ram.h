/* A machine's RAM as its page map says (packages/memory/src/page-map.ts): what a device does to it, without asking TypeScript, as long as that takes no more than to look at the map. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "record.h"

enum { RAM_PIECES = 64 };

/* RAM in one arena. */
struct ram_piece {
  /* The arena: what page map and frames are offsets in. */
  uint8_t *base;
  uint64_t length;
  const struct ram_table *table;
};

struct ram {
  uint32_t count;
  struct ram_piece pieces[RAM_PIECES];
};

enum { DESCRIPTOR_WORDS = 4, DESCRIPTOR_NEXT = 1, DESCRIPTOR_INDIRECT = 4 };

/* All say whether they could: false for what is not RAM, or nothing, and for pages that TypeScript has to do something about first. Then nothing has been written. */
bool ram_read(const struct ram *ram, uint64_t address, uint8_t *into, uint64_t length);
bool ram_write(const struct ram *ram, uint64_t address, const uint8_t *from, uint64_t length);
/* Numbers of 2 or 4 bytes inside one page, in one access where they are aligned. */
bool ram_read_number(const struct ram *ram, uint64_t address, uint32_t width, uint32_t *value);
bool ram_write_number(const struct ram *ram, uint64_t address, uint32_t width, uint32_t value);
/* Copies descriptors of a split virtqueue (virtio 1.2, 2.7.5) from number `head` of a table on, each followed by the one that it names, up to the first without VIRTQ_DESC_F_NEXT, or with an indirect table, or that names one beyond the table, or `most`. How many; 0 when they are not
 * all to be had so. */
uint32_t ram_chain(const struct ram *ram, uint64_t table, uint32_t entries, uint32_t head, uint32_t *into, uint32_t most);
