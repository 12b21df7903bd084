#!/bin/sh
# The init of the guest that runs Debian's programs, in the initial file system of Machinist's own guest: mounts what that
# mounts, and goes over to the disk, read-only, with this folder in it. Its arguments name the rows.
/bin/sh /etc/machinist/start
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
# From here the console is the marks': a kernel message must not stand in the middle of one.
dmesg -n 1
mount -t ext4 -o ro,noatime /dev/vda /mnt || poweroff -f
for place in proc sys dev run; do mount --move /$place /mnt/$place; done
mount --bind /bench /mnt/bench
exec chroot /mnt /bench/main "$@"
