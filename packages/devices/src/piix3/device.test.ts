import { testDevice } from '@machinist/registers/testing'
import { expect, test } from 'vitest'
import { piix3, type Piix3State } from '../index.ts'
import { FIRST, routable } from './registers.ts'

const make = () => {
  const dut = testDevice(piix3, {}, { backends: {} })
  dut.device.reset('cold')
  return {
    dut, device: dut.device,
    put: (at: number, value: number) => { dut.device.write(0, at - FIRST, 1, value) },
    get: (at: number) => dut.device.read(0, at - FIRST, 1),
    levels: () => routable.filter((line) => dut.context.irq[`irq${line}`].level),
  }
}

test('interrupts of PCI go where they are routed, and those of one line are one', () => {
  const { device, put, get, levels } = make()
  expect([0x60, 0x61, 0x62, 0x63].map(get)).toEqual([0x80, 0x80, 0x80, 0x80])
  for (const line of [0, 1, 2, 3]) device.input?.(line, true)
  expect(levels()).toEqual([])
  put(0x60, 10)
  put(0x61, 10)
  put(0x62, 11)
  put(0x63, 0x7d)
  expect([levels(), get(0x63)]).toEqual([[10, 11], 0x0d])
  device.input?.(0, false)
  expect(levels()).toEqual([10, 11])
  device.input?.(1, false)
  put(0x62, 5)
  expect(levels()).toEqual([5])
  put(0x62, 0x85)
  expect(levels()).toEqual([])
  device.reset('warm')
  expect(get(0x62)).toBe(0x80)
})

test('a state is taken back, and a wrong one changes nothing', () => {
  const one = make()
  one.put(0x60, 9)
  one.device.input?.(0, true)
  const other = make()
  other.device.restore(one.device.save())
  expect([other.levels(), other.device.save()]).toEqual([[9], one.device.save()])
  for (const wrong of [{}, { ...one.device.save(), levels: 16 }]) expect(() => { other.device.restore(wrong as Piix3State) }).toThrow(expect.objectContaining({ code: 'state' }))
  expect(other.device.save()).toEqual(one.device.save())
})
