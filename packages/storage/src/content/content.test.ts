/** Disks whose content is in host memory: what a snapshot of their machine has, and what another disk makes of it. */
import { type Backend, type BackendState, type BlockPort, type BlockStatus, isMachinistError } from '@machinist/api'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { forkable, limited, memoryDisk, memoryStore, overlay, type RandomAccessFile, raw, readOnly } from '../index.ts'

/** Not a whole number of the largest clusters. */
const size = 5 * 65536 + 3 * 512
const direct = (callback: () => void): void => { callback() }
const clock = { now: () => 0, timer: () => ({ arm() {}, cancel() {} }) }

const base = Uint8Array.from({ length: size }, (_, index) => index % 251 + 1)
const file = (bytes: Uint8Array): RandomAccessFile => ({
  size: bytes.length,
  writable: true,
  read(offset, into) {
    into.set(bytes.subarray(offset, offset + into.length))
    return into.length
  },
  write(offset, from) { bytes.set(from, offset) },
  flush: () => Promise.resolve(),
  close: () => Promise.resolve(),
})

type Kind = () => Backend<BlockPort>

const based = (): Backend<BlockPort> => raw(file(base.slice()))
const kinds: Readonly<Record<string, Kind>> = {
  'an overlay': () => overlay(based()),
  'an overlay of small clusters': () => overlay(based(), memoryStore({ clusterSize: 4096 })),
  'an overlay of large clusters': () => overlay(based(), memoryStore({ clusterSize: 1 << 18 })),
  'a memory disk': () => memoryDisk(size),
  'a memory disk of bytes': () => memoryDisk(base.slice(0, size - 100)),
  'a copy': () => raw(file(base.slice())).fork(),
  'a copy of an overlay': () => overlay(based(), memoryStore({ clusterSize: 1 << 17 })).fork(),
  'an overlay with limits, wrapped': () => forkable(limited(overlay(based()), { operationsPerSecond: 1e9, burstOperations: 1e9 })),
}

/** Where nothing happens later, a port's answer is there at once, or soon. */
async function ask(start: (done: (status: BlockStatus) => void) => void): Promise<void> {
  const status = await new Promise<BlockStatus>((resolve) => { start(resolve) })
  expect(status).toBe('ok')
}

interface Operation {
  readonly kind: 'write' | 'discard' | 'writeZeroes'
  readonly at: number
  readonly sectors: number
  readonly value: number
}

async function apply(port: BlockPort, { kind, at, sectors, value }: Operation): Promise<void> {
  const offset = at * 512
  const length = Math.min(sectors * 512, size - offset)
  if (kind === 'write') await ask((done) => { port.write(offset, [new Uint8Array(length).fill(value)], done) })
  else if (kind === 'discard') await ask((done) => { port.discard?.(offset, length, done) })
  else await ask((done) => { port.writeZeroes?.(offset, length, done) })
}

async function contentOf(port: BlockPort): Promise<Uint8Array> {
  const bytes = new Uint8Array(size)
  await ask((done) => { port.read(0, [bytes], done) })
  return bytes
}

const saved = (disk: Backend<BlockPort>): readonly BackendState[] => structuredClone(disk.save?.() ?? [])
function restored(kind: Kind, states: readonly BackendState[]): BlockPort {
  const disk = kind()
  for (const state of states) expect(disk.restore?.(state, 'disk0') ?? false).toBe(true)
  return disk.connect(direct, clock)
}

const operations = fc.array(fc.record({
  kind: fc.constantFrom('write' as const, 'write' as const, 'discard' as const, 'writeZeroes' as const),
  at: fc.integer({ min: 0, max: size / 512 - 1 }), sectors: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 700 })), value: fc.integer({ min: 0, max: 255 }),
}), { maxLength: 12 })

describe.each(Object.entries(kinds))('%s', (_name, kind) => {
  it('is saved in the middle, goes on, and another begins where it was saved; again and again', async () => {
    await fc.assert(fc.asyncProperty(operations, operations, async (before, after) => {
      const disk = kind()
      const port = disk.connect(direct, clock)
      for (const each of before) await apply(port, each)
      const then = await contentOf(port)
      // Not cloned: it must stay as it is by itself.
      const states = disk.save?.() ?? []
      for (const each of after) await apply(port, each)
      const later = saved(disk)
      const again = restored(kind, states)
      expect(Buffer.compare(await contentOf(again), then)).toBe(0)
      for (const each of after) await apply(again, each)
      expect(Buffer.compare(await contentOf(again), await contentOf(port))).toBe(0)
      expect(Buffer.compare(await contentOf(restored(kind, states)), then)).toBe(0)
      expect(Buffer.compare(await contentOf(restored(kind, later)), await contentOf(port))).toBe(0)
    }), { numRuns: 30, seed: Number(process.env['DISK_SEED'] ?? 1) })
  })
})

it('a copy has, besides what it wrote, what its disk was when it was copied', async () => {
  const bytes = base.slice()
  const disk = raw(file(bytes))
  const port = disk.connect(direct)
  const copy = disk.fork()
  const own = copy.connect(direct)
  const write = (to: BlockPort, at: number, value: number): Promise<void> => ask((done) => { to.write(at, [new Uint8Array(1000).fill(value)], done) })
  await write(port, 300, 77)
  await write(own, 70_000, 88)
  const later = copy.fork()
  await write(own, 90_000, 99)
  const [first, second] = [saved(copy), saved(later)]
  const expected = await contentOf(own)
  // The disk is as its machine has left it; over that lies what the copy had.
  const again = (states: readonly BackendState[]): BlockPort => restored(() => overlay(raw(file(bytes.slice())), memoryStore({ clusterSize: 1 << 16 })), states)
  expect(Buffer.compare(await contentOf(again(first)), expected)).toBe(0)
  expect(second).toEqual([])
  const laterPort = later.connect(direct)
  expect(Buffer.compare(await contentOf(again(saved(later))), await contentOf(laterPort))).toBe(0)
})

it('content is vital where there is some, and a disk without a place for it does not take it', async () => {
  const disk = overlay(based())
  const port = disk.connect(direct)
  expect(saved(disk).map(({ vital }) => vital)).toEqual([false])
  await apply(port, { kind: 'write', at: 3, sectors: 1, value: 5 })
  const [state] = saved(disk)
  expect(state).toMatchObject({ kind: 'disk', version: 1, vital: true })
  if (state === undefined) throw new Error('no state')
  expect([based(), readOnly(based()), forkable(based()), limited(based(), {})].map((other) => other.restore?.(state, 'disk0') ?? false)).toEqual([false, false, false, false])
  expect(readOnly(overlay(based())).restore?.(state, 'disk0')).toBe(true)
  expect(saved(raw(file(base.slice())))).toEqual([])
  expect(saved(memoryDisk(512, { readOnly: true }))).toEqual([])
})

it('limits go on where they were, and what waits for them goes when the machine is to stand still', async () => {
  let now = 0
  const timed = { now: () => now, timer: () => ({ arm() {}, cancel() {} }) }
  const make = (): Backend<BlockPort> => limited(memoryDisk(size), { operationsPerSecond: 1, burstOperations: 1 })
  const disk = make()
  const port = disk.connect(direct, timed)
  let done = 0
  const flush = (to: BlockPort): void => { to.flush(() => { done++ }) }
  for (let i = 0; i < 4; i++) flush(port)
  expect(done).toBe(1)
  disk.quiesce?.()
  expect(done).toBe(4)
  flush(port)
  expect(done).toBe(4)
  disk.quiesce?.()
  const states = saved(disk)
  expect(states[0]).toEqual({ kind: 'limits', version: 1, state: { operations: 5e9, bytes: undefined } })
  // Five were done in a second of which only one was to be: the next one is due in four.
  const again = make()
  for (const state of states) again.restore?.(state, 'disk0')
  const next = again.connect(direct, timed)
  flush(next)
  expect(done).toBe(5)
  now = 4e9
  flush(next)
  again.quiesce?.()
  expect(done).toBe(7)
  for (const state of [5, null, { bytes: -1 }, { bytes: 'x' }, { operations: Infinity }]) expect(refused(() => make().restore?.({ kind: 'limits', version: 1, state }, 'disk0'))).toBe('state disk0')
  expect(refused(() => make().restore?.({ kind: 'limits', version: 2, state: {} }, 'disk0'))).toBe('state disk0')
})

const refused = (work: () => unknown): string => {
  try {
    work()
    return 'taken'
  } catch (error) {
    return isMachinistError(error) ? `${error.code} ${error.part}` : String(error)
  }
}

it('content from anywhere is refused with a typed error, when it is taken or when the disk is connected', async () => {
  const disk = overlay(based())
  await apply(disk.connect(direct), { kind: 'write', at: 3, sectors: 200, value: 5 })
  const state = saved(disk)[0]?.state as Record<string, unknown>
  const bytes = new Uint8Array(512)
  const wrong: readonly Record<string, unknown>[] = [
    { size: 0 }, { size: 100 }, { size: 512 }, { size: 2 ** 60 }, { unit: 2048 }, { unit: 3 * 4096 }, { unit: 2 ** 41 }, { unit: 'x' }, { map: 5 }, { map: [[0]] }, { map: [[1, new Uint8Array(2)]] },
    { map: [[0, new Uint8Array(3)]] }, { map: [[0, Uint8Array.of(3, 0)]] }, { map: [[0, Uint8Array.of(1, 0)], [0, Uint8Array.of(1, 0)]] }, { map: [[-1, new Uint8Array(2)]] }, { content: null }, { content: [[0, 'bytes']] },
    { content: [[size, bytes]] }, { content: [[-512, bytes]] }, { content: [[512, bytes], [600, bytes]] }, { content: [[0.5, bytes]] }, { size: size - 512 },
  ]
  for (const [name, kind] of Object.entries(kinds)) {
    for (const changes of wrong) {
      const attempt = (): void => { restored(kind, [{ kind: 'disk', version: 1, state: { ...state, ...changes } }]) }
      expect(refused(attempt), `${name}: ${JSON.stringify(changes)}`).toBe('state disk0')
    }
  }
  expect(refused(() => restored(() => overlay(based(), memoryStore({ limit: 65536 })), saved(disk)))).toBe('state disk0')
  const small = overlay(based(), memoryStore({ clusterSize: 4096 }))
  await apply(small.connect(direct), { kind: 'write', at: 3, sectors: 1, value: 5 })
  expect(refused(() => restored(kinds['a copy'] as Kind, saved(small)))).toBe('state disk0')
})
