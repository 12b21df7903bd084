/* fdt FILE: prints a device tree as the kernel sees it, a line for a node; then reads it again and again with bytes changed, where only ASan and UBSan judge. */
#include "../kernel/fdt.h"
#include <string.h>
#include "test.h"

static bool show(void *context, const struct fdt_node *node) {
  uint64_t address, size;
  int depth = 0;
  for (const struct fdt_node *at = node->parent; at; at = at->parent) depth++;
  if (!*(bool *)context) {
    uint32_t length;
    fdt_property(node, "compatible", &length);
    fdt_lists(node, "compatible", "x");
    for (uint32_t i = 0; i < 4; i++) fdt_reg(node, i, &address, &size);
    return true;
  }
  printf("%*s%s", depth, "", node->name);
  for (uint32_t i = 0; fdt_reg(node, i, &address, &size); i++) printf(" %lx+%lx", address, size);
  printf(" %u%s\n", fdt_cell(node, "number", 0), fdt_lists(node, "compatible", "second") ? " second" : "");
  return true;
}

int main(int count, char **arguments) {
  random_start();
  FILE *file = fopen(count == 2 ? arguments[1] : "", "rb");
  EXPECT(file);
  static uint8_t bytes[1 << 16];
  uint32_t length = (uint32_t)fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  struct fdt fdt;
  bool quiet = false, loud = true;
  uint64_t address, size;
  EXPECT(fdt_open(&fdt, bytes, length));
  EXPECT(fdt_walk(&fdt, show, &loud));
  EXPECT(!fdt_open(&fdt, bytes, length - 1));
  for (int round = 0; round < 20000; round++) {
    uint8_t *copy = malloc(length);
    memcpy(copy, bytes, length);
    for (uint64_t i = 1 + random_below(4); i > 0; i--) copy[random_below(random_below(2) ? 48 : length)] = (uint8_t)random_below(256);
    if (fdt_open(&fdt, copy, length)) {
      fdt_walk(&fdt, show, &quiet);
      for (uint32_t i = 0; i < 100 && fdt_reserved(&fdt, i, &address, &size); i++) {
      }
    }
    free(copy);
  }
  return 0;
}
