import type { FdtNode, FdtValue } from '@machinist/api'
import { testDevice, type TestDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { imsic, type ImsicConfig, type ImsicIrq, type ImsicState } from '../index.ts'
import type { NoBackends } from '../harts.ts'

const make = (config: unknown): TestDevice<ImsicConfig, ImsicState, ImsicIrq, NoBackends> => testDevice<ImsicConfig, ImsicState, ImsicIrq, NoBackends>(imsic, config, { backends: {} })

test('what is written to the first word of a page, by hart or device, is sent to its hart, and nothing else does anything', () => {
  const dut = make({ harts: 3 })
  const expected: number[][] = [[], [], []]
  const offset = fc.oneof(fc.nat(2).map((hart) => hart * 4096), fc.nat(3 * 4096 - 4))
  fc.assert(fc.property(offset, fc.constantFrom(1, 2, 4), fc.integer({ min: 0, max: 0xffff_ffff }), fc.boolean(), (at, width, value, message) => {
    if (message) dut.device.message?.(0, at, value)
    else dut.write(at, value % 2 ** (8 * width), width)
    if (at % 4096 === 0 && (message || width === 4)) expected[at / 4096]?.push(value)
    expect(dut.read(at, width)).toBe(0)
  }), { numRuns: 500 })
  expect([0, 1, 2].map((hart) => dut.context.irq[`hart${hart}.simsic`]?.sent)).toEqual(expected)
  expect(Math.min(...expected.map((each) => each.length))).toBeGreaterThan(10)
})

test('its node and routes follow the configuration, and a wrong configuration or state is refused', () => {
  const config = imsic.configure({ harts: 2, identities: 127 }, 'imsic')
  expect(imsic.defaultRoute?.('hart1.simsic', config)).toEqual({ to: 'cpu', line: 'hart1.simsic', shared: true })
  const seen = new Map<string, FdtValue>()
  const node: FdtNode = { set(name, value) { seen.set(name, value); return this }, child: () => node, label: () => node }
  imsic.describe?.(config, { name: 'imsic', regions: [{ base: 0x2800_0000, size: 0x2000 }], irqs: [3, 1].map((hart, index) => ({ irq: `hart${index}.simsic`, to: 'cpu', line: `hart${hart}.simsic`, ref: `hart${hart}`, cells: [9] })), harts: 4, timeFrequency: 1 }, { fdt: node })
  expect(Object.fromEntries(seen)).toMatchObject({
    compatible: 'riscv,imsics', '#msi-cells': 0, '#interrupt-cells': 0, 'msi-controller': true, 'interrupt-controller': true, 'riscv,num-ids': 127,
    'interrupts-extended': [{ ref: 'hart3' }, 9, { ref: 'hart1' }, 9],
  })
  for (const wrong of [{ identities: 62 }, { identities: 64 }, { harts: 0 }, { guests: 1 }]) expect(() => imsic.configure(wrong, 'imsic')).toThrow(expect.objectContaining({ code: 'config' }))
  const { device } = make({})
  device.restore(structuredClone(device.save()))
  expect(() => { device.restore({ pending: [] } as ImsicState) }).toThrow(expect.objectContaining({ code: 'state' }))
})
