#include "sbi.h"

enum { LEGACY_PUT = 1, TIME = 0x54494d45, IPI = 0x735049, HSM = 0x48534d, SRST = 0x53525354 };

struct sbi_result sbi_call(long extension, long function, unsigned long x0, unsigned long x1, unsigned long x2) {
  register unsigned long a0 asm("a0") = x0;
  register unsigned long a1 asm("a1") = x1;
  register unsigned long a2 asm("a2") = x2;
  register long a6 asm("a6") = function;
  register long a7 asm("a7") = extension;
  asm volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
  return (struct sbi_result){ .error = (long)a0, .value = (long)a1 };
}

void sbi_put(char c) { sbi_call(LEGACY_PUT, 0, (unsigned char)c, 0, 0); }

void sbi_send_ipi(unsigned long hart) { sbi_call(IPI, 0, 1, hart, 0); }

void sbi_set_timer(uint64_t time) { sbi_call(TIME, 0, time, 0, 0); }

long sbi_start_hart(unsigned long hart, void (*entry)(void), void *opaque) {
  return sbi_call(HSM, 0, hart, (unsigned long)entry, (unsigned long)opaque).error;
}

void sbi_power_off(int failed) {
  sbi_call(SRST, 0, 0 /* shutdown */, failed ? 1 /* system failure */ : 0, 0);
  for (;;) asm volatile("wfi");
}
