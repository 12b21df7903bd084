import type { BlockPort } from '@machinist/api'
import { fakeBlock, testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nvme, type NvmeState } from '../index.ts'

const RAM = 0x20_0000
const BLOCKS = 2048
/** Where the driver has its queues; data from 0x4_0000 on, lists from 0x1_0000 on. */
const [ASQ, ACQ, SQ, CQ, LISTS, DATA] = [0x1000, 0x2000, 0x3000, 0x5000, 0x1_0000, 0x4_0000] as const

/** A disk that ends everything at once. */
function atOnce(size: number): BlockPort & { readonly data: Uint8Array; deepest: number } {
  const data = new Uint8Array(size)
  let depth = 0
  const now = (done: (status: 'ok') => void): void => {
    port.deepest = Math.max(port.deepest, ++depth)
    done('ok')
    depth--
  }
  const port = {
    size, readOnly: false, blockSize: 512, data, deepest: 0,
    read(offset: number, into: readonly Uint8Array[], done: (status: 'ok') => void) {
      let at = offset
      for (const each of into) each.set(data.subarray(at, at += each.length))
      now(done)
    },
    write(offset: number, from: readonly Uint8Array[], done: (status: 'ok') => void) {
      let at = offset
      for (const each of from) {
        data.set(each, at)
        at += each.length
      }
      now(done)
    },
    flush: now,
    discard(_offset: number, _length: number, done: (status: 'ok') => void) { now(done) },
  }
  return port
}

interface Fields { readonly nsid?: number; readonly prp1?: number; readonly prp2?: number; readonly words?: readonly number[]; readonly flags?: number }
interface Told { readonly id: number; readonly status: number; readonly result: number; readonly queue: number; readonly head: number }
interface Ring { tail: number; head: number; phase: number; readonly entries: number; readonly sq: number; readonly cq: number }

function make<Port extends BlockPort>(disk: Port, config: object = {}) {
  const dut = testDevice(nvme, config, { backends: { disk }, memoryBase: 0, memorySize: RAM })
  const { context, device } = dut
  const view = new DataView(context.memory.buffer)
  const queues: Ring[] = [{ tail: 0, head: 0, phase: 1, entries: 8, sq: ASQ, cq: ACQ }]
  const driver = {
    dut, disk, context, device, view, queues, id: 0,
    enable(entries = 8, cc = 0x0046_0001) {
      dut.write(0x24, (entries - 1) * 0x1_0001)
      dut.write(0x28, ASQ)
      dut.write(0x30, ACQ)
      dut.write(0x14, cc)
      context.memory.fill(0, ACQ, ACQ + 16 * entries)
      queues.splice(0, queues.length, { tail: 0, head: 0, phase: 1, entries, sq: ASQ, cq: ACQ })
    },
    ready: () => dut.read(0x1c) & 1,
    /** Puts a command into a queue, and tells of it. */
    submit(queue: number, opcode: number, fields: Fields = {}, ring = true): number {
      const each = queues[queue]
      if (each === undefined) throw new Error('no such queue')
      const id = driver.id++ & 0xffff
      const at = each.sq + 64 * each.tail
      context.memory.fill(0, at, at + 64)
      view.setUint32(at, opcode | (fields.flags ?? 0) << 8 | id << 16, true)
      view.setUint32(at + 4, fields.nsid ?? 1, true)
      view.setUint32(at + 24, fields.prp1 ?? 0, true)
      view.setUint32(at + 32, fields.prp2 ?? 0, true)
      fields.words?.forEach((word, index) => { view.setUint32(at + 40 + 4 * index, word, true) })
      each.tail = (each.tail + 1) % each.entries
      if (ring) dut.write(0x1000 + 8 * queue, each.tail)
      return id
    },
    /** What was told of commands since. */
    completions(queue: number, ring = true): Told[] {
      const each = queues[queue]
      if (each === undefined) throw new Error('no such queue')
      const found: Told[] = []
      for (;;) {
        const at = each.cq + 16 * each.head
        if ((view.getUint16(at + 14, true) & 1) !== each.phase) break
        found.push({ id: view.getUint16(at + 12, true), status: view.getUint16(at + 14, true) >>> 1 & 0x7ff, result: view.getUint32(at, true), queue: view.getUint16(at + 10, true), head: view.getUint16(at + 8, true) })
        each.head = (each.head + 1) % each.entries
        if (each.head === 0) each.phase ^= 1
      }
      if (ring && found.length > 0) dut.write(0x1004 + 8 * queue, each.head)
      return found
    },
    admin(opcode: number, fields: Fields = {}): { readonly status: number; readonly result: number } {
      const id = driver.submit(0, opcode, fields)
      const [one] = driver.completions(0)
      expect(one?.id).toBe(id)
      return { status: one?.status ?? -1, result: one?.result ?? -1 }
    },
    /** Makes queues for I/O, with the same number. */
    makeQueue(id = 1, entries = 16, vector = id) {
      const [cq, sq] = [CQ + (id - 1) * 0x4000, SQ + (id - 1) * 0x4000]
      expect(driver.admin(5, { prp1: cq, words: [id | (entries - 1) << 16, 3 | vector << 16] }).status).toBe(0)
      expect(driver.admin(1, { prp1: sq, words: [id | (entries - 1) << 16, 1 | id << 16] }).status).toBe(0)
      context.memory.fill(0, cq, cq + 16 * entries)
      queues[id] = { tail: 0, head: 0, phase: 1, entries, sq, cq }
    },
  }
  return driver
}

const pattern = Uint8Array.from({ length: BLOCKS * 512 }, (_, at) => at * 7 + (at >>> 9) * 13 + (at >>> 16))

/** Of a disk that is told when to end. */
const scripted = (options: { readonly readOnly?: boolean } = {}) => {
  const disk = fakeBlock({ size: BLOCKS * 512, ...options })
  disk.data.set(pattern)
  return disk
}

test('says what it is', () => {
  const one = make(scripted())
  const { dut, view, context } = one
  expect([dut.read(0) & 0xffff, dut.read(0) >>> 16 & 1, dut.read(4), dut.read(8), dut.read(0x1c)]).toEqual([1023, 1, 0x0040_0020, 0x0001_0400, 0])
  expect([dut.read(0, 2), dut.read(2, 1)]).toEqual([1023, 1])
  one.enable()
  expect(one.ready()).toBe(1)
  expect(one.admin(6, { prp1: DATA, words: [1] }).status).toBe(0)
  const text = (at: number, length: number): string => String.fromCharCode(...context.memory.subarray(DATA + at, DATA + at + length)).trim()
  expect([text(4, 20), text(24, 40), text(64, 8), context.memory[DATA + 77], view.getUint32(DATA + 516, true), context.memory[DATA + 512], context.memory[DATA + 513], context.memory[DATA + 520]]).toEqual(['dut', 'MACHINIST NVME DISK', '1.0', 6, 1, 0x66, 0x44, 0x0c])
  expect(one.admin(6, { prp1: DATA, words: [0] }).status).toBe(0)
  expect([view.getUint32(DATA, true), view.getUint32(DATA + 8, true), context.memory[DATA + 130]]).toEqual([BLOCKS, BLOCKS, 9])
  for (const [nsid, first] of [[0, 1], [1, 0]] as const) {
    expect(one.admin(6, { nsid, prp1: DATA, words: [2] }).status).toBe(0)
    expect(view.getUint32(DATA, true)).toBe(first)
  }
  expect(one.admin(2, { nsid: 0, prp1: DATA, words: [0x007f_0003] }).status).toBe(0)
  expect([context.memory[DATA], text(8, 8)]).toEqual([1, '1.0'])
  // It is off, and on again, with the same queues.
  dut.write(0x14, 0)
  expect([one.ready(), dut.read(0x28)]).toEqual([0, ASQ])
  expect(() => nvme.configure({ blockSize: 1024 }, 'x')).toThrow(expect.objectContaining({ code: 'config' }))
  expect(() => make(fakeBlock({ size: 512 }), { blockSize: 4096 })).toThrow(expect.objectContaining({ code: 'disk-size' }))
})

test('a controller that cannot begin says so, and begins when it can', () => {
  const one = make(scripted())
  for (const [entries, cc] of [[1, 0x0046_0001], [8, 0x0046_0281], [8, 0x0046_0011], [8, 0x0046_0801]] as const) {
    one.enable(entries, cc)
    expect(one.dut.read(0x1c)).toBe(2)
    one.dut.write(0x14, 0)
    expect(one.dut.read(0x1c)).toBe(0)
  }
  one.enable()
  expect(one.dut.read(0x1c)).toBe(1)
  // Queues that are no memory.
  one.dut.write(0x14, 0)
  one.dut.write(0x28, RAM)
  one.dut.write(0x14, 0x0046_0001)
  one.dut.write(0x1000, 1)
  expect(one.dut.read(0x1c)).toBe(3)
  one.dut.write(0x14, 0)
  expect(one.dut.read(0x1c)).toBe(0)
})

test('refuses what the specification says, as it says', () => {
  const one = make(scripted({ readOnly: true }))
  one.enable(16)
  one.makeQueue(1)
  const create = (opcode: number, id: number, entries: number, flags: number, prp1 = CQ + 0x8000): number => one.admin(opcode, { prp1, words: [(id | (entries - 1) << 16) >>> 0, flags >>> 0] }).status
  expect([create(5, 0, 8, 3), create(5, 9, 8, 3), create(5, 1, 8, 3), create(5, 2, 1, 3), create(5, 2, 1025, 3), create(5, 2, 8, 2), create(5, 2, 8, 3 | 9 << 16), create(5, 2, 8, 3, 0x5008)]).toEqual([0x101, 0x101, 0x101, 0x102, 0x102, 0x002, 0x108, 0x013])
  expect([create(1, 0, 8, 1 | 1 << 16), create(1, 1, 8, 1 | 1 << 16), create(1, 2, 8, 1), create(1, 2, 8, 1 | 7 << 16), create(1, 2, 1, 1 | 1 << 16)]).toEqual([0x101, 0x101, 0x100, 0x100, 0x102])
  const status = (opcode: number, words: readonly number[], fields: object = {}): number => one.admin(opcode, { prp1: DATA, words, ...fields }).status
  expect([status(4, [1]), status(4, [5]), status(0, [0]), status(0, [7])]).toEqual([0x10c, 0x101, 0x101, 0x101])
  expect([status(6, [9]), status(6, [0], { nsid: 2 }), status(6, [2], { nsid: 0xffff_ffff }), status(6, [1], { prp1: RAM }), status(6, [1], { prp1: DATA + 2 }), status(6, [1], { flags: 0x40 }), status(6, [1], { flags: 1 }), status(0x7f, [])]).toEqual([2, 0xb, 0xb, 4, 0x13, 2, 2, 1])
  expect([status(2, [9], { nsid: 0 }), status(2, [1], { nsid: 1 }), status(2, [2, 0xffff], { nsid: 0 }), status(2, [1, 0, 2], { nsid: 0 }), status(2, [1, 0, 4096], { nsid: 0 })]).toEqual([0x109, 2, 2, 2, 2])
  expect([status(9, [0x8000_0001]), status(9, [0x7f]), status(10, [0x7f]), status(9, [7, 0x3_0003]), status(9, [9, 99]), status(10, [0x101]), status(9, [2, 1])]).toEqual([0x10d, 2, 2, 0xc, 2, 2, 2])
  const io = (opcode: number, words: readonly number[], fields: object = {}): number => {
    one.submit(1, opcode, { prp1: DATA, words, ...fields })
    one.disk.complete()
    return one.completions(1)[0]?.status ?? -1
  }
  expect([io(2, [BLOCKS, 0, 0]), io(2, [0, 1, 0]), io(2, [0, 0, 600]), io(1, [0, 0, 0]), io(8, [0, 0, 0]), io(0x55, []), io(2, [0, 0, 0], { nsid: 2 }), io(2, [0, 0, 0], { prp1: RAM }), io(0, [], { nsid: 0xffff_ffff })]).toEqual([0x80, 0x80, 2, 0x20, 0x20, 1, 0xb, 4, 0])
  one.disk.failures.push('io-error')
  expect(io(2, [0, 0, 0])).toBe(0x281)
  // The log has the last of them.
  expect(status(2, [0x000f_0001], { nsid: 0 })).toBe(0)
  expect([one.view.getUint16(DATA + 8, true), one.view.getUint16(DATA + 12, true) >>> 1]).toEqual([1, 0x281])
})

test('features are as they were set', () => {
  const one = make(scripted(), { queues: 5 })
  one.enable()
  expect(one.admin(9, { words: [7, 0x3f_003f] })).toEqual({ status: 0, result: 0x4_0004 })
  for (const [id, select, value, got] of [[1, 0, 0x0102_0303, 0x0102_0303], [4, 0, 333, 333], [4, 0x10_0000, 0x10_0000 | 250, 250], [6, 0, 0, 0], [8, 0, 0x1234, 0x1234], [9, 3, 0x1_0003, 0x1_0003], [0xa, 0, 1, 1], [0xb, 0, 0x1f, 0x1f]] as const) {
    expect([one.admin(9, { words: [id, value] }).status, one.admin(10, { words: [id, select] })]).toEqual([0, { status: 0, result: got }])
  }
  one.dut.write(0x14, 0)
  one.enable()
  expect(one.admin(10, { words: [6] }).result).toBe(1)
})

test('moves what a plain array would, wherever the pages are', () => {
  const request = fc.record({ write: fc.boolean(), block: fc.nat(BLOCKS + 10), count: fc.integer({ min: 1, max: 512 }), offset: fc.nat(1023), seed: fc.nat(255), listAt: fc.nat(511), scatter: fc.boolean() })
  fc.assert(fc.property(fc.array(request, { minLength: 1, maxLength: 8 }), fc.boolean(), (requests, now) => {
    const disk = now ? atOnce(BLOCKS * 512) : scripted()
    const one = make(disk)
    const model = disk.data.slice()
    one.enable()
    one.makeQueue()
    for (const { write, block, count, offset: given, seed, listAt, scatter } of requests) {
      const length = count * 512
      const offset = 4 * given
      // The pages of the data, which do not lie in order.
      const pages = Array.from({ length: Math.ceil((offset + length) / 4096) }, (_, index) => DATA + 4096 * (scatter ? (index * 37 + seed) % 101 : index))
      const places: { at: number; count: number }[] = []
      for (let left = length, index = 0; left > 0; index++) {
        const from = index === 0 ? offset : 0
        const some = Math.min(left, 4096 - from)
        places.push({ at: (pages[index] ?? 0) + from, count: some })
        left -= some
      }
      let prp2 = pages[1] ?? 0
      if (pages.length > 2) {
        let at = LISTS + 8 * listAt
        prp2 = at
        pages.slice(1).forEach((page, index, rest) => {
          // The last entry of a page names the next list, unless nothing comes after it.
          if (at % 4096 === 4088 && index < rest.length - 1) {
            const next = LISTS + 0x2000 + 0x1000 * index % 0x8000
            one.view.setBigUint64(at, BigInt(next), true)
            at = next
          }
          one.view.setBigUint64(at, BigInt(page), true)
          at += 8
        })
      }
      const bytes = Uint8Array.from({ length }, (_, at) => at * seed + (at >>> 8) + 1)
      let at = 0
      for (const place of places) one.context.memory.set(write ? bytes.subarray(at, at += place.count) : new Uint8Array(place.count), place.at)
      const id = one.submit(1, write ? 1 : 2, { prp1: (pages[0] ?? 0) + offset, prp2, words: [block, 0, count - 1] })
      if (!now) (disk as ReturnType<typeof scripted>).complete()
      const inside = block + count <= BLOCKS
      expect(one.completions(1)).toEqual([expect.objectContaining({ id, status: inside ? 0 : 0x80, queue: 1 })])
      if (!inside) continue
      if (write) model.set(bytes, block * 512)
      else {
        const got = new Uint8Array(length)
        at = 0
        for (const place of places) {
          got.set(one.context.memory.subarray(place.at, place.at + place.count), at)
          at += place.count
        }
        expect(Buffer.compare(got, model.subarray(block * 512, block * 512 + length))).toBe(0)
      }
    }
    expect(Buffer.compare(disk.data, model)).toBe(0)
  }), { numRuns: 12 })
})

test('zeroes, gives back, and flushes', () => {
  const one = make(scripted())
  one.enable()
  one.makeQueue()
  const run = (opcode: number, words: readonly number[], fields: object = {}): number => {
    one.submit(1, opcode, { words, ...fields })
    let requests = 0
    for (; one.disk.pending > 0; requests++) one.disk.complete(1)
    expect(one.completions(1)[0]?.status).toBe(0)
    return requests
  }
  const [disk3, disk8] = [one.disk.data[3 * 512 - 1], one.disk.data[8 * 512]]
  expect(run(8, [3, 0, 4])).toBe(1)
  expect([one.disk.data.subarray(3 * 512, 8 * 512).every((byte) => byte === 0), one.disk.data[3 * 512 - 1], one.disk.data[8 * 512]]).toEqual([true, disk3, disk8])
  for (let at = 0; at < 3; at++) for (const [word, value] of [[4, at], [8, 10 * at]] as const) one.view.setUint32(DATA + 16 * at + word, value, true)
  // Of the three ranges one is empty.
  expect([run(9, [2, 4], { prp1: DATA }), run(9, [2, 0], { prp1: DATA }), run(0, [])]).toEqual([2, 0, 1])
  // A write that is on stable storage: by itself, or since nothing is kept.
  expect([run(1, [0, 0, 0], { prp1: DATA }), run(1, [0, 0, 0x4000_0000], { prp1: DATA })]).toEqual([1, 2])
  expect(one.admin(9, { words: [6, 0] }).status).toBe(0)
  expect([run(1, [0, 0, 0], { prp1: DATA }), run(9, [2, 4], { prp1: DATA })]).toEqual([2, 3])
  // A shutdown flushes.
  one.dut.write(0x14, 0x0046_4001)
  expect([one.disk.pending, one.dut.read(0x1c)]).toEqual([1, 5])
  one.disk.complete()
  expect(one.dut.read(0x1c)).toBe(9)
})

test('a completion queue that is full waits, and so do its commands; the pin follows it', () => {
  const one = make(atOnce(BLOCKS * 512))
  one.enable()
  one.makeQueue(1, 4, 0)
  const pin = (): boolean => one.context.irq.intx.level
  expect(pin()).toBe(false)
  const ids = [1, 2, 3].map(() => one.submit(1, 0))
  expect(pin()).toBe(true)
  one.dut.write(0x0c, 1)
  expect([pin(), one.dut.read(0x0c), one.dut.read(0x10)]).toEqual([false, 1, 1])
  one.dut.write(0x10, 1)
  expect(pin()).toBe(true)
  for (let more = 0; more < 3; more++) ids.push(one.submit(1, 0))
  const seen = one.completions(1)
  expect(seen.map(({ id }) => id)).toEqual(ids.slice(0, 3))
  const rest = one.completions(1)
  expect(rest.map(({ id }) => id)).toEqual(ids.slice(3))
  expect(pin()).toBe(false)
  expect(one.completions(1)).toEqual([])
})

test('doorbells that are none, and of no queue, are told by events; requests for these are taken back', () => {
  const one = make(atOnce(BLOCKS * 512))
  one.enable(16)
  one.makeQueue(1, 4)
  const ids = [1, 2, 3, 4].map(() => one.submit(0, 0x0c))
  expect(one.completions(0)).toEqual([])
  expect(one.admin(0x0c).status).toBe(0x105)
  for (const [offset, value] of [[0x1010, 1], [0x1ffc, 1], [0x1008, 4], [0x100c, 1], [0x1008, 0xffff]] as const) one.dut.write(offset, value)
  // One, until its page was read.
  expect(one.completions(0)).toEqual([expect.objectContaining({ id: ids[0], result: 0x0001_0000, status: 0 })])
  one.dut.write(0x1008, 4)
  expect(one.completions(0)).toEqual([])
  expect(one.admin(2, { nsid: 0, prp1: DATA, words: [0x000f_0001] }).status).toBe(0)
  one.dut.write(0x1008, 4)
  expect(one.completions(0)).toEqual([expect.objectContaining({ id: ids[1], result: 0x0001_0100 })])
  // It gets too warm, if that is where it warns.
  expect([one.admin(9, { words: [0x0b, 2] }).status]).toEqual([0])
  one.submit(0, 9, { words: [4, 300] })
  expect(one.completions(0).at(-1)).toMatchObject({ id: ids[2], result: 0x0002_0101 })
  const abort = one.submit(0, 8, { words: [(ids[3] ?? 0) << 16] })
  expect(one.completions(0)).toEqual([expect.objectContaining({ id: ids[3], status: 7 }), expect.objectContaining({ id: abort, status: 0, result: 0 })])
  expect(one.admin(8, { words: [1] })).toEqual({ status: 0, result: 1 })
})

test('a disk that ends everything at once is asked in a loop, some commands at a time', () => {
  const one = make(atOnce(BLOCKS * 512))
  one.enable()
  one.makeQueue(1, 256)
  for (let more = 0; more < 255; more++) one.submit(1, 2, { prp1: DATA, words: [0, 0, 0] }, false)
  for (let at = 0; at < 256; at++) one.view.setUint32(DATA + 0x1000 + 16 * at + 4, 1, true)
  one.dut.write(0x1008, 255)
  expect(one.completions(1)).toHaveLength(64)
  one.dut.advance(0)
  expect(one.completions(1)).toHaveLength(191)
  one.submit(1, 9, { prp1: DATA + 0x1000, words: [255, 4] })
  expect([one.completions(1), one.disk.deepest]).toEqual([[expect.objectContaining({ status: 0 })], 1])
})

test('what is under way when it is reset changes no memory, and it is ready when the disk is', () => {
  const one = make(scripted())
  one.enable()
  one.makeQueue()
  one.submit(1, 2, { prp1: DATA, words: [1, 0, 0] })
  one.dut.write(0x14, 0)
  expect(one.ready()).toBe(1)
  one.enable()
  one.disk.complete()
  expect([one.ready(), one.context.memory[DATA], one.completions(0)]).toEqual([1, 0, []])
  one.makeQueue()
  one.submit(1, 2, { prp1: DATA, words: [1, 0, 0] })
  // A queue that is gone.
  expect([one.admin(0, { words: [1] }).status, one.admin(4, { words: [1] }).status]).toEqual([0, 0])
  one.disk.complete()
  expect(one.context.memory[DATA]).toBe(0)
  // Resets without end ask for no more than the disk has ended.
  one.makeQueue()
  one.submit(1, 2, { prp1: DATA, words: [1, 0, 0] })
  for (let more = 0; more < 50; more++) {
    one.dut.write(0x14, 0x0046_4001)
    one.dut.write(0x14, 0)
    one.enable()
  }
  expect(one.disk.pending).toBe(2)
})

test('wherever it is saved, it goes on as it would have', () => {
  const step = fc.oneof(
    fc.record({ what: fc.constant('io' as const), opcode: fc.constantFrom(0, 1, 2, 2, 1, 8, 9), block: fc.nat(BLOCKS - 1), count: fc.nat(20), page: fc.nat(31) }),
    fc.record({ what: fc.constantFrom('end' as const, 'take' as const, 'event' as const, 'log' as const, 'bad' as const, 'off' as const), count: fc.integer({ min: 1, max: 4 }) }),
  )
  fc.assert(fc.property(fc.array(step, { maxLength: 30 }), fc.array(step, { maxLength: 20 }), (before, after) => {
    const one = make(scripted())
    one.enable(4)
    one.makeQueue(1, 4)
    const seen = new Map<object, unknown[]>()
    const apply = (to: typeof one, each: typeof before[number]): void => {
      const log = seen.get(to) ?? []
      seen.set(to, log)
      const room = (queue: number): boolean => {
        const { tail = 0, entries = 4, head = 0 } = to.queues[queue] ?? {}
        return (tail - head + entries) % entries < entries - 1
      }
      if (each.what === 'io') {
        if (room(1)) to.submit(1, each.opcode, { prp1: DATA + 4096 * each.page, prp2: LISTS, words: each.opcode === 9 ? [0, 4] : [each.block, 0, each.count % 8] })
      } else if (each.what === 'end') to.disk.complete(each.count)
      else if (each.what === 'take') log.push(...to.completions(1), ...to.completions(0))
      else if (each.what === 'event') { if (room(0)) to.submit(0, 0x0c) } else if (each.what === 'log') { if (room(0)) to.submit(0, 2, { nsid: 0, prp1: DATA, words: [0x000f_0001] }) } else if (each.what === 'bad') to.dut.write(0x1ff8, 1)
      else if (each.count === 4) to.dut.write(0x14, 0x0046_4001)
    }
    for (const each of before) apply(one, each)
    const state = structuredClone(one.device.save())
    const other = make(scripted())
    other.device.restore(state)
    expect(other.device.save()).toEqual(state)
    // All that was asked for ends in both, from the same memory and the same disk on.
    other.disk.data.set(one.disk.data)
    other.context.memory.set(one.context.memory)
    one.disk.complete()
    other.queues.splice(0, 9, ...structuredClone(one.queues))
    other.id = one.id
    other.dut.advance(0)
    other.disk.complete()
    for (const each of after) for (const to of [one, other]) {
      apply(to, each)
      to.disk.complete()
    }
    for (const to of [one, other]) apply(to, { what: 'take', count: 1 })
    expect(other.device.save()).toEqual(one.device.save())
    expect(Buffer.compare(other.context.memory, one.context.memory)).toBe(0)
    expect(Buffer.compare(other.disk.data, one.disk.data)).toBe(0)
    expect(other.context.irq.intx.level).toBe(one.context.irq.intx.level)
  }), { numRuns: 30 })
})

test('a state that is none changes nothing', () => {
  const one = make(scripted())
  one.enable()
  one.makeQueue()
  one.submit(1, 2, { prp1: DATA, words: [1, 0, 0] })
  const now = one.device.save()
  const [admin, queue] = now.submissions
  for (const wrong of [
    {}, { ...now, submissions: [admin, admin] }, { ...now, submissions: [admin, { ...queue, completion: 3 }] }, { ...now, submissions: [admin, { ...queue, tail: 16 }] }, { ...now, submissions: [admin, { ...queue, id: 33 }] },
    { ...now, completions: [] }, { ...now, commands: [{ queue: 2, words: now.commands[0]?.words }] }, { ...now, commands: [{ queue: 1, words: [] }] }, { ...now, turn: -1 }, { ...now, events: { requests: [1, 2, 3, 4, 5], pending: [-1, -1], masked: [0, 0] } }, { ...now, features: {} }, { ...now, registers: {} },
  ]) expect(() => { one.device.restore(wrong as NvmeState) }, JSON.stringify(wrong).slice(0, 80)).toThrow(expect.objectContaining({ code: 'state' }))
  expect(one.device.save()).toEqual(now)
})
