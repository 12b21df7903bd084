import type { EntityParameters } from '@machinist/schedulers'
import { expect, test } from 'vitest'
import { Board, Guest, type Habit } from '../../test/board.ts'
import { testLoop } from '../../test/harness.ts'
import { ParallelRunner } from './parallel-runner.ts'

const MS = 1_000_000
const busy: Habit = { harts: 1, run: 1e15, service: 0 }
/** What hardly does anything but ask the thread for something. */
const floods: Habit = { harts: 1, run: 2_000, service: 40_000 }

interface Trial {
  readonly board: Board
  readonly guests: Readonly<Record<string, Guest>>
  readonly runner: ParallelRunner
  /** Runs for so many milliseconds; says what part of all processors each machine was charged for. */
  run(ms: number): Readonly<Record<string, number>>
}

function trial(others: number, machines: Readonly<Record<string, readonly [Habit, EntityParameters]>>, { finding = 0, deciding = 0 } = {}): Trial {
  const loop = testLoop()
  const board = new Board(loop, others)
  board.finding = finding
  const runner = new ParallelRunner(loop, board, () => loop.now() - board.interrupted)
  const { policy } = runner
  const { pick } = policy
  policy.pick = (...given) => {
    loop.time += deciding
    return pick.apply(policy, given)
  }
  const guests = Object.fromEntries(Object.entries(machines).map(([name, [habit, parameters]]) => {
    const guest = new Guest(board, habit, () => { runner.wake(name) })
    runner.add(name, (slice, here = true) => guest.slice(slice, here), parameters, guest)
    runner.wake(name)
    return [name, guest]
  }))
  return {
    board, guests, runner,
    run(ms) {
      const names = Object.keys(machines)
      const before = names.map((name) => runner.time(name).used)
      const began = loop.time
      while (loop.time < began + ms * MS) loop.turn()
      return Object.fromEntries(names.map((name, index) => [name, (runner.time(name).used - (before[index] ?? 0)) / (loop.time - began)]))
    },
  }
}

test('machines have what they are due of all processors together: by shares, at least what they reserved, at most their limit', () => {
  const { run } = trial(3, {
    one: [{ ...busy, harts: 4 }, { shares: 1000 }],
    two: [{ ...busy, harts: 4 }, { shares: 2000 }],
    reserved: [busy, { shares: 1, reservation: 0.9 }],
    limited: [{ ...busy, harts: 2 }, { shares: 100_000, limit: 1.5 }],
  })
  run(100)
  const used = run(2000)
  const left = 4 - 0.9 - 1.5
  for (const [name, wanted] of Object.entries({ one: left / 3, two: (2 * left) / 3, reserved: 0.9, limited: 1.5 })) expect(Math.abs((used[name] ?? 0) / wanted - 1), name).toBeLessThan(0.04)
})

test('no processor is idle while a hart wants one, and a machine is on as many at once as it has harts', () => {
  const { run } = trial(2, { one: [{ ...busy, harts: 2 }, {}], two: [busy, {}] })
  run(10)
  const used = run(500)
  expect(Math.abs((used['one'] ?? 0) - 2)).toBeLessThan(0.05)
  expect(Math.abs((used['two'] ?? 0) - 1)).toBeLessThan(0.05)
})

test.each([1, 2, 3])('who floods this thread pays for it, with %d processors more', (others) => {
  const work = (bad: Habit): number[] => {
    const { guests, run } = trial(others, { good: [{ ...busy, harts: 4 }, {}], fair: [{ ...busy, harts: 4 }, {}], bad: [bad, {}] })
    run(50)
    const before = [guests['good']?.worked ?? 0, guests['fair']?.worked ?? 0]
    run(1000)
    return [(guests['good']?.worked ?? 0) - (before[0] ?? 0), (guests['fair']?.worked ?? 0) - (before[1] ?? 0)]
  }
  const [alone, beside] = [work(busy), work(floods)]
  for (const [index, amount] of beside.entries()) expect(amount / (alone[index] ?? 1)).toBeGreaterThan(0.95)
})

test.each([1, 2])('who runs on this thread does not pay for what others interrupt it for, with %d processors more: they do', (others) => {
  const { board, guests, runner, run } = trial(others, { good: [{ ...busy, bound: true }, {}], bad: [{ ...floods, service: 0, harts: others }, {}] }, { finding: 50_000 })
  run(50)
  const paid = (name: string): number => runner.time(name).used - (guests[name]?.worked ?? 0)
  const before = ['good', 'bad'].map(paid)
  const { interrupted } = board
  run(1000)
  const [good = 0, bad = 0] = ['good', 'bad'].map((name, index) => paid(name) - (before[index] ?? 0))
  const took = board.interrupted - interrupted
  expect(took).toBeGreaterThan(100 * MS)
  expect(Math.abs(good) / took).toBeLessThan(0.1)
  expect(Math.abs(bad / took - 1)).toBeLessThan(0.1)
})

test.each([[1, 0.95], [2, 0.9], [3, 0.8]])('who has this thread decide often who is next pays for it, and for processors that wait meanwhile, with %d processors more', (others, least) => {
  const work = (bad: Habit): number => {
    const { guests, run } = trial(others, { good: [{ ...busy, harts: 4 }, {}], bad: [bad, {}] }, { deciding: 40_000 })
    run(50)
    const before = guests['good']?.worked ?? 0
    run(1000)
    return (guests['good']?.worked ?? 0) - before
  }
  expect(work({ harts: others + 1, run: 2_000, service: 5_000 }) / work({ ...busy, harts: others + 1 })).toBeGreaterThan(least)
})

test('a processor that is free is given away before others are served', () => {
  const loop = testLoop()
  const runner = new ParallelRunner(loop, new Board(loop, 2))
  const lent: string[] = []
  let slices = 0
  const busyElsewhere = (name: string, wanting: number): Parameters<ParallelRunner['add']>[3] => ({ parallel: 1, wanting, lend: () => { lent.push(`${name} after ${String(slices)}`) }, takeBack: () => [] })
  runner.add('greedy', () => {
    loop.time += 10_000
    slices++
    // The other has something to do from now on.
    if (slices === 5) runner.wake('other')
    return { kind: 'runnable' }
  }, {}, busyElsewhere('greedy', 1))
  runner.add('other', () => ({ kind: 'idle', until: Infinity, at: Infinity }), {}, busyElsewhere('other', 1))
  runner.wake('greedy')
  for (let turn = 0; turn < 5; turn++) loop.turn()
  expect(lent).toEqual(['greedy after 0', 'other after 5'])
  runner.stop()
})

test('one that always has more to do keeps neither the event loop nor others from their turns', () => {
  const loop = testLoop()
  const runner = new ParallelRunner(loop, new Board(loop, 1))
  const greedy = { parallel: 1, wanting: 0, lend: () => undefined, takeBack: () => [] }
  const slices = { greedy: 0, other: 0 }
  runner.add('greedy', () => {
    loop.time += 10_000
    slices.greedy++
    return { kind: 'runnable' }
  }, {}, greedy)
  runner.add('other', (slice, here) => {
    if (here === true) {
      loop.time += slice
      slices.other++
    }
    return { kind: 'runnable' }
  }, {}, { ...greedy, parallel: 0, wanting: 1 })
  runner.wake('greedy')
  runner.wake('other')
  for (let turn = 0; turn < 20; turn++) loop.turn()
  expect(slices.greedy).toBeGreaterThan(100)
  expect(slices.other).toBeGreaterThan(1)
  runner.stop()
})

test('a machine whose harts can run on this thread alone has it, whatever processors there are', () => {
  const loop = testLoop()
  const board = new Board(loop, 2)
  const runner = new ParallelRunner(loop, board)
  const here: boolean[] = []
  runner.add('plain', (slice, is = true) => {
    loop.time += slice
    here.push(is)
    return { kind: 'runnable' }
  }, {}, { parallel: 0, wanting: 1, lend: () => { throw new Error('lent') }, takeBack: () => [] })
  const guest = new Guest(board, busy, () => { runner.wake('other') })
  runner.add('other', (slice, is = true) => guest.slice(slice, is), {}, guest)
  runner.wake('plain')
  runner.wake('other')
  while (loop.time < 100 * MS) loop.turn()
  expect(new Set(here)).toEqual(new Set([true]))
  expect(Math.abs(runner.time('plain').used / loop.time - 1)).toBeLessThan(0.05)
  expect(Math.abs(guest.worked / loop.time - 1)).toBeLessThan(0.05)
})

test('nobody does anything while nobody wants anything, and meanwhile this thread waits for harts that run elsewhere', () => {
  const loop = testLoop()
  const waits: number[] = []
  const board = new Board(loop, 1)
  const { wait } = Board.prototype
  board.wait = (until) => {
    waits.push(until - loop.time)
    wait.call(board, until)
  }
  const runner = new ParallelRunner(loop, board)
  runner.add('idle', () => ({ kind: 'idle', until: Infinity, at: Infinity }), {}, { parallel: 1, wanting: 0, lend: () => undefined, takeBack: () => [] })
  runner.wake('idle')
  for (let turn = 0; turn < 5 && loop.waiting > 0; turn++) loop.turn()
  expect(loop.waiting).toBe(0)
  const guest = new Guest(board, { harts: 1, run: 3 * MS, service: 0 }, () => { runner.wake('other') })
  let here = 0
  runner.add('other', (slice, is = true) => {
    if (is) here++
    return is ? { kind: 'idle', until: Infinity, at: Infinity } : guest.slice(slice, is)
  }, {}, guest)
  runner.wake('other')
  for (let turn = 0; turn < 20; turn++) loop.turn()
  expect(here).toBeGreaterThan(0)
  expect(waits.some((time) => time > 0)).toBe(true)
})

test('terms change and machines leave while their harts run elsewhere', () => {
  const { runner, run } = trial(1, { one: [{ ...busy, harts: 2 }, {}], two: [{ ...busy, harts: 2 }, {}] })
  runner.policy.addPool('batch', { limit: 0.5 })
  run(20)
  runner.set('two', { pool: 'batch', shares: 500, reservation: 0.2, limit: 2 })
  run(100)
  const used = run(500)
  expect(Math.abs((used['two'] ?? 0) - 0.5)).toBeLessThan(0.03)
  expect(Math.abs((used['one'] ?? 0) - 1.5)).toBeLessThan(0.06)
  expect(() => { runner.policy.removePool('batch') }).toThrow()
  runner.block('two')
  run(20)
  runner.remove('two')
  runner.policy.removePool('batch')
  expect(Math.abs((run(200)['one'] ?? 0) - 2)).toBeLessThan(0.06)
})

test('whoever is back at once runs on the thread while somebody else wants a processor elsewhere, and there when nobody does', () => {
  const restless: Habit = { harts: 1, run: 10_000, service: 10_000, restless: true }
  const beside = trial(1, { restless: [restless, {}], one: [busy, {}], two: [busy, {}] })
  // At first nobody else was there.
  beside.run(20)
  let lent = 0
  const { restless: guest } = beside.guests
  if (guest === undefined) throw new Error('it was made')
  const { lend } = guest
  guest.lend = (...given) => {
    lent++
    lend.apply(guest, given)
  }
  const used = beside.run(1000)
  expect(lent).toBe(0)
  for (const each of Object.values(used)) expect(Math.abs(each / (2 / 3) - 1)).toBeLessThan(0.05)
  const alone = trial(1, { restless: [restless, {}], one: [busy, {}] })
  alone.run(1000)
  expect(alone.guests['restless']?.worked).toBeGreaterThan(100 * MS)
})

test('no processor is idle beside one that can run on the thread alone, while somebody would run there, be it for a moment', () => {
  const restless: Habit = { harts: 1, run: 200_000, service: 2_000, restless: true }
  const { guests, run } = trial(1, { bound: [{ ...busy, bound: true }, {}], restless: [restless, {}] })
  run(20)
  const before = guests['restless']?.worked ?? 0
  const used = run(1000)
  expect((guests['restless']?.worked ?? 0) - before).toBeGreaterThan(900 * MS)
  expect(used['bound']).toBeGreaterThan(0.95)
  // With one more that would stay away.
  const three = trial(1, { bound: [{ ...busy, bound: true }, {}], calm: [busy, {}], restless: [restless, {}] })
  three.run(20)
  const shares = three.run(1000)
  for (const name of ['bound', 'restless']) expect(Math.abs((shares[name] ?? 0) - 2 / 3), name).toBeLessThan(0.2)
  expect(Object.values(shares).reduce((sum, each) => sum + each, 0)).toBeGreaterThan(1.95)
})

test('those that are all back at once have the thread by their shares, and each something', () => {
  const restless: Habit = { harts: 1, run: 10_000, service: 10_000, restless: true }
  const { run } = trial(1, { one: [restless, { shares: 1000 }], two: [restless, { shares: 2000 }], calm: [{ ...busy, harts: 2 }, { shares: 10 }] })
  run(100)
  const used = run(2000)
  expect(Math.abs((used['two'] ?? 0) / (used['one'] ?? 1) / 2 - 1)).toBeLessThan(0.1)
})
