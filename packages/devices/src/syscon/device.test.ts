import type { Width } from '@machinist/api'
import { fakePower, testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { syscon } from '../index.ts'

function make() {
  const power = fakePower()
  return { ...testDevice(syscon, undefined, { backends: { power } }), power }
}

test.each<[number, Width, number | 'reset']>([
  [0x5555, 4, 0], [0x5555, 2, 0], [0x7777, 4, 'reset'], [0x7777, 2, 'reset'], [0x002a_3333, 4, 42], [0xffff_3333, 4, 0xffff], [0x3333, 4, 1],
])('0x%s in %d bytes asks for %s', (value, width, request) => {
  const { write, power } = make()
  write(0, value, width)
  expect(power.requests).toEqual([request])
})

test('any other access is harmless, and reads are zero', () => {
  const { write, read, power, context } = make()
  fc.assert(fc.property(fc.nat(0xfff), fc.constantFrom(1, 2, 4), fc.integer({ min: 0, max: 0xffff_ffff }), (at, width, value) => {
    const meant = [0x3333, 0x5555, 0x7777].includes(value & 0xffff) && at === 0 && width > 1
    if (!meant) write(at, value % 2 ** (8 * width), width)
    expect(read(at, width)).toBe(0)
  }))
  expect(power.requests).toEqual([])
  expect(context.warnings).not.toEqual([])
})

test('state and configuration are empty', () => {
  const { device } = make()
  expect(device.save()).toEqual({})
  device.restore(structuredClone(device.save()))
  expect(() => { device.restore({ on: true } as never) }).toThrow(expect.objectContaining({ code: 'state' }))
  expect(() => syscon.configure({ off: 1 }, 'power')).toThrow(expect.objectContaining({ part: 'power.off', code: 'config' }))
})
