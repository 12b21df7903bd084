/* The allocator of the JavaScript engine: size classes up to 1 KiB, which are all that counts, and runs of pages above. One hart uses it. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define HEAP_PAGE 4096u

struct heap_figures {
  size_t pages;
  size_t free_pages;
  /* Bytes that callers have, as heap_size tells. */
  size_t used;
};

void heap_init(void *start, void *end);
void *heap_take(size_t size);
void *heap_resize(void *block, size_t size);
void heap_give(void *block);
/* Bytes that may be used, at least those asked for. */
size_t heap_size(const void *block);
/* Bytes that callers have, as heap_size tells. */
extern size_t heap_used;
struct heap_figures heap_figures(void);
/* Walks all runs. 0, or a text that says what is broken. */
const char *heap_check(void);
