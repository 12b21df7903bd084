import { fakePower, testDevice } from '@machinist/registers/testing'
import { expect, test } from 'vitest'
import { port92, type Port92State } from '../index.ts'

const make = () => {
  const power = fakePower()
  return { power, dut: testDevice(port92, {}, { backends: { power } }) }
}

test('A20 is masked only while the keyboard controller asks for it and the port does not hold it', () => {
  const { dut } = make()
  const masked = (): boolean => dut.context.irq.a20m.level
  dut.device.reset('cold')
  expect([dut.device.read(0, 0, 1), masked()]).toEqual([0, false])
  dut.device.input?.(0, true)
  expect(masked()).toBe(true)
  dut.device.write(0, 0, 1, 0xfe)
  expect([dut.device.read(0, 0, 1), masked()]).toEqual([2, false])
  dut.device.write(0, 0, 1, 0)
  expect(masked()).toBe(true)
  dut.device.input?.(0, false)
  expect(masked()).toBe(false)
})

test('bit 0 resets the machine when it is set', () => {
  const { dut, power } = make()
  for (const value of [1, 3, 2, 1]) dut.device.write(0, 0, 1, value)
  expect(power.requests).toEqual(['reset', 'reset'])
})

test('a state is taken back, and a wrong one changes nothing', () => {
  const { dut } = make()
  const other = make().dut
  dut.device.input?.(0, true)
  dut.device.write(0, 0, 1, 2)
  other.device.restore(dut.device.save())
  expect([other.device.save(), other.context.irq.a20m.level]).toEqual([{ value: 2, masked: true }, false])
  for (const wrong of [{}, { value: 4, masked: true }, { value: 0, masked: 1 }]) expect(() => { other.device.restore(wrong as Port92State) }).toThrow(expect.objectContaining({ code: 'state' }))
  expect(other.device.save()).toEqual({ value: 2, masked: true })
})
