/* Fibonacci numbers by definition: little but calls and returns. */
#include "rows.h"

enum { ARGUMENT = 36 };

__attribute__((noinline, optimize("no-optimize-sibling-calls"))) static uint64_t fib(uint64_t n) {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

uint64_t row_calls(void) {
  volatile uint64_t argument = ARGUMENT;
  return fib(argument);
}
