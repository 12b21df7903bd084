import { COMMON_OPTIONS, type CommandInfo } from './command-line/table.ts'

/** What `machinist run` boots. */
const BOOT = {
  kernel: {
    type: 'string', offers: 'file',
    forms: [['PATH', "for RISC-V a Linux Image, an ELF file for S-mode such as U-Boot, or flat code that begins at 0x80200000; for x86 a bzImage, or an ELF file for multiboot or PVH. Without it, Debian 13's kernel and a small user land are fetched once and cached. 'none' starts the firmware alone."]],
  },
  initrd: { type: 'string', offers: 'file', forms: [['PATH', "the kernel's initial file system"]] },
  append: { type: 'string', forms: [['TEXT', "the kernel's command line (added to ours for the Debian guest)"]] },
  firmware: {
    type: 'string', offers: 'file',
    forms: [
      ['PATH', 'M-mode firmware such as OpenSBI, instead of the built-in SBI'],
      ['PATH', 'with --board pc: a BIOS, in the place of Debian\'s SeaBIOS'],
      ['none', 'no firmware and no SBI: the kernel is started in M-mode, at its entry point or, as flat code, at 0x80000000'],
    ],
  },
} as const

/** What the machine is made of. */
const MACHINE = {
  memory: { type: 'string', forms: [['SIZE', 'RAM, such as 512M or 2G; 256M by default']] },
  harts: { type: 'string', offers: ['1', '2', '4', '8'], forms: [['N', '1 to 8 harts; 1 by default']] },
  arch: {
    type: 'string', offers: ['riscv64', 'x86_64', 'i386'],
    forms: [['riscv64|x86_64|i386', "the instruction set: that of a disk's kernel, or RISC-V; with x86_64 or i386 the machine is a small PC without firmware, and the Debian guest is for that"]],
  },
  board: {
    type: 'string', offers: ['pc'],
    forms: [['pc', "a PC with firmware, Debian's SeaBIOS, which boots the first DISK as it is; with a screen, keyboard and mouse"]],
  },
  virtio: {
    type: 'string', offers: ['mmio', 'pci', 'mmio-legacy'],
    forms: [['mmio|pci', 'where disks and other virtio devices are; mmio by default, which has room for 8 (pci for x86); mmio-legacy is for drivers of version 1 alone']],
  },
  interrupts: {
    type: 'string', offers: ['plic', 'aia'],
    forms: [['plic|aia', 'the interrupt controller: a PLIC by default; with aia, PCI devices send messages (MSI-X). Not with --firmware.']],
  },
  disk: {
    type: 'string', multiple: true, offers: 'file',
    forms: [
      ['PATH', 'a disk image, /dev/vda in the guest: raw, qcow2 or another; or the URL of one, with ,ro or ,overlay. Repeat for more.'],
      ['PATH,ro', 'the same, read-only'],
      ['PATH,overlay', 'the same, with writes kept in memory and forgotten at the end, unless the machine is saved. Also ,format=raw to take it as it is, ,snapshot=NAME, ,files=any to let it name files outside its folder, and ,lock=off not to lock it. A comma of the path may be doubled: \'a,,ro\' is the path a,ro'],
      ['FOLDER,disk=NAME', 'a disk of a datastore; ,full=wait has writes wait while there is no room, instead of an error in the guest'],
      ['PATH,bus=ide', 'with --board pc: on the IDE controller, for systems without drivers for virtio; up to four with those of --cdrom'],
      ['PATH,bus=nvme', 'on an NVMe controller of its own, /dev/nvme0n1 in the guest'],
      ['PATH,bps=20M,iops=500', 'no more than so many bytes and requests in a second; an idle disk does a tenth of that at once, or bps-burst= and iops-burst='],
    ],
  },
  cdrom: {
    type: 'string', multiple: true, offers: 'file',
    forms: [['PATH', 'with --board pc: the image of a compact disc, from which it is booted first. What may follow --disk PATH may follow it. Repeat for more.']],
  },
  balloon: {
    type: 'string',
    forms: [['SIZE', 'a memory balloon, into which the guest is to put SIZE, such as 64M, or 0. What it gives up or reports as free goes back to the host. Behind commas: reporting=off; oom=off, to keep it when the guest runs out']],
  },
  pmem: {
    type: 'string', multiple: true, offers: 'file',
    forms: [['PATH', 'a disk image, of a multiple of 2 MiB, as persistent memory: /dev/pmem0. What may follow --disk PATH may follow it. Repeat for more.']],
  },
  share: {
    type: 'string', multiple: true, offers: 'folder',
    forms: [
      ['PATH', 'a folder of the host: mount -t 9p share /mnt in the guest. Repeat for more.'],
      ['PATH:TAG,ro', 'the same, read-only, as TAG'],
    ],
  },
  vsock: {
    type: 'string', offers: 'file',
    forms: [['PATH', 'sockets between guest (CID 3) and host: port P of the host is the socket PATH_P; at PATH a program says "CONNECT P" to reach port P of the guest']],
  },
  net: {
    type: 'string', multiple: true, offers: ['nat', 'none'],
    forms: [
      ['nat', 'a network in user mode: addresses, names, and the world behind this host, but neither this host itself nor link-local addresses. The default.'],
      ['nat,forward=tcp:127.0.0.1:2222-:22,allow=tcp:127.0.0.1:8080,deny=10.0.0.0/8', 'with a port of this host that leads to the guest, and with what may be reached; also mode=host-only|isolated, service=, mtu=, network=, resolver='],
      ['nat,switch=NAME', 'one network, behind one NAT, for all machines that say the same; switch=NAME for one out of which nothing leads'],
      ['tap=NAME', 'a TAP device of Linux'],
      ['none', 'no network'],
    ],
  },
} as const

/** How the machine is run. */
const HOW = {
  exec: { type: 'string', forms: [['CMD', 'run CMD in the Debian guest with our standard input, write only its output, and end with its status']] },
  console: {
    type: 'string', offers: ['ttyS0', 'hvc0', 'screen'],
    forms: [
      ['ttyS0|hvc0', 'the terminal is a serial line by default; as a virtio console the guest also hears when it changes its size'],
      ['screen', 'with --board pc, by default where the output is a terminal: it shows the screen while that is one of text, and what is typed are keys. Ctrl-A R presses Ctrl-Alt-Delete.'],
    ],
  },
  screenshot: {
    type: 'string', offers: 'file',
    forms: [['FILE.png', 'of a machine with a screen: write what it shows into FILE.png at the end, and whenever SIGUSR2 comes or Ctrl-A P is typed']],
  },
  'input-end': {
    type: 'string', offers: ['eot', 'ignore'],
    forms: [['eot|ignore', "when input that is no terminal ends, Ctrl-D is typed for the Debian guest's shell, which ends the machine; other guests just get no more"]],
  },
  'dump-dtb': {
    type: 'string', offers: 'file',
    forms: [['PATH', 'write the device tree with which the machine would start, and end: a blob; as source where PATH ends with .dts, or with - to standard output']],
  },
  gdb: {
    type: 'string',
    forms: [
      ['[ADDRESS:]PORT', 'let a debugger connect: target remote :PORT in gdb-multiarch. On this host alone unless an address is given; whoever connects rules the machine.'],
      ['PATH', 'the same at a Unix socket; the path has a slash'],
    ],
  },
  'gdb-wait': { type: 'boolean', forms: [['', 'with --gdb: stand still before the first instruction until a debugger says go on']] },
  save: {
    type: 'string', offers: 'file',
    forms: [['FILE', 'Ctrl-A S at the terminal saves the machine into FILE, and ends it: its disks stay as they are then. machinist restore FILE goes on from there. What FILE was before is replaced.']],
  },
  'save-after': { type: 'string', forms: [['SECONDS', 'with --save: the same, by itself, so many seconds after the start']] },
  snapshots: {
    type: 'string', offers: 'folder',
    forms: [['FOLDER', 'keep the machine with its disks in FOLDER, which is made: images stay as they are, and what is written goes there. Ctrl-A T takes a snapshot, or machinist snapshot take FOLDER. With FOLDER alone the machine runs again, or goes on from the snapshot that it was taken back to.']],
  },
  record: {
    type: 'string', offers: 'file',
    forms: [['FILE', 'write all that comes in from outside into FILE: input, packets, what disks answer. machinist replay FILE does the same run again, bit for bit. The time of the machine counts instructions then, a thousand million in a second. What FILE was before is replaced.']],
  },
  quiet: { type: 'boolean', forms: [['', 'no progress, and no kernel messages']] },
  stats: { type: 'boolean', forms: [['', 'instructions, speed and times on standard error, at the end and, where no terminal is in the way, every second']] },
  version: { type: 'boolean', forms: [['', 'show the version of machinist']] },
} as const

/** Options of `machinist profile` alone. */
export const PROFILE_OPTIONS = {
  out: { type: 'string', offers: 'file', forms: [['PATH', 'the file to write; guest.cpuprofile by default']] },
  symbols: {
    type: 'string', multiple: true, offers: 'file',
    forms: [
      ['PATH', "names of the guest's code: an ELF file, System.map or /proc/kallsyms. Repeat for more."],
      ['PATH@0xN', 'the same, with N added to every address in it'],
    ],
  },
  rate: { type: 'string', forms: [['N', "samples in a second of a hart's running; 1000 by default"]] },
} as const

/** Options of `machinist run`. */
export const RUN_OPTIONS: typeof BOOT & typeof MACHINE & typeof HOW & typeof COMMON_OPTIONS = { ...BOOT, ...MACHINE, ...HOW, ...COMMON_OPTIONS }

const GROUPS: CommandInfo['groups'] = [
  { title: 'What to boot', options: BOOT },
  { title: 'The machine', options: MACHINE },
  { title: 'How to run', options: { ...HOW, ...COMMON_OPTIONS } },
]
const DISKS = 'A DISK is an ext4 file system with a kernel in /boot, /dev/vda in the guest, which has 1G of RAM by default. It is a .qcow2, .img, .raw, .ext4, .vmdk, .vdi, .vhd or .vhdx file, or the URL of one, and may be followed by what may follow --disk PATH. --kernel and --initrd replace its own.'

export const RUN_COMMAND: CommandInfo = {
  name: 'run',
  summary: "boot Debian's Linux to a shell, or run another machine",
  usage: [
    ['[options]', "boot Debian's Linux to a shell"],
    ['[options] MACHINE-FILE', 'run the machine that a .json, .mjs or .ts file defines'],
    ['[options] DISK', 'boot the Linux on a disk: a .qcow2, .img, .vmdk … file'],
    ['--board pc [options] [DISK]', 'a PC, whose BIOS boots what is on the disk'],
  ],
  groups: GROUPS,
  offers: 'file',
  notes: [DISKS],
  examples: [
    '',
    "--exec 'uname -a; cat /proc/cpuinfo'",
    '--harts 4 --memory 1G --disk disk.img,overlay',
    '--snapshots vm debian.qcow2',
    '--net nat,forward=tcp:127.0.0.1:2222-:22',
    '--firmware fw_dynamic.bin --kernel uboot.elf',
    '--board pc --memory 64M dos.img',
  ],
}

/** Options of `machinist restore`: what the machine is connected to, and how it is run. */
export const RESTORE_OPTIONS: Pick<typeof MACHINE, 'disk' | 'cdrom' | 'net' | 'share' | 'vsock' | 'pmem' | 'balloon'> & Pick<typeof HOW, 'input-end' | 'save' | 'save-after' | 'record' | 'quiet' | 'stats'> = {
  disk: MACHINE.disk, cdrom: MACHINE.cdrom, net: MACHINE.net, share: MACHINE.share, vsock: MACHINE.vsock, pmem: MACHINE.pmem, balloon: MACHINE.balloon,
  'input-end': HOW['input-end'], save: HOW.save, 'save-after': HOW['save-after'], record: HOW.record, quiet: HOW.quiet, stats: HOW.stats,
}

export const RESTORE_COMMAND: CommandInfo = {
  name: 'restore',
  summary: 'go on with a machine that was saved',
  usage: [['FILE [options]']],
  groups: [{ title: 'In the place of what it was connected to', options: RESTORE_OPTIONS }, { title: 'Options', options: COMMON_OPTIONS }],
  offers: 'file',
  notes: [
    'The machine has the disks, networks and folders that it was started with, by the same paths, unless others are given: all disks anew, or none, as many as before and as large. Disks must hold what they held when it was saved. FILE stays as it is, and any number of machines can go on from it; Ctrl-A S saves into it, or into that of --save.',
  ],
  examples: ['booted.snapshot'],
}

export const PROFILE_COMMAND: CommandInfo = {
  name: 'profile',
  summary: 'run a machine, and write where the guest spent its time',
  usage: [['[options] [MACHINE-FILE|DISK]', "for speedscope, Chrome's DevTools and Visual Studio Code"]],
  groups: [{ title: 'The profile', options: PROFILE_OPTIONS }, ...GROUPS],
  offers: 'file',
  examples: ["--symbols kallsyms --exec 'find / | sha256sum'"],
}
