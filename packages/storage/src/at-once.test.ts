import type { BlockPort, BlockStatus } from '@machinist/api'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { memoryDisk, overlay, raw, readOnly } from './index.ts'
import type { RandomAccessFile } from './index.ts'

const size = 1 << 16

/** A file that reads at once, unless it is told not to, and writes when it is told to. */
function file(): { readonly file: RandomAccessFile, readonly writes: (() => void)[], able: boolean } {
  const bytes = Uint8Array.from({ length: size }, (_, at) => at >>> 9)
  const writes: (() => void)[] = []
  const host = {
    able: true, writes,
    file: {
      size, writable: true,
      read: (offset: number, into: Uint8Array) => {
        into.set(bytes.subarray(offset, offset + into.length))
        return into.length
      },
      readAtOnce(offset: number, into: readonly Uint8Array[]) {
        for (const buffer of into) {
          buffer.set(bytes.subarray(offset, offset + buffer.length))
          offset += buffer.length
        }
        return host.able
      },
      write: (offset: number, from: Uint8Array) => new Promise<void>((resolve) => {
        writes.push(() => {
          bytes.set(from, offset)
          resolve()
        })
      }),
      flush: () => Promise.resolve(),
      close: () => Promise.resolve(),
    },
  }
  return host
}

const blocks = fc.record({ offset: fc.nat(size / 512 - 1).map((block) => block * 512), length: fc.integer({ min: 1, max: 12 }).map((count) => count * 512) })
const step = fc.record({ range: blocks, what: fc.constantFrom('read', 'read', 'read', 'write', 'finish'), able: fc.boolean(), cut: fc.nat(511) })

it.each(['raw', 'overlay', 'read-only overlay'])('%s: a read at once brings what a read does, and never overtakes a write', async (kind) => {
  let taken = 0
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
    const host = file()
    const base = raw(host.file)
    const layered = kind === 'raw' ? base : overlay(base)
    const answers: (() => void)[] = []
    const port: BlockPort = (kind === 'read-only overlay' ? readOnly(layered) : layered).connect((callback) => { answers.push(callback) })
    const model = Uint8Array.from({ length: size }, (_, at) => at >>> 9)
    const open: { readonly start: number, readonly end: number }[] = []
    const settle = async (): Promise<void> => {
      for (let turn = 0; turn < 20; turn++) {
        for (const write of host.writes.splice(0)) write()
        await Promise.resolve()
      }
      for (const answer of answers.splice(0)) answer()
      open.length = 0
    }
    for (const [index, { range: { offset, length }, what, able, cut }] of steps.entries()) {
      if (what === 'finish') await settle()
      else if (what === 'write') {
        if (kind === 'read-only overlay' || offset + length > size) continue
        model.fill(index, offset, offset + length)
        open.push({ start: offset, end: offset + length })
        port.write(offset, [new Uint8Array(length).fill(index)], (status) => { expect(status).toBe('ok') })
      } else {
        host.able = able
        const into = [new Uint8Array(cut), new Uint8Array(length - cut)]
        const status: BlockStatus[] = []
        const done = port.readAtOnce?.(offset, into, (value) => { status.push(value) }) ?? false
        if (!able || offset + length > size) expect(done).toBe(false)
        if (!done) {
          await settle()
          expect(status).toEqual([])
          continue
        }
        taken += 1
        // A write to a file waits here until it is told to go on; one to memory is over when it was asked for.
        if (kind === 'raw') expect(open.some(({ start, end }) => start < offset + length && offset < end)).toBe(false)
        expect(Buffer.compare(Buffer.concat(into), model.subarray(offset, offset + length))).toBe(0)
        expect(status).toEqual([])
        await settle()
        expect(status).toEqual(['ok'])
      }
    }
    await settle()
  }), { numRuns: 60 })
  expect(taken).toBeGreaterThan(20)
})

it('a disk that cannot says so by not having it, and one that is closed reads nothing', async () => {
  expect(memoryDisk(size).connect(() => {}).readAtOnce).toBeUndefined()
  expect(overlay(memoryDisk(size)).connect(() => {}).readAtOnce).toBeUndefined()
  const disk = raw(file().file)
  const port = disk.connect(() => {})
  expect(port.readAtOnce?.(0, [new Uint8Array(512)], () => {})).toBe(true)
  for (const [offset, length] of [[size, 1], [-1, 1], [0.5, 1], [NaN, 1], [2 ** 53, 512]] as const) expect(port.readAtOnce?.(offset, [new Uint8Array(length)], () => {})).toBe(false)
  await disk.close()
  expect(port.readAtOnce?.(0, [new Uint8Array(512)], () => {})).toBe(false)
})
