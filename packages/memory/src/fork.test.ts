import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Arena, GuestMemory, PAGE_CODE, PAGE_PRESENT, PAGE_SHARED } from './index.ts'

const BASE = 0x8000_0000
const PAGES = 12
const SIZE = PAGES * 4096

function arena(): Arena {
  let buffer = new ArrayBuffer(65536)
  return new Arena({
    get buffer() { return buffer },
    grow(pages) {
      const next = new ArrayBuffer(buffer.byteLength + pages * 65536)
      new Uint8Array(next).set(new Uint8Array(buffer))
      buffer = next
      return 0
    },
  }, 64 * 2 ** 20)
}

function bytesOf(memory: GuestMemory): Uint8Array {
  const into = new Uint8Array(SIZE)
  memory.read(BASE, into)
  return into
}

test('machines that were forked from one another have each its own memory, whatever they do, and no frame is lost', () => {
  const operation = fc.record({
    who: fc.nat(7),
    kind: fc.oneof({ weight: 5, arbitrary: fc.constantFrom('write', 'map', 'release', 'clear', 'fork', 'copy', 'dispose', 'dirty') }, { weight: 5, arbitrary: fc.constant('write') }),
    at: fc.nat(SIZE - 1), length: fc.nat(9000), fill: fc.integer({ min: 1, max: 255 }),
  })
  let copies = 0
  let apart = 0
  fc.assert(fc.property(fc.array(operation, { maxLength: 60 }), fc.boolean(), (operations, lazy) => {
    const all = arena()
    const machines: { memory: GuestMemory; model: Uint8Array; dirty: Set<number> }[] = []
    const first = new GuestMemory(all)
    const { map } = first.addRam('ram', BASE, SIZE)
    const model = new Uint8Array(SIZE)
    if (lazy) {
      // Half of the pages are somewhere else.
      first.source = { load: (number, into) => { into.fill(number) } }
      for (let page = 0; page < PAGES; page += 2) {
        all.u32[(map >>> 2) + page] = (page + 100) << 12
        model.fill(page + 100, page * 4096, (page + 1) * 4096)
      }
    }
    machines.push({ memory: first, model, dirty: new Set() })
    for (const { who, kind, at, length, fill } of operations) {
      const machine = machines[who % Math.max(1, machines.length)]
      if (machine === undefined) break
      const { memory, model, dirty } = machine
      const end = Math.min(SIZE, at + length)
      const touch = (): void => { for (let page = Math.floor(at / 4096); page * 4096 < end; page++) dirty.add(page) }
      if (kind === 'write') {
        memory.write(BASE + at, new Uint8Array(end - at).fill(fill))
        model.fill(fill, at, end)
        if (end > at) touch()
      } else if (kind === 'map') {
        for (const piece of memory.map(BASE + at, end - at, 'write') ?? []) piece.fill(fill)
        model.fill(fill, at, end)
        if (end > at) touch()
      } else if (kind === 'release') {
        memory.release(BASE + at, end - at)
        for (let page = Math.ceil(at / 4096); (page + 1) * 4096 <= end; page++) {
          model.fill(0, page * 4096, (page + 1) * 4096)
          dirty.delete(page)
        }
      } else if (kind === 'clear') {
        memory.clear()
        model.fill(0)
        dirty.clear()
      } else if (kind === 'dirty') {
        expect(memory.takeDirty()).toEqual([...dirty].sort((a, b) => a - b).map((page) => BASE + page * 4096))
        dirty.clear()
      } else if (kind === 'fork' && machines.length < 8) {
        machines.push({ memory: memory.fork(), model: model.slice(), dirty: new Set(dirty) })
        copies++
      } else if (kind === 'copy' && machines.length < 8) {
        machines.push({ memory: memory.copyInto(at % 2 === 0 ? arena() : all), model: model.slice(), dirty: new Set(dirty) })
        apart++
      } else if (kind === 'dispose') {
        memory.dispose()
        machines.splice(machines.indexOf(machine), 1)
      }
    }
    for (const { memory, model } of machines) expect(Buffer.compare(bytesOf(memory), model)).toBe(0)
    // Each frame is had by exactly as many pages as it says.
    const arenas = new Set([all, ...machines.map(({ memory }) => memory.arena)])
    for (const each of arenas) {
      const had = new Map<number, number>()
      for (const { memory } of machines.filter(({ memory }) => memory.arena === each)) {
        for (let page = 0; page < PAGES; page++) {
          const entry = each.u32[memory.entryAddress(BASE + page * 4096) >>> 2] ?? 0
          if ((entry & PAGE_PRESENT) !== 0) had.set(entry >>> 12, (had.get(entry >>> 12) ?? 0) + 1)
        }
      }
      for (const [frame, count] of had) expect(each.references(frame * 4096)).toBe(count)
      expect(each.frames).toBe(had.size)
    }
    for (const { memory } of machines) memory.dispose()
    for (const each of arenas) expect(each.frames).toBe(0)
  }), { numRuns: 300 })
  expect(Math.min(copies, apart)).toBeGreaterThan(20)
})

test('a writer of a shared page gets a frame of its own, and the CPU hears of it; the last one keeps the frame, and its code', () => {
  const all = arena()
  const parent = new GuestMemory(all)
  parent.addRam('ram', BASE, SIZE)
  let protectedTimes = 0
  parent.onProtect = () => { protectedTimes++ }
  parent.write(BASE, Uint8Array.of(1))
  const entry = (memory: GuestMemory): number => all.u32[memory.entryAddress(BASE) >>> 2] ?? 0
  const frame = parent.resolve(BASE)
  all.markCode(frame)
  const child = parent.fork()
  expect(protectedTimes).toBe(1)
  expect([parent, child].map((memory) => [memory.resolve(BASE), entry(memory) & PAGE_SHARED])).toEqual([[frame, PAGE_SHARED], [frame, PAGE_SHARED]])
  const moved: number[][] = []
  child.onMove = (from, to, entryAddress) => { moved.push([from >>> 12, to >>> 12, entryAddress]) }
  child.write(BASE, Uint8Array.of(2))
  expect(moved).toEqual([[frame >>> 12, child.resolve(BASE) >>> 12, child.entryAddress(BASE)]])
  expect([child.resolve(BASE) === frame, entry(child) & PAGE_CODE, all.references(frame)]).toEqual([false, 0, 1])
  const told: number[] = []
  parent.onCodeWrite = (_frame, gpa) => { told.push(gpa) }
  parent.write(BASE + 5, Uint8Array.of(3))
  expect([parent.resolve(BASE), entry(parent) & (PAGE_SHARED | PAGE_CODE), told]).toEqual([frame, PAGE_CODE, [BASE + 5]])
  const freed: number[] = []
  all.onCodeFreed((which) => freed.push(which))
  parent.dispose()
  expect(freed).toEqual([frame])
  expect(bytesOf(child)[0]).toBe(2)
})

test('a page that its source cannot give stays away, and the error arrives', () => {
  const all = arena()
  const memory = new GuestMemory(all)
  const { map } = memory.addRam('ram', BASE, SIZE)
  all.u32[map >>> 2] = 7 << 12
  expect(() => memory.resolve(BASE)).toThrow(/nobody has page 7/)
  memory.source = { load() { throw new Error('the file is damaged') } }
  expect(() => memory.read(BASE, new Uint8Array(1))).toThrow(/damaged/)
  expect([all.frames, memory.touchedPages]).toEqual([0, 0])
  memory.source = { load: (number, into) => { into.fill(number) } }
  expect([...bytesOf(memory).subarray(4095, 4097)]).toEqual([7, 0])
})

test('structures that were given back serve again, zeroed', () => {
  const all = arena()
  const one = all.allocate(1000)
  all.u8.fill(9, one, one + 1000)
  all.free(one, 1000)
  expect([all.allocate(999) === one, all.allocate(1000) === one]).toEqual([false, true])
  expect(all.u8.subarray(one, one + 1000).every((byte) => byte === 0)).toBe(true)
})

test('a copy that another arena has no room for leaves nothing there', () => {
  const small = new Arena({ buffer: new ArrayBuffer(1 << 20), grow() { throw new RangeError('no more') } }, 1 << 20)
  const parent = new GuestMemory(arena())
  parent.addRam('ram', BASE, 4 << 20)
  for (let page = 0; page < 1024; page++) parent.write(BASE + page * 4096, Uint8Array.of(1))
  expect(() => parent.copyInto(small)).toThrow(/memory/)
  expect([small.frames, small.members]).toEqual([0, 0])
})

test('what another thread has the memory of is checked, and pages of zeros take no frame', () => {
  const parent = new GuestMemory(arena())
  const { map } = parent.addRam('ram', BASE, SIZE)
  parent.write(BASE, Uint8Array.of(1))
  parent.write(BASE + 2 * 4096, new Uint8Array(4096))
  parent.write(BASE + 3 * 4096 + 4095, Uint8Array.of(7))
  const { image } = parent
  const there = arena()
  const copy = GuestMemory.copyOf(image, there)
  expect(Buffer.compare(bytesOf(copy), bytesOf(parent))).toBe(0)
  expect([there.frames, copy.touchedPages]).toEqual([2, 2])
  // They were written all the same.
  expect(copy.takeDirty()).toEqual([0, 2, 3].map((page) => BASE + page * 4096))
  copy.dispose()
  const wrong: readonly (readonly [typeof image, RegExp])[] = [
    [{ ...image, regions: [{ name: 'ram', base: BASE, size: SIZE, map: image.buffer.byteLength - 4 }] }, /not what memory/],
    [{ ...image, regions: [{ name: 'ram', base: BASE, size: SIZE, map: map + 1 }] }, /not what memory/],
    [{ ...image, regions: [{ name: 'ram', base: BASE + 1, size: SIZE, map }] }, /not a page address/],
    [{ ...image, buffer: image.buffer.slice(0, parent.resolve(BASE) + 100) }, /not what memory/],
  ]
  for (const [each, why] of wrong) expect(() => GuestMemory.copyOf(each, there)).toThrow(why)
  parent.arena.u32[(map >>> 2) + 5] = 7 << 12
  expect(() => GuestMemory.copyOf(image, there)).toThrow(/nobody has page 7/)
  expect([there.frames, there.members]).toEqual([0, 0])
})

test('copies come into frames that others left: an arena does not grow by machines that come and go', () => {
  const all = arena()
  const parent = new GuestMemory(all)
  parent.addRam('ram', BASE, SIZE)
  for (let page = 0; page < PAGES; page++) parent.write(BASE + page * 4096, Uint8Array.of(page + 1))
  const there = arena()
  const size = (): number => there.allocate(4096, 4096)
  GuestMemory.copyOf(parent.image, there).dispose()
  const before = size()
  for (let turn = 0; turn < 20; turn++) {
    const copy = GuestMemory.copyOf(parent.image, there)
    // Holes, so that free frames are in no order.
    const other = GuestMemory.copyOf(parent.image, there)
    copy.release(BASE + 4096 * (turn % 5), 3 * 4096)
    expect(Buffer.compare(bytesOf(other), bytesOf(parent))).toBe(0)
    copy.dispose()
    other.dispose()
  }
  expect(size() - before).toBeLessThan((PAGES + 4) * 4096)
  expect(there.frames).toBe(0)
})
