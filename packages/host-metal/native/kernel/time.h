/* The hardware's counter of time, and nanoseconds since the kernel started. */
#pragma once
#include <stdint.h>
#include "csr.h"

#ifdef __riscv
static inline uint64_t time_ticks(void) { return csr_read(CSR_TIME); }
#endif
void time_init(uint32_t frequency);
uint32_t time_frequency(void);
double time_ns(void);
/* What the counter was when the kernel started. */
uint64_t time_start(void);
/* The counter's value at a time in nanoseconds; NEVER for what lies beyond it. */
uint64_t time_at(double ns);
