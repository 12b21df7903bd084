/* fork, exec of this very program with an argument that makes it end at once, and wait: page tables and page faults. */
#define _GNU_SOURCE
#include "rows.h"
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 300, STATUS = 42 };

uint64_t row_forkexec(void) {
  uint64_t sum = 0;
  for (int i = 0; i < CHILDREN; i++) {
    pid_t child = fork();
    if (child == 0) {
      execl("/init", "/init", "--end", (char *)0);
      _exit(1);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return 0;
    sum += WIFEXITED(status) && WEXITSTATUS(status) == STATUS;
  }
  return sum;
}
