/* Does one thing over and over, of each kind that leaves a guest: between two marks each, the even one before, ROUNDS times (rows.mjs has their names). */
#include "machine.h"
#include "rows.h"

enum { TIME = 0x54494d45, IPI = 0x735049, DEBUG_CONSOLE = 0x4442434e, CONSOLE_BYTE = 2, RESET = 0x53525354, TIMER = 5, SOFTWARE = 1, EXTERNAL = 9, LSR = 5, REST = 200000 /* 20 ms at 10 MHz */ };

static volatile uint64_t taken;

void interrupted(uint64_t cause) {
  taken++;
  switch (cause & 63) {
    case TIMER:
      sbi(TIME, 0, ~0ul, 0, 0);
      break;
    case SOFTWARE:
      csr_clear(sip, SSIE);
      break;
    case EXTERNAL:
      disk_interrupted();
      break;
    default:
      /* A fault would come again for ever. */
      sbi(RESET, 0, 0, 1, 0);
  }
}

static void row_timer(void) {
  uint64_t before = taken;
  sbi(TIME, 0, csr_read(time), 0, 0);
  while (taken == before) continue;
}

static void row_ipi(void) {
  uint64_t before = taken;
  sbi(IPI, 0, 1, 0, 0);
  while (taken == before) continue;
}

static void row_wait(void) {
  csr_clear(sstatus, SIE);
  uint64_t before = taken;
  sbi(TIME, 0, csr_read(time) + 1000, 0, 0);
  asm volatile("wfi");
  csr_set(sstatus, SIE);
  while (taken == before) continue;
}

static void row_console(void) { sbi(DEBUG_CONSOLE, CONSOLE_BYTE, '.', 0, 0); }
static void row_uart_write(void) { write8(uart_base, '.'); }
static void row_uart_read(void) { read8(uart_base + (LSR << uart_shift)); }
static void row_notify(void) { notify_disk(); }
static void row_disk(void) {
  static uint64_t sector;
  read_disk(sector);
  sector = (sector + 8) % 2048;
}

static void row_compute(void) {
  static uint32_t table[1 << 16];
  uint32_t value = 1;
  for (uint32_t i = 0; i < 1 << 20; i++) {
    value ^= value << 13;
    value ^= value >> 17;
    value ^= value << 5;
    table[value >> 16] += value;
  }
}

/* A while with nothing to do, for what was left for later. */
static void rest(void) {
  unsigned long on = csr_read(sstatus) & SIE;
  csr_clear(sstatus, SIE);
  uint64_t before = taken;
  sbi(TIME, 0, csr_read(time) + REST, 0, 0);
  asm volatile("wfi");
  csr_set(sstatus, SIE);
  while (taken == before) continue;
  if (!on) csr_clear(sstatus, SIE);
}

#define RUN(row, rounds)                         \
  do {                                           \
    row_##row();                                 \
    rest();                                      \
    MARK(MARK_REST);                             \
    rest();                                      \
    MARK(MARK_##row);                            \
    for (int i = 0; i < (rounds); i++) row_##row(); \
    MARK(MARK_##row + 1);                        \
    rest();                                      \
    MARK(MARK_REST);                             \
  } while (0)

void main(const void *tree) {
  bool found = find_machine(tree);
  csr_set(sie, SSIE | STIE);
  csr_set(sstatus, SIE);
  RUN(timer, ROUNDS);
  RUN(ipi, ROUNDS);
  RUN(wait, ROUNDS);
  RUN(console, ROUNDS);
  if (found) {
    RUN(uart_write, ROUNDS);
    RUN(uart_read, ROUNDS);
  }
  RUN(compute, COMPUTE_ROUNDS);
  if (found && open_disk()) {
    RUN(notify, ROUNDS);
    csr_clear(sstatus, SIE);
    RUN(disk, ROUNDS);
  }
  MARK(MARK_END);
  sbi(RESET, 0, 0, 0, 0);
  for (;;) asm volatile("wfi");
}
