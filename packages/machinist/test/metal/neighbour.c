/* Bare guests of fairness.long.test.ts: MODE says what one does for ever. The first page of the image is the program, wherever it is. */
#include <stdint.h>

#ifndef HARTS
#define HARTS 1
#endif

enum { WORK, DEVICE, CALLS, CONSOLE, IPIS, TIMERS, MEMORY, FRAMES, IPIS_ELSEWHERE };

#define UART ((volatile uint8_t *)0x10000000)
#define RAM 0x80000000ul

__asm__(".section .text.start\n.globl _start\n_start: la sp, stack_end\n slli t0, a0, 10\n sub sp, sp, t0\n j neighbour\n.section .bss\n.balign 16\nstack: .space 2048\nstack_end:\n.text");

static long sbi(long extension, long function, long first, long second, long third) {
  register long a0 __asm__("a0") = first;
  register long a1 __asm__("a1") = second;
  register long a2 __asm__("a2") = third;
  register long a6 __asm__("a6") = function;
  register long a7 __asm__("a7") = extension;
  __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
  return a0;
}

static inline uint64_t now(void) {
  uint64_t time;
  __asm__ volatile("rdtime %0" : "=r"(time));
  return time;
}

/* A virtio network device, behind its registers (virtio 1.2, 4.2.2); null when there is none. */
static volatile uint32_t *network(void) {
  for (uintptr_t at = 0x10001000; at < 0x10009000; at += 0x1000) {
    volatile uint32_t *registers = (volatile uint32_t *)at;
    if (registers[0] == 0x74726976 && registers[2] == 1) return registers;
  }
  return 0;
}

static struct { uint64_t address; uint32_t length; uint16_t flags, next; } descriptors[1] __attribute__((aligned(16)));
static struct { uint16_t flags; volatile uint16_t index; uint16_t ring[1]; } avail __attribute__((aligned(2)));
static struct { uint16_t flags; volatile uint16_t index; struct { uint32_t id, length; } ring[1]; } used __attribute__((aligned(4)));
static uint8_t frame[12 + 60];

static void pointer(volatile uint32_t *registers, unsigned at, volatile void *to) {
  registers[at / 4] = (uint32_t)(uintptr_t)to;
  registers[at / 4 + 1] = (uint32_t)((uintptr_t)to >> 32);
}

/* Frames to everybody, one after the other. */
static void frames(void) {
  volatile uint32_t *registers = network();
  if (!registers) return;
  registers[0x70 / 4] = 0;
  registers[0x70 / 4] = 3;
  registers[0x24 / 4] = 1;
  registers[0x20 / 4] = 1; /* VIRTIO_F_VERSION_1 */
  registers[0x70 / 4] = 11;
  registers[0x30 / 4] = 1; /* transmitq1 */
  registers[0x38 / 4] = 1;
  pointer(registers, 0x80, descriptors);
  pointer(registers, 0x90, &avail);
  pointer(registers, 0xa0, &used);
  registers[0x44 / 4] = 1;
  registers[0x70 / 4] = 15;
  for (int i = 12; i < 18; i++) frame[i] = 0xff;
  frame[18] = 2;
  descriptors[0].address = (uintptr_t)frame;
  descriptors[0].length = sizeof frame;
  for (;;) {
    avail.index++;
    __asm__ volatile("fence" ::: "memory");
    registers[0x50 / 4] = 1;
    while (used.index != avail.index) __asm__ volatile("" ::: "memory");
  }
}

void _start(void);

void neighbour(unsigned long hart) {
  /* The other hart does the same, but where it is to be one that is stopped. */
  if (HARTS > 1 && hart == 0 && MODE != IPIS_ELSEWHERE) sbi(0x48534d, 0, 1, (long)_start, 0);
  switch (MODE) {
  case WORK:
    /* Counted where whoever measures looks. */
    __asm__ volatile("1: addi s1, s1, 1\n j 1b");
    break;
  case DEVICE:
    for (;;) (void)UART[5];
  case CALLS:
    for (;;) sbi(0x10, 0, 0, 0, 0);
  case CONSOLE:
    for (;;) UART[0] = 'x';
  case IPIS:
    for (;;) {
      sbi(0x735049, 0, 1l << hart, 0, 0);
      __asm__ volatile("csrci sip, 2");
      sbi(0x52464e43, 1, 1l << hart, 0, 0);
    }
  case TIMERS:
    __asm__ volatile("csrs sie, %0" ::"r"(32));
    for (;;) {
      sbi(0x54494d45, 0, (long)now() + 20, 0, 0);
      __asm__ volatile("wfi");
    }
  case MEMORY:
    /* All that there is, page by page, and what is not there (the access faults, into the handler, which goes on). */
    __asm__ volatile("csrw stvec, %0" ::"r"(&&again));
  again:
    for (volatile uint8_t *at = (volatile uint8_t *)RAM + (1 << 20) * 8;; at += 4096) *at = 1;
  case FRAMES:
    if (hart == 0) frames();
    for (;;) __asm__ volatile("wfi");
  case IPIS_ELSEWHERE:
    for (;;) sbi(0x735049, 0, 2, 0, 0);
  }
  /* What could not be done is not done by waiting. */
  sbi(0x53525354, 0, 0, 0, 0);
}
