import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { DiskFormat } from '../src/index.ts'
import { Checked, create, generator, open, qemu } from './images.ts'

/** A way to make images of a format, for us and for QEMU. */
export interface Variant {
  readonly format: DiskFormat
  /** QEMU's name of the format. */
  readonly driver: string
  /** As both of us understand it. */
  readonly parameters: Record<string, string>
  /** Whether `qemu-img check` knows the format. */
  readonly checks: boolean
  /** What QEMU calls them, when it has other names. */
  readonly qemuOptions?: string
  /** Content cannot be overwritten by QEMU. */
  readonly writeOnce?: boolean
}

const MiB = 1 << 20

/** What `qemu-img convert` reads in an image. */
function converted(folder: string, driver: string, name: string): Buffer {
  const out = join(folder, `${name}.raw`)
  qemu('qemu-img', 'convert', '-f', driver, '-O', 'raw', join(folder, name), out)
  const bytes = readFileSync(out)
  rmSync(out)
  return bytes
}

/** QEMU writes at random; the model with it. */
function qemuWrites(folder: string, driver: string, name: string, model: Uint8Array, random: () => number, count: number): void {
  const commands: string[] = []
  for (let index = 0; index < count; index++) {
    const offset = Math.floor(random() * model.length / 512) * 512
    const length = Math.min(model.length - offset, (1 + Math.floor(random() * 300)) * 512)
    const pattern = random() < 0.15 ? 0 : 1 + Math.floor(random() * 255)
    model.fill(pattern, offset, offset + length)
    commands.push('-c', pattern === 0 && random() < 0.5 ? `write -z ${offset} ${length}` : `write -P ${pattern} ${offset} ${length}`)
  }
  const said = qemu('qemu-io', '-f', driver, ...commands, join(folder, name))
  expect(said).not.toContain('failed')
}

const firstDifference = (bytes: Uint8Array, model: Uint8Array): number => Buffer.compare(bytes, model) === 0 ? -1 : model.findIndex((byte, index) => byte !== bytes[index])

/** Turns of ours and QEMU's on one image, which both must read alike after each, with `qemu-img check` content. */
export async function turns(variant: Variant, seed: number, rounds: number, operations: number): Promise<void> {
  const { format, driver, parameters, checks } = variant
  const random = generator(seed)
  const folder = mkdtempSync(join(tmpdir(), 'machinist-images-'))
  const name = `disk.${format.extensions[0] ?? 'img'}`
  try {
    // Not a multiple of any block, but one of a geometry that VHD can say exactly.
    const size = variant.driver === 'vpc' ? 17 * 4 * 512 * (200 + Math.floor(random() * 600)) : 512 * (2048 + Math.floor(random() * 40000))
    const model = new Uint8Array(size)
    if (random() < 0.5) await create(format, folder, name, size, parameters)
    else {
      const options = variant.qemuOptions ?? Object.entries(parameters).map(([key, value]) => `${key}=${value}`).join(',')
      qemu('qemu-img', 'create', '-q', '-f', driver, ...(options === '' ? [] : ['-o', options]), join(folder, name), String(size))
    }
    for (let round = 0; round < rounds; round++) {
      const image = await open(format, folder, name)
      expect(image.size).toBe(size)
      const disk = new Checked(image, model)
      expect(await disk.exercise(random, operations, MiB)).toBe(0)
      expect([...disk.statuses]).toEqual(['ok'])
      expect(await disk.difference()).toBe(-1)
      await disk.close()
      if (checks) expect(qemu('qemu-img', 'check', '-f', driver, join(folder, name))).toContain('No errors')
      expect(firstDifference(converted(folder, driver, name), model)).toBe(-1)
      if (variant.writeOnce !== true) {
        qemuWrites(folder, driver, name, model, random, Math.ceil(operations / 8))
        expect(firstDifference(converted(folder, driver, name), model)).toBe(-1)
      }
      const again = await open(format, folder, name, true)
      const reader = new Checked(again, model)
      expect(await reader.difference()).toBe(-1)
      const report = await again.check?.()
      if (report !== undefined) expect(report).toMatchObject({ corruptions: 0 })
      let at = 0
      for await (const range of again.ranges()) {
        expect(range.offset).toBe(at)
        if (range.state !== 'data') expect(model.subarray(at, at + range.length).every((byte) => byte === 0)).toBe(true)
        at += range.length
      }
      expect(at).toBe(size)
      await reader.close()
    }
  } catch (error) {
    if (process.env['KEEP_IMAGES'] !== undefined) writeFileSync(join(folder, 'seed'), String(seed))
    throw error
  } finally {
    if (process.env['KEEP_IMAGES'] === undefined) rmSync(folder, { recursive: true, force: true })
  }
}
