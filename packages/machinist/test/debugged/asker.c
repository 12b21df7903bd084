/* Asks the kernel for its parent's number until a debugger says that it is enough. */
#include <stdio.h>
#include <unistd.h>

volatile unsigned long asked;
volatile int enough;

__attribute__((noinline)) void ask(void) {
  getppid();
  asked++;
}

int main(void) {
  puts("ready");
  fflush(stdout);
  while (!enough)
    ask();
  printf("asked %s\n", asked > 0 ? "often" : "never");
  return 0;
}
