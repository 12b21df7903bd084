/** Images of every format whose process is killed in the middle of writes. What QEMU says of them needs qemu-img (Debian's qemu-utils). */
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { diskFormats, imageDisk } from '@machinist/storage'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openDiskImage, openFile } from '../src/index.ts'
import { fill, sectors, steps } from './killed.ts'

const KILLS = 4
const noQemu = spawnSync('qemu-img', ['--version']).status !== 0
const folder = mkdtempSync(join(tmpdir(), 'machinist-killed-'))
const program = join(folder, 'work.mjs')

beforeAll(() => build({
  entryPoints: [join(import.meta.dirname, 'killed.ts')], outfile: program, bundle: true, platform: 'node', format: 'esm', target: 'node20',
  conditions: ['@machinist/source'], external: ['koffi'], logLevel: 'error', banner: { js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url)" },
}))
afterAll(() => { rmSync(folder, { recursive: true }) })

interface Kind {
  readonly format: string
  /** QEMU's name of the format. */
  readonly qemu: string
  /** What `qemu-img check` can do with it. It does not like the counter that a VDI may be left with, until we have mended that. */
  readonly check: 'repair' | 'look' | 'look when mended' | null
  readonly parameters?: Record<string, string>
  /** QEMU cannot read what was killed before we have opened it again: only we look for the end of what arrived. */
  readonly afterUs?: boolean
}

const kinds: Readonly<Record<string, Kind>> = {
  'raw': { format: 'raw', qemu: 'raw', check: null },
  'qcow2': { format: 'qcow2', qemu: 'qcow2', check: 'repair' },
  'qcow2, small clusters': { format: 'qcow2', qemu: 'qcow2', check: 'repair', parameters: { cluster_size: '512', refcount_bits: '64' } },
  'qcow2, lazy refcounts': { format: 'qcow2', qemu: 'qcow2', check: 'repair', parameters: { lazy_refcounts: 'on' } },
  'vmdk, sparse': { format: 'vmdk', qemu: 'vmdk', check: 'look' },
  'vmdk, extents': { format: 'vmdk', qemu: 'vmdk', check: 'look', parameters: { subformat: 'twoGbMaxExtentSparse' } },
  'vmdk, stream-optimised': { format: 'vmdk', qemu: 'vmdk', check: 'look', parameters: { subformat: 'streamOptimized' }, afterUs: true },
  'vdi': { format: 'vdi', qemu: 'vdi', check: 'look when mended' },
  'vhd': { format: 'vhd', qemu: 'vpc', check: null, parameters: { block_size: '65536' } },
  'vhd, fixed': { format: 'vhd', qemu: 'vpc', check: null, parameters: { subformat: 'fixed' } },
  'vhdx': { format: 'vhdx', qemu: 'vhdx', check: 'repair', parameters: { block_size: '1M' } },
}

/** Runs the program until it has flushed a few times and is in the middle of more; the last step that was flushed. */
async function runAndKill(path: string, format: string, seed: number, from: number): Promise<number> {
  const child = spawn(process.execPath, [program, path, format, String(seed), String(from)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  let ripe = false
  const ended = new Promise((resolve) => { child.on('close', (_, signal) => { resolve(signal) }) })
  child.stdout.on('data', (text) => {
    said += String(text)
    if (ripe || said.split('\n').length <= 2 + seed % 5) return
    ripe = true
    setTimeout(() => child.kill('SIGKILL'), seed * 7 % 23)
  })
  expect(await ended).toBe('SIGKILL')
  return Number(said.split('\n').slice(0, -1).pop())
}

/** What each sector may hold: the last step that was flushed, and those after it. */
function possible(seed: number, flushed: number): number[][] {
  const may: number[][] = Array.from({ length: sectors }, () => [0])
  for (const { first, count, value } of steps(seed)) {
    if (value > flushed + 2000) break
    for (let sector = first; sector < first + count; sector++) {
      if (value <= flushed) may[sector] = [value]
      else may[sector]?.push(value)
    }
  }
  return may
}

/** Sectors that hold nothing of what they may. A sector that was being written may be torn: it is a write that was not flushed. */
function wrong(bytes: Uint8Array, may: readonly number[][]): string[] {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, sectors * 128)
  const expected = new Uint8Array(512)
  return may.flatMap((values, sector) => {
    const found = bytes.subarray(sector * 512, sector * 512 + 512)
    const value = Math.floor((words[sector * 128] ?? 0) / 8192)
    if (value === 0) expected.fill(0)
    else fill(expected, sector, value)
    return values.includes(value) && Buffer.compare(found, expected) === 0 ? [] : [`sector ${sector}: ${value}, not ${values.slice(0, 5).join()}`]
  })
}

/** Opened for writing, since only then a log is replayed. */
async function contentOf(path: string, format: string): Promise<Uint8Array> {
  const disk = imageDisk(await openDiskImage(path, { format, writable: true }))
  const bytes = new Uint8Array(sectors * 512)
  expect(await new Promise((resolve) => { disk.connect((callback) => { callback() }).read(0, [bytes], resolve) })).toBe('ok')
  await disk.close()
  return bytes
}

function qemuImg(...args: string[]): { readonly status: number | null, readonly said: string } {
  const { status, stdout, stderr } = spawnSync('qemu-img', args, { encoding: 'utf8' })
  return { status, said: `qemu-img ${args.join(' ')}: ${stdout}${stderr}` }
}

function qemuContent(path: string, driver: string): Uint8Array {
  const raw = `${path}.raw`
  const { status, said } = qemuImg('convert', '-f', driver, '-O', 'raw', path, raw)
  expect(status, said).toBe(0)
  return new Uint8Array(readFileSync(raw))
}

it.each(Object.entries(kinds))(`%s: after a kill in the middle of writes, what was flushed is there, for us and for QEMU${noQemu ? ' (not asked: qemu-img is missing)' : ''}`, async (name, kind) => {
  const format = diskFormats.find((each) => each.name === kind.format)
  const parameters = kind.parameters ?? {}
  for (let seed = 1; seed <= KILLS; seed++) {
    const place = mkdtempSync(join(folder, 'image-'))
    const blank = (file: string): Promise<ReturnType<typeof openFile>> => {
      writeFileSync(join(place, file), '')
      return Promise.resolve(openFile(join(place, file), true))
    }
    const path = join(place, 'disk')
    const file = await blank('disk')
    await format?.create?.(file, sectors * 512, { name: 'disk', parameters, createFile: blank })
    await file.close()

    let flushed = 0
    for (let life = 0; life < 2; life++) {
      flushed = await runAndKill(path, kind.format, seed, flushed)
      expect(flushed).toBeGreaterThan(0)
      const may = possible(seed, flushed)
      if (!noQemu && kind.afterUs !== true) {
        // On a copy: what QEMU mends is not ours to use.
        const copy = mkdtempSync(join(folder, 'copy-'))
        cpSync(place, copy, { recursive: true })
        if (kind.check === 'repair' || kind.check === 'look') {
          const { status, said } = qemuImg('check', ...(kind.check === 'repair' ? ['-r', 'all'] : []), '-f', kind.qemu, join(copy, 'disk'))
          expect(status, said).toBe(0)
        }
        expect(wrong(qemuContent(join(copy, 'disk'), kind.qemu), may).slice(0, 3), `${name}, seed ${seed}, QEMU`).toEqual([])
        rmSync(copy, { recursive: true })
      }
      // The second life begins with what the first one left, or with that after we have looked at it.
      if (life === 1 || seed % 2 === 0) expect(wrong(await contentOf(path, kind.format), may).slice(0, 3), `${name}, seed ${seed}`).toEqual([])
    }

    const may = possible(seed, flushed)
    const image = await openDiskImage(path, { writable: true, maintenance: true, format: kind.format })
    const report = await image.check?.({ repair: 'all' })
    if (report !== undefined) expect(report).toMatchObject({ corruptions: 0 })
    await image.close()
    expect(wrong(await contentOf(path, kind.format), may).slice(0, 3), `${name}, seed ${seed}, mended`).toEqual([])
    if (!noQemu && kind.check !== null) {
      const { status, said } = qemuImg('check', '-f', kind.qemu, path)
      expect(status, said).toBe(0)
    }
    if (!noQemu) expect(wrong(qemuContent(path, kind.qemu), may).slice(0, 3), `${name}, seed ${seed}, mended, QEMU`).toEqual([])
    rmSync(place, { recursive: true })
  }
})
