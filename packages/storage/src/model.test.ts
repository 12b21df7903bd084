import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Backend, BlockPort, BlockStatus } from '@machinist/api'
import { memoryDisk, memoryStore, openOverlayFile, overlay, raw } from './index.ts'
import type { RandomAccessFile } from './index.ts'

/** A file whose operations complete at once or in an order drawn from `random`, fail at its whim, and forget on a crash. */
class FakeFile implements RandomAccessFile {
  bytes: Uint8Array
  /** What a crash leaves for certain, and the writes that it may or may not leave. */
  stable: Uint8Array
  unstable: { offset: number, bytes: Uint8Array }[] = []
  pending: (() => void)[] = []
  failures = 0
  closed = false
  overlaps = 0
  readonly writable = true
  readonly random: () => number
  readonly #busy = new Set<{ start: number, end: number, write: boolean }>()

  constructor(bytes: Uint8Array, random: () => number) {
    this.bytes = bytes
    this.stable = bytes.slice()
    this.random = random
  }

  get size(): number {
    return this.bytes.length
  }

  #answer<T>(start: number, end: number, write: boolean, effect: () => T): T | Promise<T> {
    expect(this.closed).toBe(false)
    const range = { start, end, write }
    for (const other of this.#busy) if ((write || other.write) && other.start < end && start < other.end) this.overlaps += 1
    if (this.random() < 0.3) {
      const result = effect()
      if (this.random() < this.failures) throw Object.assign(new Error('injected'), { code: 'EIO' })
      return result
    }
    this.#busy.add(range)
    const early = this.random() < 0.5
    return new Promise<T>((resolve, reject) => {
      const result = early ? effect() : null
      this.pending.push(() => {
        this.#busy.delete(range)
        if (this.random() < this.failures) {
          reject(Object.assign(new Error('injected'), { code: this.random() < 0.5 ? 'ENOSPC' : 'EIO' }))
        } else {
          resolve(result ?? effect())
        }
      })
    })
  }

  read(offset: number, into: Uint8Array): number | Promise<number> {
    return this.#answer(offset, offset + into.length, false, () => {
      const from = this.bytes.subarray(offset, offset + into.length)
      into.set(from)
      return from.length
    })
  }

  write(offset: number, from: Uint8Array): void | Promise<void> {
    return this.#answer(offset, offset + from.length, true, () => {
      if (offset + from.length > this.bytes.length) {
        const longer = new Uint8Array(offset + from.length)
        longer.set(this.bytes)
        this.bytes = longer
      }
      this.bytes.set(from, offset)
      this.unstable.push({ offset, bytes: from.slice() })
    })
  }

  async flush(): Promise<void> {
    const now = this.bytes.slice()
    const count = this.unstable.length
    await this.#answer(0, 0, false, () => {
      this.stable = now
      this.unstable.splice(0, count)
    })
  }

  /** The file as it may be found after a loss of power. */
  afterCrash(): Uint8Array {
    let bytes = this.stable.slice()
    for (const write of this.unstable) {
      if (this.random() < 0.5) continue
      if (write.offset + write.bytes.length > bytes.length) {
        const longer = new Uint8Array(write.offset + write.bytes.length)
        longer.set(bytes)
        bytes = longer
      }
      bytes.set(write.bytes, write.offset)
    }
    return bytes
  }

  close(): Promise<void> {
    this.closed = true
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

interface Step {
  readonly kind: 'read' | 'write' | 'flush' | 'discard' | 'writeZeroes'
  readonly offset: number
  readonly length: number
  /** Completions to let happen after the submission. */
  readonly wait: number
}

const size = 10 * 4096 + 512

const steps = fc.array(fc.record({
  kind: fc.constantFrom('read', 'read', 'write', 'write', 'write', 'flush', 'discard', 'writeZeroes'),
  offset: fc.integer({ min: 0, max: size / 512 - 1 }),
  length: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 40 })),
  wait: fc.integer({ min: 0, max: 3 }),
}), { minLength: 1, maxLength: 40 })

const turn = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })

/** What the disk must read as; -1 where nothing is promised. */
class Model {
  content: Int16Array

  constructor(bytes: Uint8Array) {
    this.content = Int16Array.from(bytes)
  }

  matches(offset: number, bytes: Uint8Array): boolean {
    return bytes.every((byte, index) => this.content[offset + index] === -1 || this.content[offset + index] === byte)
  }
}

/** Runs steps against a port and checks every read; returns the model at the last flush that came back good. */
async function exercise(port: BlockPort, model: Model, files: FakeFile[], list: readonly Step[], random: () => number): Promise<{ stable: Model, touched: Uint8Array }> {
  let outstanding = 0
  let wrong = 0
  let stable = new Model(new Uint8Array(0))
  stable.content = model.content.slice()
  let touched = new Uint8Array(size)
  const statuses = new Set<BlockStatus>()

  const complete = async (): Promise<void> => {
    await turn()
    const all = files.flatMap((file) => file.pending.map((done) => ({ file, done })))
    const chosen = all[Math.floor(random() * all.length)]
    if (chosen === undefined) return
    chosen.file.pending.splice(chosen.file.pending.indexOf(chosen.done), 1)
    chosen.done()
    await turn()
  }

  let fill = 1
  for (const step of list) {
    const offset = step.offset * 512
    const length = Math.min(step.length * 512, size - offset)
    outstanding += 1
    const finish = (status: BlockStatus): void => {
      statuses.add(status)
      outstanding -= 1
    }
    /** A write that failed leaves its range torn; while it is in flight, a crash leaves either. */
    const changed = (status: BlockStatus): void => {
      if (status !== 'ok') model.content.fill(-1, offset, offset + length)
      finish(status)
    }
    switch (step.kind) {
      case 'read': {
        const parts = [new Uint8Array(512), new Uint8Array(length - 512)]
        const expected = new Model(new Uint8Array(0))
        expected.content = model.content.slice()
        // A failure of an earlier, still running write tears what this read sees: ask the model again.
        port.read(offset, parts, (status) => {
          if (status === 'ok') {
            const bytes = new Uint8Array(length)
            bytes.set(parts[0] ?? [])
            bytes.set(parts[1] ?? [], 512)
            for (let index = 0; index < length; index++) if (failedAt[offset + index] === 1) expected.content[offset + index] = -1
            if (!expected.matches(offset, bytes)) wrong += 1
          }
          finish(status)
        })
        break
      }
      case 'write': {
        const bytes = new Uint8Array(length).map((_, index) => (fill + index) & 255)
        fill += 37
        model.content.set(bytes, offset)
        touched.fill(1, offset, offset + length)
        port.write(offset, [bytes.subarray(0, 512), bytes.subarray(512)], (status) => {
          if (status !== 'ok') failedAt.fill(1, offset, offset + length)
          changed(status)
        })
        break
      }
      case 'discard':
        model.content.fill(-1, offset, offset + length)
        touched.fill(1, offset, offset + length)
        port.discard?.(offset, length, finish)
        break
      case 'writeZeroes':
        model.content.fill(0, offset, offset + length)
        touched.fill(1, offset, offset + length)
        port.writeZeroes?.(offset, length, (status) => {
          if (status !== 'ok') failedAt.fill(1, offset, offset + length)
          changed(status)
        })
        break
      case 'flush': {
        // Promises only what had completed: let everything complete first.
        for (let rounds = 0; outstanding > 1 && rounds < 10000; rounds++) await complete()
        const snapshot = model.content.slice()
        const since = touched
        touched = new Uint8Array(size)
        port.flush((status) => {
          if (status === 'ok') stable.content = snapshot
          else for (let index = 0; index < size; index++) touched[index] = (touched[index] ?? 0) | (since[index] ?? 0)
          finish(status)
        })
        break
      }
    }
    for (let count = 0; count < step.wait; count++) await complete()
  }
  for (let rounds = 0; outstanding > 0 && rounds < 10000; rounds++) await complete()
  expect(outstanding).toBe(0)
  expect(wrong).toBe(0)
  expect(files.reduce((sum, file) => sum + file.overlaps, 0)).toBe(0)
  if (files.every((file) => file.failures === 0)) expect([...statuses].filter((status) => status !== 'ok')).toEqual([])
  stable = Object.assign(new Model(new Uint8Array(0)), { content: stable.content })
  return { stable, touched }
}

/** Bytes that a failed write may have torn, at any time in a run: nothing is promised of them any more. */
let failedAt = new Uint8Array(size)

const initial = (length: number): Uint8Array => new Uint8Array(length).map((_, index) => (index * 7 + (index >> 9)) & 255)

function check(name: string, runs: number, make: (random: () => number, failures: number) => Promise<{ disk: Backend<BlockPort>, files: FakeFile[], content: Uint8Array }>): void {
  it(name, async () => {
    await fc.assert(fc.asyncProperty(steps, fc.integer(), fc.constantFrom(0, 0, 0.1), async (list, seed, failures) => {
      failedAt = new Uint8Array(size)
      const random = generator(seed)
      const { disk, files, content } = await make(random, failures)
      const queue: (() => void)[] = []
      const port = disk.connect((callback) => {
        queue.push(callback)
        queueMicrotask(() => { queue.shift()?.() })
      })
      expect(port.size).toBe(size)
      await exercise(port, new Model(content), files, list as Step[], random)
    }), { numRuns: runs })
  })
}

describe('a disk reads what a plain array would', () => {
  check('in memory', 60, () => Promise.resolve({ disk: memoryDisk(size), files: [], content: new Uint8Array(size) }))

  check('over bytes, with a padded end', 60, () => {
    const content = new Uint8Array(size)
    const bytes = initial(size - 300)
    content.set(bytes)
    return Promise.resolve({ disk: memoryDisk(bytes), files: [], content })
  })

  check('raw, over a file that completes out of order and fails', 80, (random, failures) => {
    const file = new FakeFile(initial(size), random)
    file.failures = failures
    return Promise.resolve({ disk: raw(file), files: [file], content: initial(size) })
  })

  check('raw, with a padded end', 60, (random) => {
    const content = new Uint8Array(size)
    const bytes = initial(size - 300)
    content.set(bytes)
    const file = new FakeFile(bytes, random)
    return Promise.resolve({ disk: raw(file), files: [file], content })
  })

  check('overlay in memory over a slow base', 80, (random, failures) => {
    const file = new FakeFile(initial(size), random)
    file.failures = failures
    return Promise.resolve({ disk: overlay(raw(file, { readOnly: true }), memoryStore({ clusterSize: 4096 })), files: [file], content: initial(size) })
  })

  check('overlay in a file', 80, async (random, failures) => {
    const file = new FakeFile(new Uint8Array(0), random)
    const base = new FakeFile(initial(size), random)
    const store = await openOverlayFile(file, { clusterSize: 8192 })
    file.failures = base.failures = failures
    return { disk: overlay(raw(base), store), files: [file, base], content: initial(size) }
  })
})

/** Lets the operations on a file complete until something is done. */
async function completing<T>(file: FakeFile, work: Promise<T>): Promise<T> {
  let done = false
  const settled = work.finally(() => { done = true })
  // Whoever waits for it hears of a failure.
  settled.catch(() => undefined)
  for (let turns = 0; !done && turns < 100_000; turns++) {
    file.pending.shift()?.()
    await turn()
  }
  return settled
}

describe('an overlay in a file', () => {
  it('keeps after a crash what was flushed', async () => {
    await fc.assert(fc.asyncProperty(steps, steps, fc.integer(), async (before, after, seed) => {
      failedAt = new Uint8Array(size)
      const random = generator(seed)
      const file = new FakeFile(new Uint8Array(0), random)
      const disk = overlay(memoryDisk(initial(size)), await openOverlayFile(file, { clusterSize: 4096 }))
      const port = disk.connect((callback) => { queueMicrotask(callback) })
      const model = new Model(initial(size))
      const list = [...before, { kind: 'flush', offset: 0, length: 1, wait: 0 }, ...after] as Step[]
      const { stable, touched } = await exercise(port, model, [file], list, random)

      const again = new FakeFile(file.afterCrash(), random)
      const opened = await completing(again, openOverlayFile(again))
      const reopened = overlay(memoryDisk(initial(size)), opened).connect((callback) => { callback() })
      const bytes = new Uint8Array(size)
      const reading = completing(again, new Promise<BlockStatus>((resolve) => { reopened.read(0, [bytes], resolve) }))
      expect(await reading).toBe('ok')
      const promised = stable.content.map((value, index) => touched[index] === 1 ? -1 : value)
      expect(bytes.findIndex((byte, index) => promised[index] !== -1 && promised[index] !== byte)).toBe(-1)
    }), { numRuns: 60 })
  })
})
