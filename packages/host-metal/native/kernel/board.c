#include "board.h"
#include <string.h>
#include "memory.h"

enum { FILE_PAGE = 4096 };

struct board board;

static bool enabled(const struct fdt_node *node) {
  uint32_t length;
  const uint8_t *status = fdt_property(node, "status", &length);
  return !status || (length >= 2 && status[0] == 'o' && status[1] == 'k');
}

/* Whether a hart says that it has an extension of several letters: in a list, or in a text of all, between underscores. */
static bool has_extension(const struct fdt_node *node, const char *extension) {
  uint32_t length;
  size_t letters = strlen(extension);
  if (fdt_lists(node, "riscv,isa-extensions", extension)) return true;
  const uint8_t *isa = fdt_property(node, "riscv,isa", &length);
  for (uint32_t i = 1; isa && i + letters < length; i++)
    if (isa[i - 1] == '_' && memcmp(isa + i, extension, letters) == 0 && (isa[i + letters] == '_' || isa[i + letters] == 0)) return true;
  return false;
}

static void read_hart(const struct fdt_node *node, uint64_t boot_hart) {
  uint64_t id, none;
  if (!node->parent->parent || strcmp(node->parent->name, "cpus") != 0 || !fdt_lists(node, "device_type", "cpu")) return;
  if (!enabled(node) || !fdt_reg(node, 0, &id, &none)) return;
  if (id == boot_hart) board.bits = has_extension(node, "zba") && has_extension(node, "zbb") && has_extension(node, "zbs");
  if (id != boot_hart && board.hart_count < MAX_HARTS) board.hart_ids[board.hart_count++] = id;
}

static void read_memory(const struct fdt_node *node) {
  uint64_t address, size;
  for (uint32_t i = 0; fdt_reg(node, i, &address, &size); i++) {
    ranges_add(&memory_all, address, size);
    ranges_add(&memory_guests, address, size);
  }
}

static void read_plic(const struct fdt_node *node) {
  uint64_t address, size;
  if (board.plic != 0 || !fdt_reg(node, 0, &address, &size)) return;
  board.plic = address;
  board.plic_size = size;
  board.plic_sources = fdt_cell(node, "riscv,ndev", 0);
  if (board.plic_sources > 1023) board.plic_sources = 1023;
}

static bool first(void *context, const struct fdt_node *node) {
  uint64_t boot_hart = *(const uint64_t *)context;
  if (!node->parent) return true;
  if (strcmp(node->name, "cpus") == 0) board.frequency = fdt_cell(node, "timebase-frequency", 0);
  read_hart(node, boot_hart);
  if (fdt_lists(node, "device_type", "memory")) read_memory(node);
  if (fdt_lists(node, "compatible", "riscv,plic0") || fdt_lists(node, "compatible", "sifive,plic-1.0.0") || fdt_lists(node, "compatible", "thead,c900-plic")) read_plic(node);
  uint64_t id, none;
  const struct fdt_node *cpu = node->parent;
  if (fdt_lists(node, "compatible", "riscv,cpu-intc") && cpu->parent && fdt_reg(cpu, 0, &id, &none))
    for (uint32_t i = 0; i < board.hart_count; i++)
      if (board.hart_ids[i] == id) board.controllers[i] = fdt_cell(node, "phandle", 0);
  return true;
}

/* The place of (a hart's controller, supervisor external interrupt) in what a controller interrupts; UINT32_MAX when it is not there. */
static uint32_t output_to(const struct fdt_node *node, uint32_t hart) {
  uint32_t length = 0;
  const uint8_t *list = fdt_property(node, "interrupts-extended", &length);
  for (uint32_t i = 0; list && i + 8 <= length; i += 8)
    if (board.controllers[hart] != 0 && fdt_u32(list + i) == board.controllers[hart] && fdt_u32(list + i + 4) == 9) return i / 8;
  return UINT32_MAX;
}

/* The page of the interrupt file that is `index` pages behind the first; 0 when there is none. */
static uint64_t file_page(const struct fdt_node *node, uint64_t index) {
  uint64_t address, size;
  for (uint32_t i = 0; fdt_reg(node, i, &address, &size); i++) {
    if (index < size / FILE_PAGE) {
      uint64_t page = address + index * FILE_PAGE;
      return page % FILE_PAGE == 0 && !ranges_touch(&memory_all, page, FILE_PAGE) ? page : 0;
    }
    index -= size / FILE_PAGE;
  }
  return 0;
}

static bool is_size(uint32_t identities) { return identities >= 63 && identities <= 2047 && identities % 64 == 63; }

/* A hart's page for supervisor mode is followed by those of its guest files: 2^riscv,guest-index-bits pages in all (3.6). */
static void read_imsics(const struct fdt_node *node) {
  uint32_t identities = fdt_cell(node, "riscv,num-ids", 0), bits = fdt_cell(node, "riscv,guest-index-bits", 0);
  if (output_to(node, 0) == UINT32_MAX || !is_size(identities)) return;
  board.identities = identities;
  board.guest_identities = fdt_cell(node, "riscv,num-guest-ids", identities);
  if (bits == 0 || bits > 6 || !is_size(board.guest_identities)) return;
  for (uint32_t i = 0; i < board.hart_count; i++) {
    uint32_t place = output_to(node, i);
    if (place != UINT32_MAX) board.guest_files[i] = file_page(node, ((uint64_t)place << bits) + 1);
  }
}

/* After all ranges of memory are known, and our controller is. */
static bool second(void *context, const struct fdt_node *node) {
  (void)context;
  uint64_t address, size;
  if (node->parent && strcmp(node->parent->name, "reserved-memory") == 0)
    for (uint32_t i = 0; fdt_reg(node, i, &address, &size); i++) ranges_remove(&memory_guests, address, size);
  if (fdt_lists(node, "compatible", "riscv,imsics")) read_imsics(node);
  if (!node->parent || !fdt_reg(node, 0, &address, &size) || address != board.plic || board.plic == 0) return true;
  board.plic_context = output_to(node, 0);
  return true;
}

bool board_read(const void *fdt, uint32_t limit, uint64_t boot_hart) {
  if (!fdt_open(&board.fdt, fdt, limit)) return false;
  board.hart_ids[0] = boot_hart;
  board.hart_count = 1;
  if (!fdt_walk(&board.fdt, first, &boot_hart)) return false;
  uint64_t address, size;
  for (uint32_t i = 0; fdt_reserved(&board.fdt, i, &address, &size); i++) ranges_remove(&memory_guests, address, size);
  if (!fdt_walk(&board.fdt, second, 0)) return false;
  if (board.plic_context == UINT32_MAX) board.plic = 0;
  return memory_all.count > 0;
}
