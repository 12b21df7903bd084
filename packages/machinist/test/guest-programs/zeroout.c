/* `zeroout DEVICE FROM LENGTH`: has the kernel write zeroes to a range of bytes. */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
int main(int argc, char **argv) {
  uint64_t range[2] = { argc > 3 ? strtoull(argv[2], 0, 0) : 0, argc > 3 ? strtoull(argv[3], 0, 0) : 0 };
  int disk = open(argc > 1 ? argv[1] : "", O_RDWR);
  if (disk < 0 || ioctl(disk, BLKZEROOUT, range)) return perror("zeroout"), 1;
  return 0;
}
