#include "machine.h"
#include "fdt.h"

uint64_t uart_base, uart_shift, plic_base, disk_base;
uint32_t plic_context, disk_source;

enum { TREE_LIMIT = 1 << 20, VIRTIO_MAGIC = 0x74726976, DEVICE_ID = 8, BLOCK = 2, SUPERVISOR_EXTERNAL = 9 };

static bool look(void *context, const struct fdt_node *node) {
  (void)context;
  uint64_t address, size;
  if (!node->parent || !fdt_reg(node, 0, &address, &size)) return true;
  if (fdt_lists(node, "compatible", "ns16550a") && !uart_base) {
    uart_base = address;
    uart_shift = fdt_cell(node, "reg-shift", 0);
  }
  if (fdt_lists(node, "compatible", "sifive,plic-1.0.0") || fdt_lists(node, "compatible", "riscv,plic0")) {
    plic_base = address;
    uint32_t length = 0;
    const uint8_t *list = fdt_property(node, "interrupts-extended", &length);
    /* One hart: its supervisor's context is the one of this interrupt. */
    for (uint32_t i = 0; list && i + 8 <= length; i += 8)
      if (fdt_u32(list + i + 4) == SUPERVISOR_EXTERNAL) plic_context = i / 8;
  }
  if (fdt_lists(node, "compatible", "virtio,mmio") && read32(address) == VIRTIO_MAGIC && read32(address + DEVICE_ID) == BLOCK) {
    disk_base = address;
    disk_source = fdt_cell(node, "interrupts", 0);
  }
  return true;
}

bool find_machine(const void *tree) {
  struct fdt fdt;
  return fdt_open(&fdt, tree, TREE_LIMIT) && fdt_walk(&fdt, look, 0) && uart_base != 0;
}

long sbi(long extension, long function, unsigned long x0, unsigned long x1, unsigned long x2) {
  register unsigned long a0 asm("a0") = x0;
  register unsigned long a1 asm("a1") = x1;
  register unsigned long a2 asm("a2") = x2;
  register long a6 asm("a6") = function;
  register long a7 asm("a7") = extension;
  asm volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
  return (long)a0;
}
