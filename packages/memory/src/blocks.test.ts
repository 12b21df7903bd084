import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BLOCK_FRAMES, BLOCK_SIZE, FrameBudget, frameOf, GuestMemory, Merger, PAGE_SIZE } from './index.ts'
import { testArena } from './testing-arena.ts'

const BASE = 0x8000_0000
const SIZE = 3 * BLOCK_SIZE
const seed = Number(process.env['MACHINIST_SEED'] ?? 1)

function machine(arena: ReturnType<typeof testArena>['arena'], size: number = SIZE): GuestMemory {
  const memory = new GuestMemory(arena)
  memory.addRam('ram', BASE, size)
  return memory
}

function framesOf(memory: GuestMemory): number[] {
  const [region] = memory.regions
  return region === undefined ? [] : Array.from({ length: region.size / PAGE_SIZE }, (_, page) => memory.frameAddress(region, page))
}

test('who writes where nobody was gets a block of frames, which comes back whole; who reads, or has no room for it, gets one page', () => {
  const budget = new FrameBudget()
  const { arena } = testArena({ blocks: true, budget })
  const memory = machine(arena)
  memory.write(BASE + BLOCK_SIZE + 5 * PAGE_SIZE, Uint8Array.of(1))
  const first = framesOf(memory)
  const block = first[BLOCK_FRAMES] ?? 0
  expect([block % BLOCK_SIZE, memory.touchedPages]).toEqual([0, BLOCK_FRAMES])
  expect(first).toEqual(Array.from({ length: 3 * BLOCK_FRAMES }, (_, page) => page < BLOCK_FRAMES || page >= 2 * BLOCK_FRAMES ? 0 : block + (page - BLOCK_FRAMES) * PAGE_SIZE))
  memory.clear()
  expect([memory.touchedPages, arena.frames]).toEqual([0, 0])
  memory.write(BASE + 9, Uint8Array.of(2))
  expect(framesOf(memory)[0]).toBe(block)
  const into = new Uint8Array(BLOCK_SIZE)
  memory.read(BASE, into)
  expect([into.reduce((sum, byte) => sum + byte, 0), into[9]]).toEqual([2, 2])
  // One page of the last block was read: it is not all zeros that nobody has.
  expect(frameOf(memory.fault(memory.entryAddress(BASE + 2 * BLOCK_SIZE), 'read'))).not.toBe(0)
  memory.write(BASE + 2 * BLOCK_SIZE + PAGE_SIZE, Uint8Array.of(3))
  expect(memory.touchedPages).toBe(BLOCK_FRAMES + 2)
  budget.limit = 2 * BLOCK_FRAMES
  memory.write(BASE + BLOCK_SIZE, Uint8Array.of(4))
  expect(memory.touchedPages).toBe(BLOCK_FRAMES + 3)
  memory.dispose()
  expect(arena.frames).toBe(0)
})

test('machines in an arena of blocks find what they wrote, and no frame is two machines\' or lost, whatever they touch, release and merge', () => {
  const operation = fc.record({ who: fc.nat(2), kind: fc.constantFrom('write', 'write', 'write', 'read', 'release', 'clear', 'fork', 'merge', 'dispose'), at: fc.nat(SIZE - 1), length: fc.nat(40_000), fill: fc.nat(3) })
  fc.assert(fc.property(fc.array(operation, { minLength: 10, maxLength: 40 }), fc.constantFrom(Infinity, 4000, 1500), (operations, limit) => {
    const { arena } = testArena({ blocks: true, overcommit: true, budget: new FrameBudget(limit) })
    const merger = new Merger(arena)
    const machines = [0, 1].map(() => ({ memory: machine(arena), model: new Uint8Array(SIZE) }))
    for (const { who, kind, at, length, fill } of operations) {
      const chosen = machines[who % Math.max(1, machines.length)]
      if (chosen === undefined) break
      const { memory, model } = chosen
      const end = Math.min(SIZE, at + length)
      if (kind === 'write') {
        memory.write(BASE + at, new Uint8Array(end - at).fill(fill))
        model.fill(fill, at, end)
      } else if (kind === 'read') memory.read(BASE + at, new Uint8Array(end - at))
      else if (kind === 'release') {
        memory.release(BASE + at, end - at)
        for (let page = Math.ceil(at / PAGE_SIZE); (page + 1) * PAGE_SIZE <= end; page++) model.fill(0, page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
      } else if (kind === 'clear') {
        memory.clear()
        model.fill(0)
      } else if (kind === 'merge') merger.scan(memory, 2000, true)
      else if (kind === 'fork' && machines.length < 3) machines.push({ memory: memory.fork(), model: model.slice() })
      else if (kind === 'dispose' && machines.length > 1) {
        memory.dispose()
        machines.splice(machines.indexOf(chosen), 1)
      }
    }
    const had = new Map<number, number>()
    for (const { memory } of machines) for (const frame of framesOf(memory)) if (frame !== 0) had.set(frame, (had.get(frame) ?? 0) + 1)
    expect([...had].every(([frame, count]) => arena.references(frame) === count)).toBe(true)
    expect(arena.frames).toBe(had.size)
    const into = new Uint8Array(SIZE)
    for (const { memory, model } of machines) {
      memory.read(BASE, into)
      expect(Buffer.compare(into, model)).toBe(0)
      memory.dispose()
    }
    expect(arena.frames).toBe(0)
  }), { numRuns: 40, seed })
})
