/* Reading the flattened device tree that firmware hands over (Devicetree Specification 0.4, chapter 5). No length in it is believed. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct fdt {
  const uint8_t *base;
  uint32_t size;
  uint32_t structure, structure_end;
  uint32_t strings, strings_end;
  uint32_t reserved;
};

struct fdt_node {
  const struct fdt *fdt;
  const struct fdt_node *parent;
  const char *name;
  /* Where its properties begin. */
  uint32_t properties;
  /* What it says of its children's reg; 2 and 1 unless given. */
  uint32_t address_cells, size_cells;
};

/* False when it is not a device tree of at most `limit` bytes. */
bool fdt_open(struct fdt *fdt, const void *base, uint32_t limit);
/* Calls `visit` for each node, parents first, until it returns false. False when the structure is broken. */
bool fdt_walk(const struct fdt *fdt, bool (*visit)(void *context, const struct fdt_node *node), void *context);
/* A property's value, or null. */
const uint8_t *fdt_property(const struct fdt_node *node, const char *name, uint32_t *length);
/* Whether a property is a list of strings that holds one. */
bool fdt_lists(const struct fdt_node *node, const char *name, const char *text);
/* Entry `index` of reg, in its parent's cells. */
bool fdt_reg(const struct fdt_node *node, uint32_t index, uint64_t *address, uint64_t *size);
/* Entry `index` of the memory reservation block. */
bool fdt_reserved(const struct fdt *fdt, uint32_t index, uint64_t *address, uint64_t *size);
/* A property of one cell, or `otherwise`. */
uint32_t fdt_cell(const struct fdt_node *node, const char *name, uint32_t otherwise);
/* A big-endian number. */
uint32_t fdt_u32(const uint8_t *at);
