/* What is done with the content of a page of 4096 bytes, and TypeScript would take a thousand times as long for: as @machinist/memory does it, bit for bit. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES 4096u

/* 0 for zeros, and for nothing else. */
uint32_t page_hash(const void *page);
bool page_same(const void *one, const void *other);
/* Lempel and Ziv's method (1977), in the form that the codec of @machinist/memory describes. Bytes in `into`; 0 when it has not as many as it takes. */
size_t page_compress(const uint8_t *page, uint8_t *into, size_t most);
/* False for what is damaged; nothing beyond the page is written. */
bool page_decompress(const uint8_t *packed, size_t length, uint8_t *page);
