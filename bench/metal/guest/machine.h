/* The machine that the program finds in its device tree, and what it can do with it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* A place that the counter knows (../count.c). */
#define MARK(number) asm volatile("slti zero, zero, %0" ::"i"(number) : "memory")
#define csr_read(csr) ({ unsigned long value_; asm volatile("csrr %0, " #csr : "=r"(value_)::"memory"); value_; })
#define csr_set(csr, bits) asm volatile("csrs " #csr ", %0" ::"r"((unsigned long)(bits)) : "memory")
#define csr_clear(csr, bits) asm volatile("csrc " #csr ", %0" ::"r"((unsigned long)(bits)) : "memory")

enum { SSIE = 2, STIE = 32, SEIE = 512, SIE = 2 };

extern uint64_t uart_base, uart_shift, plic_base, disk_base;
extern uint32_t plic_context, disk_source;

static inline uint32_t read32(uint64_t at) { return *(volatile uint32_t *)at; }
static inline void write32(uint64_t at, uint32_t value) { *(volatile uint32_t *)at = value; }
static inline uint8_t read8(uint64_t at) { return *(volatile uint8_t *)at; }
static inline void write8(uint64_t at, uint8_t value) { *(volatile uint8_t *)at = value; }

/* False when the device tree lacks something. */
bool find_machine(const void *tree);
long sbi(long extension, long function, unsigned long x0, unsigned long x1, unsigned long x2);

/* Readies virtio block; false when there is none. Then reads 4 KiB, and waits as a driver does, with interrupts. */
bool open_disk(void);
void read_disk(uint64_t sector);
/* A doorbell with nothing new in the ring. */
void notify_disk(void);
/* What the disk's interrupt asks for. */
void disk_interrupted(void);
extern uint8_t disk_data[4096];
