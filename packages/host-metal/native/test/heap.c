/* The allocator: random blocks keep their contents, and its own structure stays whole. */
#include "../kernel/heap.h"
#include <string.h>
#include "test.h"

enum { BYTES = 4 << 20, BLOCKS = 2000, STEPS = 100000 };

static struct {
  uint8_t *at;
  size_t size;
  uint8_t content;
} blocks[BLOCKS];

static size_t some_size(void) {
  switch (random_below(8)) {
    case 0: return 1 + random_below(60000);
    case 1: return 1000 + random_below(100);
    default: return 1 + random_below(300);
  }
}

static void check(int i) {
  EXPECT(heap_size(blocks[i].at) >= blocks[i].size);
  for (size_t k = 0; k < blocks[i].size; k += 1 + k / 8) EXPECT(blocks[i].at[k] == blocks[i].content);
  EXPECT(blocks[i].at[blocks[i].size - 1] == blocks[i].content);
}

static void fill(int i, uint8_t *at, size_t size) {
  EXPECT((uintptr_t)at % 16 == 0);
  blocks[i].at = at, blocks[i].size = size, blocks[i].content = (uint8_t)random_below(256);
  memset(at, blocks[i].content, size);
}

int main(void) {
  random_start();
  uint8_t *memory = aligned_alloc(HEAP_PAGE, BYTES);
  heap_init(memory, memory + BYTES);
  int refused = 0;
  for (int step = 0; step < STEPS; step++) {
    int i = (int)random_below(BLOCKS);
    if (!blocks[i].at) {
      size_t size = some_size();
      uint8_t *at = heap_take(size);
      if (at) fill(i, at, size);
      else refused++;
    } else if (random_below(3) == 0) {
      size_t size = some_size(), kept = size < blocks[i].size ? size : blocks[i].size;
      check(i);
      uint8_t *at = heap_resize(blocks[i].at, size);
      if (!at) {
        refused++;
        continue;
      }
      for (size_t k = 0; k < kept; k++) EXPECT(at[k] == blocks[i].content);
      fill(i, at, size);
    } else {
      check(i);
      heap_give(blocks[i].at);
      blocks[i].at = NULL;
    }
    if (step % 1000 == 0) {
      const char *broken = heap_check();
      if (broken) fprintf(stderr, "%s\n", broken);
      EXPECT(!broken);
    }
  }
  EXPECT(refused > 0);
  for (int i = 0; i < BLOCKS; i++) {
    if (blocks[i].at) check(i);
    heap_give(blocks[i].at);
  }
  EXPECT(heap_figures().used == 0);
  EXPECT(!heap_check());
  EXPECT(heap_take((size_t)-1) == NULL);
  EXPECT(heap_take((size_t)1 << 40) == NULL);
  free(memory);
  return 0;
}
