import type { Vcpu } from '@machinist/api'
import { expect, test } from 'vitest'
import { VirtualTime } from './virtual-time.ts'

test('real time stands still within an instant, and the host is asked once, when somebody looks', () => {
  let host = 1000
  let asked = 0
  const time = new VirtualTime('real', () => {
    asked += 1
    return host
  })
  time.run()
  asked = 0
  for (let access = 0; access < 10; access++) time.begin()
  expect(asked).toBe(0)
  host += 50
  expect(time.now).toBe(50)
  host += 50
  expect([time.now, time.now, asked]).toEqual([50, 50, 1])
  time.begin()
  expect([time.now, asked]).toEqual([100, 2])
  // A sample within an instant is the instant's time for who looks after it, and never before.
  time.begin()
  host += 5
  expect([time.sample(), time.now]).toEqual([105, 105])
  host -= 500
  time.begin()
  expect(time.now).toBe(105)
})

test('what stands still moves for nobody', () => {
  let host = 1000
  const time = new VirtualTime('real', () => host)
  time.run()
  host += 30
  time.begin()
  time.stop()
  host += 1000
  time.begin()
  expect(time.now).toBe(30)
  time.run()
  host += 7
  time.begin()
  expect(time.now).toBe(37)
})

test('counted time is exact at each look, whether instants before it were looked at or not', () => {
  const hart = { retired: 0 }
  const seen = (looks: readonly number[]): (number | null)[] => {
    hart.retired = 0
    const time = new VirtualTime({ instructionsPerSecond: 300_000_000 }, () => NaN)
    return [1, 2, 5, 100, 101].flatMap((instructions, slice) => {
      time.beginSlice(hart as Vcpu, 2, hart.retired)
      hart.retired += instructions
      time.begin()
      const inside = looks.includes(slice) ? time.now : null
      time.endSlice()
      return [inside, time.now]
    })
  }
  const all = seen([0, 1, 2, 3, 4])
  // Half of 3 1/3 ns for each instruction.
  expect(all).toEqual([1, 1, 5, 5, 13, 13, 180, 180, 348, 348])
  for (const looks of [[], [0], [4], [1, 3]]) expect(seen(looks)).toEqual(all.map((at, i) => (i % 2 === 1 || looks.includes((i - i % 2) / 2) ? at : null)))
})

test('how long all harts waited is told, also while they do, and jumps of counted time count', () => {
  let host = 0
  const real = new VirtualTime('real', () => host)
  real.run()
  host = 100
  real.wake()
  real.sample()
  real.rest(Infinity)
  host = 150
  expect(real.idle).toBe(50)
  host = 170
  real.wake()
  host = 500
  expect([real.idle, real.sample()]).toEqual([70, 500])
  // A host that comes late.
  real.rest(530)
  host = 600
  expect(real.idle).toBe(100)
  real.wake()
  expect(real.idle).toBe(100)
  const counted = new VirtualTime({ instructionsPerSecond: 1e9 }, () => host)
  counted.wake()
  counted.jumpTo(1000)
  counted.jumpTo(500)
  expect(counted.idle).toBe(1000)
})
