import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Arena, GuestMemory, layout, type LinearMemory, PAGE_CODE } from './index.ts'

/** A linear memory without WebAssembly: as on bare metal, any buffer will do. */
function plainMemory(pages: number): LinearMemory {
  let buffer = new ArrayBuffer(pages * 65536)
  return {
    get buffer() {
      return buffer
    },
    grow(more) {
      const before = buffer.byteLength
      const next = new ArrayBuffer(before + more * 65536)
      new Uint8Array(next).set(new Uint8Array(buffer))
      buffer = next
      return before / 65536
    },
  }
}

function guest(sizeMiB: number): GuestMemory {
  const memory = new GuestMemory(new Arena(plainMemory(1), 512 * 2 ** 20))
  memory.addRam('ram', 0x8000_0000, sizeMiB * 2 ** 20)
  return memory
}

test('a range of RAM behaves like an array of bytes, and costs only what is touched', () => {
  const base = 0x8000_0000
  const size = 64 * 2 ** 20
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ at: fc.oneof(fc.nat(size), fc.nat(20_000)), length: fc.nat(9000), fill: fc.nat(255), kind: fc.constantFrom('read', 'write', 'map', 'release') }),
        { maxLength: 12 },
      ),
      (operations) => {
        const memory = guest(64)
        const model = new Map<number, number>()
        for (const { at, length, fill, kind } of operations) {
          const fits = at + length <= size
          if (kind === 'write') {
            expect(memory.write(base + at, new Uint8Array(length).fill(fill))).toBe(fits)
            if (fits) for (let i = 0; i < length; i++) model.set(at + i, fill)
          } else if (kind === 'read') {
            const into = new Uint8Array(length)
            expect(memory.read(base + at, into)).toBe(fits)
            if (fits) expect(into.every((byte, i) => byte === (model.get(at + i) ?? 0))).toBe(true)
          } else if (kind === 'release') {
            expect(memory.release(base + at, length)).toBe(fits)
            if (fits) for (let i = Math.ceil(at / 4096) * 4096; i < Math.floor((at + length) / 4096) * 4096; i++) model.delete(i)
          } else {
            const pieces = memory.map(base + at, length, 'write')
            expect(pieces !== null).toBe(fits)
            let i = at
            for (const piece of pieces ?? []) {
              expect(piece.every((byte, k) => byte === (model.get(i + k) ?? 0))).toBe(true)
              piece.fill(fill)
              for (let k = 0; k < piece.length; k++) model.set(i++, fill)
            }
            if (fits) expect(i - at).toBe(length)
          }
        }
        expect(memory.touchedPages).toBeLessThanOrEqual(operations.length * 4)
      },
    ),
    { numRuns: 60 },
  )
})

test('numbers are the bytes at their place, in one page or in two, and never half inside', () => {
  const base = 0x8000_0000
  const memory = guest(1)
  memory.addRam('more', base + 2 ** 20, 8192)
  const bytes = new Uint8Array(4)
  const view = new DataView(bytes.buffer)
  const borders = fc.constantFrom(0, 4096, 2 ** 20 - 4096, 2 ** 20, 2 ** 20 + 8192)
  fc.assert(fc.property(borders, fc.integer({ min: -8, max: 8 }), fc.constantFrom<2 | 4>(2, 4), fc.nat(2 ** 32 - 1), fc.boolean(), (border, near, width, value, whole) => {
    const at = base + border + near
    const part = width === 2 ? bytes.subarray(0, 2) : bytes
    const fits = memory.contains(at, width)
    const written = width === 2 ? value & 0xffff : value
    if (whole) {
      view.setUint32(0, value, true)
      expect(memory.write(at, part)).toBe(fits)
    } else expect(width === 2 ? memory.write16(at, value) : memory.write32(at, value)).toBe(fits)
    expect(width === 2 ? memory.read16(at) : memory.read32(at)).toBe(fits ? written : -1)
    if (!fits) return
    view.setUint32(0, 0, true)
    expect(memory.read(at, part)).toBe(true)
    expect(view.getUint32(0, true)).toBe(written)
  }), { numRuns: 2000 })
  // Bytes around a number stay, and so do those of a region beside it.
  for (const at of [base + 0x100, base + 0x1ffe, base + 0x2fff]) {
    memory.write(at - 4, new Uint8Array(12).fill(0xaa))
    memory.write32(at, 0x0403_0201)
    const around = new Uint8Array(12)
    memory.read(at - 4, around)
    expect([...around]).toEqual([0xaa, 0xaa, 0xaa, 0xaa, 1, 2, 3, 4, 0xaa, 0xaa, 0xaa, 0xaa])
  }
})

test('words are the bytes at their place, from any address, and all of them or none', () => {
  const base = 0x8000_0000
  const memory = guest(1)
  const random = Uint8Array.from({ length: 3 * 4096 }, (_, index) => (index * 0x9e37_79b1) >>> 24)
  memory.write(base, random)
  memory.write(base + 2 ** 20 - 4096, random.subarray(0, 4096))
  const borders = fc.constantFrom(0, 4096, 8192, 2 ** 20 - 4096, 2 ** 20)
  fc.assert(fc.property(borders, fc.integer({ min: -24, max: 24 }), fc.integer({ min: 0, max: 5 }), (border, near, length) => {
    const at = base + border + near
    const words = new Uint32Array(length).fill(0xdead_beef)
    const bytes = new Uint8Array(4 * length).fill(0xaa)
    expect(memory.readWords(at, words)).toBe(memory.contains(at, 4 * length))
    if (!memory.read(at, bytes)) expect([...words]).toEqual(Array(length).fill(0xdead_beef))
    else expect([...words]).toEqual(Array.from({ length }, (_, index) => new DataView(bytes.buffer).getUint32(4 * index, true)))
  }), { numRuns: 2000 })
  // Of a page that nobody has touched it is zeros, and stays untouched.
  const { touchedPages } = memory
  const words = Uint32Array.of(1, 2, 3, 4)
  expect([memory.readWords(base + 0x8000, words), [...words], memory.touchedPages]).toEqual([true, [0, 0, 0, 0], touchedPages])
})

test('numbers are read without giving a page its frame, and written as any bytes are', () => {
  const base = 0x8000_0000
  const memory = guest(1)
  expect([memory.read16(base), memory.read32(base + 4094), memory.touchedPages]).toEqual([0, 0, 0])
  memory.takeDirty()
  expect(memory.write32(base + 2 * 4096 - 2, 1)).toBe(true)
  expect(memory.write16(base + 5 * 4096, 1)).toBe(true)
  expect(memory.takeDirty()).toEqual([1, 2, 5].map((page) => base + page * 4096))
  const told: unknown[] = []
  memory.onCodeWrite = (_frame, gpa, length) => { told.push([gpa - base, length]) }
  for (const page of [1, 2, 5]) {
    const index = memory.entryAddress(base + page * 4096) >>> 2
    memory.arena.u32[index] = (memory.arena.u32[index] ?? 0) | PAGE_CODE
  }
  memory.write16(base + 5 * 4096 + 10, 1)
  memory.write32(base + 2 * 4096 - 1, 1)
  expect(told).toEqual([[5 * 4096 + 10, 2], [2 * 4096 - 1, 1], [2 * 4096, 3]])
  // After the RAM is gone, nothing is where it was.
  memory.dispose()
  expect([memory.read16(base), memory.write32(base, 1), memory.contains(base, 1)]).toEqual([-1, false, false])
})

test('addresses that are not RAM are refused, whatever they are', () => {
  const memory = guest(1)
  for (const address of [0, -1, 0.5, NaN, Infinity, 2 ** 60, 0x8000_0000 + 2 ** 20, 0x7fff_ffff]) {
    expect(memory.read(address, new Uint8Array(2))).toBe(false)
    expect([memory.read16(address), memory.read32(address), memory.write16(address, 1), memory.write32(address, 1)]).toEqual([-1, -1, false, false])
    expect(memory.readWords(address, new Uint32Array(1))).toBe(false)
    expect(memory.map(address, 2, 'write')).toBe(null)
  }
  expect(memory.map(0x8000_0000, Infinity, 'read')).toBe(null)
  expect(memory.map(0x8000_0000, -1, 'read')).toBe(null)
})

test('one region is asked for its dirty pages, and cleared, without the others', () => {
  const memory = guest(1)
  const other = memory.addRam('other', 0x9000_0000, 0x4000)
  for (const address of [0x8000_0000, 0x9000_1000, 0x9000_3000]) memory.write(address, Uint8Array.of(1))
  expect(memory.takeDirty(other)).toEqual([0x9000_1000, 0x9000_3000])
  expect(memory.takeDirty()).toEqual([0x8000_0000])
  memory.clear(other)
  const bytes = [0x8000_0000, 0x9000_1000].map((address) => {
    const into = new Uint8Array(1)
    memory.read(address, into)
    return into[0]
  })
  expect([bytes, memory.touchedPages]).toEqual([[1, 0], 1])
})

test('writes mark pages dirty and report code', () => {
  const memory = guest(1)
  const told: [number, number][] = []
  memory.onCodeWrite = (_frame, gpa, length) => told.push([gpa, length])
  memory.write(0x8000_0ffe, Uint8Array.of(1, 2, 3, 4))
  expect(memory.takeDirty()).toEqual([0x8000_0000, 0x8000_1000])
  expect(memory.takeDirty()).toEqual([])
  const entry = memory.entryAddress(0x8000_1000)
  memory.arena.u32[entry >>> 2] = (memory.arena.u32[entry >>> 2] ?? 0) | PAGE_CODE
  memory.write(0x8000_0ffe, Uint8Array.of(1, 2, 3, 4))
  expect(told).toEqual([[0x8000_1000, 2]])
})

test('frames are reused, zeroed; admission is checked', () => {
  const memory = new GuestMemory(new Arena(plainMemory(1), 8 * 2 ** 20))
  expect(() => memory.addRam('ram', 0x8000_0000, 64 * 2 ** 20)).toThrow(/ram: more memory/)
  memory.addRam('ram', 0x8000_0000, 4 * 2 ** 20)
  expect(() => memory.addRam('more', 0x8000_0000, 4096)).toThrow(/overlaps ram/)
  expect(() => memory.addRam('odd', 5, 4096)).toThrow(/odd: its base/)
  for (let round = 0; round < 5; round++) {
    for (let at = 0; at < 4 * 2 ** 20; at += 4096) memory.write(0x8000_0000 + at, Uint8Array.of(7))
    expect(memory.arena.frames).toBe(1024)
    memory.clear()
    const byte = Uint8Array.of(9)
    memory.map(0x8000_0000, 1, 'read')
    memory.read(0x8000_0000, byte)
    expect(byte[0]).toBe(0)
  }
})

test('released pages are untouched, their frames back others, and the CPU hears of it first', () => {
  const memory = guest(1)
  let told = 0
  memory.onRelease = () => {
    told++
    // No page has them any more, and nobody can have taken them yet.
    expect([memory.arena.frames, ...[1, 2].map((page) => memory.arena.u32[memory.entryAddress(0x8000_0000 + page * 4096) >>> 2])]).toEqual([4, 0, 0])
  }
  for (let page = 0; page < 4; page++) memory.write(0x8000_0000 + page * 4096, Uint8Array.of(page + 1))
  const frames = [1, 2].map((page) => memory.resolve(0x8000_0000 + page * 4096))
  expect(memory.release(0x8000_0ffe, 3 * 4096)).toBe(true)
  expect(told).toBe(1)
  expect([memory.touchedPages, memory.arena.frames]).toEqual([2, 2])
  memory.release(0x8000_1000, 8192)
  memory.release(0x8000_0001, 4096)
  expect(told).toBe(1)
  expect(frames).toContain(memory.resolve(0x8000_9000))
  const byte = Uint8Array.of(9)
  for (const [page, value] of [[0, 1], [1, 0], [2, 0], [3, 4], [9, 0]] as const) {
    memory.read(0x8000_0000 + page * 4096, byte)
    expect(byte[0]).toBe(value)
  }
  // What was promised still is: each page can be touched.
  for (let page = 0; page < 256; page++) memory.write(0x8000_0000 + page * 4096, byte)
  expect(memory.touchedPages).toBe(256)
  for (const [address, length] of [[0x7fff_f000, 8192], [0x800f_f000, 8192], [NaN, 4096], [0x8000_0000, -4096], [0x8000_0000, Infinity]] as const) {
    expect(memory.release(address, length)).toBe(false)
  }
  expect(memory.touchedPages).toBe(256)
})

test('frames in the upper half of a full-sized arena work like all others', () => {
  const arena = new Arena(plainMemory(2 ** 15 + 64), 2 ** 32 - 65536)
  const memory = new GuestMemory(arena)
  // Takes addresses only: nothing is written there.
  arena.allocate(2 ** 31)
  memory.addRam('ram', 0x8000_0000, 2 ** 20)
  expect(memory.write(0x8000_0ffe, Uint8Array.of(1, 2, 3, 4))).toBe(true)
  expect(memory.map(0x8000_1000, 2, 'write')?.map((piece) => [...piece])).toEqual([[3, 4]])
  expect(memory.map(0x8000_0ffe, 2, 'read')?.map((piece) => [...piece])).toEqual([[1, 2]])
  expect(memory.resolve(0x8000_0ffe)).toBeGreaterThan(2 ** 31)
  const bytes = new Uint8Array(4)
  memory.read(0x8000_0ffe, bytes)
  expect([...bytes]).toEqual([1, 2, 3, 4])
  expect(memory.takeDirty()).toEqual([0x8000_0000, 0x8000_1000])
})

test('a layout places fields and changes its version with them', () => {
  const a = layout('a', { flag: 'u8', x: ['i64', 4], y: 'u32' })
  expect(a.offset).toEqual({ flag: 0, x: 8, y: 40 })
  expect(a.size).toBe(64)
  expect(layout('a', { flag: 'u8', x: ['i64', 4], z: 'u32' }).version).not.toBe(a.version)
})

test('aligned numbers are read and written at once, as harts that run meanwhile do', () => {
  const memory = guest(1)
  const base = 0x8000_0000
  memory.write(base, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))
  const bytewise = (): never => { throw new Error('byte by byte') }
  Object.defineProperty(memory.arena, 'data', { value: { getUint16: bytewise, getUint32: bytewise, setUint16: bytewise, setUint32: bytewise } })
  expect([memory.read16(base + 2), memory.read32(base + 4)]).toEqual([0x0403, 0x0807_0605])
  expect([memory.write16(base + 6, 0x1_ff00), memory.write32(base, -2)]).toEqual([true, true])
  expect([memory.read32(base), memory.read32(base + 4)]).toEqual([0xffff_fffe, 0xff00_0605])
  expect(() => memory.read16(base + 1)).toThrow('byte by byte')
})
