/* Random page maps of two pieces, some of which lead out of their arena, against a model that goes byte by byte: nothing outside is touched, which the sanitizers see, and what is done is what the map says. */
#include "ram.h"
#include <stdlib.h>
#include <string.h>
#include "test.h"

enum { PIECES = 2, PAGES = 12, EACH = PAGES / PIECES, FRAMES = 8, PAGE = 4096, TABLE = 0, MAP = 1024, LENGTH = (1 + FRAMES) * PAGE, ALL = PIECES * LENGTH, BASE = 0x80000000u, MOST = PAGE + 100 };

/* One behind the other. */
static uint8_t *arenas;
static struct ram ram;
static uint32_t *entry_of(uint8_t *from, uint64_t page) { return (uint32_t *)(from + page / EACH * LENGTH + MAP) + page % EACH; }

/* The byte's place; NULL when it is not to be had. */
static uint8_t *byte_at(uint64_t address, bool write) {
  static uint8_t zero;
  if (address < BASE || address >= BASE + (uint64_t)PAGES * PAGE) return NULL;
  uint64_t page = (address - BASE) / PAGE;
  uint32_t entry = *entry_of(arenas, page), frame = entry & ~(uint32_t)(PAGE - 1);
  if (!(entry & PAGE_PRESENT)) return write || entry >= PAGE ? NULL : (zero = 0, &zero);
  if (write && entry & (PAGE_SHARED | PAGE_CODE)) return NULL;
  return frame + PAGE > LENGTH ? NULL : arenas + page / EACH * LENGTH + frame + address % PAGE;
}

static uint64_t piece_of(uint64_t address) { return (address - BASE) / PAGE / EACH; }

/* What lies in two pieces is left to TypeScript. */
static bool all(uint64_t address, uint64_t length, bool write) {
  if (length > 0 && piece_of(address) != piece_of(address + length - 1)) return false;
  for (uint64_t i = 0; i < length; i++)
    if (!byte_at(address + i, write)) return false;
  return length > 0;
}

int main(void) {
  random_start();
  arenas = malloc(ALL);
  ram.count = PIECES;
  for (int i = 0; i < PIECES; i++) ram.pieces[i] = (struct ram_piece){ arenas + i * LENGTH, LENGTH, (const struct ram_table *)(arenas + i * LENGTH + TABLE) };
  static uint8_t bytes[MOST], before[MOST], kept[ALL] __attribute__((aligned(8)));
  for (int round = 0; round < 300; round++) {
    for (int i = 0; i < ALL; i++) arenas[i] = (uint8_t)random_below(256);
    for (int i = 0; i < PIECES; i++) {
      struct ram_table *table = (struct ram_table *)(arenas + i * LENGTH + TABLE);
      memset(table, 0, sizeof *table);
      table->count = 1 + (random_below(9) == 0 ? (uint32_t)random_below(20) : 0);
      table->map[0] = MAP, table->base[0] = BASE + (uint64_t)i * EACH * PAGE, table->size[0] = EACH * PAGE;
    }
    for (int i = 0; i < PAGES; i++) {
      uint32_t flags = (random_below(4) ? PAGE_PRESENT : 0) | (random_below(5) ? 0 : PAGE_SHARED) | (random_below(5) ? 0 : PAGE_CODE) | (random_below(2) ? PAGE_DIRTY : 0);
      *entry_of(arenas, (uint64_t)i) = random_below(5) == 0 ? 0 : (uint32_t)(1 + random_below(FRAMES + 2)) * PAGE | flags;
    }
    for (int i = 0; i < 40; i++) {
      uint64_t length = random_below(8) ? random_below(40) : random_below(MOST), address = BASE - PAGE + random_below((PAGES + 2) * PAGE);
      if (random_below(3) == 0) address = (address & ~(uint64_t)(PAGE - 1)) + PAGE - random_below(20);
      uint32_t width = random_below(2) ? 2 : 4, number = 0, wanted = 0;
      bool one = address % PAGE <= PAGE - width && all(address, width, false);
      EXPECT(ram_read_number(&ram, address, width, &number) == one);
      for (uint32_t at = 0; one && at < width; at++) wanted |= (uint32_t)*byte_at(address + at, false) << 8 * at;
      EXPECT(!one || number == wanted);
      EXPECT(ram_read(&ram, address, bytes, length) == all(address, length, false));
      bool readable = all(address, length, false);
      for (uint64_t at = 0; readable && at < length; at++) EXPECT(bytes[at] == *byte_at(address + at, false));
      for (uint64_t at = 0; at < length; at++) before[at] = (uint8_t)random_below(256);
      memcpy(kept, arenas, ALL);
      bool may = all(address, length, true);
      EXPECT(ram_write(&ram, address, before, length) == may);
      if (!may) {
        EXPECT(memcmp(kept, arenas, ALL) == 0);
        continue;
      }
      /* Two pages may have one frame: what is written last stays. */
      for (uint64_t at = 0; at < length; at++) kept[byte_at(address + at, true) - arenas] = before[at];
      for (uint64_t at = 0; at < length; at++) *entry_of(kept, (address + at - BASE) / PAGE) |= PAGE_DIRTY;
      EXPECT(memcmp(kept, arenas, ALL) == 0);
      uint32_t words[16];
      uint32_t count = ram_chain(&ram, address & ~15ul, 1 + (uint32_t)random_below(64), (uint32_t)random_below(64), words, 4);
      EXPECT(count <= 4);
    }
  }
  free(arenas);
  return 0;
}
