#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
/* echo listen PORT: sends back what comes, once.  echo connect PORT: stdin there, and the answer to stdout. */
int main(int argc, char **argv) {
  struct sockaddr_vm at = { .svm_family = AF_VSOCK, .svm_port = argc > 2 ? atoi(argv[2]) : 0 };
  int listening = argc > 1 && strcmp(argv[1], "listen") == 0;
  int s = socket(AF_VSOCK, SOCK_STREAM, 0);
  static char data[65536];
  if (s < 0) return perror("socket"), 1;
  at.svm_cid = listening ? VMADDR_CID_ANY : VMADDR_CID_HOST;
  if (listening) {
    if (bind(s, (struct sockaddr *)&at, sizeof at) || listen(s, 1)) return perror("listen"), 1;
    puts("listening");
    fflush(stdout);
    s = accept(s, 0, 0);
    if (s < 0) return perror("accept"), 1;
    for (ssize_t n; (n = read(s, data, sizeof data)) > 0;) for (ssize_t done = 0; done < n;) done += write(s, data + done, n - done);
    return 0;
  }
  if (connect(s, (struct sockaddr *)&at, sizeof at)) return perror("connect"), 1;
  for (ssize_t n; (n = read(0, data, sizeof data)) > 0;) for (ssize_t done = 0; done < n;) done += write(s, data + done, n - done);
  shutdown(s, SHUT_WR);
  for (ssize_t n; (n = read(s, data, sizeof data)) > 0;) if (write(1, data, n) != n) return 1;
  return 0;
}
