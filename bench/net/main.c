/*
 * Moves bytes by TCP, in blocks of 64 KiB of which each begins with its number. Its arguments name what to do:
 *
 *   NAME=up:BLOCKS:ADDRESS:PORT     a row: sends blocks to ADDRESS, which answers how many were right (8 bytes, little-endian)
 *   NAME=down:BLOCKS:ADDRESS:PORT   a row: takes blocks from ADDRESS until the end
 *   serve=PORT                      takes what one `up` sends, and answers
 *
 * marks.h describes how it tells the harness where a row starts and ends.
 */
#define _GNU_SOURCE
#include "../marks.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 65536 };
static uint64_t block[BLOCK / 8];

static struct sockaddr_in place(const char *address, int port) {
  struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
  inet_pton(AF_INET, address, &at.sin_addr);
  return at;
}

/* A connection; the other end may not be there yet. */
static int dial(const char *address, int port) {
  struct sockaddr_in at = place(address, port);
  for (int tries = 0; tries < 600; tries++) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, (struct sockaddr *)&at, sizeof at) == 0) return s;
    close(s);
    usleep(100 * 1000);
  }
  return -1;
}

static void put(int s, uint64_t count) {
  for (uint64_t index = 0; index < count; index++) {
    block[0] = index;
    for (size_t at = 0; at < BLOCK;) {
      ssize_t wrote = send(s, (char *)block + at, BLOCK - at, MSG_NOSIGNAL);
      if (wrote <= 0) return;
      at += (size_t)wrote;
    }
  }
}

/* Reads to the end; how many blocks were right. */
static uint64_t take(int s) {
  uint64_t right = 0, index = 0;
  size_t at = 0;
  for (ssize_t got; (got = read(s, (char *)block + at, BLOCK - at)) > 0;) {
    at += (size_t)got;
    if (at < BLOCK) continue;
    if (block[0] == index) right++;
    index++;
    at = 0;
  }
  return at == 0 ? right : 0;
}

static void serve(int port) {
  struct sockaddr_in at = place("0.0.0.0", port);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&at, sizeof at);
  listen(listener, 1);
  int s = accept(listener, 0, 0);
  uint64_t right = take(s);
  if (write(s, &right, sizeof right) != sizeof right) puts("nobody waits for the answer");
  close(s);
}

static void row(const char *name, const char *way, uint64_t count, const char *address, int port) {
  int s = dial(address, port);
  uint64_t right = 0;
  mark("@@bench %s start instret=%" PRIu64 "\n", name, instret());
  uint64_t before = instret();
  if (strcmp(way, "up") == 0) {
    put(s, count);
    shutdown(s, SHUT_WR);
    if (recv(s, &right, sizeof right, MSG_WAITALL) != sizeof right) right = 0;
  } else {
    right = take(s);
  }
  mark("@@bench %s end instret=%" PRIu64 "\n", name, instret() - before);
  mark("@@bench %s checked checksum=%" PRIx64 " %s\n", name, right, right == count ? "ok" : "bad");
  close(s);
}

int main(int count, char **argument) {
  mark("@@bench init instret=%" PRIu64 "\n", instret());
  for (int i = 1; i < count; i++) {
    char name[32], way[8], address[32];
    int blocks, port;
    if (sscanf(argument[i], "serve=%d", &port) == 1) serve(port);
    else if (sscanf(argument[i], "%31[^=]=%7[^:]:%d:%31[^:]:%d", name, way, &blocks, address, &port) == 5) row(name, way, (uint64_t)blocks, address, port);
  }
  mark("@@bench done\n");
  reboot(RB_POWER_OFF);
  return 0;
}
