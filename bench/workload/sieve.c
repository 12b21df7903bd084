/* Sieve of Eratosthenes over bytes: simple loops of short strides, loads, stores and branches. */
#include "rows.h"
#include <string.h>

enum { LIMIT = 2000000, ROUNDS = 28 };

static uint8_t composite[LIMIT];

uint64_t row_sieve(void) {
  uint64_t sum = 0;
  for (int round = 0; round < ROUNDS; round++) {
    memset(composite, 0, sizeof composite);
    for (uint32_t i = 2; i * i < LIMIT; i++)
      if (!composite[i])
        for (uint32_t j = i * i; j < LIMIT; j += i) composite[j] = 1;
    uint32_t primes = 0;
    for (uint32_t i = 2; i < LIMIT; i++) primes += !composite[i];
    sum += primes + round;
  }
  return sum;
}
