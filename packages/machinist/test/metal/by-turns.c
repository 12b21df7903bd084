/*
 * Firmware for tests of two harts under QEMU's -icount, in the place of OpenSBI. QEMU 7.2 gives all instructions until the next timer to the first hart that does not wait, so one that is busy keeps the other from executing. Here the harts have turns of SLOT ticks: a timer of
 * M-mode, of which nothing below knows, ends a turn, and the hart waits for its next. So two harts of half of the hardware's speed execute at the same time, as exactly as SLOT is short, whatever they are at.
 *
 * It serves of SBI what the kernel asks for: HSM, IPI, SRST, the legacy console. Sstc takes the place of its timers.
 */
#include <stdint.h>

enum { HARTS = 2, SLOT = 200 /* of 100 ns */ };

#define MSIP ((volatile uint32_t *)0x2000000)
#define MTIMECMP ((volatile uint64_t *)0x2004000)
#define MTIME (*(volatile uint64_t *)0x200bff8)
#define UART ((volatile uint8_t *)0x10000000)
#define FINISHER (*(volatile uint32_t *)0x100000)
#define KERNEL 0x80200000ul

#define read(csr) ({ unsigned long value_; __asm__ volatile("csrr %0, " #csr : "=r"(value_)::"memory"); value_; })
#define write(csr, value) __asm__ volatile("csrw " #csr ", %0" ::"r"((unsigned long)(value)) : "memory")

/* In mscratch while a hart is below M-mode: where its registers go. The stack lies below it. */
struct frame { unsigned long x[32]; };
__attribute__((aligned(16))) struct { uint8_t stack[1024]; struct frame frame; } stacks[HARTS];
static volatile struct { unsigned long entry, opaque; } starts[HARTS];

__asm__(".section .text.start\n.globl _start\n_start:\n"
        " csrr a0, mhartid\n la t0, stacks\n li t1, 1280\n mul t1, t1, a0\n add t0, t0, t1\n addi sp, t0, 1024\n csrw mscratch, sp\n j firmware\n"
        ".balign 4\ntrap:\n csrrw sp, mscratch, sp\n"
        ".irp r,1,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n sd x\\r, 8*\\r(sp)\n.endr\n"
        " mv a0, sp\n call trapped\n"
        ".irp r,1,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n ld x\\r, 8*\\r(sp)\n.endr\n"
        " csrrw sp, mscratch, sp\n mret\n.text");

enum { M_SOFTWARE = 1 << 3, M_TIMER = 1 << 7 };

/* Until it is this hart's turn. What pends below M-mode would end the wait, so nothing else is enabled meanwhile. */
static void wait_for_turn(void) {
  unsigned long hart = read(mhartid), enabled = read(mie);
  write(mie, M_TIMER);
  for (;;) {
    uint64_t slot = MTIME / SLOT;
    MTIMECMP[hart] = (slot + 1) * SLOT;
    if (slot % HARTS == hart) break;
    __asm__ volatile("wfi");
  }
  write(mie, enabled);
}

static __attribute__((noreturn)) void finish(uint32_t code) {
  for (;;) FINISHER = code;
}

void trapped(struct frame *frame) {
  unsigned long cause = read(mcause), hart = read(mhartid);
  if (cause == (1ul << 63 | 7)) {
    wait_for_turn();
    return;
  }
  if (cause == (1ul << 63 | 3)) {
    MSIP[hart] = 0;
    __asm__ volatile("csrs mip, 2");
    return;
  }
  /* Everything else that can happen is delegated. */
  if (cause != 9) finish(0x3333 | 99 << 16);
  write(mepc, read(mepc) + 4);
  unsigned long *x = frame->x;
  switch (x[17]) {
    case 1:
      UART[0] = (uint8_t)x[10];
      x[10] = 0;
      return;
    case 0x735049:
      for (unsigned i = 0; i < HARTS; i++)
        if (x[11] == -1ul || (i >= x[11] && x[10] >> (i - x[11]) & 1)) MSIP[i] = 1;
      break;
    case 0x48534d:
      if (x[16] != 0 || x[10] >= HARTS) break;
      starts[x[10]].opaque = x[12];
      starts[x[10]].entry = x[11];
      __asm__ volatile("fence" ::: "memory");
      MSIP[x[10]] = 1;
      break;
    case 0x53525354: finish(x[11] ? 0x3333 | 1 << 16 : 0x5555);
    default:
      x[10] = -2ul;
      return;
  }
  x[10] = 0;
}

extern void trap(void);

void firmware(unsigned long hart, uint32_t *fdt) {
  write(mtvec, trap);
  write(pmpaddr0, -1ul);
  write(pmpcfg0, 0x1f);
  /* All but calls from HS-mode. */
  write(medeleg, 0xf0b5ff);
  write(mideleg, 0x222);
  write(mcounteren, -1ul);
  write(0x30a /* menvcfg */, 0xc0000000000000f0);
  unsigned long entry = KERNEL, opaque = (unsigned long)fdt;
  if (hart == 0) {
    /* Memory begins behind us: the reg of /memory, big-endian. */
    for (uint32_t *word = fdt; word < fdt + 0x10000 / 4; word++)
      if (word[0] == 0 && word[1] == 0x80) {
        word[1] = 0x2080;
        uint8_t *size = (uint8_t *)(word + 3);
        if (size[1] < 0x20) size[0]--;
        size[1] -= 0x20;
        break;
      }
  } else {
    write(mie, M_SOFTWARE);
    while (!starts[hart].entry) __asm__ volatile("wfi");
    MSIP[hart] = 0;
    entry = starts[hart].entry;
    opaque = starts[hart].opaque;
  }
  write(mie, M_SOFTWARE | M_TIMER);
  wait_for_turn();
  __asm__ volatile("csrc mstatus, %0\n csrs mstatus, %1" ::"r"(3ul << 11), "r"(1ul << 11 | 1ul << 13));
  write(mepc, entry);
  register unsigned long a0 __asm__("a0") = hart;
  register unsigned long a1 __asm__("a1") = opaque;
  __asm__ volatile("mret" ::"r"(a0), "r"(a1));
  __builtin_unreachable();
}
