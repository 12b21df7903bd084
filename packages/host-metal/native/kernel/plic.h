/* The hardware's platform-level interrupt controller (RISC-V PLIC 1.0.0), our context of it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

void plic_init(void);
/* Sources are 1 … plic_sources(); 0 of them without a PLIC. */
uint32_t plic_sources(void);
uint32_t plic_claim(void);
void plic_complete(uint32_t source);
void plic_enable(uint32_t source, bool on);
