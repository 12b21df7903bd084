/*
 * A kernel in the style of those that are written to teach, for QEMU's virt machine with two harts: it knows its addresses by heart, looks at all
 * eight virtio slots, insists on magic number and vendor, chooses among the first 32 features alone, takes the PLIC's interrupts, and prints on the
 * UART. -DMACHINE: from M-mode, without firmware. Otherwise below SBI, whose calls of version 0.1 it makes. -DLEGACY: virtio-mmio of version 1.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define REG8(a) (*(volatile u8 *)(u64)(a))
#define REG32(a) (*(volatile u32 *)(u64)(a))
#define REG64(a) (*(volatile u64 *)(u64)(a))
#define read_csr(name) ({ u64 v_; __asm__ volatile("csrr %0, " #name : "=r"(v_)); v_; })
#define write_csr(name, value) __asm__ volatile("csrw " #name ", %0" ::"r"((u64)(value)))
#define set_csr(name, value) __asm__ volatile("csrs " #name ", %0" ::"r"((u64)(value)))
#define clear_csr(name, value) __asm__ volatile("csrc " #name ", %0" ::"r"((u64)(value)))
#define fence() __asm__ volatile("fence iorw, iorw" ::: "memory")

enum { UART = 0x10000000, TEST = 0x100000, RTC = 0x101000, CLINT = 0x2000000, PLIC = 0xc000000, VIRTIO = 0x10001000, ECAM = 0x30000000, UART_IRQ = 10 };
#define MTIMECMP (CLINT + 0x4000)
#define MTIME (CLINT + 0xbff8)

extern void machine_vector(void), supervisor_vector(void), hart_start(void), _start(void);
void supervisor_main(u64 hart, u64 tree);

/* The UART, by polling. */

static void put(char c) {
  while (!(REG8(UART + 5) & 0x20)) {}
  REG8(UART) = c;
}

static void print(const char *text) {
  for (; *text; text++) put(*text);
}

static void hex(u64 value) {
  int shift = 60;
  while (shift > 0 && !(value >> shift)) shift -= 4;
  for (; shift >= 0; shift -= 4) put("0123456789abcdef"[(value >> shift) & 15]);
}

static void say(const char *what, u64 value) {
  print(what);
  print(" = ");
  hex(value);
  put('\n');
}

static void stop(u32 code) {
  REG32(TEST) = code;
  for (;;) {}
}

static void check(int right, const char *what) {
  if (right) return;
  print("panic: ");
  print(what);
  put('\n');
  stop(1 << 16 | 0x3333);
}

static volatile u64 ticks;
#ifdef MACHINE
static volatile u64 others, illegal;
#endif

#ifdef MACHINE
static u8 machine_stack[2][4096] __attribute__((aligned(16)));

void machine_trap(void) {
  u64 cause = read_csr(mcause);
  u64 hart = read_csr(mhartid);
  if (cause == (1UL << 63 | 7)) {
    /* A tick: hand it on to S-mode as a software interrupt. */
    REG64(MTIMECMP + 8 * hart) = -1UL;
    set_csr(mip, 2);
  } else if (cause == (1UL << 63 | 3)) {
    REG32(CLINT + 4 * hart) = 0;
    others += hart;
  } else if (cause == 2) {
    illegal++;
    write_csr(mepc, read_csr(mepc) + 4);
  } else {
    say("machine trap", cause);
    stop(2 << 16 | 0x3333);
  }
}

void machine_main(u64 hart, u64 tree) {
  write_csr(mscratch, (u64)machine_stack[hart + 1]);
  write_csr(mtvec, machine_vector);
  if (hart != 0) {
    set_csr(mie, 1 << 3);
    set_csr(mstatus, 1 << 3);
    for (;;) __asm__ volatile("wfi");
  }
  REG8(UART + 1) = 0;
  REG8(UART + 3) = 0x80;
  REG8(UART) = 3;
  REG8(UART + 1) = 0;
  REG8(UART + 3) = 3;
  REG8(UART + 2) = 0;
  print("\n-- begin\n");
  /* What software asks about before it uses it. */
  write_csr(0x7a0, 0);
  say("tselect", read_csr(0x7a0));
  say("mcountinhibit", read_csr(0x320));
  write_csr(0x323, 0);
  say("mhpmevent3", read_csr(0x323));
  say("mconfigptr", read_csr(0xf15));
  say("illegal", illegal);
  say("misa", (read_csr(misa) >> 62) << 32 | (read_csr(misa) & 0x14112b));
  u64 before = read_csr(mcycle), then = read_csr(minstret);
  check(read_csr(mcycle) > before && read_csr(minstret) > then, "counters stand still");
  check(REG64(MTIME) <= read_csr(time), "time goes back");

  write_csr(pmpaddr0, 0x3fffffffffffffUL);
  write_csr(pmpcfg0, 0xf);
  say("pmpcfg0", read_csr(pmpcfg0));
  write_csr(medeleg, 0xffff);
  write_csr(mideleg, 0xffff);
  say("medeleg", read_csr(medeleg) & 0xb1ff);
  say("mideleg", read_csr(mideleg) & 0xaaa);
  write_csr(mcounteren, 7);
  write_csr(satp, 0);
  set_csr(mie, 1 << 7);
  REG32(CLINT + 4) = 1;
  while (!others) {}
  say("harts that answered", others);
  write_csr(mepc, supervisor_main);
  clear_csr(mstatus, 3 << 11);
  set_csr(mstatus, 1 << 11);
  register u64 a0 __asm__("a0") = hart;
  register u64 a1 __asm__("a1") = tree;
  __asm__ volatile("mret" ::"r"(a0), "r"(a1));
  __builtin_unreachable();
}
#else
static long sbi(u64 extension, u64 function, u64 a, u64 b, u64 c, u64 d) {
  register u64 a0 __asm__("a0") = a;
  register u64 a1 __asm__("a1") = b;
  register u64 a2 __asm__("a2") = c;
  register u64 a3 __asm__("a3") = d;
  register u64 a6 __asm__("a6") = function;
  register u64 a7 __asm__("a7") = extension;
  __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a6), "r"(a7) : "memory");
  return a0;
}
#endif

/* Sv39 with pages of 1 GiB: all as it is, and RAM once more at ALIAS. */

#define ALIAS 0x100000000UL
#define alias(pointer) ((u64)(pointer) - 0x80000000UL + ALIAS)
static u64 root[512] __attribute__((aligned(4096)));

static void paging(void) {
  for (u64 i = 0; i < 3; i++) root[i] = i << 28 | 0xcf;
  root[ALIAS >> 30] = 2UL << 28 | 0xcf;
  write_csr(satp, 8UL << 60 | (u64)root >> 12);
  __asm__ volatile("sfence.vma" ::: "memory");
}

/* The disk: a queue of eight, in one piece so that both versions of the interface can have it. */

struct descriptor { u64 address; u32 length; u16 flags, next; };
struct request { u32 type, reserved; u64 sector; };
static struct {
  struct descriptor descriptors[8];
  struct { u16 flags, index, ring[8], event; } available;
  u8 padding[4096 - 8 * 16 - 22];
  struct { u16 flags, index; struct { u32 id, length; } ring[8]; u16 event; } used;
} queue __attribute__((aligned(4096)));
static struct request request;
static u8 status, data[512];
static u64 disk, disk_irq;

static u32 *slot_register(u64 slot, u32 offset) {
  return (u32 *)(VIRTIO + slot * 0x1000 + offset);
}
#define SLOT(slot, offset) (*(volatile u32 *)slot_register(slot, offset))
#define DISK(offset) SLOT(disk, offset)

static void find_disk(void) {
  disk = 8;
  for (u64 slot = 0; slot < 8; slot++) {
    check(SLOT(slot, 0) == 0x74726976, "no magic");
    check(SLOT(slot, 0xc) == 0x554d4551, "another vendor");
#ifdef LEGACY
    check(SLOT(slot, 4) == 1, "another version");
#else
    check(SLOT(slot, 4) == 2, "another version");
#endif
    u32 id = SLOT(slot, 8);
    print("slot ");
    hex(slot);
    say(" has device", id);
    if (id == 2 && disk == 8) disk = slot;
  }
  check(disk < 8, "no disk");
  disk_irq = 1 + disk;
}

static void start_disk(void) {
  DISK(0x70) = 0;
  DISK(0x70) = 1;
  DISK(0x70) = 3;
  u32 features = DISK(0x10);
  /* Neither read-only, nor SCSI, nor a cache to configure, nor queues, nor any layout, nor what rings may have. */
  features &= ~(1u << 5 | 1u << 7 | 1u << 11 | 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29);
  DISK(0x20) = features;
#ifdef LEGACY
  DISK(0x28) = 4096;
#else
  DISK(0x70) = 11;
  check(DISK(0x70) & 8, "features are refused");
#endif
  DISK(0x30) = 0;
  check(DISK(0x34) >= 8, "a short queue");
  DISK(0x38) = 8;
#ifdef LEGACY
  check(DISK(0x40) == 0, "a queue in use");
  DISK(0x3c) = 4096;
  DISK(0x40) = (u64)&queue >> 12;
  DISK(0x70) = 7;
#else
  check(DISK(0x44) == 0, "a queue in use");
  DISK(0x80) = (u64)queue.descriptors;
  DISK(0x84) = (u64)queue.descriptors >> 32;
  DISK(0x90) = (u64)&queue.available;
  DISK(0x94) = (u64)&queue.available >> 32;
  DISK(0xa0) = (u64)&queue.used;
  DISK(0xa4) = (u64)&queue.used >> 32;
  DISK(0x44) = 1;
  DISK(0x70) = 15;
#endif
  say("sectors", REG64(slot_register(disk, 0x100)));
}

static volatile u64 disk_interrupts;

static void transfer(int write, u64 sector, int wait) {
  request.type = write;
  request.sector = sector;
  status = 0xff;
  queue.descriptors[0] = (struct descriptor){ (u64)&request, sizeof request, 1, 1 };
  queue.descriptors[1] = (struct descriptor){ (u64)data, sizeof data, write ? 1 : 3, 2 };
  queue.descriptors[2] = (struct descriptor){ (u64)&status, 1, 2, 0 };
  queue.available.ring[queue.available.index % 8] = 0;
  fence();
  u16 before = *(volatile u16 *)&queue.used.index;
  queue.available.index++;
  fence();
  DISK(0x50) = 0;
  if (wait) {
    /* Sleeps until the interrupt has come: between the look and the sleep it must not be taken. */
    for (;;) {
      clear_csr(sstatus, 2);
      if (*(volatile u16 *)&queue.used.index != before) break;
      __asm__ volatile("wfi");
      set_csr(sstatus, 2);
    }
    set_csr(sstatus, 2);
    check(disk_interrupts != 0, "no interrupt");
  } else {
    while (*(volatile u16 *)&queue.used.index == before) {}
    DISK(0x64) = DISK(0x60);
  }
  fence();
  if (status != 0) say("status", status);
  check(*(volatile u8 *)&status == 0, "the disk failed");
}

static u64 sum(void) {
  u64 total = 0;
  for (int i = 0; i < 512; i++) total = total * 31 + data[i];
  return total;
}

/* Interrupts. */

static char line[64];
static volatile u64 typed;

#define SENABLE (PLIC + 0x2080)
#define SPRIORITY (PLIC + 0x201000)
#define SCLAIM (PLIC + 0x201004)

void supervisor_trap(void) {
  u64 cause = read_csr(scause);
  if (cause == (1UL << 63 | 1)) {
    clear_csr(sip, 2);
    ticks++;
  } else if (cause == (1UL << 63 | 5)) {
    ticks++;
#ifndef MACHINE
    sbi(0, 0, -1UL, 0, 0, 0);
#endif
  } else if (cause == (1UL << 63 | 9)) {
    u32 claimed = REG32(SCLAIM);
    if (claimed == disk_irq) {
      DISK(0x64) = DISK(0x60) & 3;
      disk_interrupts++;
    } else if (claimed == UART_IRQ) {
      while (REG8(UART + 5) & 1) {
        char c = REG8(UART);
        if (typed < sizeof line) line[typed++] = c;
      }
    } else say("stray interrupt", claimed);
    if (claimed) REG32(SCLAIM) = claimed;
  } else {
    say("supervisor trap", cause);
    say("at", read_csr(sepc));
    stop(3 << 16 | 0x3333);
  }
}

static void wait_for_tick(u64 when) {
  u64 before = ticks;
#ifdef MACHINE
  REG64(MTIMECMP) = when;
#else
  say("set_timer", sbi(0, 0, when, 0, 0, 0));
#endif
  while (ticks == before) {}
  check(read_csr(time) >= when, "an early tick");
}

#ifndef MACHINE
static volatile u64 up;
static u64 mask = 2;

static void calls(void) {
  for (const char *c = "put by SBI\n"; *c; c++) sbi(1, 0, *c, 0, 0, 0);
  /* Hart 1 is started, and waits for a message. The pointer to the mask is virtual. */
  say("hart_start", sbi(0x48534d, 0, 1, (u64)hart_start, 0, 0));
  while (!up) {}
  say("send_ipi", sbi(4, 0, alias(&mask), 0, 0, 0));
  while (up < 2) {}
  say("remote_fence_i", sbi(5, 0, alias(&mask), 0, 0, 0));
  say("remote_sfence_vma", sbi(6, 0, alias(&mask), 0, 4096, 0));
  say("remote_sfence_vma_asid", sbi(7, 0, 0, 0, -1UL, 1));
  clear_csr(sie, 2);
  say("send_ipi to all", sbi(4, 0, 0, 0, 0, 0));
  say("sip", read_csr(sip) & 2);
  sbi(3, 0, 0, 0, 0, 0);
  say("sip after clear_ipi", read_csr(sip) & 2);
  set_csr(sie, 2);
}
#endif

void supervisor_main(u64 hart, u64 tree) {
  write_csr(stvec, supervisor_vector);
#ifndef MACHINE
  if (hart != 0) {
    set_csr(sie, 2);
    up = 1;
    while (!(read_csr(sip) & 2)) __asm__ volatile("wfi");
    up = 2;
    for (;;) __asm__ volatile("wfi");
  }
  print("\n-- begin\n");
#endif
  say("hart", hart);
  say("tree", REG32(tree));
  paging();
  REG32(PLIC + 4 * UART_IRQ) = 1;
  find_disk();
  REG32(PLIC + 4 * disk_irq) = 1;
  REG32(SENABLE) = 1 << UART_IRQ | 1 << disk_irq;
  REG32(SPRIORITY) = 0;
  set_csr(sie, 0x222);
  start_disk();
  set_csr(sstatus, 2);
  say("host bridge", REG32(ECAM));
  say("of class", REG32(ECAM + 8) >> 8);
  check(REG32(RTC) | REG32(RTC + 4), "no wall clock");
  wait_for_tick(read_csr(time) + 1000);
#ifndef MACHINE
  calls();
#endif

  transfer(0, 0, 1);
  say("sector 0", sum());
  for (u64 sector = 1; sector < 20; sector++) {
    for (int i = 0; i < 512; i++) data[i] = data[i] * 5 + sector;
    transfer(1, sector, sector & 1);
  }
  for (u64 sector = 0; sector < 20; sector++) {
    for (int i = 0; i < 512; i++) data[i] = 0;
    transfer(0, sector, sector & 1);
    say("read", sum());
  }

  REG8(UART + 1) = 1;
  print("> ");
  while (!typed || line[typed - 1] != '\n') {}
  print("typed ");
  for (u64 i = 0; i < typed; i++) put(line[i]);
  say("bytes", typed);
  print("-- end\n");
#ifdef MACHINE
  stop(0x5555);
#else
  sbi(8, 0, 0, 0, 0, 0);
#endif
}
