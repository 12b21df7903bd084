/* Reads pages from a file, and writes for each its hash, the length that it is compressed to, and the compressed bytes; what is damaged then is found out, or changes nothing beyond a page. */
#include "../kernel/page.h"
#include <stdio.h>
#include <string.h>
#include "test.h"

int main(int count, char **arguments) {
  EXPECT(count == 2);
  random_start();
  FILE *file = fopen(arguments[1], "rb");
  EXPECT(file);
  static uint8_t page[PAGE_BYTES] __attribute__((aligned(8))), back[PAGE_BYTES + 1] __attribute__((aligned(8))), packed[5000];
  while (fread(page, sizeof page, 1, file) == 1) {
    size_t length = page_compress(page, packed, 3072);
    printf("%x %zu ", page_hash(page), length);
    for (size_t i = 0; i < length; i++) printf("%02x", packed[i]);
    printf("\n");
    if (length == 0) continue;
    EXPECT(page_compress(page, packed, length - 1) == 0 || page_compress(page, packed, length - 1) <= length - 1);
    EXPECT(page_compress(page, packed, 3072) == length);
    memset(back, 9, sizeof back);
    EXPECT(page_decompress(packed, length, back) && page_same(page, back));
    back[random_below(PAGE_BYTES)] ^= 1;
    EXPECT(!page_same(page, back));
    for (int i = 0; i < 50; i++) {
      uint8_t *byte = &packed[random_below(length)], before = *byte;
      *byte = (uint8_t)random_below(256);
      page_decompress(packed, 1 + random_below(length), back);
      EXPECT(back[PAGE_BYTES] == 9);
      if (random_below(2)) *byte = before;
    }
  }
  fclose(file);
  return 0;
}
