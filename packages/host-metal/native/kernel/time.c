#include "time.h"

static uint64_t start;
static uint32_t frequency;
static double ns_per_tick, ticks_per_ns;

void time_init(uint32_t hertz) {
  frequency = hertz ? hertz : 10000000;
  ns_per_tick = 1e9 / frequency;
  ticks_per_ns = frequency / 1e9;
  start = time_ticks();
}

uint64_t time_start(void) { return start; }

uint32_t time_frequency(void) { return frequency; }

double time_ns(void) { return (double)(time_ticks() - start) * ns_per_tick; }

uint64_t time_at(double ns) {
  /* NaN and what is past come due at once. */
  if (!(ns > 0)) return start;
  double ticks = ns * ticks_per_ns;
  if (ticks >= 0x1p62) return UINT64_MAX;
  uint64_t whole = (uint64_t)ticks;
  return start + whole + ((double)whole < ticks);
}
