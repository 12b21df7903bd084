/* What the device tree says of the hardware that the kernel itself uses. */
#pragma once
#include "fdt.h"
#include "hart.h"

struct board {
  struct fdt fdt;
  uint32_t frequency;
  uint32_t hart_count;
  uint64_t hart_ids[MAX_HARTS];
  /* Whether the boot hart has Zba, Zbb and Zbs. */
  bool bits;
  /* The phandles of their interrupt controllers; the boot hart is the first. */
  uint32_t controllers[MAX_HARTS];
  uint64_t plic, plic_size;
  uint32_t plic_sources, plic_context;
  /* Of the boot hart's interrupt file for supervisor mode; 0: it has none. */
  uint32_t identities;
  /* Pages of the harts' first guest interrupt files, 0 where there are none, and the identities of those. */
  uint64_t guest_files[MAX_HARTS];
  uint32_t guest_identities;
};

extern struct board board;
/* Reads it; fills memory_all and memory_guests as the tree has them, before the kernel's own is taken out. False when there is no usable tree. */
bool board_read(const void *fdt, uint32_t limit, uint64_t boot_hart);
