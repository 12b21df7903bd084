#include "pages.h"
#include <string.h>

/* Pages come from below, roots from above; what was given back is chained by its first word. */
static uint64_t low, high, free_page, free_root, free_pages;

void pages_init(uint64_t base, uint64_t length) {
  low = (base + ROOT_TABLE - 1) & -ROOT_TABLE;
  high = (base + length) & -ROOT_TABLE;
  free_page = free_root = free_pages = 0;
}

static uint64_t cleared(uint64_t at, uint64_t length) {
  memset((void *)at, 0, length);
  return at;
}

uint64_t page_take(void) {
  uint64_t page = free_page;
  if (page) {
    free_page = *(uint64_t *)page;
    free_pages--;
  } else {
    if (high - low < TABLE_PAGE) return 0;
    page = low;
    low += TABLE_PAGE;
  }
  return cleared(page, TABLE_PAGE);
}

void page_give(uint64_t page) {
  *(uint64_t *)page = free_page;
  free_page = page;
  free_pages++;
}

uint64_t root_take(void) {
  uint64_t root = free_root;
  if (root) {
    free_root = *(uint64_t *)root;
  } else {
    if (high - low < ROOT_TABLE) return 0;
    root = high -= ROOT_TABLE;
  }
  return cleared(root, ROOT_TABLE);
}

void root_give(uint64_t root) {
  *(uint64_t *)root = free_root;
  free_root = root;
}

uint64_t pages_left(void) { return (high - low) / TABLE_PAGE + free_pages; }
