/*
 * A plugin of QEMU that counts the instructions of an emulated machine: count.so,out=FILE[,image=END][,profile=FILE]
 *
 * A program of the machine marks a place (plugin.h). For each mark that is executed a line goes to
 * FILE: N, and how many instructions were executed before it, in all and by where they lie. So does the first instruction of a Linux kernel (mark 0), as its Image begins with the letters MZ.
 */
#include "plugin.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Where instructions lie: firmware and the image, at their physical addresses; all else. A guest's first ones, before it has page tables, have the image's addresses: they are few. */
enum { FIRMWARE, IMAGE, OTHER, PLACES };
#define FIRMWARE_START 0x80000000ul
#define IMAGE_START 0x80200000ul
static uint64_t counts[PLACES], image_end = IMAGE_START;
static FILE *out;

/* Of the image's code: how often each instruction was executed. */
enum { CODE = 4 << 20, GRAIN = 2 };
static const char *profile;
static uint64_t *by_address;

enum { MZ = 0x5a4d, LINUX_ALIGNMENT = 0x200000, FIRST = 0, END = 4095 };

static void at_mark(unsigned vcpu, void *number) {
  (void)vcpu;
  fprintf(out, "%u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", (unsigned)(uintptr_t)number, counts[FIRMWARE] + counts[IMAGE] + counts[OTHER], counts[FIRMWARE], counts[IMAGE], counts[OTHER]);
  fflush(out);
}

static int place_of(uint64_t address) {
  if (address >= FIRMWARE_START && address < IMAGE_START) return FIRMWARE;
  return address >= IMAGE_START && address < image_end ? IMAGE : OTHER;
}

static void at_translation(uint64_t plugin, struct qemu_plugin_tb *tb) {
  (void)plugin;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
    uint64_t address = qemu_plugin_insn_vaddr(insn);
    uint32_t bits = instruction_of(insn);
    if (is_mark(bits)) qemu_plugin_register_vcpu_insn_exec_cb(insn, at_mark, NO_REGISTERS, (void *)(uintptr_t)mark_of(bits));
    if (bits == MZ && address % LINUX_ALIGNMENT == 0) qemu_plugin_register_vcpu_insn_exec_cb(insn, at_mark, NO_REGISTERS, (void *)FIRST);
    int place = place_of(address);
    qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD_U64, &counts[place], 1);
    if (by_address && place == IMAGE && address - IMAGE_START < CODE) qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD_U64, &by_address[(address - IMAGE_START) / GRAIN], 1);
  }
}

static void at_end(uint64_t plugin, void *data) {
  (void)plugin, (void)data;
  at_mark(0, (void *)END);
  FILE *file = profile ? fopen(profile, "w") : NULL;
  for (uint64_t i = 0; file && i < CODE / GRAIN; i++)
    if (by_address[i]) fprintf(file, "%" PRIx64 " %" PRIu64 "\n", IMAGE_START + GRAIN * i, by_address[i]);
  if (file) fclose(file);
}

SHOWN int qemu_plugin_install(uint64_t plugin, const void *info, int count, char **arguments) {
  (void)info;
  for (int i = 0; i < count; i++) {
    char *value = strchr(arguments[i], '=');
    if (!value) return -1;
    *value++ = 0;
    if (strcmp(arguments[i], "out") == 0) out = fopen(value, "w");
    else if (strcmp(arguments[i], "image") == 0) image_end = strtoull(value, NULL, 0);
    else if (strcmp(arguments[i], "profile") == 0) profile = strdup(value);
    else return -1;
  }
  if (!out) return -1;
  if (profile) by_address = calloc(CODE / GRAIN, sizeof *by_address);
  qemu_plugin_register_vcpu_tb_trans_cb(plugin, at_translation);
  qemu_plugin_register_atexit_cb(plugin, at_end, NULL);
  return 0;
}
