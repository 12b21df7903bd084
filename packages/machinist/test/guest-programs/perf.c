/* Counts with Linux's perf events: instructions and cycles of a loop, and fences that its kernel asks of other harts. */
#define _GNU_SOURCE
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int counter(unsigned type, unsigned long config) {
  struct perf_event_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.size = sizeof attr;
  attr.type = type;
  attr.config = config;
  attr.disabled = 1;
  return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

static volatile int go = 1, there;

static void *spin(void *none) {
  pin(1);
  there = 1;
  while (go) {}
  return none;
}

static void loop(void) {
  for (unsigned long i = 0; i < 1000000; i++) __asm__ volatile("");
}

static void fences(void) {
  char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 100; i++) {
    *page = i;
    madvise(page, 4096, MADV_DONTNEED);
  }
}

static void count(const char *name, unsigned type, unsigned long config, void (*work)(void)) {
  long value = -1;
  int fd = counter(type, config);
  if (fd < 0) {
    perror(name);
    return;
  }
  ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
  work();
  ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
  long again = 0;
  if (read(fd, &value, sizeof value) != sizeof value || read(fd, &again, sizeof again) != sizeof again) perror("read");
  printf("%s %ld %s\n", name, value, again == value ? "stopped" : "runs on");
  close(fd);
}

int main(void) {
  pthread_t other;
  pin(0);
  pthread_create(&other, 0, spin, 0);
  while (!there) sched_yield();
  count("instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, loop);
  count("cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, loop);
  count("instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, loop);
  /* SBI_PMU_FW_SFENCE_VMA_ASID_SENT; bit 63 says that it is a firmware event. */
  count("fences", PERF_TYPE_RAW, 1UL << 63 | 12, fences);
  count("misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES, loop);
  go = 0;
  pthread_join(other, 0);
  return 0;
}
