import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Unmet } from '../scripts/lib/say.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const cache = join(here, '../node_modules/.cache/machinist/bench')
const cross = 'riscv64-linux-gnu-'

// No contraction to fused multiply-add, so that n-body's checksum is the same number on every machine.
const flags = ['-O2', '-static', '-Wall', '-Wextra', '-Werror', '-ffp-contract=off', '-march=rv64gc', '-mabi=lp64d']

/** Builds the C workload and an initramfs that holds it as /init; returns the archive's path. */
export function buildLinuxWorkload() {
  const folder = join(here, 'workload')
  const sources = readdirSync(folder).sort().map((name) => join(folder, name))
  const tree = join(cache, 'initramfs')
  const archive = join(cache, 'initramfs.cpio')
  if (newer(archive, [...sources, fileURLToPath(import.meta.url)])) return archive
  mkdirSync(tree, { recursive: true })
  command(`${cross}gcc`, [...flags, '-o', join(tree, 'init'), ...sources.filter((name) => name.endsWith('.c')), '-lm'])
  command('cpio', ['--quiet', '-o', '-H', 'newc', '-R', '0:0', '-F', archive], { cwd: tree, input: '.\ninit\n' })
  return archive
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

/** @param {string} name @param {readonly string[]} args @param {{ cwd?: string, input?: string }} [options] */
function command(name, args, options = {}) {
  const result = spawnSync(name, [...args], { ...options, encoding: 'utf8' })
  if (result.status !== 0) throw new Unmet(`bench: ${name} failed: ${result.error?.message ?? result.stderr.trim()}`)
}
