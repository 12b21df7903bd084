/* G-stage tables, Sv39x4 (Privileged Architecture 1.12, section 8.5): from guest-physical to physical addresses. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Guest-physical addresses have 41 bits. */
#define GUEST_LIMIT (1ul << 41)

struct gstage {
  uint64_t root;
  /* Tables that are no longer used, but that a hart's walk may still be in. */
  uint64_t limbo;
};

/* False when there is no room for a root table. */
bool gstage_init(struct gstage *tables);
/* Maps pages, in place of what is there. All of it is below GUEST_LIMIT and a whole number of pages. False when there is no room for tables: then a part is mapped.
   `replaced` is set when something was mapped there before, so that harts may still have it. */
bool gstage_map(struct gstage *tables, uint64_t guest, uint64_t host, uint64_t length, bool writable, bool *replaced);
/* When there is no room for the table that splits a large page, all of that large page goes, which costs faults and no more. */
void gstage_unmap(struct gstage *tables, uint64_t guest, uint64_t length, bool *replaced);
/* No hart is in the tables' old state any more. */
void gstage_settle(struct gstage *tables);
void gstage_end(struct gstage *tables);
/* Calls `leaf` for each leaf entry. */
void gstage_walk(const struct gstage *tables, void (*leaf)(void *context, uint64_t guest, uint64_t host, uint64_t length, bool writable), void *context);
