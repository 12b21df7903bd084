#include "plic.h"
#include "board.h"

enum { ENABLES = 0x2000, ENABLES_OF_CONTEXT = 0x80, CONTEXTS = 0x200000, CONTEXT = 0x1000, CLAIM = 4 };

static volatile uint32_t *at(uint64_t offset) { return (volatile uint32_t *)(board.plic + offset); }
static volatile uint32_t *context(uint64_t offset) { return at(CONTEXTS + (uint64_t)board.plic_context * CONTEXT + offset); }

uint32_t plic_sources(void) { return board.plic ? board.plic_sources : 0; }

void plic_init(void) {
  if (!board.plic) return;
  for (uint32_t source = 1; source <= board.plic_sources; source++) *at(source * 4) = 0;
  for (uint32_t word = 0; word <= board.plic_sources / 32; word++) *at(ENABLES + board.plic_context * ENABLES_OF_CONTEXT + word * 4) = 0;
  *context(0) = 0;
}

uint32_t plic_claim(void) { return board.plic ? *context(CLAIM) : 0; }

void plic_complete(uint32_t source) { *context(CLAIM) = source; }

void plic_enable(uint32_t source, bool on) {
  volatile uint32_t *word = at(ENABLES + board.plic_context * ENABLES_OF_CONTEXT + source / 32 * 4);
  *at(source * 4) = on;
  *word = on ? *word | 1u << source % 32 : *word & ~(1u << source % 32);
}
