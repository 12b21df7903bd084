/* What the engine wants of a C library and an operating system. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include "../kernel/console.h"
#include "../kernel/crash.h"
#include "../kernel/heap.h"
#include "../kernel/time.h"

static int put(char c, FILE *file) {
  (void)file;
  console_put(c);
  return (unsigned char)c;
}

static FILE console = FDEV_SETUP_STREAM(put, NULL, NULL, _FDEV_SETUP_WRITE);
FILE *const stdout = &console;
FILE *const stderr = &console;
FILE *const stdin = &console;

void *malloc(size_t size) { return heap_take(size); }
void free(void *block) { heap_give(block); }
void *realloc(void *block, size_t size) { return heap_resize(block, size); }
void *calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
  void *block = heap_take(bytes);
  if (block) memset(block, 0, bytes);
  return block;
}
size_t malloc_usable_size(const void *block) { return heap_size(block); }

void abort(void) { panic("the engine gave up"); }
void __assert_fail(const char *expression, const char *file, unsigned int line, const char *function) {
  (void)line, (void)function, (void)file;
  panic(expression);
}
void __assert_func(const char *file, int line, const char *function, const char *expression) { __assert_fail(expression, file, (unsigned)line, function); }

/* Time since the start: there is no other here. The hardware's clock is read by drivers. */
int gettimeofday(struct timeval *time, void *zone) {
  (void)zone;
  uint64_t microseconds = (uint64_t)time_ns() / 1000;
  time->tv_sec = (time_t)(microseconds / 1000000);
  time->tv_usec = (suseconds_t)(microseconds % 1000000);
  return 0;
}
struct tm *localtime_r(const time_t *time, struct tm *result) {
  (void)time;
  memset(result, 0, sizeof *result);
  return result;
}
