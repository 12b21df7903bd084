/* Harts that count, for a debugger to look at. */
#include <stdint.h>

volatile uint64_t counter;
volatile uint64_t spins[8];
volatile double ratio = 1.5;
volatile uint64_t done;

__attribute__((noinline)) uint64_t mix(uint64_t a, uint64_t b) {
  return a * 31 + b;
}

__attribute__((noinline)) void work(uint64_t times) {
  for (uint64_t i = 0; i < times; i++)
    counter = mix(counter, i);
  ratio = ratio + 0.5;
}

__attribute__((noinline)) void spin(uint64_t hart) {
  spins[hart]++;
}

void main(uint64_t hart) {
  while (hart != 0)
    spin(hart);
  while (!done)
    work(1000);
  *(volatile uint32_t *)0x100000 = 0x5555; /* power off */
  for (;;)
    ;
}
