import { type Backend, type BlockPort, type BlockStatus, isMachinistError } from '@machinist/api'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { forkable, limited, memoryDisk, memoryStore, overlay, raw, type RandomAccessFile, readOnly } from '../index.ts'

const cluster = 16384
/** Not a whole number of clusters. */
const size = 5 * cluster + 3 * 512

/** A file that answers when it is told to, in any order, or at once; reads and writes of one range never overlap. */
class SlowFile implements RandomAccessFile {
  readonly bytes: Uint8Array
  readonly writable = true
  readonly pending: (() => void)[] = []
  readonly #random: () => number
  readonly #busy = new Set<{ readonly start: number, readonly end: number, readonly write: boolean }>()
  overlaps = 0
  closed = 0
  failures = 0

  constructor(bytes: Uint8Array, random: () => number) {
    this.bytes = bytes
    this.#random = random
  }

  get size(): number {
    return this.bytes.length
  }

  #answer<T>(start: number, length: number, write: boolean, effect: (from: number, to: number) => T): T | Promise<T> {
    expect(this.closed).toBe(0)
    const range = { start, end: start + length, write }
    for (const other of this.#busy) if ((write || other.write) && other.start < range.end && range.start < other.end) this.overlaps += 1
    const fail = (): void => { if (!write && this.#random() < this.failures) throw Object.assign(new Error('injected'), { code: 'EIO' }) }
    if (this.#random() < 0.4) {
      fail()
      return effect(0, length)
    }
    this.#busy.add(range)
    // Half of it now, half of it when it is told to.
    const half = length >>> 1
    effect(0, half)
    return new Promise<T>((resolve, reject) => {
      this.pending.push(() => {
        this.#busy.delete(range)
        try {
          fail()
          resolve(effect(half, length))
        } catch (error) {
          reject(error as Error)
        }
      })
    })
  }

  read(offset: number, into: Uint8Array): number | Promise<number> {
    return this.#answer(offset, into.length, false, (from, to) => {
      into.set(this.bytes.subarray(offset + from, offset + to), from)
      return into.length
    })
  }

  write(offset: number, bytes: Uint8Array): void | Promise<void> {
    return this.#answer(offset, bytes.length, true, (from, to) => { this.bytes.set(bytes.subarray(from, to), offset + from) })
  }

  flush(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.closed += 1
    return Promise.resolve()
  }
}

function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

const turn = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })
const direct = (callback: () => void): void => { callback() }
const initial = (): Uint8Array => new Uint8Array(size).map((_, index) => index < 3 * cluster ? (index * 7 + (index >> 9)) & 255 : 0)

/** A disk or a copy, and what it must read as: −1 where nothing is promised. */
interface Side {
  readonly disk: Backend<BlockPort>
  readonly port: BlockPort
  readonly model: Int16Array
  /** Bytes of writes that failed: nothing is promised of them any more. */
  readonly torn: Uint8Array
  busy: number
}

const steps = fc.array(fc.record({
  kind: fc.constantFrom('read', 'read', 'read', 'write', 'write', 'write', 'discard', 'writeZeroes', 'flush', 'fork', 'close'),
  side: fc.nat(),
  offset: fc.nat(size / 512 - 1),
  length: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 100 })),
  wait: fc.nat(3),
}), { maxLength: 60 })

function check(name: string, runs: number, make: (file: SlowFile) => Backend<BlockPort>): void {
  it(name, async () => {
    let copies = 0
    await fc.assert(fc.asyncProperty(steps, fc.integer(), fc.constantFrom(0, 0, 0.2), async (list, seed, failures) => {
      const random = generator(seed)
      const file = new SlowFile(initial(), random)
      file.failures = failures
      const join = (disk: Backend<BlockPort>, model: Int16Array, torn: Uint8Array): Side =>
        ({ disk, port: disk.connect((callback) => { queueMicrotask(callback) }), model, torn, busy: 0 })
      const first = make(file)
      const sides: Side[] = [join(first, Int16Array.from(initial()), new Uint8Array(size))]
      const wrong: string[] = []
      const complete = async (): Promise<void> => {
        await turn()
        const [next] = file.pending.splice(Math.floor(random() * file.pending.length), 1)
        next?.()
        await turn()
      }
      const settle = async (side: Side): Promise<void> => {
        for (let rounds = 0; side.busy > 0 && rounds < 10_000; rounds++) await complete()
        expect(side.busy).toBe(0)
      }
      let fill = 1
      for (const step of list) {
        const side = sides[step.side % sides.length]
        if (side === undefined) break
        const offset = step.offset * 512
        const length = Math.min(step.length * 512, size - offset)
        const done = (status: BlockStatus): void => {
          side.busy -= 1
          if (failures === 0 && status !== 'ok') wrong.push(`${step.kind}: ${status}`)
        }
        const changed = (status: BlockStatus): void => {
          if (status !== 'ok') side.torn.fill(1, offset, offset + length)
          done(status)
        }
        switch (step.kind) {
          case 'read': {
            const into = [new Uint8Array(512), new Uint8Array(length - 512)]
            const expected = side.model.slice()
            side.busy += 1
            side.port.read(offset, into, (status) => {
              const bytes = [...into[0] ?? [], ...into[1] ?? []]
              if (status === 'ok' && bytes.some((byte, index) => side.torn[offset + index] === 0 && expected[offset + index] !== -1 && expected[offset + index] !== byte)) {
                wrong.push(`a read of side ${step.side % sides.length} at ${offset}`)
              }
              done(status)
            })
            break
          }
          case 'write': {
            const bytes = new Uint8Array(length).map((_, index) => (fill + index) & 255)
            fill += 37
            side.model.set(bytes, offset)
            side.busy += 1
            side.port.write(offset, [bytes.subarray(0, 512), new Uint8Array(0), bytes.subarray(512)], changed)
            break
          }
          case 'discard':
            side.model.fill(-1, offset, offset + length)
            side.busy += 1
            side.port.discard?.(offset, length, done)
            break
          case 'writeZeroes':
            side.model.fill(0, offset, offset + length)
            side.busy += 1
            side.port.writeZeroes?.(offset, length, changed)
            break
          case 'flush':
            side.busy += 1
            side.port.flush(done)
            break
          case 'fork': {
            // As a machine does it: nothing of its own is under way; the others go on.
            await settle(side)
            const copy = side.disk.fork?.()
            if (copy === undefined || sides.length > 6) break
            copies += 1
            sides.push(join(copy, side.model.slice(), side.torn.slice()))
            break
          }
          case 'close':
            if (sides.length < 2) break
            side.disk.close?.()
            side.port.read(0, [new Uint8Array(512)], (status) => { if (status !== 'io-error') wrong.push('a read of what is closed') })
            sides.splice(step.side % sides.length, 1)
            break
        }
        for (let count = 0; count < step.wait; count++) await complete()
      }
      for (const side of sides) await settle(side)
      file.failures = 0
      for (const side of sides) {
        const all = new Uint8Array(size)
        side.busy = 1
        side.port.read(0, [all], () => { side.busy = 0 })
        await settle(side)
        const at = all.findIndex((byte, index) => side.torn[index] === 0 && side.model[index] !== -1 && side.model[index] !== byte)
        if (at >= 0) wrong.push(`in the end, byte ${at}`)
      }
      expect(wrong).toEqual([])
      expect(file.overlaps).toBe(0)
      for (const { disk } of sides) {
        expect(file.closed).toBe(0)
        disk.close?.()
        for (let rounds = 0; file.pending.length > 0 && rounds < 1000; rounds++) await complete()
        await turn()
      }
      expect(file.closed).toBe(1)
    }), { numRuns: runs })
    expect(copies).toBeGreaterThan(20)
  })
}

describe('a disk and its copies read what arrays of their own would', () => {
  check('raw', 300, (file) => raw(file))
  check('an overlay, whose unit is larger', 100, (file) => overlay(raw(file), memoryStore({ clusterSize: 65536 })))
  check('any backend', 100, (file) => {
    const { kind, connect, close } = raw(file)
    return forkable({
      kind, close,
      connect(deliver, clock) {
        const { discard: _, writeZeroes: __, ...port } = connect(deliver, clock)
        return port
      },
    })
  })
})

const write = (port: BlockPort, offset: number, bytes: Uint8Array): BlockStatus | undefined => {
  let answer: BlockStatus | undefined
  port.write(offset, [bytes], (status) => { answer = status })
  return answer
}
const byteAt = (port: BlockPort, offset: number): number | undefined => {
  const into = new Uint8Array(512)
  let answer: BlockStatus | undefined
  port.read(offset, [into], (status) => { answer = status })
  expect(answer).toBe('ok')
  return into[0]
}
const block = (value: number): Uint8Array => new Uint8Array(4096).fill(value)
const codeOf = (work: () => unknown): string | undefined => {
  try {
    work()
  } catch (error) {
    if (isMachinistError(error)) return error.code
    throw error
  }
  return undefined
}

it('hundreds of copies share what they see, and memory has its limit, which closed copies give back', async () => {
  const disk = forkable(memoryDisk(64 * cluster), { limit: 10 * cluster })
  const port = disk.connect(direct)
  for (let at = 0; at < 64; at++) expect(write(port, at * cluster, block(7))).toBe('ok')
  const copies = Array.from({ length: 300 }, () => disk.fork())
  const ports = copies.map((copy) => copy.connect(direct))
  // One cluster of content for all of them.
  for (let at = 0; at < 3; at++) expect(write(port, at * cluster, block(8))).toBe('ok')
  expect(ports.map((each) => byteAt(each, 0))).toEqual(copies.map(() => 7))
  let kept = 3
  while (write(port, kept * cluster, block(8)) === 'ok') kept += 1
  expect(kept).toBeLessThan(10)
  expect(write(port, kept * cluster, block(8))).toBe('no-space')
  expect(byteAt(port, kept * cluster)).toBe(7)
  const [one] = ports
  expect(kept).toBe(9)
  expect(one && write(one, kept * cluster, block(9))).toBe('no-space')
  for (const copy of copies.slice(1)) await copy.close()
  expect(one && write(one, kept * cluster, block(9))).toBe('no-space')
  await copies[0]?.close()
  // Nobody reads it but itself.
  for (let at = 0; at < 64; at++) expect(write(port, at * cluster, block(8))).toBe('ok')
  const again = disk.fork().connect(direct)
  // What the disk was before the last copy went with the copies.
  for (let at = 0; at < 9; at++) expect(write(again, at * cluster, block(5))).toBe('ok')
})

it('a large range of zeroes is little memory, on both sides', () => {
  const disk = forkable(memoryDisk(2 ** 36), { limit: 2 ** 20 })
  const port = disk.connect(direct)
  expect(write(port, 2 ** 35, block(1))).toBe('ok')
  const copy = disk.fork().connect(direct)
  for (let at = 0; at < 2 ** 36; at += 2 ** 31) copy.writeZeroes?.(at, 2 ** 31, (status) => { expect(status).toBe('ok') })
  expect(byteAt(copy, 2 ** 35)).toBe(0)
  expect(byteAt(port, 2 ** 35)).toBe(1)
})

it('a write whose old content cannot be read or kept fails, and changes nothing', () => {
  let fails = false
  const below = memoryDisk(cluster)
  const disk = forkable({
    ...below,
    connect(deliver) {
      const port = below.connect(deliver)
      return { ...port, read: (offset, into, done) => { if (fails) done('io-error'); else port.read(offset, into, done) } }
    },
  })
  const port = disk.connect(direct)
  expect(write(port, 0, block(1))).toBe('ok')
  const copy = disk.fork().connect(direct)
  fails = true
  expect(write(port, 0, block(2))).toBe('io-error')
  fails = false
  expect([byteAt(port, 0), byteAt(copy, 0)]).toEqual([1, 1])
  expect(write(port, 0, block(2))).toBe('ok')
  expect([byteAt(port, 0), byteAt(copy, 0)]).toEqual([2, 1])
})

it('a disk that nobody connected serves its copies, and what is closed has none', async () => {
  const disk = memoryDisk(new Uint8Array(cluster).fill(3))
  const copy = disk.fork()
  await disk.close()
  expect(codeOf(() => disk.fork())).toBe('disk-in-use')
  expect(byteAt(copy.connect(direct), 0)).toBe(3)
  expect(codeOf(() => copy.connect(direct))).toBe('disk-in-use')
  await copy.close()
  expect(codeOf(() => copy.fork())).toBe('disk-in-use')
})

it('a disk that is only read stays so, and limits are those of the machine, with what is left of them', () => {
  const closed = readOnly(memoryDisk(cluster)).fork?.().connect(direct)
  expect(closed && write(closed, 0, block(1))).toBe('read-only')
  let now = 0
  const armed: { readonly at: number, readonly fire: () => void }[] = []
  const clock = { now: () => now, timer: (fire: () => void) => ({ arm: (at: number) => { armed.push({ at, fire }) }, cancel: () => undefined }) }
  const disk = limited(memoryDisk(cluster), { operationsPerSecond: 1 })
  const port = disk.connect(direct, clock)
  now = 5e9
  expect(write(port, 0, block(1))).toBe('ok')
  const copy = disk.fork?.().connect(direct, clock)
  expect(copy && write(copy, 0, block(2))).toBe(undefined)
  expect(armed.map(({ at }) => at)).toEqual([6e9])
  now = 6e9
  for (const { fire } of armed) fire()
  now = 7e9
  expect(copy && byteAt(copy, 0)).toBe(2)
  now = 8e9
  expect(byteAt(port, 0)).toBe(1)
})

it('a copy reads at once what it has from the disk, when its disk does, and never during a write', () => {
  const bytes = new Uint8Array(cluster * 2).fill(4)
  const writes: (() => void)[] = []
  const disk = raw({
    size: bytes.length, writable: true,
    read: (offset, into) => {
      into.set(bytes.subarray(offset, offset + into.length))
      return into.length
    },
    readAtOnce(offset, into) {
      for (const buffer of into) buffer.set(bytes.subarray(offset, offset + buffer.length))
      return true
    },
    write: (offset, from) => new Promise<void>((resolve) => {
      writes.push(() => {
        bytes.set(from, offset)
        resolve()
      })
    }),
    flush: () => Promise.resolve(),
    close: () => Promise.resolve(),
  })
  const port = disk.connect(direct)
  const copy = disk.fork().connect(direct)
  const into = new Uint8Array(512)
  expect(copy.readAtOnce?.(0, [into], () => undefined)).toBe(true)
  expect(into[0]).toBe(4)
  port.write(0, [block(5)], () => undefined)
  expect(copy.readAtOnce?.(0, [into], () => undefined)).toBe(false)
  expect(copy.readAtOnce?.(cluster, [into], () => undefined)).toBe(true)
  expect(memoryDisk(cluster).fork().connect(direct).readAtOnce).toBeUndefined()
})

it('while a cluster is copied or changes, nothing else of it does', async () => {
  const log: string[] = []
  const pending: (() => void)[] = []
  const later = <T>(what: string, result: T): Promise<T> => new Promise((resolve) => {
    log.push(what)
    pending.push(() => { resolve(result) })
  })
  const disk = raw({
    size: 2 * cluster, writable: true,
    read: (offset, into) => later(`read ${offset} ${into.length}`, into.length),
    write: (offset, from) => later(`write ${offset} ${from.length}`, undefined),
    flush: () => Promise.resolve(),
    close: () => Promise.resolve(),
  })
  const port = disk.connect(direct)
  const copy = disk.fork().connect(direct)
  const write = (at: number): void => { port.write(at, [block(1)], () => undefined) }
  const next = async (): Promise<void> => {
    pending.shift()?.()
    await turn()
  }
  write(0)
  write(4096)
  write(cluster)
  copy.read(8192, [block(0)], () => undefined)
  expect(log).toEqual(['read 0 16384', 'read 16384 16384'])
  await next()
  await next()
  expect(log.slice(2)).toEqual(['write 0 4096', 'write 16384 4096'])
  await next()
  await next()
  // It has been copied. The copy has it by now, and does not ask.
  expect(log.slice(4)).toEqual(['write 4096 4096'])
})
