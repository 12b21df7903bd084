import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { BlockPort, BlockStatus } from '@machinist/api'
import { diskFormats, imageDisk, openImage, qcow2 } from '../src/index.ts'
import type { DiskImage } from '../src/index.ts'
import { codec, generator, nodeFile, openFileFrom, qemu, qemuCheck } from './support.ts'

export const open = (path: string, extra: object = {}): Promise<DiskImage> =>
  openImage(nodeFile(path), { name: path, codec, formats: diskFormats, openFile: openFileFrom(join(path, '..')), ...extra })

export const done = (submit: (done: (status: BlockStatus) => void) => void): Promise<BlockStatus> => new Promise((resolve) => { submit(resolve) })

export async function readAll(image: DiskImage): Promise<Buffer> {
  const bytes = Buffer.alloc(image.size, 0xee)
  expect(await image.read(0, [bytes])).toBe('ok')
  return bytes
}

/** Submits random operations to a port, several at a time, and does the same to `model`. */
export async function randomOperations(port: BlockPort, model: Buffer, random: (below: number) => number, count: number): Promise<void> {
  let waiting: Promise<void>[] = []
  const sectors = port.size / 512
  for (let index = 0; index < count; index++) {
    const at = random(sectors)
    const length = Math.min(sectors - at, 1 + (random(3) === 0 ? random(sectors) : random(200))) * 512
    const offset = at * 512
    switch (random(10)) {
      case 0: case 1: case 2: case 3: {
        const bytes = Buffer.alloc(length, 1 + random(255))
        model.set(bytes, offset)
        const cut = random(length)
        waiting.push(done((finish) => { port.write(offset, random(2) === 0 ? [bytes] : [bytes.subarray(0, cut), bytes.subarray(cut)], finish) }).then((status) => { expect(status).toBe('ok') }))
        break
      }
      case 4: case 5:
        model.fill(0, offset, offset + length)
        waiting.push(done((finish) => { port.writeZeroes?.(offset, length, finish) }).then((status) => { expect(status).toBe('ok') }))
        break
      case 6:
        waiting.push(done((finish) => { port.flush(finish) }).then((status) => { expect(status).toBe('ok') }))
        break
      case 7: {
        // What was discarded is anything: say what it is by writing it.
        waiting.push(done((finish) => { port.discard?.(offset, length, finish) }).then((status) => { expect(status).toBe('ok') }))
        const bytes = Buffer.alloc(Math.min(length, 65536 * 2), random(256))
        model.fill(0, offset, offset + length)
        waiting.push(done((finish) => { port.writeZeroes?.(offset, length, finish) }).then((status) => { expect(status).toBe('ok') }))
        model.set(bytes, offset)
        waiting.push(done((finish) => { port.write(offset, [bytes], finish) }).then((status) => { expect(status).toBe('ok') }))
        break
      }
      default: {
        const expected = Buffer.from(model.subarray(offset, offset + length))
        const bytes = Buffer.alloc(length, 0xdd)
        waiting.push(done((finish) => { port.read(offset, [bytes], finish) }).then((status) => {
          expect(status).toBe('ok')
          expect(bytes.equals(expected)).toBe(true)
        }))
      }
    }
    if (waiting.length > random(8)) {
      await Promise.all(waiting)
      waiting = []
    }
  }
  await Promise.all(waiting)
}

/** The commands of qemu-io for random operations. */
export function qemuOperations(size: number, random: (below: number) => number, count: number): string[] {
  const args: string[] = []
  for (let index = 0; index < count; index++) {
    const offset = random(size / 512) * 512
    const length = Math.min(size - offset, (1 + random(300)) * 512)
    const kind = ['write -P', 'write -P', 'write -z', 'write -z -u', 'discard'][random(5)]
    args.push('-c', kind === 'write -P' ? `write -q -P ${1 + random(255)} ${offset} ${length}` : `${kind} -q ${offset} ${length}`)
  }
  return args
}

/** One image, written by ours and by QEMU in turn; each reads what the other wrote. */
export async function exchange(seed: number, operations: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-qcow2-'))
  try {
    const random = generator(seed)
    const pick = <T>(...of: T[]): T => of[random(of.length)] as T
    const clusterSize = pick(512, 1024, 4096, 65536, 65536, 2 << 20)
    const v2 = random(4) === 0
    const bits = v2 ? 16 : pick(1, 2, 4, 8, 16, 32, 64)
    // Of the smallest clusters and widest counts few are needed for the refcount table to grow.
    const size = (1 + random(clusterSize === 512 ? 4096 : 8192)) * 512 + (random(3) === 0 ? 4 << 20 : 0)
    const backing = pick(null, null, 'raw', 'qcow2', 'compressed')
    const path = join(folder, 'image.qcow2')
    const parameters = { cluster_size: String(clusterSize), compat: v2 ? '0.10' : '1.1', refcount_bits: String(bits), lazy_refcounts: !v2 && random(3) === 0 ? 'on' : 'off' }
    const model = Buffer.alloc(size)
    let base: { name: string, format: string, size: number } | undefined
    if (backing !== null) {
      const baseSize = Math.min(2 * size, (1 + random(8192)) * 512)
      const bytes = Buffer.alloc(baseSize)
      for (let at = 0; at < baseSize; at += 7000) bytes.fill(random(4) === 0 ? 0 : random(256), at, Math.min(at + random(20000), baseSize))
      writeFileSync(join(folder, 'base.raw'), bytes)
      bytes.copy(model, 0, 0, Math.min(baseSize, size))
      const format = backing === 'raw' ? 'raw' : 'qcow2'
      if (format === 'qcow2') qemu('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', ...(backing === 'compressed' ? ['-c'] : []), join(folder, 'base.raw'), join(folder, 'base.qcow2'))
      base = { name: `base.${format}`, format, size: baseSize }
    }
    const compressed = base === undefined && random(3) === 0
    if (compressed) {
      for (let at = 0; at < size; at += 9000) model.fill(random(256), at, Math.min(at + random(20000), size))
      writeFileSync(join(folder, 'start.raw'), model)
      qemu('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', '-c', '-o', Object.entries(parameters).map(([key, value]) => `${key}=${value}`).join(','), join(folder, 'start.raw'), path)
    } else if (random(2) === 0) {
      const file = nodeFile(path)
      await qcow2.create?.(file, size, { name: path, parameters, ...(base !== undefined && { backing: base }) })
      await file.close()
    } else {
      qemu('qemu-img', 'create', '-q', '-f', 'qcow2', ...(base === undefined ? [] : ['-b', base.name, '-F', base.format]), '-o', Object.entries(parameters).map(([key, value]) => `${key}=${value}`).join(','), path, String(size))
    }
    const snapshots = bits >= 8 && random(3) === 0
    let frozen: Buffer | null = null
    for (let round = 0; round < 3; round++) {
      const image = await open(path)
      expect(image.size).toBe(size)
      expect((await readAll(image)).equals(model)).toBe(true)
      const disk = imageDisk(image)
      await randomOperations(disk.connect((callback) => { callback() }), model, random, operations)
      await disk.close()
      expect(qemuCheck(path), JSON.stringify({ seed, clusterSize, v2, bits, size, backing, compressed, round, report: await check(path) })).toBe(0)
      const report = await check(path)
      expect(report).toMatchObject({ corruptions: 0, leaks: 0 })
      writeFileSync(join(folder, 'model.raw'), model)
      qemu('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', path, join(folder, 'model.raw'))
      if (snapshots && round === 0) {
        qemu('qemu-img', 'snapshot', '-c', 'first', path)
        frozen = Buffer.from(model)
      }
      qemu('qemu-io', '-f', 'qcow2', '-d', 'unmap', ...qemuOperations(size, random, operations >> 2), path)
      qemu('qemu-img', 'convert', '-O', 'raw', path, join(folder, 'model.raw'))
      const file = nodeFile(join(folder, 'model.raw'), false)
      await file.read(0, model)
      await file.close()
    }
    const image = await open(path)
    expect((await readAll(image)).equals(model)).toBe(true)
    await image.close()
    expect(await check(path)).toMatchObject({ corruptions: 0, leaks: 0 })
    if (frozen !== null) {
      const snapshot = await open(path, { snapshot: 'first' })
      expect(snapshot.readOnly).toBe(true)
      expect((await readAll(snapshot)).equals(frozen)).toBe(true)
      await snapshot.close()
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export async function check(path: string, repair: false | 'leaks' | 'all' = false): Promise<object> {
  const image = await open(path, { maintenance: true, readOnly: repair === false })
  try {
    return await image.check!({ repair })
  } finally {
    await image.close()
  }
}
