/*
 * The marks by which a guest tells the harness, on the console, where a row starts and ends:
 *
 *   @@bench init instret=N
 *   @@bench NAME start instret=N
 *   @@bench NAME end instret=N
 *   @@bench NAME checked checksum=X ok|bad [work=N]
 *   @@bench done
 *
 * N of `instret` is the hart's count of retired instructions, at the end those of the row; 0 where the kernel hides it.
 * N of `work` says how much the row did, for a row whose amount of work is not fixed.
 */
#ifndef MARKS_H
#define MARKS_H

#include <stdint.h>

/* The hart's count of retired instructions, or 0. Needs /proc. */
uint64_t instret(void);

/*
 * Prints a line, waits until the console has sent it and then sleeps, so that the harness reads the emulator's CPU time
 * while the machine is idle. Compiled for the host with -DHOST it prints and returns.
 */
void mark(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
