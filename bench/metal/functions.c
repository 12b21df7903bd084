/*
 * A plugin of QEMU that tells what functions of a program on bare metal take, in instructions of the emulated machine between two marks (count.c has them): functions.so,out=FILE,from=MARK,to=MARK
 *
 * The engine of an image that was built to tell (telling-patches.ts) says which function begins and ends. At the end of the machine, FILE has a line for each: how often it began, its own instructions and those
 * with what it called, `c` and the address of a function of C or `js`, name and place; and a line for each address of the image's code: `at`, the address, how often it was executed.
 */
#include "plugin.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CODE = 4 << 20, GRAIN = 2, MOST = 1 << 14, DEEPEST = 4096, LONGEST = 256 };
#define IMAGE_START 0x80200000ul
static uint64_t executed, by_address[CODE / GRAIN], before[CODE / GRAIN];
static unsigned from, to;
static int inside;
static const char *path;

static struct function {
  uint64_t address, calls, own, all;
  unsigned open;
  char *name;
} functions[MOST];
static char name[LONGEST];
static unsigned name_length;
/* Those that have begun, and when; what the topmost has of its own begins at `since`. */
static struct { struct function *function; uint64_t began; } stack[DEEPEST];
static unsigned depth;
static uint64_t since;

static struct function *function_at(uint64_t address) {
  for (unsigned i = (unsigned)(address >> 1) % MOST;; i = (i + 1) % MOST) {
    if (!functions[i].address) functions[i].address = address;
    if (functions[i].address == address) return &functions[i];
  }
}

static void account(void) {
  if (inside && depth > 0) stack[depth - 1].function->own += executed - since;
  since = executed;
}

static void begin(uint64_t address, const char *called) {
  account();
  struct function *function = function_at(address);
  if (called) {
    free(function->name);
    function->name = strdup(called);
  }
  if (depth == DEEPEST) abort();
  stack[depth].function = function;
  stack[depth++].began = executed;
  function->open++;
  if (inside) function->calls++;
}

static void end(void) {
  account();
  /* Programs begin before anybody looks. */
  if (depth == 0) return;
  struct function *function = stack[--depth].function;
  if (--function->open == 0 && inside) function->all += executed - stack[depth].began;
}

static void at_load(unsigned vcpu, uint32_t info, uint64_t address, void *kind) {
  (void)vcpu, (void)info;
  switch ((uintptr_t)kind) {
    case LOAD_BYTE:
      end();
      break;
    case LOAD_BYTE_UNSIGNED:
      begin(address, NULL);
      break;
    case LOAD_WORD_UNSIGNED:
      begin(address, name_length ? name : NULL);
      name_length = 0;
      break;
    case LOAD_HALF_UNSIGNED:
      name[name_length] = (char)(address >> 1 & 127);
      if (name[name_length] && name_length < LONGEST - 1) name_length++;
  }
}

static void at_mark(unsigned vcpu, void *number) {
  (void)vcpu;
  unsigned mark = (unsigned)(uintptr_t)number;
  if (mark == from) {
    account();
    inside = 1;
    for (unsigned i = 0; i < depth; i++) stack[i].began = executed;
    memcpy(before, by_address, sizeof before);
  } else if (mark == to && inside) {
    account();
    for (unsigned i = depth; i-- > 0;)
      if (--stack[i].function->open == 0) stack[i].function->all += executed - stack[i].began;
    inside = 0;
    for (unsigned i = 0; i < CODE / GRAIN; i++) before[i] = by_address[i] - before[i];
    FILE *file = fopen(path, "w");
    for (unsigned i = 0; file && i < MOST; i++)
      if (functions[i].calls || functions[i].own)
        fprintf(file, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %s %" PRIx64 " %s\n", functions[i].calls, functions[i].own, functions[i].all, functions[i].name ? "js" : "c", functions[i].address, functions[i].name ? functions[i].name : "");
    for (unsigned i = 0; file && i < CODE / GRAIN; i++)
      if (before[i]) fprintf(file, "at %lx %" PRIu64 "\n", IMAGE_START + GRAIN * i, before[i]);
    if (file) fclose(file);
  }
}

static void at_translation(uint64_t plugin, struct qemu_plugin_tb *tb) {
  (void)plugin;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
    uint64_t address = qemu_plugin_insn_vaddr(insn);
    uint32_t bits = instruction_of(insn);
    if (is_mark(bits)) qemu_plugin_register_vcpu_insn_exec_cb(insn, at_mark, NO_REGISTERS, (void *)(uintptr_t)mark_of(bits));
    qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD_U64, &executed, 1);
    if (address < IMAGE_START || address - IMAGE_START >= CODE) continue;
    qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD_U64, &by_address[(address - IMAGE_START) / GRAIN], 1);
    if (is_unwanted_load(bits)) qemu_plugin_register_vcpu_mem_cb(insn, at_load, NO_REGISTERS, READS_AND_WRITES, (void *)(uintptr_t)load_of(bits));
  }
}

SHOWN int qemu_plugin_install(uint64_t plugin, const void *info, int count, char **arguments) {
  (void)info;
  for (int i = 0; i < count; i++) {
    char *value = strchr(arguments[i], '=');
    if (!value) return -1;
    *value++ = 0;
    if (strcmp(arguments[i], "out") == 0) path = strdup(value);
    else if (strcmp(arguments[i], "from") == 0) from = (unsigned)strtoul(value, NULL, 0);
    else if (strcmp(arguments[i], "to") == 0) to = (unsigned)strtoul(value, NULL, 0);
    else return -1;
  }
  if (!path || !to) return -1;
  qemu_plugin_register_vcpu_tb_trans_cb(plugin, at_translation);
  return 0;
}
