/* SHA-256 (FIPS 180-4): rotations, additions and logic on 32-bit words. */
#include "rows.h"
#include <math.h>

enum { SIZE = 1 << 20, ROUNDS = 36 };

static uint32_t constants[64];
static uint8_t data[SIZE];

/* The round constants are the first 32 bits of the fractional parts of the cube roots of the first 64 primes (§4.2.2). */
static void make_constants(void) {
  int found = 0;
  for (uint32_t n = 2; found < 64; n++) {
    int prime = 1;
    for (uint32_t d = 2; d * d <= n; d++)
      if (n % d == 0) prime = 0;
    if (!prime) continue;
    /* A double has 18 bits more, and none of these roots is so near a number of 32 of them. */
    constants[found++] = (uint32_t)(uint64_t)(cbrt(n) * 0x1p32);
  }
}

static inline uint32_t rotr(uint32_t x, int n) { return (x >> n) | (x << (32 - n)); }

static void compress(uint32_t state[8], const uint8_t *block) {
  uint32_t w[64];
  for (int t = 0; t < 16; t++)
    w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 | (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
  for (int t = 16; t < 64; t++) {
    uint32_t s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
    uint32_t s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
    w[t] = s1 + w[t - 7] + s0 + w[t - 16];
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
  for (int t = 0; t < 64; t++) {
    uint32_t t1 = h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) + constants[t] + w[t];
    uint32_t t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g; g = f; f = e; e = d + t1;
    d = c; c = b; b = a; a = t1 + t2;
  }
  state[0] += a; state[1] += b; state[2] += c; state[3] += d;
  state[4] += e; state[5] += f; state[6] += g; state[7] += h;
}

uint64_t row_sha256(void) {
  make_constants();
  uint64_t seed = 2;
  for (uint32_t i = 0; i < SIZE; i++) data[i] = (uint8_t)(next_random(&seed) >> 56);
  uint32_t state[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
  for (int round = 0; round < ROUNDS; round++)
    for (uint32_t at = 0; at < SIZE; at += 64) compress(state, data + at);
  /* The message is a whole number of blocks: the padding is a block of its own (§5.1.1). */
  uint8_t padding[64] = { 0x80 };
  uint64_t bits = (uint64_t)SIZE * ROUNDS * 8;
  for (int i = 0; i < 8; i++) padding[56 + i] = (uint8_t)(bits >> (56 - 8 * i));
  compress(state, padding);
  return (uint64_t)state[0] << 32 | state[7];
}
