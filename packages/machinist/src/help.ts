import { LIMITS } from '@machinist/translator'

/** What `machinist --help` says. */
export const HELP: string = `machinist - runs virtual machines in this process

Usage:
  machinist [run] [options]                boot Debian's Linux to a shell on a RISC-V machine
  machinist [run] [options] MACHINE-FILE   run the machine that a .json, .mjs or .ts file defines
  machinist [run] [options] DISK           boot the Linux on a disk: a .qcow2, .img, .vmdk … file
  machinist debian build [options]         make a disk with Debian 13, with systemd and ssh
  machinist translate FILE --at ADDRESS    show how guest code becomes WebAssembly
  machinist profile [options] [MACHINE-FILE]
                                           run it, and write where the guest spent its time
  machinist disk info|create|convert|resize|check
                                           work on disk images; see machinist disk --help
  machinist --help | --version

What to boot:
  --kernel PATH        a Linux Image, an ELF file for S-mode such as U-Boot, or flat code that
                       begins at 0x80200000. Without it,
                       Debian 13's kernel and a small user land are fetched once and cached.
                       'none' starts the firmware alone.
  --initrd PATH        the kernel's initial file system
  --append TEXT        the kernel's command line (added to ours for the Debian guest)
  --firmware PATH      M-mode firmware such as OpenSBI, instead of the built-in SBI
  --firmware none      no firmware and no SBI: the kernel is started in M-mode, at its entry
                       point or, as flat code, at 0x80000000

The machine:
  --memory SIZE        RAM, such as 512M or 2G; 256M by default
  --harts N            1 to 8 harts; 1 by default
  --virtio mmio|pci    where disks and other virtio devices are; mmio by default, which has
                       room for 8; mmio-legacy is for drivers of version 1 alone
  --interrupts plic|aia
                       the interrupt controller: a PLIC by default; with aia, PCI devices send
                       messages (MSI-X). Not with --firmware.
  --disk PATH          a disk image, /dev/vda in the guest: raw, qcow2 or another; or the URL
                       of one, with ,ro or ,overlay. Repeat for more.
  --disk PATH,ro       the same, read-only
  --disk PATH,overlay  the same, with writes kept in memory and forgotten at the end
                       Also ,format=raw to take it as it is, ,snapshot=NAME, ,files=any to let it
                       name files outside its folder, and ,lock=off not to lock it. A comma of the
                       path may be doubled: 'a,,ro' is the path a,ro
  --disk PATH,bps=20M,iops=500  no more than so many bytes and requests in a second; an idle
                       disk does a tenth of that at once, or bps-burst= and iops-burst=
  --balloon SIZE       a memory balloon, into which the guest is to put SIZE, such as 64M, or 0.
                       What it gives up or reports as free goes back to the host. Behind
                       commas: reporting=off; oom=off, to keep it when the guest runs out
  --pmem PATH          a disk image, of a multiple of 2 MiB, as persistent memory: /dev/pmem0. What
                       may follow --disk PATH may follow it. Repeat for more.
  --share PATH         a folder of the host: mount -t 9p share /mnt in the guest. Repeat for more.
  --share PATH:TAG,ro  the same, read-only, as TAG
  --vsock PATH         sockets between guest (CID 3) and host: port P of the host is the socket
                       PATH_P; at PATH a program says "CONNECT P" to reach port P of the guest
  --net nat            a network in user mode: addresses, names, and the world behind this host,
                       but neither this host itself nor link-local addresses. The default.
  --net nat,forward=tcp:127.0.0.1:2222-:22,allow=tcp:127.0.0.1:8080,deny=10.0.0.0/8
                       with a port of this host that leads to the guest, and with what may be
                       reached; also mode=host-only|isolated, service=, mtu=, network=, resolver=
  --net tap=NAME       a TAP device of Linux
  --net none           no network

A DISK is an ext4 file system with a kernel in /boot, /dev/vda in the guest, which has 1G of RAM by
default. It is a .qcow2, .img, .raw, .ext4, .vmdk, .vdi, .vhd or .vhdx file, or the URL of one,
and may be followed by what may follow --disk PATH. --kernel and --initrd replace its own.

How to run:
  --exec CMD           run CMD in the Debian guest, write only its output, and end with its status
  --quiet              no progress, and no kernel messages
  --stats              instructions, speed and times on standard error, at the end and, where
                       no terminal is in the way, every second

Disks with Debian, installed once from the mirror that this system's apt uses, and cached:
  --output PATH        the disk to write, in the format that its name ends with, such as .qcow2
                       or .img (raw); debian.qcow2 by default
  --size SIZE          of the disk; 4G by default. The file takes what is in it.
  --packages A,B       packages besides the usual ones
  --hostname NAME      debian by default
  --root-password TEXT root's password; without one, root needs none at the console
  --ssh-key PATH       public keys that may log in as root. A key itself will do. Repeat for more.
  --fresh              install anew, with what the mirror has now

What to translate: FILE is a RISC-V ELF file, a Linux Image or a flat binary.
  --at ADDRESS         where to begin: a hexadecimal address, or a symbol of an ELF file. The code
                       that can be reached from there in its page of 4 KiB is translated.
  --base ADDRESS       where a flat file lies; 0x80000000, or what an Image says with RAM there
  --instructions N     translate no more than N instructions; ${LIMITS.enough}, and on to the next jump
  --wasm PATH          write the WebAssembly module there

Profiles, for speedscope, Chrome's DevTools and Visual Studio Code:
  --out PATH           the file to write; guest.cpuprofile by default
  --symbols PATH       names of the guest's code: an ELF file, System.map or /proc/kallsyms.
                       Repeat for more.
  --symbols PATH@0xN   the same, with N added to every address in it
  --rate N             samples in a second of a hart's running; 1000 by default

At the terminal every key goes to the guest, Ctrl-C included, but for these:
  Ctrl-A X  leave, as pulling the plug     Ctrl-A H  help     Ctrl-A A  send Ctrl-A

Exit status: what the guest gives when it powers off (0 for poweroff); that of CMD with --exec;
1 for an error, 2 for a mistake in the command line.

Examples:
  machinist
  machinist --exec 'uname -a; cat /proc/cpuinfo'
  machinist --harts 4 --memory 1G --disk disk.img,overlay
  machinist --net nat,forward=tcp:127.0.0.1:2222-:22
  machinist debian build --packages git --ssh-key ~/.ssh/id_ed25519.pub && machinist debian.qcow2
  machinist --firmware fw_dynamic.bin --kernel uboot.elf
  machinist translate program.elf --at main --instructions 40
  machinist profile --symbols kallsyms --exec 'find / | sha256sum'

Environment: MACHINIST_CACHE names the folder of the cache.
`
