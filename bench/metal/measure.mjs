import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { say } from '../../scripts/lib/say.mjs'
import { root } from '../../scripts/lib/workspace.mjs'
import { cache, command } from '../guest.mjs'
import { HARDWARE, between, count } from './emulator.mjs'
import { underKvm } from './kvm.mjs'
import { END, PROMPT, REST, rows, rowsHeader } from './rows.mjs'
import { tools } from './tools.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const folder = join(cache, 'metal')
const kernelSources = join(root, 'packages/host-metal/native/kernel')
const MEMORY = 256

/** A file of the cache. @param {string} name */
export const place = (name) => join(folder, name)

/** A plugin of QEMU. @param {string} name of its file of C, without the ending */
export function buildPlugin(name) {
  command('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC', '-o', place(`${name}.so`), join(here, `${name}.c`)])
  return place(`${name}.so`)
}

/** The program whose rows are exits; a Linux Image. */
export function buildBare() {
  mkdirSync(folder, { recursive: true })
  writeFileSync(place('rows.h'), rowsHeader())
  const sources = ['start.S', 'main.c', 'machine.c', 'disk.c'].map((name) => join(here, 'guest', name))
  command('riscv64-unknown-elf-gcc', ['--specs=picolibc.specs', '-march=rv64gc', '-mabi=lp64d', '-mcmodel=medany', '-O2', '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-Wno-main', '-ffreestanding', '-msmall-data-limit=0',
    '-nostartfiles', `-I${folder}`, `-I${kernelSources}`, '-T', join(here, 'guest/image.ld'), ...sources, join(kernelSources, 'fdt.c'), '-o', place('bare.elf')])
  command('riscv64-unknown-elf-objcopy', ['-O', 'binary', place('bare.elf'), place('bare')])
  return place('bare')
}

/** A program for Linux that executes the prompt's mark. */
function buildMark() {
  writeFileSync(place('mark.c'), `void _start(void) { __asm__ volatile("slti zero, zero, ${PROMPT}; li a7, 93; li a0, 0; ecall"); }`)
  command('riscv64-linux-gnu-gcc', ['-O2', '-static', '-nostdlib', '-o', place('mark'), place('mark.c')])
  return readFileSync(place('mark'))
}

/**
 * An initial file system whose shell marks the place just before its first prompt.
 * @param {Awaited<ReturnType<typeof tools>>} make @param {string} initrd
 */
function markedInitrd({ cpio }, initrd) {
  const base = readFileSync(initrd)
  const added = cpio().directory('bench').file('bench/mark', buildMark(), 0o755).file('etc/profile', "export PATH=/sbin:/usr/sbin:/bin:/usr/bin\nPS1='\\w\\$ '\n/bench/mark\n").toBytes()
  // Linux unpacks one archive after the other; each begins at a multiple of four bytes.
  writeFileSync(place('initrd.cpio'), Buffer.concat([base, Buffer.alloc(-base.length & 3), added]))
  return place('initrd.cpio')
}

/**
 * An image of one machine.
 * @param {Awaited<ReturnType<typeof tools>>} make @param {string} engine @param {string} name
 * @param {Record<string, unknown>} entry of the machine file
 * @param {(devices: Record<string, unknown>) => Record<string, unknown>} [more] changes its devices
 * @param {boolean} [telling] whether its functions tell that they begin and end
 */
async function buildMachine({ buildImage, fleetOf, imageFiles }, engine, name, entry, more = (devices) => devices, telling = false) {
  const { pools, machines } = await fleetOf({ machines: { guest: entry } }, join(folder, 'machines.json'))
  const changed = machines.map((machine) => 'version' in machine.machine ? { ...machine, machine: { ...machine.machine, devices: /** @type {any} */ (more(machine.machine.devices)) } } : machine)
  const image = await buildImage({ engine, program: join(here, 'program.ts'), root, files: imageFiles({ ...{ pools }, machines: changed }), output: place(name), telling })
  const symbols = command('riscv64-unknown-elf-nm', [`${image.path}.elf`])
  /** @param {string} symbol */
  const address = (symbol) => Number(`0x${new RegExp(`^([0-9a-f]+) . ${symbol}$`, 'm').exec(symbols)?.[1] ?? '0'}`)
  return { ...image, end: address('image_end'), files: address('files_end') - address('files') }
}

/**
 * The image of the bare program.
 * @param {Awaited<ReturnType<typeof tools>>} make @param {string} engine @param {string} bare @param {boolean} [telling]
 */
export const buildProgram = (make, engine, bare, telling = false) => buildMachine(make, engine, telling ? 'bare-telling' : 'bare-machine', { kernel: bare, memory: '64M', net: 'none' }, withDisk, telling)

/** A virtio block device in the place of the first empty slot. @param {Record<string, any>} devices */
function withDisk(devices) {
  const { emptySlots, ...others } = devices
  const [first, ...rest] = emptySlots.at
  const source = 1 + (first - 0x1000_1000) / 0x1000
  return { ...others, disk: { kind: 'virtio-blk', at: first, irq: source, backends: { disk: 'memory' } }, emptySlots: { ...emptySlots, config: { ...emptySlots.config, count: rest.length }, at: rest } }
}

/**
 * Runs all rows.
 * @param {{ profile?: string, kvm: boolean }} options `profile`: file for how often each instruction of the image was executed in the boot; `kvm`: under KVM too
 */
export async function measure({ profile, kvm }) {
  const make = await tools()
  const bare = buildBare()
  const plugin = buildPlugin('count')
  const engine = await make.prepareEngine({})
  const { kernel, initrd } = await make.prepareGuest({})
  const append = make.guestCommandLine({ console: 'ttyS0', quiet: true })
  const marked = markedInitrd(make, initrd)
  const linux = await buildMachine(make, engine, 'linux', { kernel, initrd: marked, append, memory: `${MEMORY}M`, net: 'none' })
  const program = await buildProgram(make, engine, bare)
  writeFileSync(place('disk.img'), new Uint8Array(2 ** 20))

  say('The bare program, without a hypervisor …')
  /** @param {string} file */
  const disk = (file) => ['-drive', `file=${file},if=none,id=disk,format=raw`, '-device', 'virtio-blk-device,drive=disk']
  const bareDirect = await count({ plugin, marks: place('bare-direct'), args: ['-m', '64M', '-kernel', bare, ...disk(place('disk.img'))], until: END, seconds: 60, sleep: true })
  say('The bare program, on the metal …')
  const bareMetal = await count({ plugin, marks: place('bare-metal'), args: ['-m', HARDWARE, '-kernel', program.path], until: END, seconds: 120, imageEnd: program.end })
  say('Debian, without a hypervisor …')
  // What our machine has besides.
  const devices = ['virtio-keyboard-device', 'virtio-rng-device', 'virtio-balloon-device'].flatMap((name) => ['-device', name])
  const linuxDirect = await count({ plugin, marks: place('linux-direct'), args: ['-m', `${MEMORY}M`, '-kernel', kernel, '-initrd', marked, '-append', append, ...devices], until: PROMPT, seconds: 120 })
  say('Debian, on the metal …')
  const linuxMetal = await count({ plugin, marks: place('linux-metal'), args: ['-m', HARDWARE, '-kernel', linux.path], until: PROMPT, seconds: 300, imageEnd: linux.end, ...(profile !== undefined && { profile }) })
  const peer = kvm ? await underKvm(make, plugin, folder, {
    // As an ELF file: without firmware, QEMU puts a flat image at the start of memory.
    'The bare program': { until: END, args: ['-m', '64M', '-kernel', '/guest/bare', ...disk('/guest/disk')].join(' '), files: { bare: place('bare.elf'), disk: place('disk.img') } },
    Debian: { until: PROMPT, args: ['-m', `${MEMORY}M`, '-kernel', '/guest/kernel', '-initrd', '/guest/initrd', '-append', `'${append}'`, ...devices].join(' '), files: { kernel, initrd: marked } },
  }) : null

  const each = rows.map(({ name, what, mark, rounds }) => {
    /** @param {readonly import('./emulator.mjs').Mark[]} marks */
    const of = (marks) => rowOf(marks, mark, rounds)
    return { name, what, direct: of(bareDirect), metal: of(bareMetal), kvm: of(peer?.['The bare program'] ?? []) }
  })
  return {
    rows: each,
    boot: { direct: between(linuxDirect, 0, PROMPT) ?? 0, metal: between(linuxMetal, 0, PROMPT) ?? 0, kvm: between(peer?.['Debian'] ?? [], 0, PROMPT) ?? null, guest: guestOf(linuxMetal) },
    start: { linux: linuxMetal.find(({ mark }) => mark === 0)?.all ?? 0, bare: bareMetal.find(({ mark }) => mark === REST)?.all ?? 0, kvm: peer?.['Debian']?.findLast(({ mark }) => mark === 0)?.all ?? null },
    image: { whole: linux.size, files: linux.files, program: linux.programSize, kernel: statSync(kernel).size },
  }
}

/**
 * What a row takes for each of its rounds, and what it leaves for later: by how much the rest behind it is more than the one before.
 * @param {readonly import('./emulator.mjs').Mark[]} marks @param {number} mark @param {number} rounds
 */
function rowOf(marks, mark, rounds) {
  const start = marks.findIndex((each) => each.mark === mark)
  const [before, begin, end, after] = marks.slice(Math.max(start - 1, 0), start + 3).map(({ all }) => all)
  if (before === undefined || begin === undefined || end === undefined || after === undefined) return { once: null, later: null }
  return { once: Math.round((end - begin) / rounds), later: Math.round(Math.max(0, (after - end) - (begin - before)) / rounds) }
}

/** The guest's own instructions in its boot. @param {readonly import('./emulator.mjs').Mark[]} marks */
function guestOf(marks) {
  const [start, end] = [marks.find(({ mark }) => mark === 0), marks.find(({ mark }) => mark === PROMPT)]
  return start && end ? end.other - start.other : 0
}
