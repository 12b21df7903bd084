import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { Unmet, say } from './lib/say.mjs'
import { onPath } from './lib/workspace.mjs'

/**
 * The Debian packages that tests and benchmarks use, in one place: each with a file or command that shows it is there
 * (so that a system other than Debian can bring its own), and what it is for. Tests use them all.
 * @type {readonly { name: string, shows: string, uses: readonly ('bench' | 'metal')[], why: string }[]}
 */
export const debianPackages = [
  { name: 'qemu-system-misc', shows: 'qemu-system-riscv64', uses: ['bench', 'metal'], why: 'QEMU: the oracle of differential tests and the peer of benchmarks' },
  { name: 'qemu-system-x86', shows: 'qemu-system-x86_64', uses: ['bench'], why: 'QEMU: the oracle of devices of a PC, and the peer of benchmarks' },
  { name: 'qemu-system-x86', shows: 'qemu-system-x86_64', uses: [], why: 'QEMU: the oracle of what x86 has for systems' },
  { name: 'opensbi', shows: '/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin', uses: ['bench', 'metal'], why: 'the firmware that QEMU starts, and that ours starts as well' },
  { name: 'gcc-riscv64-linux-gnu', shows: 'riscv64-linux-gnu-gcc', uses: ['bench'], why: 'compiles guest programs' },
  { name: 'libc6-dev-riscv64-cross', shows: '/usr/riscv64-linux-gnu/include/stdio.h', uses: ['bench'], why: 'the C library of guest programs' },
  { name: 'gcc', shows: 'gcc', uses: ['bench', 'metal'], why: "compiles tools of Linux's build, and guest programs for amd64" },
  { name: 'libc6-dev', shows: '/usr/include/elf.h', uses: ['bench', 'metal'], why: 'the C library of these tools' },
  { name: 'gcc-i686-linux-gnu', shows: 'i686-linux-gnu-gcc', uses: ['bench'], why: 'compiles guest programs for i386' },
  { name: 'libc6-dev-i386-cross', shows: '/usr/i686-linux-gnu/include/stdio.h', uses: ['bench'], why: 'the C library of these' },
  { name: 'gcc-riscv64-unknown-elf', shows: 'riscv64-unknown-elf-gcc', uses: ['metal'], why: 'compiles what runs on bare metal' },
  { name: 'picolibc-riscv64-unknown-elf', shows: '/usr/lib/picolibc/riscv64-unknown-elf/lib/libc.a', uses: ['metal'], why: 'the C library there' },
  { name: 'make', shows: 'make', uses: [], why: 'builds modules of Linux' },
  { name: 'u-boot-qemu', shows: '/usr/lib/u-boot/qemu-riscv64_smode/uboot.elf', uses: [], why: 'U-Boot, started on our machine by OpenSBI' },
  { name: 'device-tree-compiler', shows: 'dtc', uses: [], why: 'checks the device trees that we write' },
  { name: 'qemu-utils', shows: 'qemu-io', uses: [], why: 'qemu-img and qemu-io: the oracle of disk image formats' },
  { name: 'e2fsprogs', shows: 'mke2fs', uses: ['bench'], why: 'makes and checks ext4 disks' },
  { name: 'cpio', shows: 'cpio', uses: ['bench'], why: 'writes the initramfs of benchmarks, and reads the archives that we write' },
  { name: 'openssh-client', shows: 'ssh', uses: [], why: 'logs in to Debian on our machine' },
  { name: 'zsh', shows: 'zsh', uses: [], why: 'completes the words of machinist, as bash does' },
  { name: 'fish', shows: 'fish', uses: [], why: 'the same' },
  { name: 'mandoc', shows: 'mandoc', uses: [], why: 'checks the manual page' },
  { name: 'gdb-multiarch', shows: 'gdb-multiarch', uses: [], why: 'debugs guests by the remote protocol' },
  { name: 'chromium', shows: 'chromium', uses: [], why: 'a browser: replays there what was recorded in Node.js' },
  { name: 'xz-utils', shows: 'xz', uses: [], why: 'unpacks kernel modules' },
]

/**
 * Makes sure that the Debian packages of a use are there: installs them as root on Debian, and elsewhere says in one
 * sentence which are missing.
 * @param {'test' | 'bench' | 'metal'} use `test` needs all of them, the others their own
 */
export function ensureDebianPackages(use) {
  const missing = debianPackages
    .filter(({ uses }) => use === 'test' || uses.includes(use))
    .filter(({ shows }) => (shows.startsWith('/') ? !existsSync(shows) : !onPath(shows)))
    .map(({ name }) => name)
  if (missing.length === 0) return
  const list = missing.join(' ')
  if (!onPath('apt-get') || !existsSync('/etc/debian_version')) {
    throw new Unmet(`this system lacks what these Debian packages bring: ${list}; install their equivalents and run the command again.`)
  }
  if (process.getuid?.() !== 0) throw new Unmet(`Debian packages are missing; install them with: sudo apt-get install --no-install-recommends ${list}`)
  say(`Installing the Debian packages ${list} …`)
  // Without a fresh index apt may know none of the packages, or versions that the archive no longer has.
  apt('update', '-q')
  apt('install', '-q', '-y', '--no-install-recommends', ...missing)
}

/** @param {...string} args */
function apt(...args) {
  const result = spawnSync('apt-get', args, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, encoding: 'utf8', maxBuffer: 1 << 26 })
  if (result.status === 0) return
  say(`${result.stdout}${result.stderr}`)
  throw new Unmet(`apt-get ${args[0]} failed (its own message stands above).`)
}
