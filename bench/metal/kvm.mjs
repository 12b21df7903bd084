/** The peer: the same guests under KVM of a Debian host, which runs on the same emulated machine, with Debian's QEMU for the devices. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { say } from '../../scripts/lib/say.mjs'
import { cache, command } from '../guest.mjs'
import { HARDWARE, count } from './emulator.mjs'

/** @typedef {Awaited<ReturnType<typeof import('./tools.mjs').tools>>} Tools */

const PACKAGES = ['qemu-system-riscv']
const PROGRAM = 'usr/bin/qemu-system-riscv64'
const LIBRARIES = 'usr/lib/riscv64-linux-gnu'
const LOADER = 'usr/lib/ld-linux-riscv64-lp64d.so.1'
/** QEMU's virtio devices by MMIO, of the version that our guests' drivers know. */
const MACHINE = '-accel kvm -machine virt -cpu host -nodefaults -display none -serial stdio -monitor none -global virtio-mmio.force-legacy=false'

/** What a program of Debian loads: its loader, and the libraries that it and they name. @param {string} tree @param {string} program */
function loaded(tree, program) {
  const found = new Set([program, LOADER])
  for (const file of found) {
    for (const [, name = ''] of command('riscv64-linux-gnu-objdump', ['-p', join(tree, file)]).matchAll(/^ +NEEDED +(\S+)/gm)) {
      if (existsSync(join(tree, LIBRARIES, name))) found.add(`${LIBRARIES}/${name}`)
    }
  }
  return [...found]
}

/**
 * QEMU for the host, as an initial file system; fetched once, and cached.
 * @param {Tools} make
 */
async function emulatorFiles({ cpio, extractDebian }) {
  const archive = join(cache, `kvm-${createHash('sha256').update(PACKAGES.join()).digest('hex').slice(0, 12)}.cpio`)
  if (existsSync(archive)) return archive
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, 'kvm-'))
  try {
    const tree = join(work, 'tree')
    say("Fetching Debian's QEMU for the host …")
    await extractDebian(PACKAGES, tree)
    const files = cpio()
    // Where Debian has them since /lib and /usr/lib are one.
    for (const path of loaded(tree, PROGRAM)) files.file(path.replace(/^usr\/lib/, 'lib'), readFileSync(join(tree, path)), 0o755)
    writeFileSync(join(work, 'archive'), files.toBytes())
    renameSync(join(work, 'archive'), archive)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return archive
}

/**
 * Does not poll before a hart sleeps, which would be counted, and lets the host come to rest first: when all wait, time goes on at once.
 * @param {string} args of QEMU in the host
 */
const init = (args) => `#!/bin/sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s
export PATH=/sbin:/usr/sbin:/bin:/usr/bin
modprobe kvm halt_poll_ns=0
sleep 10
qemu-system-riscv64 ${MACHINE} ${args}
echo "The hypervisor ended with status $?"
poweroff -f
`

/**
 * The marks of guests under KVM; null, with a word why, where its packages cannot be had.
 * @param {Tools} make
 * @param {string} plugin
 * @param {string} folder for what is made
 * @param {Readonly<Record<string, { until: number, args: string, files: Readonly<Record<string, string>> }>>} guests
 *   `args` of QEMU in the host, and paths of the files that it finds in /guest, by their names there
 * @returns {Promise<Readonly<Record<string, import('./emulator.mjs').Mark[]>> | null>}
 */
export async function underKvm(make, plugin, folder, guests) {
  const host = await hostFiles(make).catch((error) => {
    if (!/^guest-/.test(error.code)) throw error
    say(`Without KVM, whose packages cannot be had: ${error.message}`)
  })
  if (!host) return null
  const base = host.initrds.map((path) => readFileSync(path))
  /** @type {Record<string, import('./emulator.mjs').Mark[]>} */
  const found = {}
  for (const [name, { until, args, files }] of Object.entries(guests)) {
    say(`${name}, under KVM …`)
    const own = make.cpio().file('host', init(args), 0o755)
    for (const [file, path] of Object.entries(files)) own.file(`guest/${file}`, readFileSync(path))
    const initrd = join(folder, 'kvm.cpio')
    writeFileSync(initrd, make.concatInitrds([...base, own.toBytes()]))
    found[name] = await count({ plugin, marks: join(folder, 'kvm-marks'), args: ['-m', HARDWARE, '-kernel', host.kernel, '-initrd', initrd, '-append', 'console=ttyS0 quiet rdinit=/host'], until, seconds: 300 })
  }
  return found
}

/** @param {Tools} make */
async function hostFiles(make) {
  const { kernel, initrd } = await make.prepareGuest({ modules: ['kvm'] })
  return { kernel, initrds: [initrd, await emulatorFiles(make)] }
}
