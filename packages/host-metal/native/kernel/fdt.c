#include "fdt.h"
#include <string.h>

enum { MAGIC = 0xd00dfeed, BEGIN_NODE = 1, END_NODE = 2, PROPERTY = 3, NOP = 4, END = 9, MAX_DEPTH = 16 };

uint32_t fdt_u32(const uint8_t *at) { return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]; }

static uint64_t u64(const uint8_t *at) { return (uint64_t)fdt_u32(at) << 32 | fdt_u32(at + 4); }

bool fdt_open(struct fdt *fdt, const void *base, uint32_t limit) {
  const uint8_t *at = base;
  if (limit < 40 || fdt_u32(at) != MAGIC) return false;
  uint32_t size = fdt_u32(at + 4);
  if (size < 40 || size > limit) return false;
  uint32_t structure = fdt_u32(at + 8), strings = fdt_u32(at + 12), reserved = fdt_u32(at + 16);
  uint32_t strings_size = fdt_u32(at + 32), structure_size = fdt_u32(at + 36);
  if (structure > size || structure_size > size - structure || structure % 4 != 0) return false;
  if (strings > size || strings_size > size - strings || reserved > size) return false;
  *fdt = (struct fdt){ at, size, structure, structure + structure_size, strings, strings + strings_size, reserved };
  return true;
}

/* The length of a text with its end, or 0 when it does not end before `end`. */
static uint32_t text_length(const struct fdt *fdt, uint32_t at, uint32_t end) {
  for (uint32_t i = at; i < end; i++)
    if (fdt->base[i] == 0) return i - at + 1;
  return 0;
}

static uint32_t padded(uint32_t length) { return (length + 3) & ~3u; }

/* The token at *at, which goes past it and its content; END when the structure ends or is broken. */
static uint32_t next_token(const struct fdt *fdt, uint32_t *at, uint32_t *content, uint32_t *length) {
  if (fdt->structure_end - *at < 4 || *at > fdt->structure_end) return END;
  uint32_t token = fdt_u32(fdt->base + *at), rest = *at + 4;
  if (token == BEGIN_NODE) {
    *length = text_length(fdt, rest, fdt->structure_end);
    if (*length == 0) return END;
    *content = rest;
    *at = rest + padded(*length);
  } else if (token == PROPERTY) {
    if (fdt->structure_end - rest < 8) return END;
    *length = fdt_u32(fdt->base + rest);
    *content = rest + 8;
    if (*length > fdt->structure_end - *content) return END;
    *at = *content + padded(*length);
  } else if (token == END_NODE || token == NOP) {
    *at = rest;
  } else {
    return END;
  }
  return *at > fdt->structure_end ? END : token;
}

const uint8_t *fdt_property(const struct fdt_node *node, const char *name, uint32_t *length) {
  const struct fdt *fdt = node->fdt;
  uint32_t at = node->properties, content = 0;
  for (;;) {
    uint32_t token = next_token(fdt, &at, &content, length);
    if (token == NOP) continue;
    if (token != PROPERTY) return 0;
    uint32_t text = fdt_u32(fdt->base + content - 4);
    if (text >= fdt->strings_end - fdt->strings || text_length(fdt, fdt->strings + text, fdt->strings_end) == 0) continue;
    if (strcmp((const char *)fdt->base + fdt->strings + text, name) == 0) return fdt->base + content;
  }
}

uint32_t fdt_cell(const struct fdt_node *node, const char *name, uint32_t otherwise) {
  uint32_t length = 0;
  const uint8_t *value = fdt_property(node, name, &length);
  return value && length >= 4 ? fdt_u32(value) : otherwise;
}

bool fdt_lists(const struct fdt_node *node, const char *name, const char *text) {
  uint32_t length = 0;
  const uint8_t *value = fdt_property(node, name, &length);
  uint32_t wanted = (uint32_t)strlen(text) + 1;
  for (uint32_t at = 0; value && at < length;) {
    uint32_t here = 0;
    while (at + here < length && value[at + here] != 0) here++;
    if (here + 1 == wanted && at + here < length && memcmp(value + at, text, wanted) == 0) return true;
    at += here + 1;
  }
  return false;
}

static uint64_t cells(const uint8_t *at, uint32_t count) { return count == 0 ? 0 : count == 1 ? fdt_u32(at) : u64(at + (count - 2) * 4); }

bool fdt_reg(const struct fdt_node *node, uint32_t index, uint64_t *address, uint64_t *size) {
  if (!node->parent || node->parent->address_cells > 4 || node->parent->size_cells > 4) return false;
  uint32_t length = 0, wide = node->parent->address_cells * 4, entry = wide + node->parent->size_cells * 4;
  const uint8_t *value = fdt_property(node, "reg", &length);
  if (!value || entry == 0 || index >= length / entry) return false;
  *address = cells(value + index * entry, node->parent->address_cells);
  *size = cells(value + index * entry + wide, node->parent->size_cells);
  return true;
}

bool fdt_reserved(const struct fdt *fdt, uint32_t index, uint64_t *address, uint64_t *size) {
  if (index > (fdt->size - fdt->reserved) / 16) return false;
  uint32_t at = fdt->reserved + index * 16;
  if (fdt->size - at < 16) return false;
  *address = u64(fdt->base + at);
  *size = u64(fdt->base + at + 8);
  return *address != 0 || *size != 0;
}

bool fdt_walk(const struct fdt *fdt, bool (*visit)(void *, const struct fdt_node *), void *context) {
  struct fdt_node nodes[MAX_DEPTH];
  uint32_t depth = 0, at = fdt->structure, content = 0, length = 0;
  for (;;) {
    uint32_t token = next_token(fdt, &at, &content, &length);
    if (token == BEGIN_NODE) {
      if (depth == MAX_DEPTH) return false;
      struct fdt_node *node = &nodes[depth];
      *node = (struct fdt_node){ fdt, depth ? node - 1 : 0, (const char *)fdt->base + content, at, 2, 1 };
      node->address_cells = fdt_cell(node, "#address-cells", 2);
      node->size_cells = fdt_cell(node, "#size-cells", 1);
      depth++;
      if (!visit(context, node)) return true;
    } else if (token == END_NODE) {
      if (depth == 0) return false;
      if (--depth == 0) return true;
    } else if (token == END) {
      return false;
    }
  }
}
