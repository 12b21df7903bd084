import type { InputEvent, InputPort } from '@machinist/api'
import { fakePower, testDevice, type TestDevice } from '@machinist/registers/testing'
import { expect, test } from 'vitest'
import { acpiPm, type AcpiPmBackends, type AcpiPmState } from '../index.ts'

const [STS, EN, CNT, TMR] = [0, 2, 4, 8] as const
const SECOND = 1_000_000_000

function make(): { dut: TestDevice<Readonly<Record<never, never>>, AcpiPmState, 'sci', AcpiPmBackends>; power: ReturnType<typeof fakePower>; press(): void; get(at: number, width?: 2 | 4): number; put(at: number, value: number): void; sci(): boolean; reset(value: number): void } {
  const power = fakePower()
  const waiting: InputEvent[][] = []
  let tell = (): void => {}
  const button: InputPort = { receive: () => waiting.shift() ?? null, status() {}, listen: ({ readable }) => { tell = readable } }
  const dut = testDevice(acpiPm, {}, { backends: { power, button } })
  return {
    dut, power,
    press() {
      for (const value of [1, 0]) waiting.push([{ type: 1, code: 116, value }, { type: 0, code: 0, value: 0 }])
      tell()
    },
    get: (at, width = 2) => dut.device.read(0, at, width),
    put: (at, value) => { dut.device.write(0, at, 2, value) },
    sci: () => dut.context.irq.sci.level,
    reset: (value) => { dut.device.write(1, 0, 1, value) },
  }
}

test('the machine ends when sleep of type 5 is asked for, and is reset by bit 2 of the reset register', () => {
  const { put, get, power, reset } = make()
  expect(get(CNT), 'in ACPI mode').toBe(1)
  put(CNT, 5 << 10)
  put(CNT, 1 << 10 | 0x2000)
  expect([get(CNT), power.requests]).toEqual([1 << 10 | 1, []])
  put(CNT, 5 << 10 | 0x2000)
  expect(power.requests).toEqual([0])
  for (const value of [2, 6, 6, 0, 4]) reset(value)
  expect(power.requests).toEqual([0, 'reset', 'reset'])
})

test('the button is an event, which interrupts while it is enabled and until it is cleared', () => {
  const { put, get, press, sci } = make()
  press()
  expect([get(STS), sci()]).toEqual([0x100, false])
  put(EN, 0xffff)
  expect([get(EN), sci()]).toEqual([0x721, true])
  put(STS, 0x1)
  expect(get(STS)).toBe(0x100)
  put(STS, 0x100)
  expect([get(STS), sci()]).toEqual([0, false])
})

test('the timer counts 3.579545 MHz, and tells of each change of its upper bit', () => {
  const { dut, put, get, sci } = make()
  dut.advance(SECOND)
  expect(get(TMR, 4)).toBe(3_579_545)
  const half = Math.ceil(2 ** 31 * SECOND / 3_579_545)
  dut.advance(half - SECOND)
  expect([get(TMR, 4), get(STS), sci()]).toEqual([2 ** 31, 1, false])
  put(STS, 1)
  put(EN, 1)
  dut.advance(half - 1)
  expect(sci()).toBe(false)
  dut.advance(2)
  expect([sci(), get(STS), get(TMR, 4)]).toEqual([true, 1, 0 + Math.floor((2 * half + 1) * 3_579_545 / SECOND) - 2 ** 32])
})

test('a state is taken back, and a wrong one changes nothing', () => {
  const one = make()
  one.press()
  one.put(EN, 0x101)
  one.put(CNT, 3 << 10)
  one.reset(2)
  one.dut.advance(5 * SECOND + 7)
  const state = structuredClone(one.dut.device.save())
  const other = make()
  other.dut.advance(1234)
  other.dut.device.restore(state)
  expect([other.dut.device.save(), other.sci(), other.get(TMR, 4)]).toEqual([state, true, one.get(TMR, 4)])
  for (const wrong of [{}, { ...state, status: -1 }, { ...state, elapsed: 0.5 }, { ...state, more: 1 }]) {
    expect(() => { other.dut.device.restore(wrong as AcpiPmState) }).toThrow(expect.objectContaining({ code: 'state' }))
    expect(other.dut.device.save()).toEqual(state)
  }
  other.dut.device.reset('cold')
  expect([other.get(STS), other.get(EN), other.get(CNT), other.sci()]).toEqual([0, 0, 1, false])
})
