/* The rows of the benchmark. Each does a fixed amount of work and returns a checksum of its result. */
#ifndef ROWS_H
#define ROWS_H

#include <stdint.h>

uint64_t row_sieve(void);
uint64_t row_crc32(void);
uint64_t row_sha256(void);
uint64_t row_chase(void);
uint64_t row_memcpy(void);
uint64_t row_nbody(void);
uint64_t row_getpid(void);
uint64_t row_forkexec(void);

uint64_t row_qsort(void);
uint64_t row_calls(void);
uint64_t row_vm(void);
uint64_t row_matrix(void);
uint64_t row_dhry(void);

uint64_t row_diskread(void);
uint64_t row_diskwrite(void);
uint64_t row_diskread4k(void);
uint64_t row_diskwrite4k(void);

/* Pseudo-random numbers for filling buffers: xorshift64*, the same on every machine. */
static inline uint64_t next_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return x * UINT64_C(2685821657736338717);
}

#endif
