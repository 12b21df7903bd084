/* Calls to the firmware below us (RISC-V SBI 1.0). */
#pragma once
#include <stdint.h>

struct sbi_result {
  long error;
  long value;
};

struct sbi_result sbi_call(long extension, long function, unsigned long a0, unsigned long a1, unsigned long a2);

/* One character to the console (legacy extension 0x01, which every firmware serves). */
void sbi_put(char c);
/* An interrupt for supervisor software on one hart. */
void sbi_send_ipi(unsigned long hart);
void sbi_set_timer(uint64_t time);
long sbi_start_hart(unsigned long hart, void (*entry)(void), void *opaque);
/* Never returns. */
void sbi_power_off(int failed) __attribute__((noreturn));
