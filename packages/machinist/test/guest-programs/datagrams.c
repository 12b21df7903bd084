/* Sends datagrams of the given sizes to ADDRESS PORT, and says what comes back. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

static unsigned char out[65536], in[65536];

int main(int count, char **arguments) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(arguments[2]))};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = six.sin6_port};
  int is_six = inet_pton(AF_INET6, arguments[1], &six.sin6_addr) == 1;
  if (!is_six) inet_pton(AF_INET, arguments[1], &four.sin_addr);
  int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
  struct timeval patience = {60, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd, is_six ? (void *)&six : (void *)&four, is_six ? sizeof six : sizeof four) < 0) perror("connect");
  for (int index = 0; index < (int)sizeof out; index++) out[index] = index * 7;
  for (int index = 3; index < count; index++) {
    ssize_t size = atoi(arguments[index]);
    ssize_t got = send(fd, out, size, 0) < 0 ? -1 : recv(fd, in, sizeof in, 0);
    if (got < 0) printf("%zd %s\n", size, strerror(errno));
    else printf("%zd %s\n", size, got == size && memcmp(in, out, size) == 0 ? "same" : "other");
  }
  return 0;
}
