/* G-stage tables: after each of many random operations all tables are walked, and say what a plain list of pages says. */
#include "../kernel/gstage.h"
#include <string.h>
#include "../kernel/pages.h"
#include "test.h"

enum { ZONES = 4, ZONE_PAGES = 2048, STEPS = 3000, MEMORY = 4 << 20, WRITABLE = 1, MAPPED = 2 };
#define PAGE 4096ul

/* Where the guest's pages are: at the bottom, across two gigabytes, at the top of the address space, and where the root's second page begins. */
static const uint64_t zones[ZONES] = { 0, (1ul << 30) - 1024 * PAGE, GUEST_LIMIT - ZONE_PAGES * PAGE, (1ul << 39) - 1024 * PAGE };
static uint64_t model[ZONES][ZONE_PAGES], found[ZONES][ZONE_PAGES], pages[MEMORY / PAGE];

static void leaf(void *context, uint64_t guest, uint64_t host, uint64_t length, bool writable) {
  (void)context;
  EXPECT(guest % length == 0 && host % length == 0);
  for (uint64_t at = 0; at < length; at += PAGE) {
    bool placed = false;
    for (int zone = 0; zone < ZONES; zone++) {
      if (guest + at < zones[zone] || guest + at >= zones[zone] + ZONE_PAGES * PAGE) continue;
      uint64_t *page = &found[zone][(guest + at - zones[zone]) / PAGE];
      EXPECT(*page == 0);
      *page = (host + at) | MAPPED | (writable ? WRITABLE : 0);
      placed = true;
    }
    EXPECT(placed);
  }
}

static void compare(const struct gstage *tables) {
  memset(found, 0, sizeof found);
  gstage_walk(tables, leaf, NULL);
  EXPECT(memcmp(found, model, sizeof found) == 0);
}

static uint64_t some_length(uint64_t most) {
  uint64_t length = random_below(3) == 0 ? 512 * (1 + random_below(3)) : 1 + random_below(random_below(2) ? 8 : 600);
  return length < most ? length : most;
}

int main(void) {
  random_start();
  uint8_t *memory = aligned_alloc(MEMORY, MEMORY);
  pages_init((uint64_t)memory, MEMORY);
  uint64_t before = pages_left();
  struct gstage tables;
  EXPECT(gstage_init(&tables));
  for (int step = 0; step < STEPS; step++) {
    uint64_t zone = random_below(ZONES), first = random_below(ZONE_PAGES);
    if (random_below(3) == 0) first &= ~511ul;
    uint64_t count = some_length(ZONE_PAGES - first), guest = zones[zone] + first * PAGE;
    /* Hosts of all alignments towards the guest's, so that large pages come and go. */
    uint64_t host = (1ul << 32) + (random_below(2) ? first : first + random_below(512)) * PAGE + (random_below(64) << 21);
    bool map = random_below(3) != 0, writable = random_below(2) != 0, replaced = false, touched = false;
    for (uint64_t i = 0; i < count; i++) {
      uint64_t *page = &model[zone][first + i], value = map ? (host + i * PAGE) | MAPPED | (writable ? WRITABLE : 0) : 0;
      touched |= *page != 0 && *page != value;
      *page = value;
    }
    if (map) EXPECT(gstage_map(&tables, guest, host, count * PAGE, writable, &replaced));
    else gstage_unmap(&tables, guest, count * PAGE, &replaced);
    EXPECT(replaced || !touched);
    compare(&tables);
    if (random_below(4) == 0) gstage_settle(&tables);
  }
  gstage_end(&tables);
  /* All came back; the root waits for the next VM. */
  EXPECT(pages_left() + ROOT_TABLE / TABLE_PAGE == before);

  /* With no room it says so, and what it has mapped until then is right. */
  EXPECT(gstage_init(&tables));
  uint64_t taken = 0;
  while (pages_left() > 1) pages[taken++] = page_take();
  bool replaced = false;
  EXPECT(!gstage_map(&tables, 0, (1ul << 32) + PAGE, 4 * PAGE, true, &replaced));
  memset(model, 0, sizeof model);
  compare(&tables);
  while (taken > 0) page_give(pages[--taken]);
  EXPECT(gstage_map(&tables, 0, 1ul << 32, 2048 * PAGE, true, &replaced));
  while (pages_left() > 0) pages[taken++] = page_take();
  gstage_unmap(&tables, 5 * PAGE, PAGE, &replaced);
  for (uint64_t i = 512; i < 2048; i++) model[0][i] = ((1ul << 32) + i * PAGE) | MAPPED | WRITABLE;
  compare(&tables);
  free(memory);
  return 0;
}
