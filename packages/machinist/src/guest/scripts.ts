import { virtMap } from '@machinist/boards'

/**
 * What runs in the guest before the shell. `/init` is busybox's `init`: it reaps orphans, and `poweroff`, `reboot` and `halt` work from any
 * shell as they do everywhere. It runs `start` and then `session`, of which the second ends in a shell or in a given command.
 */

/** `/etc/inittab` of busybox. */
export const INITTAB: string = `::sysinit:/etc/machinist/start
::once:/etc/machinist/session
::once:/etc/machinist/power
::ctrlaltdel:/sbin/reboot
::shutdown:/bin/umount -a -r 2>/dev/null
`

/** Where the power button is. */
const POWER = `/sys/bus/platform/devices/${virtMap.power.toString(16)}.virtio_mmio`

/** Has the power button obeyed. Its modules take a tenth of the time to the shell, so they are loaded when there is nothing else to do, and without a word of the kernel. */
export const WATCH_POWER: string = `#!/bin/sh
export PATH=/sbin:/usr/sbin:/bin:/usr/bin
[ -f /machinist/exec ] && exit
exec 2>/dev/null
renice -n 19 -p $$
for modalias in ${POWER}/virtio*/modalias /sys/bus/acpi/devices/LNXPWRBN:*/modalias; do
  [ -f "$modalias" ] || continue
  read level rest </proc/sys/kernel/printk
  dmesg -n 6
  modprobe -q "$(cat "$modalias")"
  modprobe -q evdev
  dmesg -n $level
  renice -n -19 -p $$
  exec acpid -f -l /dev/null
done
`

/** What busybox's `acpid` runs when a power button is pressed. */
export const POWER_PRESSED: string = `#!/bin/sh
exec poweroff
`

/**
 * File systems, names, modules, the network. `machinist.hostname=NAME` on the kernel's command line names it, and `machinist.address=10.0.0.1/24` is what its first network has, in the place of what DHCP
 * would tell. Addresses of IPv6 are used at once: nobody else makes them of this Ethernet address, and waiting
 * to be sure of it (RFC 4862, 5.4) would take the first seconds of a guest that runs one command. Anything may be missing in another machine, so nothing here
 * ends the boot.
 */
export const START: string = `#!/bin/sh
export PATH=/sbin:/usr/sbin:/bin:/usr/bin
/bin/busybox mount -t proc -o nosuid,nodev,noexec proc /proc
/bin/busybox mount -t sysfs -o nosuid,nodev,noexec sys /sys
/bin/busybox mount -t devtmpfs -o mode=0755,nosuid dev /dev
/bin/busybox --install -s
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev shm /dev/shm
mount -t tmpfs -o mode=1777,nosuid,nodev tmp /tmp
mount -t tmpfs -o mode=0755,nosuid,nodev run /run
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
hostname -F /etc/hostname
address=
for word in $(cat /proc/cmdline); do
  case $word in
    machinist.hostname=*) hostname "\${word#*=}" ;;
    machinist.address=*) address=\${word#*=} ;;
  esac
done
ifconfig lo 127.0.0.1 up
modprobe -q virtio_mmio
modprobe -q virtio_pci
power=${POWER}
for class in bus/virtio/devices bus/nd/devices class/input; do
  for device in /sys/$class/*/modalias; do
    name=\${device%/modalias}
    [ -f "$device" ] && [ ! -d "$power/\${name##*/}" ] && modprobe -q "$(cat "$device")"
  done
done 2>/dev/null
for path in /sys/class/net/eth*; do
  [ -e "$path" ] || continue
  name=\${path##*/}
  settings=/proc/sys/net/ipv6/conf/$name
  if [ -d $settings ]; then
    echo 0 >$settings/accept_dad
    echo 0 >$settings/router_solicitation_delay
  fi
  ifconfig "$name" up
  if [ -n "$address" ]; then
    ip addr add "$address" dev "$name"
    address=
    continue
  fi
  case " $(cat /proc/cmdline) " in *' ip=off '*) continue ;; esac
  udhcpc -i "$name" -s /etc/machinist/lease -n -q -t 3 -T 1 >/dev/null 2>&1
done
exit 0
`

/** What udhcpc calls with what it was told of the network. */
export const LEASE: string = `#!/bin/sh
case $1 in
  deconfig) ip -4 addr flush dev $interface 2>/dev/null ;;
  bound|renew)
    [ -n "$mtu" ] && ip link set dev $interface mtu $mtu
    ip addr replace $ip/$mask dev $interface
    for address in $router; do ip route replace default via $address dev $interface; break; done
    : >/etc/resolv.conf
    for address in $dns; do echo "nameserver $address" >>/etc/resolv.conf; done ;;
esac
exit 0
`

/** Ends the machine at once: nothing is left that would want a signal. */
const STOP = `sync
umount -a -r 2>/dev/null
poweroff -f
`

/**
 * The shell, a login shell with job control, on the kernel's console or on that of `machinist.console=hvc0`, which stays open: what is typed before a
 * program reads it would go with the last one that closes it. The size of a serial line comes from the kernel's command line:
 * `machinist.rows=50 machinist.columns=132`; its kind from `TERM=xterm-256color`, which the kernel hands on by itself.
 */
export const SESSION: string = `#!/bin/sh
export PATH=/sbin:/usr/sbin:/bin:/usr/bin HOME=/root LANG=C.UTF-8 USER=root
cd /root
[ -f /machinist/exec ] && exec /etc/machinist/exec
console=$(sed 's/.* //' /sys/class/tty/console/active)
for word in $(cat /proc/cmdline); do
  case $word in machinist.console=*) console=\${word#*=} ;; esac
done
[ -c "/dev/$console" ] && exec <>"/dev/$console" >&0 2>&0
for word in $(cat /proc/cmdline); do
  case $word in
    machinist.rows=*) stty rows "\${word#*=}" ;;
    machinist.columns=*) stty cols "\${word#*=}" ;;
  esac
done 2>/dev/null
stty sane iutf8 2>/dev/null || stty sane
stty crtscts 2>/dev/null
cat /etc/motd
setsid -c /bin/sh -l
${STOP}`

/** `/etc/profile`. */
export const PROFILE: string = `export PATH=/sbin:/usr/sbin:/bin:/usr/bin
PS1='\\u@\\h:\\w\\$ '
umask 022
alias ll='ls -l'
`

/**
 * Runs `/machinist/exec` and sends what it writes to the host; exec.ts describes how. With a port for each stream, one program carries the
 * bytes there. Otherwise each has a pump: it reads what there is and writes it with its header in one write, which neither a terminal nor a
 * virtio port mixes with another (of a port that holds for 32 KiB).
 *
 * When the command has ended but something it left behind holds its output open, whoever carries it and has had nothing to read for a while
 * is told to stop: the exit status must not wait for a forgotten background process.
 */
export const EXEC: string = `#!/bin/sh
work=/run/machinist
mkdir -p $work
token=$(cat /machinist/token)
channel=/dev/console
stream0= stream1= stream2=
for name in /sys/class/virtio-ports/*/name; do
  [ -f "$name" ] || continue
  device=/dev/$(basename "$(dirname "$name")")
  case $(cat "$name") in
    machinist.exec) channel=$device ;;
    machinist.exec.0) stream0=$device ;;
    machinist.exec.1) stream1=$device ;;
    machinist.exec.2) stream2=$device ;;
  esac
done
[ -f /machinist/channel ] && channel=$(cat /machinist/channel)
[ -c "$channel" ] || channel=/dev/console
dmesg -n 1
exec 3<>"$channel"
stty raw -echo <&3 2>/dev/null

pump() {
  count=0
  while :; do
    count=$((count + 1))
    echo "reading $count" >$work/$1.state
    dd bs=32000 count=1 of=$work/$1.data 2>/dev/null
    [ -s $work/$1.data ] || return
    echo "writing $count" >$work/$1.state
    { printf '\\036%s %s %d\\n' "$token" "$1" "$(stat -c %s $work/$1.data)"; cat $work/$1.data; } >$work/$1.frame
    dd bs=65536 count=1 if=$work/$1.frame >&3 2>/dev/null
  done
}

# What process $1, which carries stream $2, is at. The kernel shows the number of the system call that a process waits in: 63 is read, here of 0.
# A pump's child that is on its way to its read, where the machine is slow, may yet find something there.
progress() {
  children=/proc/$1/task/$1/children
  if [ -f $work/$2.state ] && [ -f $children ]; then
    for child in $(cat $children); do sed -n "s/^63 0x0 .*/$(cat $work/$2.state)/p" /proc/$child/syscall; done
  elif [ -f $work/$2.state ]; then
    cat $work/$2.state
  else
    sed 's/^63 /reading &/' /proc/$1/syscall
    cat /proc/$1/io
  fi
}

release() {
  last=
  while usleep 500000; do
    now=$(progress $1 $2 2>/dev/null)
    case $now in reading*) [ "$now" = "$last" ] && kill "$1" && return ;; esac
    last=$now
  done
}

mkfifo $work/1 $work/2
if [ -c "$stream1" ] && [ -c "$stream2" ]; then
  exec 4<>"$stream1" 5<>"$stream2"
  dd bs=65536 <$work/1 >&4 2>/dev/null & out=$!
  dd bs=65536 <$work/2 >&5 2>/dev/null & err=$!
else
  exec 4>/dev/null 5>/dev/null
  pump 1 <$work/1 & out=$!
  pump 2 <$work/2 & err=$!
fi
input=/dev/null
if [ -c "$stream0" ]; then
  input=$work/0
  mkfifo $input
  dd bs=65536 <"$stream0" >$input 2>/dev/null & in=$!
fi
# The input last: who brings it may be at its end at once, and the signal of that would interrupt the opening of another.
/bin/sh /machinist/exec >$work/1 2>$work/2 <$input 3>&- 4>&- 5>&-
status=$?
[ -n "$in" ] && kill $in 2>/dev/null
release $out 1 & one=$!
release $err 2 & two=$!
wait $out
wait $err
kill $one $two 2>/dev/null
sync
umount -a -r 2>/dev/null
for fd in 4 5; do printf '\\036%s x 0\\n' "$token" >&$fd; done
printf '\\036%s x %d\\n' "$token" "$status" >&3
# Linux resets its devices before it goes, with what they have yet to hand over: whoever gave us the ports ends the machine when all is there.
[ -c "$stream1" ] && [ -c "$stream2" ] && while :; do sleep 1000; done
stty raw <&3 2>/dev/null
poweroff -f
`
