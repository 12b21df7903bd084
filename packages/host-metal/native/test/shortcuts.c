/* Random accesses and hands of TypeScript on a table, against what a list of the places says. */
#include "shortcuts.h"
#include <string.h>
#include "test.h"

static struct shortcuts table;

static uint32_t below(uint32_t limit) { return (uint32_t)random_below(limit); }

static enum shortcut serve(uint64_t address, bool store, uint32_t width, uint64_t *value) { return shortcuts_serve(&table, address, store, width, value, false); }

int main(void) {
  random_start();
  memset(&table, 0, sizeof table);
  uint64_t value = 7;
  EXPECT(!shortcuts_have(&table, 0x1000) && serve(0x1000, true, 4, &value) == SHORTCUT_NONE);
  /* The same address for loads and for stores, one of another width, and a doorbell. */
  static const struct { uint64_t address; uint32_t kind, width; } places[] = {
    { 0x1000, SHORTCUT_SHADOW, 4 }, { 0x1000, SHORTCUT_GATHERED, 4 }, { 0x1004, SHORTCUT_GATHERED, 1 }, { 0x100002000, SHORTCUT_DOORBELL, 4 },
  };
  for (uint32_t i = 0; i < 4; i++) table.address[i] = places[i].address, table.kind[i] = places[i].kind, table.width[i] = places[i].width;
  table.count = 4;
  EXPECT(shortcuts_have(&table, 0x100002000) && !shortcuts_have(&table, 0x2000));
  EXPECT(serve(0x1000, false, 4, &value) == SHORTCUT_NONE && value == 7);
  /* A doorbell is not for the hart that hears it; once it is rung, nothing else is served. */
  table.open[0] = 1, table.value[0] = 0xfffffffe, table.open[1] = 9, table.open[3] = 1;
  EXPECT(shortcuts_serve(&table, 0x100002000, true, 4, &value, true) == SHORTCUT_NONE && table.put == 0);
  EXPECT(serve(0x1000, false, 4, &value) == SHORTCUT_SERVED && value == 0xfffffffe);
  EXPECT(serve(0x100002000, true, 4, &value) == SHORTCUT_RANG && table.rung == 1 && table.stored[0] == 0xfffffffe && table.place[0] == 3);
  EXPECT(serve(0x1000, false, 4, &value) == SHORTCUT_NONE && serve(0x1000, true, 4, &value) == SHORTCUT_NONE && serve(0x100002000, true, 4, &value) == SHORTCUT_NONE);
  EXPECT(table.served == 2 && table.lock == 0);
  table.taken = table.put, table.rung = 0;
  /* The count of stores goes round. */
  table.put = table.taken = 0xffffff00;
  uint32_t places_put[4096], values_put[4096], first = table.put;
  for (uint32_t round = 0; round < 200000; round++) {
    if (below(8) == 0) table.closed = below(4) == 0;
    if (below(8) == 0) table.open[below(4)] = below(3) * 200;
    if (below(50) == 0) table.taken += below(table.put - table.taken + 1);
    if (below(20) == 0) table.taken = table.put, table.rung = 0;
    uint32_t i = below(4), width = below(4) ? places[i].width : 2, waiting = table.put - table.taken;
    bool store = below(5) != 0, right = width == places[i].width && !table.closed;
    bool shadow = places[i].address == 0x1000 && !store;
    uint64_t wanted = below(0xffffffff), got = wanted;
    uint32_t place = places[i].address == 0x1000 ? 1 : i;
    bool rings = place == 3;
    bool expected = right && (shadow ? table.open[0] && !table.rung : store && waiting < table.open[place] && waiting < WAITING_STORES && (rings || !table.rung));
    enum shortcut done = serve(places[i].address, store, width, &got);
    EXPECT(done == (!expected ? SHORTCUT_NONE : rings ? SHORTCUT_RANG : SHORTCUT_SERVED));
    EXPECT(got == (expected && shadow ? table.value[0] : wanted));
    if (expected && !shadow) places_put[(table.put - 1 - first) % 4096] = place, values_put[(table.put - 1 - first) % 4096] = (uint32_t)wanted;
    EXPECT(table.put == table.taken + waiting + (expected && !shadow));
    for (uint32_t at = table.taken; at != table.put; at++)
      EXPECT(table.place[at % WAITING_STORES] == places_put[(at - first) % 4096] && table.stored[at % WAITING_STORES] == values_put[(at - first) % 4096]);
  }
  return 0;
}
