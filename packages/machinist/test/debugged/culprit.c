/* Somewhere on its way, something is written over; only at the end is it noticed. */
#include <stdio.h>
#include <unistd.h>

volatile long guarded;

__attribute__((noinline)) void honest(long value) {
  guarded = value;
  getppid();
}

__attribute__((noinline)) void culprit(void) {
  guarded = -1;
}

__attribute__((noinline)) void notice(void) {
  printf("guarded is %ld\n", guarded);
  fflush(stdout);
}

int main(void) {
  for (long i = 1; i <= 2000; i++)
    if (i < 1234)
      honest(i);
    else if (i == 1234)
      culprit();
    else
      getppid();
  notice();
  return 0;
}
