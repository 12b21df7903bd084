/* Registers of the hardware's devices, which may not be there. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Widths are 1, 2 and 4. All accesses to memory before and after are so for devices, too. False when nobody answers. */
bool register_read(uint64_t address, uint64_t width, uint32_t *value);
bool register_write(uint64_t address, uint64_t width, uint32_t value);
