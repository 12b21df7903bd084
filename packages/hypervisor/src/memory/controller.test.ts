import { Arena, GuestMemory, type LinearMemory, PAGE_SIZE, type SwapFile } from '@machinist/memory'
import type { Machine, MachineHost } from '@machinist/machine'
import { Random } from '@machinist/schedulers'
import { expect, it } from 'vitest'
import { memoryController, type MemoryController, type MemoryControllerOptions, memoryTargets } from '../index.ts'
import type { MachineSpec } from '../contract/machines.ts'
import type { Terms } from '../contract/resources.ts'

const BASE = 0x8000_0000
const MIB = 2 ** 20
const seed = Number(process.env['MACHINIST_SEED'] ?? 1)

function linearMemory(): LinearMemory {
  let buffer = new ArrayBuffer(65536)
  return {
    get buffer() { return buffer },
    grow(pages) {
      const next = new ArrayBuffer(buffer.byteLength + pages * 65536)
      new Uint8Array(next).set(new Uint8Array(buffer))
      buffer = next
      return 0
    },
  }
}

const host = { loop: { now: () => 0, soon() {}, after: () => () => {} }, linearMemory, maximumMemory: 256 * MIB } as MachineHost

function swap(pages: number): SwapFile {
  const content = new Map<number, Uint8Array>()
  return {
    pages,
    read(page, into) { into.set(content.get(page) ?? into.fill(0)) },
    write(page, from) {
      content.set(page, from.slice())
      return true
    },
    close() {},
  }
}

interface Guest {
  readonly name: string
  readonly memory: GuestMemory
  readonly model: Uint8Array
  preempted: number
}

/** Machines that are memory alone, each with a model of what is in it. */
class House {
  readonly control: MemoryController
  readonly guests: Guest[] = []
  now = 0

  constructor(options: MemoryControllerOptions) {
    this.control = memoryController(options)
  }

  add(name: string, pages: number, terms: Terms = {}, group: string | undefined = 'all', attach: (host: MachineHost) => void = () => {}, on: MachineHost = host): Guest {
    const spec = { name, machine: { file: '' }, resources: { memory: terms }, ...(group !== undefined && { group }) } as MachineSpec
    const own = this.control.host?.(spec, on) ?? on
    attach(own)
    const arena = own.arena?.()
    if (arena === undefined) throw new Error('no arena')
    const guest: Guest = { name, memory: new GuestMemory(arena), model: new Uint8Array(pages * PAGE_SIZE), preempted: 0 }
    guest.memory.addRam('ram', BASE, pages * PAGE_SIZE)
    this.control.add(name, { memory: guest.memory, preempt: () => { guest.preempted++ } } as unknown as Machine, spec)
    this.guests.push(guest)
    return guest
  }

  fill(guest: Guest, first: number, count: number, value: (page: number) => number): void {
    for (let page = first; page < first + count; page++) {
      const bytes = guest.model.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
      let x = value(page)
      for (let i = 0; i < PAGE_SIZE; i += 8) bytes[i] = (x = Math.imul(x, 1664525) + 1013904223) >>> 24
      guest.memory.write(BASE + page * PAGE_SIZE, bytes)
    }
  }

  work(turns = 1): void {
    for (let n = 0; n < turns; n++) {
      const next = this.control.work?.(this.now) ?? Infinity
      this.now = Math.max(this.now + 1e6, Math.min(next, this.now + 250e6))
    }
  }

  /** Time goes by, in which guests do nothing. */
  pass(seconds: number): void {
    for (let n = 0; n < 10 * seconds; n++) {
      this.control.work?.(this.now)
      this.now += 1e8
    }
  }

  used(guest: Guest): number {
    return (this.control.usage(guest.name).used) / PAGE_SIZE
  }

  check(): void {
    for (const { name, memory, model } of this.guests) {
      const into = new Uint8Array(model.length)
      for (let at = 0; at < model.length; at += 64 * PAGE_SIZE) memory.read(BASE + at, into.subarray(at, Math.min(model.length, at + 64 * PAGE_SIZE)))
      expect(Buffer.compare(into, model), name).toBe(0)
    }
  }
}

it('targets: idle memory is taxed first, reservations hold, and what is not wanted goes to others', () => {
  const claim = { shares: 1000, reservation: 0, limit: Infinity, wanted: 1000, active: 1 }
  expect(memoryTargets(1000, [claim, claim])).toEqual([500, 500])
  // A page of idle memory costs as much as four.
  expect(memoryTargets(1000, [{ ...claim, active: 0 }, claim])).toEqual([200, 800])
  expect(memoryTargets(1000, [{ ...claim, active: 0, reservation: 600 }, claim])).toEqual([600, 400])
  expect(memoryTargets(1000, [{ ...claim, wanted: 100 }, claim])).toEqual([100, 900])
  expect(memoryTargets(1000, [{ ...claim, reservation: 900 }, { ...claim, reservation: 900 }])).toEqual([500, 500])
  expect(memoryTargets(3000, [{ ...claim, limit: 300 }, claim])).toEqual([300, 1000])
})

it('one that suddenly needs memory gets it at once from those that are idle, none below its reservation, and everybody finds what he had', () => {
  const house = new House({ budget: 4000 * PAGE_SIZE, swap: swap(20_000) })
  const idle = [0, 1, 2].map((index) => house.add(`idle${index}`, 2000, index === 0 ? { reservation: 1000 * PAGE_SIZE } : {}))
  idle.forEach((guest, index) => { house.fill(guest, 0, 1200, (page) => page * 7 + index * 100_000) })
  house.pass(60)
  const needy = house.add('needy', 4000)
  house.fill(needy, 0, 1300, (page) => page + 1_000_000)
  // In the middle of what it does, before any work.
  expect(house.control.frames).toBeLessThan(4000 + 64)
  expect(needy.memory.touchedPages).toBe(1300)
  const { compressed, swapped } = idle.reduce((sum, guest) => {
    const { memory } = house.control.report?.(guest.name) ?? {}
    return { compressed: sum.compressed + (memory?.compressed ?? 0), swapped: sum.swapped + (memory?.swapped ?? 0) }
  }, { compressed: 0, swapped: 0 })
  expect(compressed).toBeGreaterThan(300)
  expect(compressed + swapped).toBeGreaterThan(800)
  expect(idle[0]?.memory.touchedPages).toBeGreaterThanOrEqual(1000)
  house.check()
  house.work(200)
  expect(house.control.frames).toBeLessThan(4000)
  house.check()
  for (const { name, memory } of house.guests) {
    memory.dispose()
    house.control.remove(name)
  }
  expect(house.control.frames).toBe(0)
})

it('one alone goes beyond the budget while it runs, ends its slice, and gives back as much', () => {
  const house = new House({ budget: 500 * PAGE_SIZE, swap: swap(20_000) })
  const guest = house.add('alone', 1000, {}, undefined)
  house.fill(guest, 0, 700, (page) => page + 5)
  expect([guest.preempted > 0, house.control.frames >= 700, house.control.counts.beyond >= 100]).toEqual([true, true, true])
  house.work(400)
  expect(house.control.frames).toBeLessThanOrEqual(500)
  house.check()
})

it('equal pages of machines of a group are merged, of others not; zeros give their frames back', () => {
  const house = new House({ budget: 3250 * PAGE_SIZE, codec: null })
  const [one, two, apart] = [house.add('one', 1500), house.add('two', 1500), house.add('apart', 1500, {}, 'other')]
  for (const guest of [one, two, apart]) house.fill(guest, 0, 1000, (page) => page + 5)
  for (let page = 1000; page < 1200; page++) one.memory.write(BASE + page * PAGE_SIZE, new Uint8Array(PAGE_SIZE))
  house.work(400)
  const means = (guest: Guest) => house.control.report?.(guest.name).memory
  expect(means(one)?.shared).toBeGreaterThan(990)
  expect(means(two)?.shared).toBeGreaterThan(990)
  expect([means(apart)?.shared, means(apart)?.merged]).toEqual([0, 0])
  expect((means(one)?.merged ?? 0) + (means(two)?.merged ?? 0)).toBeGreaterThan(1190)
  expect(house.control.frames).toBeLessThan(2010)
  expect(house.used(one)).toBeLessThan(510)
  house.fill(two, 500, 10, (page) => page)
  house.check()
})

it('of an arena that a host has for all, only pages of machines of one group are merged', () => {
  const house = new House({ budget: 2700 * PAGE_SIZE, codec: null })
  let shared: Arena | undefined
  const on: MachineHost = { ...host, arena: (options) => shared ??= new Arena(linearMemory(), 256 * MIB, { ...options, kept: true }) }
  const names = [['one', 'all'], ['two', 'all'], ['apart', 'other'], ['third', 'third']] as const
  const guests = names.map(([name, group]) => house.add(name, 700, {}, group, undefined, on))
  expect(new Set(guests.map(({ memory }) => memory.arena)).size).toBe(1)
  for (const guest of guests) house.fill(guest, 0, 600, (page) => page + 5)
  house.work(1500)
  expect(guests.map(({ name }) => house.control.report?.(name).memory?.shared ?? 0).slice(1)).toEqual([600, 0, 0])
  // What one page of two machines has is one frame.
  expect(house.control.frames).toBeLessThan(3 * 600 + 20)
  house.check()
})

it('a grant that answers what was wanted before curbs nobody who has come to want more since', () => {
  const house = new House({})
  const guest = house.add('guest', 700)
  house.fill(guest, 0, 600, (page) => page + 3)
  house.control.usage('guest')
  house.control.grant('guest', { shares: 1000, reservation: 0, limit: Infinity, entitled: 0, demand: 0 })
  house.work(100)
  expect(house.control.counts.taken).toBe(0)
  house.control.grant('guest', { shares: 1000, reservation: 0, limit: Infinity, entitled: 500 * PAGE_SIZE, demand: 600 * PAGE_SIZE })
  house.work(400)
  expect(house.control.counts.taken).toBeGreaterThan(0)
})

it('a limit is kept, what the hypervisor does not grant is given back, and comes back when it grants more', () => {
  const house = new House({ swap: swap(20_000) })
  const [limited, free] = [house.add('limited', 1000, { limit: 300 * PAGE_SIZE }), house.add('free', 1000)]
  for (const guest of [limited, free]) house.fill(guest, 0, 600, (page) => page + guest.name.length * 10_000)
  house.work(200)
  expect(limited.memory.touchedPages).toBeLessThanOrEqual(300)
  expect(free.memory.touchedPages).toBe(600)
  const { demand } = house.control.usage('free')
  expect(demand).toBe(600 * PAGE_SIZE)
  house.control.usage('limited')
  house.control.grant('free', { shares: 1000, reservation: 0, limit: Infinity, entitled: 250 * PAGE_SIZE })
  house.work(400)
  expect(free.memory.touchedPages).toBeLessThan(300)
  house.control.usage('free')
  house.control.grant('free', { shares: 1000, reservation: 0, limit: Infinity, entitled: 600 * PAGE_SIZE })
  house.work(2)
  house.check()
  expect(free.memory.touchedPages).toBe(600)
})

it('balloons are asked for what guests have available, before pages are taken, and are let go afterwards', () => {
  const house = new House({ budget: 2000 * PAGE_SIZE, codec: null })
  let target = 0
  let size = 0
  const balloon = {
    kind: 'balloon', connect: () => ({}), asked: 0,
    get target() { return target },
    set target(bytes: number) {
      target = bytes
      // The guest gives what it is asked for.
      for (let page = size / PAGE_SIZE; page < bytes / PAGE_SIZE; page++) {
        guest.memory.release(BASE + page * PAGE_SIZE, PAGE_SIZE)
        guest.model.fill(0, page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
      }
      size = bytes
    },
    get size() { return size },
    statistics: { available: 600 * PAGE_SIZE, total: 2000 * PAGE_SIZE },
    askStats() { balloon.asked++ },
  }
  const guest = house.add('guest', 2000, {}, 'all', (own) => { own.attach?.(balloon as never, 'balloon', 'balloon.host') })
  house.fill(guest, 0, 1900, (page) => page + 3)
  house.work(2000)
  // A tenth of its memory stays available.
  expect([size / PAGE_SIZE > 50, size / PAGE_SIZE <= 400 + 1, balloon.asked > 0]).toEqual([true, true, true])
  expect(house.control.report?.('guest').memory?.ballooned).toBe(size / PAGE_SIZE)
  house.check()
  guest.memory.release(BASE + 600 * PAGE_SIZE, 1300 * PAGE_SIZE)
  guest.model.fill(0, 600 * PAGE_SIZE, 1900 * PAGE_SIZE)
  house.work(300)
  expect(target).toBe(0)
})

it('random machines with random terms, whatever they do and are granted, find what they wrote, within budget and reservations', () => {
  for (let turn = 0; turn < 4; turn++) {
    const random = new Random(seed * 100 + turn)
    const budget = random.between(400, 1200)
    const house = new House({ budget: budget * PAGE_SIZE, compressed: random.next() * 0.5, swap: swap(20_000), ...(random.next() < 0.3 && { codec: null }) })
    const guests = [0, 1, 2, 3].map((index) => house.add(`m${index}`, 600, { shares: random.between(1, 5000), reservation: random.between(0, 80) * PAGE_SIZE }, random.next() < 0.7 ? 'all' : undefined))
    for (let step = 0; step < 200; step++) {
      const guest = guests[random.between(0, 3)]
      if (guest === undefined) continue
      const first = random.between(0, 590)
      const count = random.between(1, Math.min(60, 600 - first))
      const what = random.next()
      if (what < 0.5) house.fill(guest, first, count, (page) => what < 0.2 ? page : step * 1000 + page)
      else if (what < 0.6) {
        guest.memory.release(BASE + first * PAGE_SIZE, count * PAGE_SIZE)
        guest.model.fill(0, first * PAGE_SIZE, (first + count) * PAGE_SIZE)
      } else if (what < 0.7) guest.memory.read(BASE + first * PAGE_SIZE, new Uint8Array(count * PAGE_SIZE))
      else if (what < 0.75) {
        house.control.usage(guest.name)
        house.control.grant(guest.name, { shares: random.between(1, 5000), reservation: 0, limit: Infinity, entitled: random.between(50, 900) * PAGE_SIZE })
      } else house.work(random.between(1, 20))
    }
    house.check()
    house.work(500)
    expect(house.control.frames, `${seed} ${turn}`).toBeLessThanOrEqual(budget)
    house.check()
    for (const { memory } of guests) memory.dispose()
    expect(house.control.frames, `${seed} ${turn}`).toBe(0)
  }
})

it('says so once when nothing can be taken, and again when that was over and comes back', () => {
  const house = new House({ budget: 300 * PAGE_SIZE, codec: null, swap: swap(20) })
  const told: string[] = []
  house.control.listen?.((kind, name) => { told.push(`${kind} ${name}`) })
  const guest = house.add('guest', 600)
  const again = (): void => {
    house.fill(guest, 0, 500, (page) => page + 1)
    house.work(50)
  }
  again()
  again()
  expect(told).toEqual(['memory-short guest'])
  guest.memory.release(BASE, 400 * PAGE_SIZE)
  house.work(10)
  again()
  expect(told).toEqual(['memory-short guest', 'memory-short guest'])
})

it('a machine whose group has gone gets a new arena', () => {
  const house = new House({})
  const first = house.add('first', 10)
  const { arena } = first.memory
  first.memory.dispose()
  arena.disposeUnused()
  house.control.remove('first')
  const second = house.add('second', 10)
  expect(second.memory.arena).not.toBe(arena)
  expect(second.memory.arena).toBeInstanceOf(Arena)
})
