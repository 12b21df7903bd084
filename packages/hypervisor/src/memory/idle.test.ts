import { constant, op } from '@machinist/machine/testing'
import { expect, it } from 'vitest'
import { fleet, spec } from '../../test/harness.ts'
import { memoryController } from '../index.ts'

const PAGE = 4096
const FIRST = 0x8001_0000
const PAGES = 100

/** Writes to so many pages, the number of each and more. */
const writes = (salt: number): number[] => [
  ...constant(1, FIRST), ...constant(2, PAGES), ...constant(3, PAGE), op.li(4, 1), ...constant(5, salt),
  op.store(5, 1), op.add(5, 2), op.add(1, 3), op.sub(2, 4), op.branch(2, -4),
]
/** Then waits. */
const idle = [...writes(1_000_000), op.wait()]
/** Again and again, twenty times a second. */
const often = [...writes(2_000_000), ...constant(6, 50_000_000), op.timer(6), op.wait()]
const busy = [...often, op.branch(4, -often.length)]

it.each([
  { where: 'of one processor', homes: [0, 0] },
  { where: 'of two processors', homes: [0, 1] },
])('machines $where: one that uses its memory has more of it than one that does not, and nobody is below his reservation', async ({ homes }) => {
  // Merging would find what is equal; it is not what this is about.
  const test = fleet({ processors: 2, balance: false, capacity: { memory: 120 * PAGE } }, () => ({ controllers: [memoryController({ compressed: 0.5 })] }))
  const { hypervisor } = test
  const add = async (name: string, words: readonly number[], home: number, reservation = 0): Promise<void> => {
    await test.wait(hypervisor.add(spec(name, words, { resources: { memory: { reservation } } })))
    await test.wait(hypervisor.move(name, home))
    await test.wait(hypervisor.start(name))
  }
  await add('idle', idle, homes[0] ?? 0)
  await add('busy', busy, homes[1] ?? 0)
  const memory = async (name: string) => (await test.wait(hypervisor.table())).rows.find((row) => row.name === name)?.resources.memory ?? { used: NaN, entitled: NaN }
  await test.run(40e9)
  const [taxed, using] = [await memory('idle'), await memory('busy')]
  // By shares alone, 60 pages each. A page that is not used costs as much as four that are; some of those that are seem not to be, since they come and go.
  expect(taxed.entitled / PAGE).toBeLessThan(50)
  expect(using.entitled / PAGE).toBeGreaterThan(70)
  expect(taxed.used / using.used).toBeLessThan(0.75)
  expect((taxed.used + using.used) / PAGE).toBeLessThan(125)
  await test.wait(hypervisor.set('idle', { resources: { memory: { reservation: 60 * PAGE } } }))
  expect((await memory('idle')).entitled).toBeGreaterThanOrEqual(60 * PAGE)
  hypervisor.close()
})
