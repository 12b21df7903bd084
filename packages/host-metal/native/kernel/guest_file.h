/* The interrupt file of a guest's hart, as its record has it (RISC-V AIA 1.0, chapter 3): what stands for the hardware's guest interrupt file while there is none for it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "record.h"

/* The pending and enabled identity of highest priority below the threshold, or 0 (3.9). */
uint32_t guest_file_top(const struct record *record);
/* Whether it interrupts follows from the rest. To be called when that has changed. */
void guest_file_update(struct record *record);
/* A message has come. Those with an identity that does not exist are ignored (3.5). */
void guest_file_message(struct record *record, uint32_t identity);
/* Executes an instruction on siselect, sireg, stopei or stopi; false when it is another one, or illegal.
   `interrupts`: what is pending and enabled of the supervisor's interrupts. `held`: the hardware has the file at this moment, and all that it has is refused. */
bool guest_file_csr(struct record *record, uint32_t instruction, uint64_t interrupts, bool held);
