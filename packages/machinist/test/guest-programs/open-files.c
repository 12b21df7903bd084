/* What is done with open files of a shared folder, in the current folder. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void must(int result, const char *what, const char *name) {
  if (result < 0) printf("%s %s: %s\n", name, what, strerror(errno));
}

/* Every operation on a file that is open, which has no name any more or a mode that allows nothing. */
static void file(const char *name, mode_t mode, int without_name) {
  struct stat st;
  struct timespec times[2] = {{5, 0}, {7, 0}};
  struct statvfs vfs;
  char bytes[8] = "";
  int fd = open(name, O_CREAT | O_RDWR | O_EXCL, mode);
  must(fd, "open", name);
  if (without_name) must(unlink(name), "unlink", name);
  must(write(fd, "content", 7), "write", name);
  must(ftruncate(fd, 4), "ftruncate", name);
  must(fchmod(fd, 0400), "fchmod", name);
  must(fchown(fd, 0, 0), "fchown", name);
  must(futimens(fd, times), "futimens", name);
  must(fsync(fd), "fsync", name);
  must(fstatvfs(fd, &vfs), "fstatvfs", name);
  must(fstat(fd, &st), "fstat", name);
  must(pread(fd, bytes, sizeof bytes - 1, 0), "pread", name);
  printf("%s %lld %o %ld %lu '%s'\n", name, (long long)st.st_size, st.st_mode & 07777, (long)st.st_mtime, (unsigned long)st.st_nlink, bytes);
  must(ftruncate(fd, 10000), "ftruncate", name);
  must(fstat(fd, &st), "fstat", name);
  if (st.st_size != 10000) printf("%s has %lld bytes\n", name, (long long)st.st_size);
  must(close(fd), "close", name);
}

static void folder(void) {
  struct stat st;
  must(mkdir("d", 0755), "mkdir", "d");
  int fd = open("d", O_RDONLY | O_DIRECTORY);
  must(fd, "open", "d");
  must(rename("d", "e"), "rename", "d");
  must(fchmod(fd, 0711), "fchmod", "d");
  must(rmdir("e"), "rmdir", "e");
  must(fstat(fd, &st), "fstat", "d");
  must(fchmod(fd, 0700), "fchmod", "d");
  must(fsync(fd), "fsync", "d");
  must(fstat(fd, &st), "fstat", "d");
  printf("d %o\n", st.st_mode & 07777);
  must(close(fd), "close", "d");
}

static void wait_for(const char *name) {
  while (access(name, F_OK) != 0) usleep(20000);
}

/* Holds a file open, says so, and when told looks at what became of it, in every way. */
static void hold(const char *name) {
  static char bytes[200000];
  char note[64];
  struct stat st;
  int fd = open(name, O_RDWR);
  must(fd, "open", name);
  must(read(fd, bytes, 5000), "read", name);
  volatile char *map = mmap(0, 65536, PROT_READ, MAP_SHARED, fd, 0);
  char first = map == MAP_FAILED ? '?' : map[0];
  snprintf(note, sizeof note, "held-%s", name);
  close(open(note, O_CREAT | O_WRONLY, 0644));
  snprintf(note, sizeof note, "done-%s", name);
  wait_for(note);
  long long sum = 0, most = 0;
  for (int round = 0; round < 3; round++) {
    for (long at = 0; at < 150000; at += 37777) {
      ssize_t got = pread(fd, bytes, sizeof bytes, at);
      if (got > most) most = got;
      if (got > 0) sum += bytes[got - 1];
    }
    fstat(fd, &st);
    struct stat named;
    stat(name, &named);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  }
  pwrite(fd, "x", 1, 3);
  fsync(fd);
  fstat(fd, &st);
  printf("%s: %lld bytes, read %lld, began with %c\n", name, (long long)st.st_size, most, first);
  close(fd);
  fd = open(name, O_RDONLY);
  ssize_t got = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
  printf("%s anew: %zd %s\n", name, got, got < 0 ? strerror(errno) : "");
  close(fd);
}

int main(int count, char **arguments) {
  setvbuf(stdout, 0, _IOLBF, 0);
  for (int index = 1; index < count; index++) hold(arguments[index]);
  if (count > 1) return 0;
  file("unlinked", 0644, 1);
  file("read-only", 0400, 0);
  file("nothing", 0, 0);
  file("both", 0, 1);
  folder();
  return 0;
}
