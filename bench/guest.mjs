import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Unmet } from '../scripts/lib/say.mjs'

const here = dirname(fileURLToPath(import.meta.url))
/** Where what is built is kept. */
export const cache = join(here, '../node_modules/.cache/machinist/bench')
const marks = [join(here, 'marks.c'), join(here, 'marks.h')]
/** Bytes; workload/disk.c has it too. */
const PLAIN_DISK = 128 * 2 ** 20
const cross = 'riscv64-linux-gnu-'

// No contraction to fused multiply-add, so that n-body's checksum is the same number on every machine.
const common = ['-O2', '-static', '-Wall', '-Wextra', '-Werror', '-ffp-contract=off']
/**
 * The compiler of each instruction set, and what it is told.
 * @type {Readonly<Record<import('./options.mjs').Architecture, { readonly gcc: string, readonly flags: readonly string[] }>>}
 */
const compilers = {
  riscv64: { gcc: `${cross}gcc`, flags: [...common, '-march=rv64gc', '-mabi=lp64d'] },
  amd64: { gcc: 'x86_64-linux-gnu-gcc', flags: [...common, '-march=x86-64', '-fcf-protection=none'] },
  // With SSE2, so that numbers are the same ones.
  i386: { gcc: 'i686-linux-gnu-gcc', flags: [...common, '-march=pentium4', '-mfpmath=sse', '-fcf-protection=none'] },
}

/**
 * Builds the C workload and an initramfs that holds it as /init; returns the archive's path.
 * @param {import('./options.mjs').Architecture} [architecture]
 */
export function buildLinuxWorkload(architecture = 'riscv64') {
  const folder = join(here, 'workload')
  const sources = [...files(folder), ...marks]
  const name = architecture === 'riscv64' ? 'initramfs' : `initramfs-${architecture}`
  const archive = join(cache, `${name}.cpio`)
  if (newer(archive, [...sources, fileURLToPath(import.meta.url)])) return archive
  const tree = emptyFolder(name)
  compile(join(tree, 'init'), sources, architecture)
  writeArchive(tree, archive)
  return archive
}

/**
 * Builds an initramfs that adds the runner of Debian's programs, and their rows, to that of another guest; returns its path.
 * @param {string} base
 */
export function buildRealRows(base) {
  const folder = join(here, 'real')
  const rows = files(join(folder, 'rows'))
  return buildOver('real', base, join(folder, 'init.sh'), [join(folder, 'main.c'), ...marks], rows)
}

/**
 * Builds an initramfs that adds the C workload to that of another guest, which has drivers of disks; returns its path.
 * @param {string} base
 */
export function buildDiskRows(base) {
  return buildOver('disk', base, join(here, 'disk/init.sh'), [...files(join(here, 'workload')), ...marks], [])
}

/**
 * Builds an initramfs that adds to another one the folder /bench: `init`, `main`, and scripts; returns its path.
 * @param {string} name
 * @param {string} base
 * @param {string} init
 * @param {readonly string[]} sources of `main`
 * @param {readonly string[]} rows
 */
function buildOver(name, base, init, sources, rows) {
  const archive = join(cache, `${name}.cpio`)
  if (newer(archive, [base, init, ...rows, ...sources, fileURLToPath(import.meta.url)])) return archive
  const tree = emptyFolder(name)
  mkdirSync(join(tree, 'bench/rows'), { recursive: true })
  compile(join(tree, 'bench/main'), sources)
  copyFileSync(init, join(tree, 'bench/init'))
  chmodSync(join(tree, 'bench/init'), 0o755)
  for (const row of rows) copyFileSync(row, join(tree, 'bench/rows', basename(row)))
  const added = join(cache, `${name}-rows.cpio`)
  writeArchive(tree, added)
  // Linux unpacks one archive after the other; each begins at a multiple of four bytes.
  const first = readFileSync(base)
  writeFileSync(archive, Buffer.concat([first, Buffer.alloc(-first.length & 3), readFileSync(added)]))
  return archive
}

/**
 * Builds an initramfs that adds the program of the rows of the network to that of another guest; returns its path.
 * @param {string} base
 */
export function buildNetGuest(base) {
  return buildOver('net', base, join(here, 'net/init.sh'), [join(here, 'net/main.c'), ...marks], [])
}

/** Makes the disk of the rows that read and write one: each sector begins with a number that follows from its place. */
export function buildPlainDisk() {
  const disk = join(cache, 'plain.img')
  mkdirSync(cache, { recursive: true })
  const bytes = Buffer.alloc(PLAIN_DISK)
  for (let sector = 0; sector < PLAIN_DISK / 512; sector++) bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(sector + 1) * 0x9e3779b97f4a7c15n), sector * 512)
  writeFileSync(disk, bytes)
  return disk
}

/** @param {string} product @param {readonly string[]} sources @param {import('./options.mjs').Architecture} [architecture] */
function compile(product, sources, architecture = 'riscv64') {
  const { gcc, flags } = compilers[architecture]
  command(gcc, [...flags, '-o', product, ...sources.filter((name) => name.endsWith('.c')), '-lm'])
}

/** @param {string} tree @param {string} archive */
function writeArchive(tree, archive) {
  const names = ['.', ...readdirSync(tree, { recursive: true })].join('\n')
  command('cpio', ['--quiet', '-o', '-H', 'newc', '-R', '0:0', '-F', archive], { cwd: tree, input: `${names}\n` })
}

/** @param {string} name */
function emptyFolder(name) {
  const folder = join(cache, name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  return folder
}

/** @param {string} folder */
function files(folder) {
  return readdirSync(folder).sort().map((name) => join(folder, name))
}

/** Assembles the smallest guest as a flat Image; returns its path. */
export function buildBareWorkload() {
  const source = join(here, 'bare/start.S')
  const image = join(cache, 'start.bin')
  if (newer(image, [source, fileURLToPath(import.meta.url)])) return image
  mkdirSync(cache, { recursive: true })
  const elf = join(cache, 'start.elf')
  command(`${cross}gcc`, ['-nostdlib', '-static', '-fno-pic', '-march=rv64g', '-mabi=lp64d', '-Wl,-Ttext=0x80200000,--build-id=none', '-o', elf, source])
  command(`${cross}objcopy`, ['-O', 'binary', '-j', '.text', elf, image])
  return image
}

/** @param {string} product @param {readonly string[]} sources */
function newer(product, sources) {
  return existsSync(product) && sources.every((source) => statSync(source).mtimeMs < statSync(product).mtimeMs)
}

/**
 * Runs a program to its end, and returns what it printed.
 * @param {string} name
 * @param {readonly string[]} args
 * @param {{ cwd?: string, input?: string }} [options]
 */
export function command(name, args, options = {}) {
  const result = spawnSync(name, [...args], { ...options, encoding: 'utf8' })
  if (result.status !== 0) throw new Unmet(`bench: ${name} failed: ${result.error?.message ?? result.stderr.trim()}`)
  return result.stdout
}
