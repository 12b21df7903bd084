/* From the firmware's jump to the first line of JavaScript. */
#include <string.h>
#include "../engine/engine.h"
#include "board.h"
#include "console.h"
#include "crash.h"
#include "heap.h"
#include "interrupt_file.h"
#include "memory.h"
#include "pages.h"
#include "plic.h"
#include "sbi.h"
#include "time.h"

extern char image_start[], image_end[], heap_start[], heap_end[];

enum { FDT_LIMIT = 1 << 20, PAGES_SHARE = 128 };

/* The pages of G-stage tables come from the largest range: one 128th of all, where 4 KiB pages of every guest's RAM need one 512th. */
static void take_pages(void) {
  uint64_t total = 0;
  struct range *largest = &memory_guests.list[0];
  for (uint32_t i = 0; i < memory_guests.count; i++) {
    total += memory_guests.list[i].length;
    if (memory_guests.list[i].length > largest->length) largest = &memory_guests.list[i];
  }
  uint64_t length = (total / PAGES_SHARE + 0xfffff) & ~0xffffful;
  uint64_t base = (largest->base + largest->length - length) & ~0xffffful;
  if (length > largest->length / 2) panic("there is too little memory");
  pages_init(base, largest->base + largest->length - base);
  ranges_remove(&memory_guests, base, largest->base + largest->length - base);
}

/* With what the tree said there is, and what the image takes of it. */
static void no_memory(void) __attribute__((noreturn));
static void no_memory(void) {
  for (uint32_t i = 0; i <= memory_all.count; i++) {
    bool own = i == memory_all.count;
    uint64_t base = own ? (uint64_t)image_start : memory_all.list[i].base, length = own ? (uint64_t)(image_end - image_start) : memory_all.list[i].length;
    console_text(own ? "\nthe image: " : "\nmemory: ");
    console_hex(base);
    console_text(", ");
    console_hex(length);
    console_text(" bytes");
  }
  panic("there is no memory for guests");
}

void kernel_main(uint64_t hart_id, const uint8_t *fdt) {
  struct hart *hart = &harts[0];
  hart->id = hart_id;
  hart_init(hart);
  csr_write(CSR_SSCRATCH, (uint64_t)hart);
  heap_init(heap_start, heap_end);
  if ((char *)fdt < image_end && (char *)fdt + FDT_LIMIT > image_start) panic("firmware placed the device tree where the image is");
  uint32_t size = fdt_u32(fdt) == 0xd00dfeed ? fdt_u32(fdt + 4) : 0;
  if (size == 0 || size > FDT_LIMIT) panic("firmware gave no device tree");
  /* Where it lies is guests' memory from now on. */
  uint8_t *copy = heap_take(size);
  memcpy(copy, fdt, size);
  if (!board_read(copy, size, hart_id)) panic("the device tree cannot be read");
  if (!(csr_has_h())) panic("this hart lacks the hypervisor extension");
  /* The engine is compiled for them; those who have the hypervisor extension have them as well, nearly all (RVA23S64 asks for both). */
  if (!board.bits) panic("this hart lacks Zba, Zbb or Zbs");
  time_init(board.frequency);
  ranges_remove(&memory_guests, (uint64_t)image_start, (uint64_t)(image_end - image_start));
  ranges_align(&memory_guests, 4096);
  if (memory_guests.count == 0) no_memory();
  take_pages();
  plic_init();
  if (!csr_has_interrupt_file()) board.identities = 0;
  interrupt_file_init();
  harts_start(board.hart_ids, board.hart_count);
  engine_run();
}
