import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Arena, BLOCK_SIZE, countPages, GuestMemory, Merger, PAGE_SIZE, type RamRegion, WideMemory } from './index.ts'
import { testArena } from './testing-arena.ts'

const MIB = 2 ** 20
const BASE = 0x8000_0000
const SIZE = 10 * MIB
const LOW = { base: 0x1000_0000, size: 2 * PAGE_SIZE } as const

/** Arenas of 8 MiB, the one with most room first. */
function arenas(overcommit: boolean, count = 5): { readonly all: readonly Arena[]; more(): Arena } {
  const all = Array.from({ length: count }, () => testArena({ overcommit }, 8 * MIB).arena)
  return { all, more: () => all.toSorted((one, other) => other.room - one.room)[0] ?? expect.fail('no arena') }
}

function wide(overcommit: boolean): { readonly memory: WideMemory; readonly all: readonly Arena[] } {
  const { all, more } = arenas(overcommit)
  const memory = new WideMemory(more(), more)
  return { memory, all }
}

const borders = (memory: GuestMemory): number[] => memory.pieces.flatMap(({ regions }) => regions.flatMap(({ base, size }) => [base, base + size]))

interface Both {
  readonly ours: GuestMemory
  readonly model: GuestMemory
}

const regionsOf = ({ ours, model }: Both): (readonly [RamRegion, RamRegion])[] => ours.regions.map((region, index) => [region, model.regions[index] ?? region])

/** What everybody may see of it. */
function seen(memory: GuestMemory): unknown {
  return memory.regions.map((region) => Array.from({ length: region.size / PAGE_SIZE }, (_, page) => {
    const place = memory.placeOf(region, page)
    const frame = memory.frame(region, page)
    return place === 0 ? 0 : place > 0 ? place : `${String(memory.isDirty(region, page))} ${frame === null ? 'none' : new DataView(frame.buffer, frame.byteOffset).getUint32(0)} ${frame?.reduce((sum, byte) => (Math.imul(sum, 31) + byte) | 0, 0)}`
  }))
}

const kinds = ['write', 'read', 'write16', 'write32', 'read16', 'read32', 'words', 'map', 'release', 'dirty', 'clear', 'fork', 'copy', 'bring', 'contains'] as const

test('memory in several arenas is to devices and snapshots what memory in one is, whatever they do', () => {
  const operation = fc.record({
    kind: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...kinds.slice(0, 9)) }, { weight: 1, arbitrary: fc.constantFrom(...kinds) }),
    border: fc.nat(20), skew: fc.oneof(fc.integer({ min: -5, max: 5 }), fc.integer({ min: -9000, max: 9000 })), length: fc.oneof(fc.nat(9), fc.nat(20_000)), fill: fc.nat(0xffff),
  })
  fc.assert(fc.property(fc.array(operation, { maxLength: 40 }), fc.boolean(), fc.boolean(), (operations, overcommit, stored) => {
    const { memory, all } = wide(overcommit)
    let both: Both = { ours: memory, model: new GuestMemory(testArena({}, 64 * MIB).arena) }
    const source = { load: (number: number, into: Uint8Array) => { into.fill(number) } }
    for (const each of [both.ours, both.model]) {
      if (stored) each.source = source
      each.addRam('low', LOW.base, LOW.size)
      const ram = each.addRam('ram', BASE, SIZE)
      if (stored) each.place(ram, Uint32Array.from({ length: SIZE / PAGE_SIZE }, (_, page) => page % 3 === 0 ? 1 + page % 200 : 0))
    }
    const { ours: first } = both
    expect(first.pieces.length).toBeGreaterThan(2)
    const ends = borders(first)
    for (const { kind, border, skew, length, fill } of operations) {
      const at = Math.max(0, (ends[border % ends.length] ?? 0) + skew)
      const same = (work: (memory: GuestMemory) => unknown): void => { expect(work(both.ours), `${kind} ${at.toString(16)} ${length}`).toEqual(work(both.model)) }
      if (kind === 'write') same((each) => each.write(at, new Uint8Array(length).map((_, index) => fill + index)))
      else if (kind === 'read') same((each) => {
        const into = new Uint8Array(length)
        return each.read(at, into) && Buffer.from(into).toString('base64')
      })
      else if (kind === 'write16' || kind === 'write32') same((each) => each[kind](at, fill))
      else if (kind === 'read16' || kind === 'read32') same((each) => each[kind](at))
      else if (kind === 'words') same((each) => {
        const into = new Uint32Array(length % 64)
        return each.readWords(at, into) && [...into]
      })
      else if (kind === 'map') same((each) => {
        const views = each.map(at, length, fill % 2 === 0 ? 'read' : 'write')
        return views && Buffer.concat(views).toString('base64')
      })
      else if (kind === 'release') same((each) => each.release(at, length))
      else if (kind === 'contains') same((each) => each.contains(at, length))
      else if (kind === 'dirty') same((each) => each.takeDirty())
      else if (kind === 'bring') for (const each of [both.ours, both.model]) while (each.bring(1000));
      else if (kind === 'clear') {
        const [ours, model] = regionsOf(both)[fill % 2] ?? []
        if (fill % 3 === 0) same((each) => { each.clear() })
        else {
          both.ours.clear(ours)
          both.model.clear(model)
        }
      } else {
        // One of the two goes on, and the other goes.
        const before = both
        const other: Both = kind === 'fork' ? { ours: both.ours.fork(), model: both.model.fork() } : { ours: both.ours.copyInto(testArena({}, 64 * MIB).arena), model: both.model.copyInto(testArena({}, 64 * MIB).arena) }
        expect(seen(other.ours)).toEqual(seen(other.model))
        if (kind === 'fork' && fill % 2 === 0) both = other
        const [gone] = both === other ? [before] : [other]
        gone?.ours.dispose()
        gone?.model.dispose()
      }
    }
    expect(seen(both.ours)).toEqual(seen(both.model))
    expect(both.ours.touchedPages).toBe(both.model.touchedPages)
    expect(countPages(both.ours).touched).toBe(countPages(both.model).touched)
    both.ours.dispose()
    expect(all.map(({ frames, members }) => [frames, members])).toEqual(all.map(() => [0, 0]))
  }), { numRuns: 10 })
})

test('what is promised is there for all, and not for more', () => {
  const { memory, all } = wide(false)
  const room = all.reduce((sum, arena) => sum + arena.room, 0)
  expect(room).toBe(5 * 4 * MIB)
  const ram = memory.addRam('ram', BASE, room)
  expect(memory.regions).toEqual([{ name: 'ram', base: BASE, size: room, map: 0 }])
  for (let page = 0; page < room / PAGE_SIZE; page++) memory.write32(BASE + page * PAGE_SIZE, page + 1)
  expect(memory.touchedPages).toBe(room / PAGE_SIZE)
  expect(memory.frame(ram, 1234)?.[0]).toBe(1235 & 255)
  expect(() => memory.addRam('more', LOW.base, LOW.size)).toThrow(expect.objectContaining({ code: 'too-much-memory', part: 'more' }))
  memory.dispose()
  expect(all.reduce((sum, arena) => sum + arena.room, 0)).toBe(room)
})

test('where nothing is promised, it may be as much as all arenas hold, whoever else is there', () => {
  const { memory, all } = wide(true)
  for (const arena of all) new GuestMemory(arena, false).addRam('other', BASE, arena.most)
  const most = all.reduce((sum, arena) => sum + arena.most, 0)
  memory.addRam('ram', BASE, most)
  expect(memory.pieces.map(({ regions }) => regions.reduce((sum, { size }) => sum + size, 0))).toEqual(all.map((arena) => arena.most))
  expect(() => memory.addRam('more', LOW.base, LOW.size)).toThrow(expect.objectContaining({ code: 'too-much-memory' }))
})

test('RAM that cannot be is refused as in one arena', () => {
  const { memory } = wide(false)
  memory.addRam('ram', BASE, SIZE)
  for (const [base, size] of [[BASE + SIZE - PAGE_SIZE, PAGE_SIZE], [1, PAGE_SIZE], [0, 1], [-PAGE_SIZE, PAGE_SIZE]] as const) expect(() => memory.addRam('bad', base, size)).toThrow(expect.objectContaining({ code: 'bad-ram' }))
  expect(() => memory.image).toThrow(expect.objectContaining({ code: 'memory-image' }))
})

test('each piece is merged by itself, and tells its CPU of its own entries', () => {
  const { memory } = wide(true)
  memory.addRam('ram', BASE, SIZE)
  for (let at = BASE; at < BASE + SIZE; at += BLOCK_SIZE) memory.write32(at, 7)
  const told: number[] = []
  memory.pieces.forEach((piece, index) => { piece.onProtect = () => { told.push(index) } })
  for (const piece of memory.pieces) new Merger(piece.arena).scan(piece, 10_000, true)
  expect(told).toEqual([0, 1])
  expect(countPages(memory)).toMatchObject({ touched: 5, own: 1, shared: 4, part: 2 })
})
