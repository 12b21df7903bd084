#include "heap.h"
#include <stdbool.h>
#include <string.h>

/* Small blocks come from slabs of 4 pages, one class each: 16-byte steps to 256, then four steps to each doubling. A slab stays with its class. */
enum { CLASSES = 24, SLAB_PAGES = 4, SMALL = 1024, BINS = 32 };

/* What a page is, in `kind`: the first or last page of a free or used run (with its length in `length`), inside of one, or part of a slab. */
enum { INSIDE = 0, FREE_RUN = 1, USED_RUN = 2, SLAB = 3 };

struct run {
  struct run *next, *previous;
};
struct block {
  struct block *next;
};

static uint8_t *base;
static size_t page_count, free_pages;
size_t heap_used;
static uint32_t *length;
static uint8_t *kind, *class_of_page;
static struct run bins[BINS];
static struct block *ready[CLASSES];
static uint8_t *fresh[CLASSES], *fresh_end[CLASSES];

static const uint16_t class_sizes[CLASSES] = { 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 320, 384, 448, 512, 640, 768, 896, 1024 };

static unsigned class_of(size_t size) {
  if (size <= 256) return size == 0 ? 0 : (unsigned)((size - 1) / 16);
  unsigned power = 63u - (unsigned)__builtin_clzl(size - 1); /* 8 for 257 … 512, 9 for 513 … 1024 */
  return 16 + (power - 8) * 4 + (unsigned)(((size - 1) >> (power - 2)) & 3);
}

static size_t class_size(unsigned index) { return class_sizes[index]; }

static unsigned bin_of(size_t pages) { return 63u - (unsigned)__builtin_clzl(pages); }
static size_t page_of(const void *at) { return (size_t)((const uint8_t *)at - base) / HEAP_PAGE; }
static struct run *run_at(size_t page) { return (struct run *)(base + page * HEAP_PAGE); }

static void mark(size_t page, size_t pages, uint8_t as) {
  kind[page] = kind[page + pages - 1] = as;
  length[page] = length[page + pages - 1] = (uint32_t)pages;
}

static void unmark(size_t page, size_t pages) {
  kind[page] = kind[page + pages - 1] = INSIDE;
}

static void put_run(size_t page, size_t pages) {
  mark(page, pages, FREE_RUN);
  struct run *run = run_at(page), *bin = &bins[bin_of(pages)];
  *run = (struct run){ bin->next, bin };
  bin->next->previous = run;
  bin->next = run;
  free_pages += pages;
}

static void take_run(size_t page) {
  struct run *run = run_at(page);
  run->next->previous = run->previous;
  run->previous->next = run->next;
  free_pages -= length[page];
  unmark(page, length[page]);
}

void heap_init(void *start, void *end) {
  uint8_t *from = (uint8_t *)(((uintptr_t)start + HEAP_PAGE - 1) & ~(uintptr_t)(HEAP_PAGE - 1));
  size_t pages = (size_t)((uint8_t *)end - from) / HEAP_PAGE;
  size_t tables = (pages * (sizeof *length + sizeof *kind + sizeof *class_of_page) + HEAP_PAGE - 1) / HEAP_PAGE;
  memset(from, 0, tables * HEAP_PAGE);
  length = (uint32_t *)from;
  kind = (uint8_t *)(length + pages);
  class_of_page = kind + pages;
  base = from + tables * HEAP_PAGE;
  page_count = pages - tables;
  free_pages = heap_used = 0;
  for (unsigned i = 0; i < BINS; i++) bins[i] = (struct run){ &bins[i], &bins[i] };
  memset(ready, 0, sizeof ready);
  memset(fresh, 0, sizeof fresh);
  memset(fresh_end, 0, sizeof fresh_end);
  put_run(0, page_count);
}

/* The first run of the smallest bin that has one long enough; of it the first pages. */
static void *take_pages(size_t pages, uint8_t as) {
  for (unsigned bin = bin_of(pages); bin < BINS; bin++) {
    for (struct run *run = bins[bin].next; run != &bins[bin]; run = run->next) {
      size_t page = page_of(run), have = length[page];
      if (have < pages) continue;
      take_run(page);
      if (have > pages) put_run(page + pages, have - pages);
      mark(page, pages, as);
      return base + page * HEAP_PAGE;
    }
  }
  return NULL;
}

static void give_pages(size_t page) {
  size_t pages = length[page];
  unmark(page, pages);
  if (page + pages < page_count && kind[page + pages] == FREE_RUN) {
    size_t more = length[page + pages];
    take_run(page + pages);
    pages += more;
  }
  if (page > 0 && kind[page - 1] == FREE_RUN) {
    size_t before = length[page - 1];
    page -= before;
    take_run(page);
    pages += before;
  }
  put_run(page, pages);
}

static bool new_slab(unsigned class) {
  uint8_t *slab = take_pages(SLAB_PAGES, SLAB);
  if (!slab) return false;
  size_t page = page_of(slab);
  for (unsigned i = 0; i < SLAB_PAGES; i++) {
    kind[page + i] = SLAB;
    class_of_page[page + i] = (uint8_t)class;
  }
  fresh[class] = slab;
  fresh_end[class] = slab + SLAB_PAGES * HEAP_PAGE;
  return true;
}

void *heap_take(size_t size) {
  if (size > SMALL) {
    if (size > page_count * (size_t)HEAP_PAGE) return NULL;
    size_t pages = (size + HEAP_PAGE - 1) / HEAP_PAGE;
    void *run = take_pages(pages, USED_RUN);
    if (run) heap_used += pages * HEAP_PAGE;
    return run;
  }
  unsigned class = class_of(size);
  size_t bytes = class_size(class);
  struct block *block = ready[class];
  if (block) {
    ready[class] = block->next;
  } else {
    if ((size_t)(fresh_end[class] - fresh[class]) < bytes && !new_slab(class)) return NULL;
    block = (struct block *)fresh[class];
    fresh[class] += bytes;
  }
  heap_used += bytes;
  return block;
}

size_t heap_size(const void *block) {
  if (!block) return 0;
  size_t page = page_of(block);
  return kind[page] == SLAB ? class_size(class_of_page[page]) : (size_t)length[page] * HEAP_PAGE;
}

void heap_give(void *at) {
  if (!at) return;
  size_t page = page_of(at);
  if (kind[page] != SLAB) {
    heap_used -= (size_t)length[page] * HEAP_PAGE;
    give_pages(page);
    return;
  }
  struct block *block = at;
  unsigned class = class_of_page[page];
  heap_used -= class_size(class);
  block->next = ready[class];
  ready[class] = block;
}

void *heap_resize(void *at, size_t size) {
  if (!at) return heap_take(size);
  size_t have = heap_size(at);
  /* It stays where it is unless it would waste more than half. */
  if (size <= have && (have <= 64 || size > have / 2)) return at;
  void *to = heap_take(size);
  if (!to) return size <= have ? at : NULL;
  memcpy(to, at, have < size ? have : size);
  heap_give(at);
  return to;
}

struct heap_figures heap_figures(void) { return (struct heap_figures){ page_count, free_pages, heap_used }; }

const char *heap_check(void) {
  size_t free_found = 0;
  bool before_free = false;
  for (size_t page = 0; page < page_count;) {
    size_t pages = kind[page] == SLAB ? SLAB_PAGES : length[page];
    if (kind[page] == INSIDE || pages == 0 || pages > page_count - page) return "a run does not begin where the one before ends";
    if (kind[page + pages - 1] != kind[page]) return "a run does not end as it begins";
    if (kind[page] != SLAB && length[page + pages - 1] != pages) return "a run's two lengths differ";
    if (kind[page] == FREE_RUN && before_free) return "two free runs touch";
    before_free = kind[page] == FREE_RUN;
    if (before_free) free_found += pages;
    page += pages;
  }
  if (free_found != free_pages) return "free pages are miscounted";
  size_t listed = 0;
  for (unsigned bin = 0; bin < BINS; bin++)
    for (struct run *run = bins[bin].next; run != &bins[bin]; run = run->next) {
      if (kind[page_of(run)] != FREE_RUN || bin_of(length[page_of(run)]) != bin) return "a list of free runs holds what it must not";
      listed += length[page_of(run)];
    }
  return listed == free_pages ? NULL : "a free run is in no list";
}
