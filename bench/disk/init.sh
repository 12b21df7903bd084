#!/bin/sh
# The init of the guest that reads and writes a disk, in the initial file system of Machinist's own guest, which loads the
# modules of disks. Its arguments name the rows.
/bin/sh /etc/machinist/start
# From here the console is the marks': a kernel message must not stand in the middle of one.
dmesg -n 1
exec /bench/main "$@"
