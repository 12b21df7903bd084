import { expect, test } from 'vitest'
import { assemble, fakeCpu, op, work } from '../testing/fake-cpu.ts'
import { testHost } from '../../test/harness.ts'
import { createMachine, defineMachine, part } from '../index.ts'

const RAM = 0x8000_0000
const MS = 1_000_000
/** Instructions per nanosecond of the fake harts of this test, and what it takes to look at the clock. */
const SPEED = 0.005
const LOOK = 50

/** What clocks show at a time. */
const clocks: Record<string, (time: number) => number> = {
  'of nanoseconds': (time) => time,
  'of 100 µs': (time) => time - time % 100_000,
  'of 1 ms': (time) => time - time % MS,
  'of 16 ms': (time) => time - time % (16 * MS),
  // As browsers do it: whether it shows the next step already depends on the step.
  'of 1 ms that jitters': (time) => {
    const step = Math.floor(time / MS)
    return (step + (time % MS > (Math.imul(step, 0x9e37_79b1) >>> 12) % MS ? 1 : 0)) * MS
  },
  'that stands still for 30 ms now and then': (time) => time - (time % (50 * MS) < 30 * MS ? time % (50 * MS) : time % 100_000),
}

/** Instructions of a turn, on average, and their number, in a second of harts that work without end. */
function turns(clock: (time: number) => number, harts: number, slice: number): number {
  const host = testHost()
  const begin = work.instructions
  let looks = 0
  const now = (): number => (work.instructions - begin) / SPEED + looks * LOOK
  host.loop.now = () => {
    looks++
    return clock(now())
  }
  const machine = createMachine(defineMachine({
    name: 'test', memory: { base: RAM, size: 1 << 20 }, cpu: part(fakeCpu, { config: { harts } }), devices: {},
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble([op.nop(), op.nop(), op.li(1, 1), op.branch(1, -3)]) }], entry: RAM },
  }), host)
  machine.start({ drive: 'caller' })
  const skip = 100 * MS
  while (now() < skip) machine.runSlice(slice)
  const before = machine.stats
  while (now() < skip + 50 * MS) machine.runSlice(slice)
  const after = machine.stats
  machine.dispose()
  return (after.retired - before.retired) / (after.exits.budget - before.exits.budget)
}

for (const [name, clock] of Object.entries(clocks)) {
  test(`turns have their length by a clock ${name}`, () => {
    for (const [harts, slice, length] of [[1, MS, MS], [1, 20_000, 20_000], [3, MS, 75_000], [3, 20_000, 75_000]] as const) {
      const taken = turns(clock, harts, slice) / SPEED
      expect(taken, `${harts} harts, slices of ${slice / 1000} µs`).toBeGreaterThan(length / 2)
      // No shorter than a clock can tell.
      expect(taken).toBeLessThan(Math.max(2 * length, 10 * MS))
    }
  })
}
