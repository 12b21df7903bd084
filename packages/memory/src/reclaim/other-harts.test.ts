import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CompressedPool, frameOf, GuestMemory, lzCodec, Merger, PAGE_DIRTY, PAGE_PRESENT, PAGE_SHARED, PAGE_SIZE, ParkedPages, SecondChance } from '../index.ts'
import { testArena } from '../testing-arena.ts'

const BASE = 0x8000_0000
const PAGES = 8
const SIZE = PAGES * PAGE_SIZE
const seed = Number(process.env['MACHINIST_SEED'] ?? 1)

/** A guest that runs on another hart of the hardware: until it has lost a translation, it writes through it, also in the middle of what is done to its memory. */
class OtherHart {
  readonly memory: GuestMemory
  readonly model: Uint8Array
  /** Pages that it can write to, with their frames. */
  readonly #tlb = new Map<number, number>()
  readonly #value: () => number
  writes = 0

  constructor(memory: GuestMemory, model: Uint8Array, value: () => number) {
    this.memory = memory
    this.model = model
    this.#value = value
    memory.onProtect = memory.onRelease = () => {
      this.write()
      this.#tlb.clear()
    }
    memory.onMove = () => { this.#tlb.clear() }
  }

  /** Asks for a page to write to, as hardware does by a fault. */
  want(page: number): void {
    const entry = this.memory.fault(this.memory.entryAddress(BASE + page * PAGE_SIZE), 'write')
    expect(entry & (PAGE_PRESENT | PAGE_SHARED | PAGE_DIRTY)).toBe(PAGE_PRESENT | PAGE_DIRTY)
    this.#tlb.set(page, frameOf(entry))
  }

  /** Writes a byte to some of the pages that it can write to. */
  write(): void {
    for (const [page, frame] of this.#tlb) {
      const value = this.#value()
      if (value > 2) continue
      this.memory.arena.u8[frame + 100] = this.model[page * PAGE_SIZE + 100] = value
      this.writes++
    }
  }

  /** It has none of these any more. */
  forget(): void {
    this.#tlb.clear()
  }
}

test('pages that another hart writes to until it has lost them are merged, compressed, copied and released by what they hold then', () => {
  const operation = fc.record({ who: fc.nat(3), kind: fc.constantFrom('want', 'want', 'write', 'merge', 'merge', 'age', 'take', 'dirty', 'release', 'clear', 'fork', 'dispose'), page: fc.nat(PAGES - 1), count: fc.integer({ min: 1, max: PAGES }) })
  const done = { merged: 0, compressed: 0, writes: 0 }
  fc.assert(fc.property(fc.array(operation, { minLength: 20, maxLength: 80 }), fc.infiniteStream(fc.nat(5)), (operations, values) => {
    const { arena } = testArena()
    const pool = new CompressedPool(lzCodec, arena.budget, 2 ** 20)
    const parked = arena.parked = new ParkedPages(pool, null)
    const merger = new Merger(arena)
    const value = (): number => (values.next() as IteratorResult<number, undefined>).value ?? 0
    const memory = new GuestMemory(arena)
    memory.addRam('ram', BASE, SIZE)
    const harts = [new OtherHart(memory, new Uint8Array(SIZE), value)]
    const hands = new Map<GuestMemory, SecondChance>()
    for (const { who, kind, page, count } of operations) {
      const hart = harts[who % Math.max(1, harts.length)]
      if (hart === undefined) break
      const { memory, model } = hart
      const end = Math.min(PAGES, page + count)
      let hand = hands.get(memory)
      if (hand === undefined) hands.set(memory, hand = new SecondChance(memory))
      if (kind === 'want') for (let each = page; each < end; each++) hart.want(each)
      else if (kind === 'write') hart.write()
      else if (kind === 'merge') done.merged += merger.scan(memory, PAGES, true).freed
      else if (kind === 'age') hand.age(count)
      else if (kind === 'take') done.compressed += hand.take(count, PAGES, (bytes) => parked.put(bytes))
      else if (kind === 'dirty') memory.takeDirty()
      else if (kind === 'release') {
        memory.release(BASE + page * PAGE_SIZE, (end - page) * PAGE_SIZE)
        model.fill(0, page * PAGE_SIZE, end * PAGE_SIZE)
      } else if (kind === 'clear') {
        memory.clear()
        model.fill(0)
      } else if (kind === 'fork' && harts.length < 4) {
        const copy = memory.fork()
        harts.push(new OtherHart(copy, model.slice(), value))
      } else if (kind === 'dispose' && harts.length > 1) {
        hart.forget()
        memory.dispose()
        harts.splice(harts.indexOf(hart), 1)
      }
    }
    for (const { memory, model, writes } of harts) {
      done.writes += writes
      const into = new Uint8Array(SIZE)
      memory.read(BASE, into)
      expect(Buffer.compare(into, model)).toBe(0)
    }
  }), { numRuns: 400, seed })
  for (const [what, count] of Object.entries(done)) expect(count, what).toBeGreaterThan(100)
})

test('two pages that were equal, and a page that was zeros, when they were compared are none of it once another hart has written', () => {
  const { arena } = testArena()
  const [one, two] = ['one', 'two'].map((name) => {
    const memory = new GuestMemory(arena)
    memory.addRam(name, BASE, SIZE)
    memory.write(BASE, Uint8Array.of(7))
    memory.write(BASE + PAGE_SIZE, new Uint8Array(PAGE_SIZE))
    return memory
  })
  if (one === undefined || two === undefined) throw new Error('no memory')
  const merger = new Merger(arena)
  merger.scan(one, 1, true)
  const frames = [0, 1].map((page) => two.frameAddress(two.regions[0]!, page))
  two.onProtect = () => {
    for (const frame of frames) arena.u8[frame] = 9
    two.onProtect = null
  }
  expect(merger.scan(two, PAGES, true).freed).toBe(0)
  const first = (memory: GuestMemory, page: number): number => {
    const into = new Uint8Array(1)
    memory.read(BASE + page * PAGE_SIZE, into)
    return into[0] ?? 0
  }
  expect([first(one, 0), first(two, 0), first(two, 1)]).toEqual([7, 9, 9])
})
