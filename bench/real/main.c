/*
 * Runs the rows that its arguments name, in the root file system of Debian's packages. A row is a shell script,
 * /bench/rows/NAME.sh, that is called three times, each time in the same /tmp, which is empty at first:
 *
 *   prepare  makes what the row needs
 *   run      the work, between the marks that marks.h describes
 *   check    ends with status 0 if the work was done right, and prints a checksum of the result, which must be the same
 *            on every machine, or `work=N`: how much was done
 */
#define _GNU_SOURCE
#include "../marks.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

/* Calls a row's script; 0 if it succeeded. What it prints comes into `output` if that is given, else on the console. */
static int call(const char *row, const char *step, char *output, size_t room) {
  char script[80];
  snprintf(script, sizeof script, "/bench/rows/%s.sh", row);
  int ends[2] = { -1, -1 };
  if (output && pipe(ends) != 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    if (output) {
      dup2(ends[1], 1);
      close(ends[0]);
      close(ends[1]);
    }
    execl("/bin/sh", "sh", script, step, (char *)0);
    _exit(127);
  }
  if (output) {
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; length + 1 < room && (got = read(ends[0], output + length, room - 1 - length)) > 0;) length += (size_t)got;
    output[length] = 0;
    output[strcspn(output, "\n")] = 0;
    close(ends[0]);
  }
  int status = -1;
  while (child > 0 && waitpid(-1, &status, 0) != child) { /* an orphan: this is process 1 */ }
  if (status != 0) printf("%s.sh %s: wait status %#x\n", row, step, (unsigned)status);
  fflush(stdout);
  return status;
}

static void run(const char *row) {
  mount("row", "/tmp", "tmpfs", 0, "mode=1777,size=75%");
  chdir("/tmp");
  int ok = call(row, "prepare", 0, 0) == 0;
  mark("@@bench %s start instret=%" PRIu64 "\n", row, instret());
  uint64_t before = instret();
  ok &= call(row, "run", 0, 0) == 0;
  uint64_t after = instret();
  mark("@@bench %s end instret=%" PRIu64 "\n", row, after - before);
  char result[100] = "";
  ok &= call(row, "check", result, sizeof result) == 0;
  int work = strncmp(result, "work=", 5) == 0;
  mark("@@bench %s checked checksum=%s %s %s\n", row, work || !*result ? "0" : result, ok ? "ok" : "bad", work ? result : "");
  chdir("/");
  umount("/tmp");
}

int main(int count, char **argument) {
  setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
  setenv("HOME", "/root", 1);
  setenv("LC_ALL", "C.UTF-8", 1);
  /* Where an installed Python has its compiled modules the disk has none, and it is read-only. */
  setenv("PYTHONPYCACHEPREFIX", "/tmp/pycache", 1);
  mark("@@bench init instret=%" PRIu64 "\n", instret());
  for (int i = 1; i < count; i++) run(argument[i]);
  mark("@@bench done\n");
  reboot(RB_POWER_OFF);
  return 0;
}
