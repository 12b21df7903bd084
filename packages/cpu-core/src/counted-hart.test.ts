import { AddressSpace } from '@machinist/bus'
import { Arena, GuestMemory, layout } from '@machinist/memory'
import { createMemory } from '@machinist/wasm'
import { expect, test } from 'vitest'
import { Cluster } from './cluster.ts'
import { CountedHart, Leave } from './counted-hart.ts'
import { HartWindow } from './hart-window.ts'
import { Structure } from './structure.ts'

const fields = layout('toy', { steps: 'i64', unretired: 'i64', budgetStart: 'u32', budget: 'u32', leave: 'u32', ramTable: ['i64', 24] })

/** A hart whose code takes from the budget what it is told. */
class Toy extends CountedHart {
  readonly record: Structure<typeof fields.fields>
  readonly cluster: Cluster
  readonly home: number
  constructor(arena: Arena, cluster: Cluster) {
    super(arena)
    this.cluster = cluster
    this.home = arena.allocate(fields.size)
    this.record = new Structure(arena, fields, this.home)
  }

  run(budget: number, takes: number, within: () => void = () => undefined): number {
    this.running = true
    const steps = this.pass(budget, () => {
      this.record.set('budget', (this.record.get('budget') - takes) >>> 0)
      within()
    })
    this.running = false
    return steps
  }
}

function machine(): { arena: Arena; cluster: Cluster } {
  const arena = new Arena(createMemory({ initial: 64, maximum: 1024 }), 2 ** 26)
  return { arena, cluster: new Cluster(new GuestMemory(arena), new AddressSpace('memory'), 3) }
}

test('steps are those of all runs and of the one in progress, over 32 bits and beyond the budget', () => {
  const { arena, cluster } = machine()
  const hart = new Toy(arena, cluster)
  hart.record.set64('steps', 2n ** 32n - 10n)
  hart.record.set64('unretired', 4n)
  expect(hart.run(100, 7, () => { expect(hart.steps).toBe(2 ** 32 - 3) })).toBe(7)
  expect(hart.run(5, 6)).toBe(6)
  expect(hart.steps).toBe(2 ** 32 + 3)
  expect(hart.retired).toBe(2 ** 32 - 1)
})

test('a kick ends the run in progress, unless it ends anyway, and no other', () => {
  const { arena, cluster } = machine()
  const hart = new Toy(arena, cluster)
  hart.kick()
  expect(hart.record.get('leave')).toBe(Leave.none)
  hart.run(10, 1, () => { hart.kick() })
  expect(hart.record.get('leave')).toBe(Leave.yield)
  hart.run(10, 1, () => {
    hart.record.set('leave', Leave.halt)
    hart.kick()
  })
  expect(hart.record.get('leave')).toBe(Leave.halt)
})

test('harts move in and out of the window, with the table of their own RAM', () => {
  const { arena, cluster } = machine()
  const other = new Cluster(new GuestMemory(arena), new AddressSpace('memory'), 1)
  cluster.memory.addRam('ram', 0x8000, 4096)
  const window = new HartWindow<Toy>(arena.allocate(fields.size), fields.offset.ramTable)
  const [a, b] = [new Toy(arena, cluster), new Toy(arena, other)]
  const table = (): Uint8Array => arena.u8.slice(window.address + fields.offset.ramTable, window.address + fields.offset.ramTable + 16)
  expect(() => window.client).toThrow('no hart')
  window.enter(a, a.home)
  expect(a.record.base).toBe(window.address)
  expect(table()).toEqual(arena.u8.slice(cluster.memory.table, cluster.memory.table + 16))
  a.record.set('leave', 9)
  window.enter(b, b.home)
  expect([a.record.base, a.record.get('leave'), b.record.get('leave'), window.client]).toEqual([a.home, 9, 0, b])
  expect(table()).toEqual(arena.u8.slice(other.memory.table, other.memory.table + 16))
  window.leave()
  expect([b.record.base, window.current]).toEqual([b.home, null])
})
