/* Random page maps, some of which lead out of the arena, against a model that goes byte by byte: nothing outside is touched, which the sanitizers see, and what is done is what the map says. */
#include "ram.h"
#include <stdlib.h>
#include <string.h>
#include "test.h"

enum { PAGES = 12, FRAMES = 8, PAGE = 4096, TABLE = 0, MAP = 1024, LENGTH = (1 + FRAMES) * PAGE, BASE = 0x80000000u, MOST = PAGE + 100 };

static uint8_t *arena;
static struct ram ram;
static uint32_t *entries(void) { return (uint32_t *)(arena + MAP); }

/* The byte's place; NULL when it is not to be had. */
static uint8_t *byte_at(uint64_t address, bool write) {
  static uint8_t zero;
  if (address < BASE || address >= BASE + (uint64_t)PAGES * PAGE) return NULL;
  uint32_t entry = entries()[(address - BASE) / PAGE], frame = entry & ~(uint32_t)(PAGE - 1);
  if (!(entry & PAGE_PRESENT)) return write || entry >= PAGE ? NULL : (zero = 0, &zero);
  if (write && entry & (PAGE_SHARED | PAGE_CODE)) return NULL;
  return frame + PAGE > LENGTH ? NULL : arena + frame + address % PAGE;
}

static bool all(uint64_t address, uint64_t length, bool write) {
  for (uint64_t i = 0; i < length; i++)
    if (!byte_at(address + i, write)) return false;
  return length > 0;
}

int main(void) {
  random_start();
  arena = malloc(LENGTH);
  ram = (struct ram){ arena, LENGTH, (const struct ram_table *)(arena + TABLE) };
  static uint8_t bytes[MOST], before[MOST], kept[LENGTH];
  for (int round = 0; round < 300; round++) {
    for (int i = 0; i < LENGTH; i++) arena[i] = (uint8_t)random_below(256);
    struct ram_table *table = (struct ram_table *)(arena + TABLE);
    memset(table, 0, sizeof *table);
    table->count = 1 + (random_below(9) == 0 ? (uint32_t)random_below(20) : 0);
    table->map[0] = MAP, table->base[0] = BASE, table->size[0] = PAGES * PAGE;
    for (int i = 0; i < PAGES; i++) {
      uint32_t flags = (random_below(4) ? PAGE_PRESENT : 0) | (random_below(5) ? 0 : PAGE_SHARED) | (random_below(5) ? 0 : PAGE_CODE) | (random_below(2) ? PAGE_DIRTY : 0);
      entries()[i] = random_below(5) == 0 ? 0 : (uint32_t)(1 + random_below(FRAMES + 2)) * PAGE | flags;
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
      memcpy(kept, arena, LENGTH);
      bool may = all(address, length, true);
      EXPECT(ram_write(&ram, address, before, length) == may);
      if (!may) {
        EXPECT(memcmp(kept, arena, LENGTH) == 0);
        continue;
      }
      /* Two pages may have one frame: what is written last stays. */
      for (uint64_t at = 0; at < length; at++) kept[byte_at(address + at, true) - arena] = before[at];
      for (uint64_t at = 0; at < length; at++) ((uint32_t *)(kept + MAP))[(address + at - BASE) / PAGE] |= PAGE_DIRTY;
      EXPECT(memcmp(kept, arena, LENGTH) == 0);
      uint32_t words[16];
      uint32_t count = ram_chain(&ram, address & ~15ul, 1 + (uint32_t)random_below(64), (uint32_t)random_below(64), words, 4);
      EXPECT(count <= 4);
    }
  }
  free(arena);
  return 0;
}
