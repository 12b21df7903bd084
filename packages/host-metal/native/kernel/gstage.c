#include "gstage.h"
#include "pages.h"

/* Bits of an entry (section 4.3.1). U is set in every leaf: G-stage looks accesses up as a user's (section 8.5.1). */
enum { V = 1, R = 2, W = 4, X = 8, U = 16, A = 64, D = 128, LEAF = R | W | X, ROOT_LEVEL = 2 };

static uint64_t size_of(int level) { return 1ul << (12 + 9 * level); }
static uint64_t address_of(uint64_t entry) { return (entry >> 10) << 12; }
static bool is_table(uint64_t entry) { return (entry & V) && !(entry & LEAF); }
static uint64_t *entry_of(uint64_t table, int level, uint64_t guest) {
  uint64_t index = guest >> (12 + 9 * level);
  return (uint64_t *)table + (level == ROOT_LEVEL ? index & 0x7ff : index & 0x1ff);
}

/* A hart may walk the table meanwhile: an entry appears whole, after what it leads to. */
static void put(uint64_t *entry, uint64_t value) { __atomic_store_n(entry, value, __ATOMIC_RELEASE); }

bool gstage_init(struct gstage *tables) {
  *tables = (struct gstage){ root_take(), 0 };
  return tables->root != 0;
}

/* A table keeps its place in the chain of limbo by its first entry, which stays invalid: addresses are even. */
static void retire(struct gstage *tables, uint64_t table) {
  *(volatile uint64_t *)table = tables->limbo;
  tables->limbo = table;
}

static void retire_tree(struct gstage *tables, uint64_t entry, int level) {
  if (!is_table(entry)) return;
  uint64_t table = address_of(entry);
  for (int i = 0; level > 0 && i < 512; i++) retire_tree(tables, ((uint64_t *)table)[i], level - 1);
  retire(tables, table);
}

/* The table below an entry of `level`; a leaf is split into the same leaves, smaller. 0 when there is no room. */
static uint64_t table_below(uint64_t *entry, int level) {
  uint64_t value = *entry;
  if (is_table(value)) return address_of(value);
  uint64_t table = page_take();
  if (!table) return 0;
  if (value & V)
    for (uint64_t i = 0; i < 512; i++) ((uint64_t *)table)[i] = value + ((i * size_of(level - 1)) >> 12 << 10);
  put(entry, table >> 12 << 10 | V);
  return table;
}

static bool map(struct gstage *tables, uint64_t table, int level, uint64_t guest, uint64_t host, uint64_t length, uint64_t bits, bool *replaced) {
  uint64_t size = size_of(level);
  while (length > 0) {
    uint64_t *entry = entry_of(table, level, guest), old = *entry;
    uint64_t part = size - (guest & (size - 1));
    if (part > length) part = length;
    if (part == size && (host & (size - 1)) == 0) {
      uint64_t value = host >> 12 << 10 | bits;
      if ((old & V) && old != value) *replaced = true;
      put(entry, value);
      retire_tree(tables, old, level - 1);
    } else {
      uint64_t below = table_below(entry, level);
      if (!below || !map(tables, below, level - 1, guest, host, part, bits, replaced)) return false;
    }
    guest += part, host += part, length -= part;
  }
  return true;
}

bool gstage_map(struct gstage *tables, uint64_t guest, uint64_t host, uint64_t length, bool writable, bool *replaced) {
  return map(tables, tables->root, ROOT_LEVEL, guest, host, length, V | R | X | U | A | (writable ? W | D : 0), replaced);
}

static void unmap(struct gstage *tables, uint64_t table, int level, uint64_t guest, uint64_t length, bool *replaced) {
  uint64_t size = size_of(level);
  while (length > 0) {
    uint64_t *entry = entry_of(table, level, guest), old = *entry;
    uint64_t part = size - (guest & (size - 1));
    if (part > length) part = length;
    if (old & V) {
      uint64_t below = part == size ? 0 : table_below(entry, level);
      *replaced = true;
      if (below) {
        unmap(tables, below, level - 1, guest, part, replaced);
      } else {
        put(entry, 0);
        retire_tree(tables, old, level - 1);
      }
    }
    guest += part, length -= part;
  }
}

void gstage_unmap(struct gstage *tables, uint64_t guest, uint64_t length, bool *replaced) { unmap(tables, tables->root, ROOT_LEVEL, guest, length, replaced); }

void gstage_settle(struct gstage *tables) {
  while (tables->limbo) {
    uint64_t page = tables->limbo;
    tables->limbo = *(uint64_t *)page;
    page_give(page);
  }
}

void gstage_end(struct gstage *tables) {
  bool replaced;
  gstage_unmap(tables, 0, GUEST_LIMIT, &replaced);
  gstage_settle(tables);
  root_give(tables->root);
  tables->root = 0;
}

static void walk(uint64_t table, int level, uint64_t guest, void (*leaf)(void *, uint64_t, uint64_t, uint64_t, bool), void *context) {
  for (uint64_t i = 0; i < (level == ROOT_LEVEL ? 2048 : 512); i++) {
    uint64_t entry = ((uint64_t *)table)[i], at = guest + i * size_of(level);
    if (is_table(entry) && level > 0) walk(address_of(entry), level - 1, at, leaf, context);
    else if (entry & V) leaf(context, at, address_of(entry), size_of(level), (entry & W) != 0);
  }
}

void gstage_walk(const struct gstage *tables, void (*leaf)(void *, uint64_t, uint64_t, uint64_t, bool), void *context) { walk(tables->root, ROOT_LEVEL, 0, leaf, context); }
