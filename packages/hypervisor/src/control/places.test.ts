import { Random } from '@machinist/schedulers'
import { expect, test } from 'vitest'
import type { Room } from '../contract/controller.ts'
import { betterPlace, type Load } from './places.ts'

type Placed = Load & { processor: number }

const NO_MEMORY = { group: '', wanted: 0, frees: 0, elsewhere: 0 }
const seed = Number(process.env['SEED'] ?? 3)

/** How much of memory is lacking on a processor, as a part of what there is, when a tenth is kept. */
function lack(loads: readonly Load[], processor: number, { all, group }: Room): number {
  const here = loads.filter((load) => load.processor === processor)
  const sum = (some: readonly Load[]): number => some.reduce((before, { memory: { wanted } }) => before + wanted, 0)
  const groups = [...new Set(here.map(({ memory }) => memory.group))].filter((name) => name !== '')
  const parts = [sum(here) / all, ...groups.map((name) => sum(here.filter(({ memory }) => memory.group === name)) / group)]
  return Math.max(0, Math.max(...parts) / 0.9 - 1)
}

test('moving as it says ends, with processors that no single move would make more even', () => {
  const random = new Random(seed)
  for (let round = 0; round < 200; round++) {
    const count = 1 + Math.floor(random.next() * 6)
    const rooms = Array<null>(count).fill(null)
    const loads = Array.from({ length: Math.floor(random.next() * 20) }, (_, index): Placed => ({ name: String(index), processor: Math.floor(random.next() * count), entitled: random.next(), memory: NO_MEMORY, fits: () => true }))
    const most = (): number => Math.max(...Array.from({ length: count }, (_, index) => loads.filter(({ processor }) => processor === index).reduce((sum, { entitled }) => sum + entitled, 0)))
    let moves = 0
    for (let better = betterPlace(loads, rooms); better !== null; better = betterPlace(loads, rooms)) {
      const before = most()
      loads[Number(better.name)]!.processor = better.to
      expect(most()).toBeLessThanOrEqual(before + 1e-9)
      expect(++moves).toBeLessThan(50)
    }
    const least = Math.min(...Array.from({ length: count }, (_, index) => loads.filter(({ processor }) => processor === index).reduce((sum, { entitled }) => sum + entitled, 0)))
    const highest = loads.filter(({ processor }) => count > 1 && loads.filter((each) => each.processor === processor).reduce((sum, { entitled }) => sum + entitled, 0) === most())
    for (const { entitled } of highest) expect(Math.max(most() - entitled, least + entitled)).toBeGreaterThan(most() - 0.05 - 1e-9)
  }
})

test('moving for memory ends, makes nobody shorter than the shortest was, and stops when no single move would help; moving for time makes nobody short', () => {
  const random = new Random(seed)
  const seen = { cpu: 0, memory: 0 }
  for (let round = 0; round < 300; round++) {
    const rooms = Array.from({ length: 2 + Math.floor(random.next() * 4) }, (): Room => ({ all: random.next() < 0.3 ? Infinity : 1 + random.next() * 4, group: random.next() < 0.5 ? Infinity : 1 + random.next() * 2 }))
    const loads = Array.from({ length: Math.floor(random.next() * 20) }, (_, index): Placed => {
      const wanted = random.next()
      return { name: String(index), processor: Math.floor(random.next() * rooms.length), entitled: random.next() * 0.5, memory: { group: ['', 'a', 'b'][Math.floor(random.next() * 3)] ?? '', wanted, frees: wanted, elsewhere: wanted }, fits: () => true }
    })
    const lacks = (): number[] => rooms.map((room, index) => lack(loads, index, room))
    let moves = 0
    for (let better = betterPlace(loads, rooms); better !== null; better = betterPlace(loads, rooms)) {
      const before = lacks()
      const load = loads[Number(better.name)]!
      if (better.why === 'memory') expect(before[load.processor]).toBe(Math.max(...before))
      load.processor = better.to
      if (better.why === 'memory') expect(Math.max(...lacks())).toBeLessThanOrEqual(Math.max(...before) + 1e-9)
      else expect(lacks()[better.to]).toBeLessThan(1e-9)
      seen[better.why]++
      expect(++moves).toBeLessThan(100)
    }
    const ended = lacks()
    const worst = ended.indexOf(Math.max(...ended))
    if ((ended[worst] ?? 0) < 1e-9) continue
    for (const load of loads.filter(({ processor }) => processor === worst)) {
      for (const to of rooms.keys()) {
        load.processor = to
        const after = lacks()
        if (to !== worst) expect(Math.max(after[worst] ?? 0, after[to] ?? 0)).toBeGreaterThan(0)
      }
      load.processor = worst
    }
  }
  expect(seen.cpu).toBeGreaterThan(100)
  expect(seen.memory).toBeGreaterThan(100)
})

test('what comes free is what nobody else has, and what is taken elsewhere is all of it', () => {
  const load = (name: string, processor: number, wanted: number, frees: number, elsewhere: number): Load => ({ name, processor, entitled: 0, memory: { group: 'all', wanted, frees, elsewhere }, fits: () => true })
  const rooms: Room[] = [{ all: 10, group: 10 }, { all: 10, group: 4 }]
  // Copies, which share nearly all: going would free nearly nothing, and take as much again.
  const copies = ['one', 'two', 'three'].map((name) => load(name, 0, 4, 0.1, 11))
  expect(betterPlace(copies, rooms)).toBeNull()
  expect(betterPlace([...copies, load('own', 0, 3, 3, 3)], rooms)).toEqual({ name: 'own', to: 1, why: 'memory' })
  // There is a group of its own there, which has no room.
  expect(betterPlace([...copies, load('own', 0, 3, 3, 3), load('there', 1, 3, 3, 3)], rooms)).toBeNull()
})
