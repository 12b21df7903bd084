import { expect, test } from 'vitest'
import type { Native } from '../src/native.ts'
import { metalHost } from '../src/index.ts'
import { OtherHarts } from '../src/vcpu/other-harts.ts'

test('a hart of the hardware is free when its guest is back or gone, or was never sent', () => {
  const sent: (readonly [number, number])[] = []
  const exits: number[] = []
  const native = {
    harts: 3,
    dispatch(vcpu: number, hart: number) {
      if (vcpu === 9) throw new RangeError('no such vcpu')
      sent.push([vcpu, hart])
    },
    exited: () => exits.shift() ?? -1,
  } as unknown as Native
  const others = OtherHarts.of(native)
  const told: number[] = []
  const start = (vcpu: number, wanted?: number): boolean => others.start(vcpu, () => 0, () => { told.push(vcpu) }, wanted)
  expect([start(5, 1), start(6, 1), start(6), start(7)]).toEqual([true, false, true, false])
  others.forget(6)
  expect(() => start(9, 2)).toThrow(RangeError)
  expect(start(7, 2)).toBe(true)
  exits.push(5, 6)
  others.poll()
  expect([told, start(8), start(9)]).toEqual([[5], true, false])
  expect(sent).toEqual([[5, 1], [6, 2], [7, 2], [8, 1]])
})

test('looking what the hardware wants while a guest runs is time of nobody, until who shares processors out knows for whom it was', () => {
  let time = 0
  const native = { harts: 2, ram: () => [{ base: 0x8000_0000, length: 1 << 26 }], now: () => time, exited: () => -1, idle: () => undefined } as unknown as Native
  const host = metalHost(native)
  const others = OtherHarts.of(native)
  let wants = false
  host.loop.onTurn(() => {
    time += 7000
    return wants
  })
  const told: number[] = []
  others.attend = () => {
    told.push(others.found)
    time += 100
    return true
  }
  expect(others.interlude()).toBe(true)
  expect([told, others.found, host.cpuTime()]).toEqual([[7000], 7000, 100])
  // The loop has to turn first.
  wants = true
  expect(others.interlude()).toBe(false)
  expect([told, others.found, host.cpuTime()]).toEqual([[7000], 14_000, 100])
})
