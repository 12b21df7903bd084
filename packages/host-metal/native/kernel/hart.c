#include "hart.h"
#include <stddef.h>
#include "board.h"
#include "console.h"
#include "sbi.h"
#include "vcpu.h"

enum { CRASH_STACK = 8192, STACK = 16384 };

struct hart harts[MAX_HARTS];
uint32_t hart_count;
/* Not worth clearing at the start. */
#define UNSET __attribute__((aligned(16), section(".unset")))
static uint8_t crash_stacks[MAX_HARTS][CRASH_STACK] UNSET;
static uint8_t stacks[MAX_HARTS][STACK] UNSET;

_Static_assert(offsetof(struct hart, registers) == HART_REGISTERS, "HART_REGISTERS");
_Static_assert(offsetof(struct hart, crash_stack) == HART_CRASH_STACK, "HART_CRASH_STACK");
_Static_assert(offsetof(struct hart, recover) == HART_RECOVER, "HART_RECOVER");
_Static_assert(offsetof(struct hart, stack) == HART_STACK, "HART_STACK");

extern void start_secondary(void);

void hart_init(struct hart *hart) {
  hart->index = (uint32_t)(hart - harts);
  hart->crash_stack = (uint64_t)crash_stacks[hart->index] + CRASH_STACK;
  hart->stack = (uint64_t)stacks[hart->index] + STACK;
  hart->armed = NEVER;
}

/* Reads a CSR that may not be there. */
#define PROBE(csr)                                                                                                                                \
  ({                                                                                                                                              \
    struct hart *hart_ = this_hart();                                                                                                             \
    unsigned long there_;                                                                                                                         \
    asm volatile("la %0, 1f\n sd %0, %c2(%1)\n csrr %0, " csr_text(csr) "\n sd zero, %c2(%1)\n li %0, 1\n j 2f\n .balign 4\n1: li %0, 0\n2:" \
                 : "=&r"(there_)                                                                                                                  \
                 : "r"(hart_), "i"(HART_RECOVER)                                                                                                  \
                 : "memory");                                                                                                                     \
    there_ != 0;                                                                                                                                  \
  })

bool csr_has_h(void) { return PROBE(CSR_HGATP); }
bool csr_has_sstc(void) { return PROBE(CSR_VSTIMECMP); }
bool csr_has_interrupt_file(void) { return PROBE(CSR_STOPEI); }
bool csr_has_stateen(void) { return PROBE(CSR_HSTATEEN0); }

static void set_guest_file(struct hart *hart, uint32_t index) {
  hart->guest_file = board.guest_files[index];
  hart->guest_identities = hart->guest_file ? board.guest_identities : 0;
}

void harts_start(const uint64_t *ids, uint32_t count) {
  hart_count = 1;
  set_guest_file(&harts[0], 0);
  vcpu_prepare_hart(&harts[0]);
  for (uint32_t i = 1; i < count; i++) {
    struct hart *hart = &harts[hart_count];
    hart->id = ids[i];
    hart_init(hart);
    set_guest_file(hart, i);
    if (sbi_start_hart(hart->id, start_secondary, hart) != 0) continue;
    hart_count++;
  }
}

void hart_wake(struct hart *hart) { sbi_send_ipi(hart->id); }
