import { expect, test } from 'vitest'
import type { Native } from '../src/native.ts'
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
