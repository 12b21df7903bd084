import type { SliceResult } from '@machinist/machine'
import { Random } from '@machinist/schedulers'
import { expect, test } from 'vitest'
import { testLoop } from '../../test/harness.ts'
import { Runner } from './runner.ts'

const MS = 1_000_000

test('promises and limits are kept of the CPU time that there is, on a host that takes the thread away for long times in the middle of runs', () => {
  const loop = testLoop()
  let cpu = 0
  const random = new Random(1)
  const runner = new Runner(loop, () => cpu)
  const wanted = { one: 0.1, two: 0.2, four: 0.4, reserved: 0.2, limited: 0.1 }
  const terms = { one: { shares: 1000 }, two: { shares: 2000 }, four: { shares: 4000 }, reserved: { shares: 100, reservation: 0.2 }, limited: { shares: 8000, limit: 0.1 } }
  for (const [name, parameters] of Object.entries(terms)) {
    runner.add(name, (slice) => {
      // A run takes its slice on the clock of the host, and then gets it; or it is in the middle of it when the host goes elsewhere, for 40 ms or so.
      const away = random.next() < 0.1 ? random.exponential(40 * MS) : 0
      cpu += away === 0 ? slice : slice * random.next()
      loop.time += slice + away
      return { kind: 'runnable' }
    }, parameters)
    runner.wake(name)
  }
  while (cpu < 4000 * MS) loop.turn()
  const used = Object.keys(wanted).map((name) => runner.time(name).used)
  const all = used.reduce((sum, each) => sum + each, 0)
  expect(all / cpu).toBeCloseTo(1, 3)
  for (const [index, [name, part]] of Object.entries(wanted).entries()) expect(Math.abs((used[index] ?? 0) / all / part - 1), name).toBeLessThan(0.03)
})

test('what a run is interrupted for is charged to those for whom something came in, and to nobody if there are none', () => {
  const loop = testLoop()
  const interrupts = { found: 0 }
  let interrupted = 0
  const runner = new Runner(loop, () => loop.time - interrupted, interrupts)
  let wakes = true
  runner.add('works', (slice) => {
    loop.time += slice
    interrupted += slice / 10
    interrupts.found += slice / 10
    if (wakes) runner.wake('wants')
    return { kind: 'runnable' }
  }, {})
  runner.add('wants', () => ({ kind: 'idle', until: Infinity, at: Infinity }), {})
  runner.wake('works')
  const run = (): readonly number[] => {
    const before = [loop.time, ...['works', 'wants'].map((name) => runner.time(name).used)]
    while (loop.time < (before[0] ?? 0) + 1000 * MS) loop.turn()
    return ['works', 'wants'].map((name, index) => (runner.time(name).used - (before[index + 1] ?? 0)) / (loop.time - (before[0] ?? 0)))
  }
  run()
  const [works = 0, wants = 0] = run()
  expect(Math.abs(works - 0.9)).toBeLessThan(0.01)
  expect(Math.abs(wants - 0.1)).toBeLessThan(0.01)
  wakes = false
  loop.turn()
  const [alone = 0, nothing] = run()
  expect(Math.abs(alone - 0.9)).toBeLessThan(0.01)
  expect(nothing).toBe(0)
})

test('a task that waits is not run before its time or before it is woken, and its waiting takes no turns', () => {
  const loop = testLoop()
  const runner = new Runner(loop, () => loop.time)
  const began: number[] = []
  runner.add('sleeper', () => {
    began.push(loop.time)
    loop.time += 1000
    return { kind: 'idle', until: 0, at: loop.time + 50 * MS }
  }, {})
  runner.wake('sleeper')
  let turns = 0
  while (loop.time < 500 * MS) {
    loop.turn()
    turns += 1
  }
  expect(began.length).toBe(11)
  for (const [index, at] of began.slice(1).entries()) expect(at - (began[index] ?? 0)).toBeGreaterThan(50 * MS)
  expect(turns).toBeLessThan(40)
  const [before, woken] = [began.length, loop.time]
  runner.wake('sleeper')
  loop.turn()
  expect((began[before] ?? Infinity) - woken).toBeLessThan(MS)
  runner.block('sleeper')
  const ended = began.length
  for (let turn = 0; turn < 5; turn++) loop.turn()
  expect(began.length).toBe(ended)
  runner.remove('sleeper')
  expect(loop.waiting).toBe(0)
})

test('runs are long while nothing comes in, and short for some time after something did', () => {
  const loop = testLoop()
  const runner = new Runner(loop, () => loop.time)
  const runs: { readonly name: string; readonly at: number; readonly slice: number }[] = []
  const add = (name: string, work: (slice: number) => SliceResult): void => {
    runner.add(name, (slice) => {
      runs.push({ name, at: loop.time, slice })
      return work(slice)
    }, {})
  }
  for (const name of ['one', 'two']) {
    add(name, (slice) => {
      loop.time += slice
      return { kind: 'runnable' }
    })
    runner.wake(name)
  }
  add('desk', () => {
    loop.time += 200_000
    return { kind: 'idle', until: Infinity, at: Infinity }
  })
  const until = (time: number): void => { while (loop.time < time) loop.turn() }
  const slices = (from: number, to: number): ReadonlySet<number> => new Set(runs.filter(({ at }) => at >= from && at < to).map(({ slice }) => slice))
  until(400 * MS)
  expect(slices(0, 100 * MS)).toEqual(new Set([MS]))
  expect(slices(102 * MS, 400 * MS)).toEqual(new Set([4 * MS]))
  const came = loop.time
  runner.wake('desk')
  until(700 * MS)
  // At once, before those that had what it has not had.
  expect((runs.find(({ name, at }) => name === 'desk' && at >= came)?.at ?? Infinity) - came).toBeLessThan(1000)
  expect(slices(came, came + 99 * MS)).toEqual(new Set([MS]))
  expect(slices(came + 102 * MS, 700 * MS)).toEqual(new Set([4 * MS]))
})

test('a long run ends when a task that sleeps has its time, or a chore is due', () => {
  const loop = testLoop()
  const runner = new Runner(loop, () => loop.time)
  const random = new Random(2)
  let [late, chores, choreAt, latest] = [0, 0, 0, 0]
  runner.add('busy', (slice) => {
    loop.time += slice
    latest = Math.max(latest, slice)
    return { kind: 'runnable' }
  }, {})
  let due = 0
  runner.add('sleeper', () => {
    if (due > 0) late = Math.max(late, loop.time - due)
    loop.time += 100_000
    due = loop.time + random.between(1, 20) * MS
    return { kind: 'idle', until: 0, at: due }
  }, {})
  runner.addChore((now) => {
    if (choreAt > 0) late = Math.max(late, now - choreAt)
    chores++
    return choreAt = now + random.between(1, 20) * MS
  })
  for (const name of ['busy', 'sleeper']) runner.wake(name)
  while (loop.time < 3000 * MS) loop.turn()
  expect(chores).toBeGreaterThan(100)
  expect(latest).toBe(4 * MS)
  // Not less than a short run; and a chore waits for the sleeper, too.
  expect(late).toBeLessThan(1.2 * MS)
})
