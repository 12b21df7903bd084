/*
 * The guest side of the benchmark: /init of an initramfs that holds nothing else. Its arguments (on the kernel's
 * command line after `--`) name the rows to run. marks.h describes how it tells the harness where each starts and ends.
 *
 * Compiled for the host with -DHOST it runs the rows without the marks' pauses: the oracle of the checksums.
 */
#define _GNU_SOURCE
#include "../marks.h"
#include "rows.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
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
  /* As many pointers as fit. */
  { "chase", row_chase, sizeof(void *) == 8 ? UINT64_C(0x41b80) : UINT64_C(0xdf23dc) },
  { "memcpy", row_memcpy, UINT64_C(0x808f75ab20fc18b7) },
  { "nbody", row_nbody, UINT64_C(0x9c6e2b49fc636e1d) },
  { "getpid", row_getpid, UINT64_C(0x30d40) },
  { "forkexec", row_forkexec, UINT64_C(0x12c) },
  { "qsort", row_qsort, UINT64_C(0x3abdb76b0ae3375e) },
  { "calls", row_calls, UINT64_C(0xe3d1b0) },
  { "vm", row_vm, UINT64_C(0xc82fad) },
  { "matrix", row_matrix, UINT64_C(0x68c82df4937d6c04) },
  { "dhry", row_dhry, UINT64_C(0x44c054bf9e10c762) },
  { "diskread", row_diskread, UINT64_C(0xa65e4bc785a80000) },
  { "diskwrite", row_diskwrite, UINT64_C(0x94dc0f6785b59108) },
  { "diskread4k", row_diskread4k, UINT64_C(0x92127f234b62a5e0) },
  { "diskwrite4k", row_diskwrite4k, UINT64_C(0xc7bfc682e431e108) },
};

static int run(const struct row *row) {
  mark("@@bench %s start instret=%" PRIu64 "\n", row->name, instret());
  uint64_t before = instret();
  uint64_t checksum = row->run();
  uint64_t after = instret();
  int ok = checksum == row->expected;
  mark("@@bench %s end instret=%" PRIu64 "\n", row->name, after - before);
  mark("@@bench %s checked checksum=%" PRIx64 " %s\n", row->name, checksum, ok ? "ok" : "bad");
  return ok;
}

#ifndef HOST
/* What the processor has done so far, in ticks: at rest, and in all. */
static int ticks(uint64_t *idle, uint64_t *all) {
  FILE *file = fopen("/proc/stat", "r");
  if (!file) return 0;
  uint64_t spent[8] = { 0 };
  int fields = fscanf(file, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
    &spent[0], &spent[1], &spent[2], &spent[3], &spent[4], &spent[5], &spent[6], &spent[7]);
  fclose(file);
  *idle = spent[3] + spent[4];
  *all = 0;
  for (int i = 0; i < 8; i++) *all += spent[i];
  return fields >= 4;
}

/* The kernel goes on with work of its own behind /init (x86: tests of its ciphers, for hundreds of millions of instructions), which is no row's. Until the processor
   rests for nine tenths of a fifth of a second, or a minute has passed. */
static void wait_for_rest(void) {
  const struct timespec fifth = { .tv_nsec = 200 * 1000 * 1000 };
  uint64_t idle, all, idle_now, all_now;
  for (int i = 0; i < 300; i++) {
    if (!ticks(&idle, &all)) return;
    nanosleep(&fifth, 0);
    if (!ticks(&idle_now, &all_now)) return;
    if (all_now > all && (idle_now - idle) * 10 >= (all_now - all) * 9) return;
  }
}
#endif

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
  mark("@@bench init instret=%" PRIu64 "\n", instret());
#ifndef HOST
  wait_for_rest();
#endif
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
