/*
 * The disk /dev/vda, read and written past the guest's page cache (O_DIRECT), one request at a time: in order in pieces of 1 MiB, and at
 * random in pieces of 4 KiB. Each sector begins with a number that follows from its place; the harness makes it so, and writing keeps it.
 *
 * Compiled for the host it takes the file BENCH_DISK instead.
 */
#define _GNU_SOURCE
#include "rows.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { MIB = 1 << 20, SIZE = 128 * MIB, PASSES = 4, SMALL = 4096, COUNT = 20000, TRIED = 16 };

static uint8_t *buffer;

static void fill(uint64_t place, size_t length, uint64_t salt) {
  for (size_t at = 0; at < length; at += 512) *(uint64_t *)(buffer + at) = ((place + at) / 512 + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ salt;
}

static uint64_t last(size_t length) {
  return *(uint64_t *)(buffer + length - 512);
}

static int put(int disk, uint64_t place, size_t length, uint64_t salt) {
  fill(place, length, salt);
  return pwrite(disk, buffer, length, (off_t)place) == (ssize_t)length;
}

static int get(int disk, uint64_t place, size_t length) {
  return pread(disk, buffer, length, (off_t)place) == (ssize_t)length;
}

static uint64_t transfer(int writing, size_t length, int at_random) {
  const char *path = "/dev/vda";
#ifdef HOST
  path = getenv("BENCH_DISK");
#endif
  int disk = open(path, O_RDWR | O_DIRECT);
  if (disk < 0 || (buffer == 0 && posix_memalign((void **)&buffer, MIB, MIB) != 0)) return 1;
  uint64_t seed = 7, sum = 0;
  /* That what is written is there. */
  for (uint64_t tried = 0; writing && tried < TRIED; tried++) {
    uint64_t place = tried * (SIZE / TRIED);
    if (!put(disk, place, length, tried + 1) || !get(disk, place, length)) return 2;
    sum = sum * 31 + last(length);
    if (!put(disk, place, length, 0)) return 2;
  }
  uint64_t count = at_random ? COUNT : (uint64_t)PASSES * SIZE / length;
  for (uint64_t index = 0; index < count; index++) {
    uint64_t place = (at_random ? next_random(&seed) >> 16 : index) % (SIZE / length) * length;
    if (writing ? !put(disk, place, length, 0) : !get(disk, place, length)) return 3;
    sum = sum * 31 + (writing ? place : last(length));
  }
  if (writing && fsync(disk) != 0) return 4;
  close(disk);
  return sum;
}

uint64_t row_diskread(void) { return transfer(0, MIB, 0); }
uint64_t row_diskwrite(void) { return transfer(1, MIB, 0); }
uint64_t row_diskread4k(void) { return transfer(0, SMALL, 1); }
uint64_t row_diskwrite4k(void) { return transfer(1, SMALL, 1); }
