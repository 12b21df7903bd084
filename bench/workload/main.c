/*
 * The guest side of the benchmark: /init of an initramfs that holds nothing else. Its arguments (on the kernel's
 * command line after `--`) name the rows to run. On the console it tells the harness where each row starts and ends:
 *
 *   @@bench init instret=N
 *   @@bench NAME start instret=N
 *   @@bench NAME end instret=N checksum=X ok|bad
 *   @@bench done
 *
 * After each mark it waits until the console has sent it and then sleeps, so that the harness reads the emulator's
 * CPU time while the machine is idle. N is the hart's count of retired instructions, 0 where the kernel hides it.
 *
 * Compiled for the host with -DHOST it runs the rows without the marks' pauses: the oracle of the checksums.
 */
#define _GNU_SOURCE
#include "rows.h"
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

static const struct row {
  const char *name;
  uint64_t (*run)(void);
  uint64_t expected;
} rows[] = {
  { "sieve", row_sieve, UINT64_C(0x3fa306) },
  { "crc32", row_crc32, UINT64_C(0x3030d2c) },
  { "sha256", row_sha256, UINT64_C(0x700b9b1fcb73ac68) },
  { "chase", row_chase, UINT64_C(0x41b80) },
  { "memcpy", row_memcpy, UINT64_C(0x808f75ab20fc18b7) },
  { "nbody", row_nbody, UINT64_C(0x9c6e2b49fc636e1d) },
  { "getpid", row_getpid, UINT64_C(0x30d40) },
  { "forkexec", row_forkexec, UINT64_C(0x12c) },
  { "qsort", row_qsort, UINT64_C(0x3abdb76b0ae3375e) },
  { "calls", row_calls, UINT64_C(0xe3d1b0) },
  { "vm", row_vm, UINT64_C(0xc82fad) },
  { "matrix", row_matrix, UINT64_C(0x68c82df4937d6c04) },
  { "dhry", row_dhry, UINT64_C(0x44c054bf9e10c762) },
};

#ifdef __riscv
static sigjmp_buf refused;
static void on_illegal(int signal) { (void)signal; siglongjmp(refused, 1); }

/* Linux shows the counters to programs only where it is told to, and only when a PMU driver is there at all. */
static int instret_readable(void) {
  int file = open("/proc/sys/kernel/perf_user_access", O_WRONLY);
  if (file >= 0) {
    if (write(file, "2", 1) != 1) { /* not offered by this kernel: the read below decides */ }
    close(file);
  }
  struct sigaction action = { .sa_handler = on_illegal }, before;
  sigaction(SIGILL, &action, &before);
  volatile int readable = 0;
  if (sigsetjmp(refused, 1) == 0) {
    uint64_t value;
    __asm__ volatile("rdinstret %0" : "=r"(value));
    readable = 1;
  }
  sigaction(SIGILL, &before, 0);
  return readable;
}

static uint64_t instret(void) {
  static int readable = -1;
  if (readable < 0) readable = instret_readable();
  uint64_t value = 0;
  if (readable) __asm__ volatile("rdinstret %0" : "=r"(value));
  return value;
}
#else
static uint64_t instret(void) { return 0; }
#endif

/* Writes a whole line, waits until the console has sent it, and rests while the harness takes its sample. */
static void mark(const char *line) {
  size_t left = strlen(line);
  while (left > 0) {
    ssize_t wrote = write(1, line, left);
    if (wrote <= 0) return;
    line += wrote;
    left -= (size_t)wrote;
  }
#ifndef HOST
  tcdrain(1);
  const struct timespec rest = { .tv_nsec = 40 * 1000 * 1000 };
  nanosleep(&rest, 0);
#endif
}

static int run(const struct row *row) {
  char line[160];
  snprintf(line, sizeof line, "@@bench %s start instret=%" PRIu64 "\n", row->name, instret());
  mark(line);
  uint64_t before = instret();
  uint64_t checksum = row->run();
  uint64_t after = instret();
  int ok = checksum == row->expected;
  snprintf(line, sizeof line, "@@bench %s end instret=%" PRIu64 " checksum=%" PRIx64 " %s\n", row->name, after - before, checksum, ok ? "ok" : "bad");
  mark(line);
  return ok;
}

int main(int count, char **argument) {
  if (count > 1 && strcmp(argument[1], "--end") == 0) return 42;
#ifndef HOST
  mkdir("/proc", 0555);
  mount("proc", "/proc", "proc", 0, 0);
  /* From here the console is ours alone: a kernel message must not stand in the middle of a mark. */
  int printk = open("/proc/sys/kernel/printk", O_WRONLY);
  if (printk >= 0) {
    if (write(printk, "1", 1) != 1) { /* marks may then be broken up; the harness says so */ }
    close(printk);
  }
#endif
  char line[64];
  snprintf(line, sizeof line, "@@bench init instret=%" PRIu64 "\n", instret());
  mark(line);
  int ok = 1;
  for (int i = 1; i < count; i++)
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
      if (strcmp(argument[i], rows[k].name) == 0) ok &= run(&rows[k]);
  mark("@@bench done\n");
#ifndef HOST
  sync();
  reboot(RB_POWER_OFF);
#endif
  return ok ? 0 : 1;
}
