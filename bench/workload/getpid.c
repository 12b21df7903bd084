/* The cheapest system call: the path into the kernel and back. */
#define _GNU_SOURCE
#include "rows.h"
#include <sys/syscall.h>
#include <unistd.h>

enum { CALLS = 200000 };

uint64_t row_getpid(void) {
  uint64_t sum = 0;
  const long self = syscall(SYS_getpid);
  for (int i = 0; i < CALLS; i++) sum += syscall(SYS_getpid) == self;
  return sum;
}
