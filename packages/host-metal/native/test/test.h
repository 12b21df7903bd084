/* What the kernel's tests on the build host share: random numbers from a fixed seed (or $SEED), and a way to fail. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t random_state;

static inline void random_start(void) {
  const char *seed = getenv("SEED");
  random_state = seed ? strtoull(seed, NULL, 10) * 2654435761u + 1 : 0x9e3779b97f4a7c15;
}

/* Below a limit. */
static inline uint64_t random_below(uint64_t limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state % limit;
}

#define EXPECT(condition)                                                          \
  do {                                                                             \
    if (!(condition)) {                                                            \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);      \
      exit(1);                                                                     \
    }                                                                              \
  } while (0)
