import type * as Fs from 'node:fs'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlockStatus } from '@machinist/api'
import { raw } from '@machinist/storage'
import { expect, it, vi } from 'vitest'
import { openFile } from '../index.ts'

const host = vi.hoisted(() => {
  let state = 1
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor(state / 2 ** 32 * below)
  }
  return {
    random, failures: 0, calls: { now: 0, later: 0 },
    /** How many bytes are moved this time; throws when none are. */
    some(length: number): number {
      if (host.failures > 0 && random(host.failures) === 0) throw Object.assign(new Error('injected'), { code: random(2) === 0 ? 'ENOSPC' : 'EIO' })
      return random(2) === 0 ? length : 1 + random(length)
    },
  }
})

/** A host that reads and writes less than it is asked to, and fails. */
vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof Fs>()
  const { promisify } = await import('node:util')
  type Move = (fd: number, bytes: Uint8Array, at: number, length: number, position: number) => number
  const now = (move: Move): Move => (fd, bytes, at, length, position) => {
    host.calls.now += 1
    return move(fd, bytes, at, host.some(length), position)
  }
  const later = <Result>(move: Move, result: (count: number) => Result): object => {
    const ask = async (fd: number, bytes: Uint8Array, at: number, length: number, position: number): Promise<Result> => {
      host.calls.later += 1
      await new Promise((resolve) => { setImmediate(resolve) })
      return result(move(fd, bytes, at, host.some(length), position))
    }
    return Object.assign(() => { throw new Error('not used') }, { [promisify.custom]: ask })
  }
  return {
    ...fs,
    readvSync(fd: number, into: readonly Uint8Array[], position: number): number {
      return Math.min(host.some(into.reduce((sum, buffer) => sum + buffer.length, 0)), fs.readvSync(fd, into, position))
    },
    readSync: now(fs.readSync), writeSync: now(fs.writeSync),
    read: later(fs.readSync, (bytesRead) => ({ bytesRead })), write: later(fs.writeSync, (bytesWritten) => ({ bytesWritten })),
  }
})

it('reads and writes all that it is asked to, at once or later, or says that it could not', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-file-'))
  const path = join(folder, 'disk')
  const size = 1 << 20
  writeFileSync(path, new Uint8Array(size))
  const disk = raw(openFile(path, true))
  const port = disk.connect((callback) => { callback() })
  const model = new Int16Array(size)
  const seen = new Set<string>()
  let atOnce = 0
  const straight = { done: 0, not: 0 }
  for (let step = 0; step < 1500; step++) {
    host.failures = step < 700 ? 0 : 20
    const length = 512 * (1 + host.random(host.random(10) === 0 ? 500 : 20))
    const offset = 512 * host.random((size - length) / 512)
    const bytes = new Uint8Array(length).fill(step)
    if (host.random(4) === 0) {
      const cut = host.random(length + 1)
      const pieces = [bytes.subarray(0, cut), bytes.subarray(cut)]
      // Partly is not enough, and what fails is not told here.
      if (port.readAtOnce?.(offset, pieces, (status) => { expect(status).toBe('ok') }) !== true) straight.not += 1
      else {
        straight.done += 1
        expect(bytes.every((byte, index) => model[offset + index] === -1 || model[offset + index] === byte)).toBe(true)
      }
      continue
    }
    const write = host.random(2) === 0
    let known: BlockStatus | null = null
    const end = new Promise<BlockStatus>((resolve) => {
      const done = (status: BlockStatus): void => { resolve(known = status) }
      if (write) port.write(offset, [bytes], done)
      else port.read(offset, [bytes], done)
    })
    if (known !== null) atOnce += 1
    const status = await end
    seen.add(`${write ? 'write' : 'read'}: ${status}`)
    if (host.failures === 0) expect(status).toBe('ok')
    if (write) model.fill(status === 'ok' ? step & 255 : -1, offset, offset + length)
    else if (status === 'ok') expect(bytes.every((byte, index) => model[offset + index] === -1 || model[offset + index] === byte)).toBe(true)
  }
  expect(seen).toEqual(new Set(['read', 'write'].flatMap((kind) => ['ok', 'no-space', 'io-error'].map((status) => `${kind}: ${status}`))))
  expect([atOnce, host.calls.now, host.calls.later, straight.done, straight.not].every((count) => count > 20)).toBe(true)
  // Somebody cuts the file short.
  host.failures = 0
  truncateSync(path, 5000)
  const read = (offset: number): Promise<BlockStatus> => new Promise((resolve) => { port.read(offset, [new Uint8Array(1024)], resolve) })
  expect(port.readAtOnce?.(4096, [new Uint8Array(1024)], () => {})).toBe(false)
  // More buffers than one call takes.
  expect(port.readAtOnce?.(0, Array.from({ length: 1025 }, () => new Uint8Array(1)), () => {})).toBe(false)
  expect(await Promise.all([0, 4096, 4608, 5120].map(read))).toEqual(['ok', 'io-error', 'io-error', 'io-error'])
  await disk.close()
  rmSync(folder, { recursive: true })
})
