import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  CompressedPool, countPages, FrameBudget, GuestMemory, lzCodec, Merger, PAGE_PRESENT, PAGE_SIZE, PAGE_WAITING, ParkedPages, SecondChance, SwapSpace,
} from '../index.ts'
import { frameOf, hasFrame, isParked } from '../page-map.ts'
import { testArena, testSwap } from '../testing-arena.ts'

const BASE = 0x8000_0000
const PAGES = 12
const SIZE = PAGES * PAGE_SIZE
const seed = Number(process.env['MACHINIST_SEED'] ?? 1)

function contentOf(memory: GuestMemory): Uint8Array {
  const into = new Uint8Array(SIZE)
  memory.read(BASE, into)
  return into
}

/** The same without bringing anything back, as a snapshot is written. */
function storedOf(memory: GuestMemory): Uint8Array {
  const into = new Uint8Array(SIZE)
  const [region] = memory.regions
  if (region === undefined) return into
  for (let page = 0; page < PAGES; page++) {
    const frame = memory.frame(region, page)
    const piece = into.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
    if (frame !== null) piece.set(frame)
    else if (memory.placeOf(region, page) > 0) memory.source?.load(memory.placeOf(region, page), piece)
  }
  return into
}

/** Its pages, one after the other. */
function walked(memory: GuestMemory): { touched: number; own: number; shared: number } {
  const found = { touched: 0, own: 0, shared: 0 }
  for (let page = 0; page < PAGES; page++) {
    const entry = memory.arena.u32[memory.entryAddress(BASE + page * PAGE_SIZE) >>> 2] ?? 0
    const framed = hasFrame(entry)
    if (framed) found[memory.arena.references(frameOf(entry)) === 1 ? 'own' : 'shared']++
    if (framed || isParked(entry) || (entry > 0 && entry < PAGE_SIZE)) found.touched++
  }
  return found
}

test('whatever is taken, merged, compressed and swapped between what guests, devices, forks and saves do, everybody finds what he wrote, and no frame is lost', () => {
  const operation = fc.record({
    who: fc.nat(7),
    kind: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom('map', 'release', 'clear', 'fork', 'copy', 'dispose', 'dirty', 'store', 'read') },
      { weight: 4, arbitrary: fc.constantFrom('age', 'take', 'merge', 'move-on', 'discard') },
      { weight: 4, arbitrary: fc.constant('write') }),
    at: fc.nat(SIZE - 1), length: fc.nat(20_000), fill: fc.nat(3), noise: fc.boolean(), whole: fc.boolean(),
  })
  const done: Record<string, number> = { known: 0, merged: 0, taken: 0, compressed: 0, swapped: 0, returned: 0, short: 0 }
  fc.assert(fc.property(fc.array(operation, { minLength: 20, maxLength: 80 }), fc.boolean(), fc.boolean(), fc.constantFrom(0, 1, 100), (operations, lazy, tight, slabs) => {
    const budget = new FrameBudget()
    const { arena } = testArena({ budget, overcommit: tight })
    const pool = slabs === 0 ? null : new CompressedPool(lzCodec, budget, slabs * 65536)
    const parked = arena.parked = new ParkedPages(pool, new SwapSpace(testSwap(50)))
    const merger = new Merger(arena)
    const hands = new Map<GuestMemory, SecondChance>()
    const machines: { memory: GuestMemory; model: Uint8Array; dirty: Set<number> }[] = []
    const add = (memory: GuestMemory, model: Uint8Array, dirty: Set<number>): void => {
      // As a TLB would: whoever was not told may write to what was once his.
      hands.set(memory, new SecondChance(memory))
      machines.push({ memory, model, dirty })
    }
    if (tight) {
      budget.limit = 20
      budget.onShort = (frames, mine) => {
        done['short']!++
        for (const { memory } of machines) if (memory !== mine) hands.get(memory)?.take(frames + 2, 2 * PAGES, (page) => parked.put(page))
      }
    }
    const first = new GuestMemory(arena)
    const region = first.addRam('ram', BASE, SIZE)
    const model = new Uint8Array(SIZE)
    let held = 0
    if (lazy) {
      first.source = { load: (number, into) => { into.fill(number) }, hold: () => { held++ }, release: () => { held-- } }
      first.place(region, Uint32Array.from({ length: PAGES }, (_, page) => page % 2 === 0 ? page + 100 : 0))
      for (let page = 0; page < PAGES; page += 2) model.fill(page + 100, page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
    }
    add(first, model, new Set())
    for (const { who, kind, at: anywhere, length, fill, noise, whole } of operations) {
      const at = whole ? anywhere - (anywhere % PAGE_SIZE) : anywhere
      const machine = machines[who % Math.max(1, machines.length)]
      if (machine === undefined) break
      const { memory, model, dirty } = machine
      const hand = hands.get(memory)
      const end = Math.min(SIZE, at + (whole ? Math.ceil(length / PAGE_SIZE) * PAGE_SIZE : length))
      const bytes = new Uint8Array(end - at).fill(fill)
      if (noise) for (let i = 0, x = at + fill; i < bytes.length; i++) bytes[i] = (x = Math.imul(x, 1664525) + 1013904223) >>> 24
      const touch = (): void => { for (let page = Math.floor(at / PAGE_SIZE); page * PAGE_SIZE < end; page++) dirty.add(page) }
      if (kind === 'write') {
        memory.write(BASE + at, bytes)
        model.set(bytes, at)
        if (end > at) touch()
      } else if (kind === 'map') {
        let from = 0
        for (const piece of memory.map(BASE + at, end - at, 'write') ?? []) {
          piece.set(bytes.subarray(from, from + piece.length))
          from += piece.length
        }
        model.set(bytes, at)
        if (end > at) touch()
      } else if (kind === 'read') {
        const into = new Uint8Array(end - at)
        memory.read(BASE + at, into)
        expect(Buffer.compare(into, model.subarray(at, end))).toBe(0)
      } else if (kind === 'release') {
        memory.release(BASE + at, end - at)
        for (let page = Math.ceil(at / PAGE_SIZE); (page + 1) * PAGE_SIZE <= end; page++) {
          model.fill(0, page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
          dirty.delete(page)
        }
      } else if (kind === 'clear') {
        memory.clear()
        model.fill(0)
        dirty.clear()
      } else if (kind === 'dirty') {
        expect(memory.takeDirty()).toEqual([...dirty].sort((a, b) => a - b).map((page) => BASE + page * PAGE_SIZE))
        dirty.clear()
      } else if (kind === 'store') {
        expect(Buffer.compare(storedOf(memory), model)).toBe(0)
        const { touched, own, shared } = countPages(memory)
        expect({ touched, own, shared }).toEqual(walked(memory))
        if (memory.pager.framed && arena.sharing === 0 && touched > 0) done['known']!++
      } else if (kind === 'fork' && machines.length < 8) add(memory.fork(), model.slice(), new Set(dirty))
      else if (kind === 'copy' && machines.length < 8) add(memory.copyInto(arena), model.slice(), new Set(dirty))
      else if (kind === 'dispose') {
        done['returned']! += memory.pager.returned
        memory.dispose()
        machines.splice(machines.indexOf(machine), 1)
      } else if (kind === 'age') hand?.age(length % (2 * PAGES))
      else if (kind === 'take') done['taken']! += hand?.take(length % 8, at % (3 * PAGES), (page) => parked.put(page)) ?? 0
      else if (kind === 'merge') done['merged']! += merger.scan(memory, length % (2 * PAGES), noise).freed
      else if (kind === 'move-on') parked.moveOn()
      else if (kind === 'discard') arena.discardFree()
    }
    for (const { memory, model } of machines) expect(Buffer.compare(storedOf(memory), model)).toBe(0)
    // Each frame is had by exactly as many pages as it says, and each parked page is counted.
    const had = new Map<number, number>()
    for (const { memory } of machines) {
      for (let page = 0; page < PAGES; page++) {
        const entry = arena.u32[memory.entryAddress(BASE + page * PAGE_SIZE) >>> 2] ?? 0
        if ((entry & (PAGE_PRESENT | PAGE_WAITING)) !== 0) had.set(entry >>> 12, (had.get(entry >>> 12) ?? 0) + 1)
      }
    }
    for (const [frame, count] of had) expect(arena.references(frame * PAGE_SIZE)).toBe(count)
    expect(arena.sharing).toBe([...had.values()].reduce((sum, count) => sum + count - 1, 0))
    expect(arena.frames).toBe(had.size)
    expect(budget.used).toBe(had.size + (pool?.bytes ?? 0) / PAGE_SIZE)
    done['compressed']! += parked.counts.compressed
    done['swapped']! += parked.counts.swapped
    for (const { memory, model } of machines) {
      const { own, shared, compressed, swapped } = countPages(memory)
      expect(own + shared).toBe(memory.touchedPages)
      expect(compressed + swapped).toBeGreaterThanOrEqual(0)
      expect(Buffer.compare(contentOf(memory), model)).toBe(0)
      done['returned']! += memory.pager.returned
      memory.dispose()
    }
    expect([arena.frames, budget.used, parked.counts, held]).toEqual([0, 0, { compressed: 0, swapped: 0 }, 0])
  }), { numRuns: 250, seed })
  // All of it happened.
  for (const [what, count] of Object.entries(done)) expect(count, what).toBeGreaterThan(30)
})

test('a compressed page is what it was, and damage is found out or changes nothing beyond the page', () => {
  const packed = new Uint8Array(PAGE_SIZE)
  const back = new Uint8Array(PAGE_SIZE)
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(255), fc.nat(600), fc.nat(4000)), { maxLength: 40 }), fc.nat(), fc.nat(255), (runs, place, byte) => {
    const page = new Uint8Array(PAGE_SIZE)
    let at = 0
    for (const [value, length, from] of runs) {
      for (let i = 0; i < length && at < PAGE_SIZE; i++, at++) page[at] = value % 3 === 0 ? (page[(from + i) % PAGE_SIZE] ?? 0) : value + (value % 3 === 1 ? 0 : Math.imul(i, 0x9e3779b1) >>> 24)
    }
    const length = lzCodec.compress(page, packed)
    if (length === 0) return
    lzCodec.decompress(packed.subarray(0, length), back.fill(9))
    expect(Buffer.compare(back, page)).toBe(0)
    packed[place % length] = byte
    try {
      lzCodec.decompress(packed.subarray(0, length), back)
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError)
    }
  }), { numRuns: 500, seed })
  const noise = Uint8Array.from({ length: PAGE_SIZE }, (_, i) => Math.imul(i + 7, 0x9e3779b1) >>> 23)
  expect(lzCodec.compress(noise, new Uint8Array(100))).toBe(0)
  expect(lzCodec.compress(new Uint8Array(PAGE_SIZE), packed)).toBeLessThan(40)
})

test('a page that was swapped out and is not what it was is an error, and the page stays where it is', () => {
  const { arena } = testArena()
  const file = testSwap(4)
  const parked = arena.parked = new ParkedPages(null, new SwapSpace(file))
  const memory = new GuestMemory(arena)
  memory.addRam('ram', BASE, SIZE)
  memory.write(BASE, Uint8Array.of(1, 2, 3))
  expect(new SecondChance(memory).take(1, 2 * PAGES, (page) => parked.put(page))).toBe(1)
  const page = file.content.get(0)
  page![1] = 7
  expect(() => memory.read(BASE, new Uint8Array(1))).toThrow(expect.objectContaining({ code: 'swap-damaged' }))
  expect(arena.frames).toBe(0)
  page![1] = 2
  expect([...contentOf(memory).subarray(0, 4)]).toEqual([1, 2, 3, 0])
  expect(parked.counts.swapped).toBe(0)
})

test('a page gets a second chance: what is touched between two rounds stays, what is held stays, and the estimate follows', () => {
  const { arena } = testArena()
  const parked = arena.parked = new ParkedPages(null, new SwapSpace(testSwap(100)))
  const memory = new GuestMemory(arena)
  memory.addRam('ram', BASE, SIZE)
  for (let page = 0; page < PAGES; page++) memory.write(BASE + page * PAGE_SIZE, Uint8Array.of(page + 1))
  const chance = new SecondChance(memory)
  const frames = (): boolean[] => Array.from({ length: PAGES }, (_, page) => memory.frameAddress(memory.regions[0]!, page) !== 0)
  let flushed = 0
  memory.onProtect = () => { flushed++ }
  chance.age(PAGES)
  expect(flushed).toBe(1)
  for (const page of [2, 5]) memory.read(BASE + page * PAGE_SIZE, new Uint8Array(1))
  memory.held = () => memory.frameAddress(memory.regions[0]!, 5)
  expect(chance.take(100, PAGES, (page) => parked.put(page))).toBe(PAGES - 2)
  expect(frames()).toEqual(Array.from({ length: PAGES }, (_, page) => page === 2 || page === 5))
  expect(chance.take(100, PAGES, (page) => parked.put(page))).toBe(1)
  expect(frames().indexOf(true)).toBe(5)
  memory.held = () => 0
  for (let round = 0; round < 30; round++) chance.age(PAGES)
  expect(chance.active).toBeLessThan(0.01)
  // Who begins to use what he has is believed at once.
  memory.read(BASE + 5 * PAGE_SIZE, new Uint8Array(1))
  chance.age(PAGES)
  expect(chance.active).toBe(1)
  chance.age(PAGES)
  expect(chance.active).toBeLessThan(0.5)
})

test('frames that nobody has go back to the host in runs, and are zeros when they are taken again', () => {
  const { arena, discarded } = testArena()
  const memory = new GuestMemory(arena)
  memory.addRam('ram', BASE, 4 << 20)
  memory.write(BASE, new Uint8Array(4 << 20).fill(1))
  memory.clear()
  expect([arena.undiscarded, arena.discardFree(1000), arena.discardFree(100, 500), discarded(), arena.undiscarded]).toEqual([1024, 0, 500, 500, 524])
  memory.write(BASE, Uint8Array.of(2))
  const all = new Uint8Array(4 << 20)
  for (let at = 0; at < 4 << 20; at += PAGE_SIZE) memory.write(BASE + at + 8, Uint8Array.of(3))
  memory.read(BASE, all)
  expect(all.reduce((sum, byte) => sum + byte, 0)).toBe(2 + 3 * 1024)
})
