/* What is used of QEMU's interface for plugins, version 1, and the instructions by which a machine tells such a plugin something. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { NO_REGISTERS = 0, ADD_U64 = 0, READS_AND_WRITES = 3 };
#define SHOWN __attribute__((visibility("default")))
SHOWN int qemu_plugin_version = 1;
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t, void (*)(uint64_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, void (*)(unsigned, uint32_t, uint64_t, void *), int, int, void *);
void qemu_plugin_register_atexit_cb(uint64_t, void (*)(uint64_t, void *), void *);

static inline uint32_t instruction_of(const struct qemu_plugin_insn *insn) {
  uint32_t bits = 0;
  memcpy(&bits, qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn) == 2 ? 2 : 4);
  return bits;
}

/* A mark: `slti zero, zero, N`, which does nothing and is left to software for such things (RISC-V unprivileged specification, 2.9). */
static inline bool is_mark(uint32_t bits) { return (bits & 0xfffff) == 0x2013; }
static inline unsigned mark_of(uint32_t bits) { return bits >> 20; }

/* A load into the register that is always zero. */
enum { LOAD_BYTE = 0, LOAD_BYTE_UNSIGNED = 4, LOAD_HALF_UNSIGNED = 5, LOAD_WORD_UNSIGNED = 6 };
static inline bool is_unwanted_load(uint32_t bits) { return (bits & 0xfff) == 3; }
static inline unsigned load_of(uint32_t bits) { return bits >> 12 & 7; }
