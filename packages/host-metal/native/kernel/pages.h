/* Pages for G-stage tables. Harts other than 0 never take any. */
#pragma once
#include <stdint.h>

#define TABLE_PAGE 4096ul
/* A root table of Sv39x4 is four pages, aligned to their size. */
#define ROOT_TABLE (4 * TABLE_PAGE)

void pages_init(uint64_t base, uint64_t length);
/* A page of zeros, or 0 when none is left. */
uint64_t page_take(void);
void page_give(uint64_t page);
uint64_t root_take(void);
void root_give(uint64_t root);
uint64_t pages_left(void);
