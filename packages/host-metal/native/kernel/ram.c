#include "ram.h"
#include <string.h>

enum { PAGE = 4096, BORDER = PAGE - 1 };

/* What untouched pages read as. */
static const uint8_t zeros[PAGE] __attribute__((aligned(PAGE)));

/* Whether all of a range is RAM of this piece. Then `byte` is where its first lies, for what there is up to the end of its page; NULL when that is not to be had at once. */
static bool locate_in(const struct ram_piece *ram, uint64_t address, uint64_t length, bool write, uint32_t **entry, uint8_t **byte) {
  const struct ram_table *table = ram->table;
  *byte = NULL;
  for (uint32_t i = 0; i < table->count && i < sizeof table->base / sizeof table->base[0]; i++) {
    uint64_t offset = address - table->base[i];
    if (offset >= table->size[i] || length > table->size[i] - offset) continue;
    uint64_t at = table->map[i] + offset / PAGE * sizeof **entry;
    if (at + sizeof **entry > ram->length) return true;
    *entry = (uint32_t *)(ram->base + at);
    uint32_t page = **entry;
    if (write ? (page & (PAGE_PRESENT | PAGE_SHARED | PAGE_CODE)) != PAGE_PRESENT : !(page & PAGE_PRESENT)) {
      if (!write && page < PAGE) *byte = (uint8_t *)zeros + offset % PAGE;
      return true;
    }
    uint64_t frame = page & ~(uint32_t)BORDER;
    if (frame + PAGE <= ram->length) *byte = ram->base + frame + offset % PAGE;
    return true;
  }
  return false;
}

/* The same of all pieces. */
static uint8_t *locate(const struct ram *ram, uint64_t address, uint64_t length, bool write, uint32_t **entry) {
  uint8_t *byte;
  for (uint32_t i = 0; i < ram->count; i++)
    if (locate_in(&ram->pieces[i], address, length, write, entry, &byte)) return byte;
  return NULL;
}

static uint64_t up_to_border(uint64_t address, uint64_t length) {
  uint64_t left = PAGE - address % PAGE;
  return length < left ? length : left;
}

bool ram_read(const struct ram *ram, uint64_t address, uint8_t *into, uint64_t length) {
  uint32_t *entry;
  if (length == 0) return false;
  for (uint64_t done = 0, part; done < length; done += part) {
    part = up_to_border(address + done, length - done);
    /* All of it lies in one region of one piece. */
    const uint8_t *from = locate(ram, address + done, length - done, false, &entry);
    if (!from) return false;
    memcpy(into + done, from, part);
  }
  return true;
}

bool ram_write(const struct ram *ram, uint64_t address, const uint8_t *from, uint64_t length) {
  uint32_t *entry;
  if (length == 0) return false;
  for (uint64_t done = 0; done < length; done += up_to_border(address + done, length - done))
    if (!locate(ram, address + done, length - done, true, &entry)) return false;
  for (uint64_t done = 0, part; done < length; done += part) {
    part = up_to_border(address + done, length - done);
    memcpy(locate(ram, address + done, length - done, true, &entry), from + done, part);
    *entry |= PAGE_DIRTY;
  }
  return true;
}

bool ram_read_number(const struct ram *ram, uint64_t address, uint32_t width, uint32_t *value) {
  uint32_t *entry;
  if (address % PAGE > PAGE - width) return false;
  const uint8_t *from = locate(ram, address, width, false, &entry);
  if (!from) return false;
  if (width == 2) *value = address % 2 ? from[0] | from[1] << 8 : *(const volatile uint16_t *)from;
  else if (address % 4) memcpy(value, from, 4);
  else *value = *(const volatile uint32_t *)from;
  return true;
}

bool ram_write_number(const struct ram *ram, uint64_t address, uint32_t width, uint32_t value) {
  uint32_t *entry;
  if (address % PAGE > PAGE - width) return false;
  uint8_t *to = locate(ram, address, width, true, &entry);
  if (!to) return false;
  if (address % width) memcpy(to, &value, width);
  else if (width == 2) *(volatile uint16_t *)to = (uint16_t)value;
  else *(volatile uint32_t *)to = value;
  *entry |= PAGE_DIRTY;
  return true;
}

uint32_t ram_chain(const struct ram *ram, uint64_t table, uint32_t entries, uint32_t head, uint32_t *into, uint32_t most) {
  uint32_t count = 0;
  for (uint32_t index = head; index < entries && count < most; index = into[-1] >> 16) {
    if (!ram_read(ram, table + (uint64_t)index * DESCRIPTOR_WORDS * 4, (uint8_t *)into, DESCRIPTOR_WORDS * 4)) return 0;
    into += DESCRIPTOR_WORDS;
    count++;
    if ((into[-1] & (DESCRIPTOR_NEXT | DESCRIPTOR_INDIRECT)) != DESCRIPTOR_NEXT) break;
  }
  return count;
}
