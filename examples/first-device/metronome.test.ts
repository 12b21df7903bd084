import { virt } from '@machinist/boards'
import { part, printMachine, resolve } from '@machinist/machine'
import { testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { metronome } from './metronome.ts'

const PERIOD = 0
const COUNT = 4
const STATUS = 8
const MILLISECOND = 1e6

test('counts its ticks, and holds the line until it is told', () => {
  const dut = testDevice(metronome, {}, { backends: {} })
  dut.write(PERIOD, 20)
  dut.advance(19 * MILLISECOND)
  expect([dut.read(COUNT), dut.context.irq.tick.level]).toEqual([0, false])
  dut.advance(2 * MILLISECOND)
  expect([dut.read(COUNT), dut.read(STATUS), dut.context.irq.tick.level]).toEqual([1, 1, true])
  dut.write(STATUS, 1)
  expect([dut.read(STATUS), dut.context.irq.tick.level]).toEqual([0, false])
  dut.advance(99 * MILLISECOND)
  expect([dut.read(COUNT), dut.context.irq.tick.edges]).toEqual([6, 2])
  dut.write(PERIOD, 0)
  dut.advance(1000 * MILLISECOND)
  expect(dut.read(COUNT)).toBe(6)
})

test('a saved metronome goes on elsewhere', () => {
  const first = testDevice(metronome, {}, { backends: {} })
  first.write(PERIOD, 5)
  first.advance(12 * MILLISECOND)
  const second = testDevice(metronome, {}, { backends: {} })
  second.device.restore(structuredClone(first.device.save()))
  expect([second.read(PERIOD), second.read(COUNT), second.context.irq.tick.level]).toEqual([5, 2, true])
  second.advance(10 * MILLISECOND)
  expect(second.read(COUNT)).toBe(4)
})

test('nothing that a guest does makes it throw, or answer with what is no register value', () => {
  const access = fc.record({ write: fc.boolean(), offset: fc.nat(16), width: fc.constantFrom(1 as const, 2 as const, 4 as const), value: fc.nat(0xffff_ffff), wait: fc.nat(3e6) })
  fc.assert(fc.property(fc.array(access, { maxLength: 40 }), (accesses) => {
    const dut = testDevice(metronome, {}, { backends: {} })
    for (const { write, offset, width, value, wait } of accesses) {
      if (write) dut.write(offset, width === 4 ? value : value % 2 ** (8 * width), width)
      else expect(dut.read(offset, width)).toBeLessThan(2 ** (8 * width))
      dut.advance(wait)
    }
  }), { numRuns: 100 })
})

test('the machine gives it a place and an interrupt', () => {
  const { definition, catalogue } = virt({ devices: { metronome: part(metronome) } })
  const text = printMachine(resolve(definition, catalogue))
  expect(text).toMatch(/0x1[0-9a-f]{7} - 0x1[0-9a-f]{7} {2}metronome registers \(metronome\)/)
  expect(text).toMatch(/metronome\.tick -> plic \d+/)
})
