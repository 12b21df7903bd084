/* This hart's interrupt file for supervisor mode (RISC-V AIA 1.0, chapter 3): where messages of the hardware's devices arrive. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Identities are 1 … this; 0 of them without a file. */
uint32_t interrupt_file_identities(void);
/* All identities are disabled, and nothing is pending. */
void interrupt_file_init(void);
uint32_t interrupt_file_claim(void);
void interrupt_file_enable(uint32_t identity, bool on);
