import { lzCodec } from '@machinist/memory'
import { expect, it } from 'vitest'
import { fleet, spec } from '../../test/harness.ts'
import { memoryController } from '../index.ts'

const KIB = 1024
const PAGE = 4096
const FIRST = 0x8001_0000

/** Instructions of the fake CPU of the tests of `machine`. */
const op = {
  li: (r: number, value: number): number => 1 | r << 8 | value << 16,
  high: (r: number, value: number): number => (2 | r << 8 | value << 16) >>> 0,
  store: (r: number, s: number): number => 4 | r << 8 | s << 16,
  add: (r: number, s: number): number => 5 | r << 8 | s << 16,
  sub: (r: number, s: number): number => 6 | r << 8 | s << 16,
  branch: (r: number, by: number): number => (7 | r << 8 | (by & 0xffff) << 16) >>> 0,
} as const
const constant = (r: number, value: number): number[] => [op.li(r, value & 0xffff), op.high(r, value >>> 16)]

/** Writes to so many pages, the number of each and more, then works without them. */
const writes = (pages: number, salt: number): number[] => [
  ...constant(1, FIRST), ...constant(2, pages), ...constant(3, PAGE), ...constant(4, 1), ...constant(5, salt),
  // Each is something else.
  op.store(5, 1), op.add(5, 2), op.add(1, 3), op.sub(2, 4), op.branch(2, -5),
  op.add(6, 4), op.branch(4, -2),
]

it('the table says what machines have, and those that want more than the host has are within what they are entitled to', async () => {
  const test = fleet({ capacity: { memory: 640 * KIB } }, { controllers: [memoryController({ codec: lzCodec, compressed: 0.25 })] })
  const { hypervisor } = test
  await test.wait(hypervisor.addPool({ path: 'good', resources: { memory: { reservation: 320 * KIB } } }))
  const add = async (name: string, salt: number, pool?: string): Promise<void> => {
    await test.wait(hypervisor.add(spec(name, writes(100, salt), { group: 'all', ...(pool !== undefined && { pool, resources: { memory: { reservation: 300 * KIB } } }) })))
    await test.wait(hypervisor.start(name))
  }
  await add('kept', 1, 'good')
  await add('one', 1_000_000)
  await add('two', 2_000_000)
  await test.run(6e9)
  const { rows } = await test.wait(hypervisor.table())
  const memory = (name: string) => rows.find((row) => row.name === name)?.resources.memory
  // What compressed pages take is theirs, too.
  const used = ['kept', 'one', 'two'].reduce((sum, name) => sum + (memory(name)?.used ?? 0), 0)
  expect(memory('')?.used).toBe(used)
  expect(used).toBeLessThan(700 * KIB)
  expect(memory('kept')?.used).toBeGreaterThanOrEqual(300 * KIB)
  expect(memory('kept')?.demand).toBeGreaterThan(390 * KIB)
  expect(memory('')?.entitled).toBeLessThanOrEqual(640 * KIB)
  const reports = await test.wait(hypervisor.machines())
  const means = (name: string) => reports.find((report) => report.name === name)?.memory
  for (const name of ['kept', 'one', 'two']) expect(means(name)?.touched, name).toBeGreaterThan(99)
  expect((means('one')?.compressed ?? 0) + (means('two')?.compressed ?? 0)).toBeGreaterThan(50)
  hypervisor.close()
})
