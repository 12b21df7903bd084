/* An interpreter of byte code that counts Collatz steps: a loop around an indirect jump through a table. */
#include "rows.h"

enum { LIMIT = 120000 };
enum op { PUSH, GET, SET, ADD, MUL, AND, SHR, LESS, JUMP, UNLESS };

/* Variables: 0 the start, 1 the number at hand, 2 all steps. */
static const uint8_t program[] = {
  PUSH, 1, SET, 0, PUSH, 0, SET, 2,
  /* 8: the next start */
  GET, 0, SET, 1,
  /* 12: while it is more than 1 */
  PUSH, 1, GET, 1, LESS, UNLESS, 51, GET, 1, PUSH, 1, AND, UNLESS, 36, GET, 1, PUSH, 3, MUL, PUSH, 1, ADD, JUMP, 40,
  /* 36: half of it */
  GET, 1, SHR, 1,
  /* 40: one step more */
  SET, 1, GET, 2, PUSH, 1, ADD, SET, 2, JUMP, 12,
  /* 51: another start */
  GET, 0, PUSH, 1, ADD, SET, 0, JUMP, 8,
};

static uint64_t interpret(const uint8_t *code, uint64_t limit) {
  uint64_t stack[32], variable[4] = { 0 };
  uint64_t *top = stack;
  for (;;) {
    switch ((enum op)*code++) {
      case PUSH: *++top = *code++; break;
      case GET: *++top = variable[*code++]; break;
      case SET: variable[*code++] = *top--; break;
      case ADD: top--; *top += top[1]; break;
      case MUL: top--; *top *= top[1]; break;
      case AND: top--; *top &= top[1]; break;
      case SHR: *top >>= *code++; break;
      case LESS: top--; *top = *top < top[1]; break;
      case JUMP: code = program + *code; break;
      case UNLESS: code = *top-- ? code + 1 : program + *code; break;
    }
    if (variable[0] > limit) return variable[2];
  }
}

uint64_t row_vm(void) { return interpret(program, LIMIT); }
