#!/bin/sh
# The init of the guests that talk with each other or with the host, in the initial file system of Machinist's own guest: does what that does, and
# takes the address that the kernel's command line gives, where nobody gives one by DHCP.
/bin/sh /etc/machinist/start
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
# From here the console is the marks': a kernel message must not stand in the middle of one.
dmesg -n 1
[ -n "$address" ] && ip addr replace "$address" dev eth0
exec /bench/main "$@"
