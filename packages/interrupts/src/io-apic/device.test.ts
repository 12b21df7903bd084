import { testDevice, type TestDevice } from '@machinist/registers/testing'
import { expect, test } from 'vitest'
import type { NoBackends } from '../harts.ts'
import { ioApic, type IoApicConfig, type IoApicState, localApic } from '../index.ts'

type Dut = TestDevice<IoApicConfig, IoApicState, 'apic', NoBackends>
const [SELECT, WINDOW, EOI] = [0x00, 0x10, 0x40] as const
const [LEVEL, REMOTE_IRR, MASK] = [0x8000, 0x4000, 0x1_0000] as const

const make = (config: Partial<IoApicConfig> = {}): Dut => testDevice<IoApicConfig, IoApicState, 'apic', NoBackends>(ioApic, config, { backends: {} })
function get(dut: Dut, index: number): number {
  dut.write(SELECT, index)
  return dut.read(WINDOW)
}
function put(dut: Dut, index: number, value: number): void {
  dut.write(SELECT, index)
  dut.write(WINDOW, value)
}
const entry = (pin: number): number => 0x10 + 2 * pin
const raise = (dut: Dut, pin: number): void => { dut.device.input?.(pin, true) }
const lower = (dut: Dut, pin: number): void => { dut.device.input?.(pin, false) }
const sent = (dut: Dut): number[] => dut.context.irq.apic.sent.slice().map((data) => data >>> 0)

test('the window shows ID, version and the table, all masked at first', () => {
  const dut = make()
  expect([get(dut, 0), get(dut, 1), get(dut, 2), get(dut, 3)]).toEqual([0, 0x17_0020, 0, 0])
  for (let pin = 0; pin < 24; pin++) expect([get(dut, entry(pin)), get(dut, entry(pin) + 1)]).toEqual([MASK, 0])
  put(dut, 0, 0xffff_ffff)
  put(dut, 1, 0)
  put(dut, entry(3), 0xffff_ffff)
  put(dut, entry(3) + 1, 0xffff_ffff)
  expect([get(dut, 0), get(dut, 1), get(dut, 2), get(dut, entry(3)), get(dut, entry(3) + 1)]).toEqual([0x0f00_0000, 0x17_0020, 0x0f00_0000, 0x1_afff, 0xff00_0000])
  put(dut, 0x40, 5)
  expect([get(dut, 0x40), get(dut, 0xff), get(make({ version: 0x11 }), 1)]).toEqual([0, 0, 0x17_0011])
})

test('an edge is one message, and none while it is masked', () => {
  const dut = make()
  put(dut, entry(4), 0x0931)
  put(dut, entry(4) + 1, 0x0500_0000)
  raise(dut, 4)
  raise(dut, 4)
  lower(dut, 4)
  expect(sent(dut)).toEqual([0x0500_0931])
  put(dut, entry(4), MASK | 0x31)
  raise(dut, 4)
  put(dut, entry(4), 0x31)
  expect(sent(dut).length).toBe(1)
  lower(dut, 4)
  raise(dut, 4)
  expect([sent(dut), get(dut, entry(4))]).toEqual([[0x0500_0931, 0x0500_0031], 0x31])
})

test('a level is sent again after its end, by broadcast or by the EOI register, while it is there', () => {
  const dut = make()
  put(dut, entry(9), LEVEL | MASK | 0x41)
  raise(dut, 9)
  expect(sent(dut)).toEqual([])
  put(dut, entry(9), LEVEL | 0x41)
  expect([sent(dut), get(dut, entry(9))]).toEqual([[LEVEL | 0x41], LEVEL | REMOTE_IRR | 0x41])
  put(dut, entry(9), LEVEL | 0x41)
  dut.device.receive?.(24, 0x42)
  expect(sent(dut).length).toBe(1)
  dut.device.receive?.(24, 0x41)
  expect(sent(dut).length).toBe(2)
  lower(dut, 9)
  expect(get(dut, entry(9)), 'until it is ended').toBe(LEVEL | REMOTE_IRR | 0x41)
  dut.write(EOI, 0x41)
  expect([sent(dut).length, get(dut, entry(9))]).toEqual([2, LEVEL | 0x41])
  raise(dut, 9)
  put(dut, entry(9), MASK | LEVEL | 0x41)
  dut.write(EOI, 0x41)
  expect([sent(dut).length, get(dut, entry(9))]).toEqual([3, MASK | LEVEL | 0x41])
  put(dut, entry(9), LEVEL | 0x41)
  put(dut, entry(9), 0x41)
  expect(get(dut, entry(9)), 'an edge has no remote IRR').toBe(0x41)
})

test('version 11H has no EOI register', () => {
  const dut = make({ version: 0x11 })
  put(dut, entry(1), LEVEL | 0x41)
  raise(dut, 1)
  dut.write(EOI, 0x41)
  expect(get(dut, entry(1)) & REMOTE_IRR).toBe(REMOTE_IRR)
})

test('with local APICs, from the wire to the end of the interrupt', () => {
  const cpus = testDevice(localApic, { harts: 2, ioApic: 'io' }, { backends: {} })
  const dut = make()
  const own = cpus.device.local
  own?.write(1, 0xf0, 0x1ff)
  let carried = 0
  const carry = (): void => {
    for (const data of sent(dut).slice(carried)) cpus.device.receive?.(4, data)
    carried = sent(dut).length
  }
  put(dut, entry(10), LEVEL | 0x51)
  put(dut, entry(10) + 1, 0x0100_0000)
  raise(dut, 10)
  for (let again = 0; again < 3; again++) {
    carry()
    expect([cpus.context.irq['hart1.intr']?.level, cpus.device.acknowledge?.(1)]).toEqual([true, 0x51])
    if (again === 2) lower(dut, 10)
    own?.write(1, 0xb0, 0)
    dut.device.receive?.(24, cpus.context.irq.eoi.sent.at(-1) ?? 0)
  }
  carry()
  expect([cpus.context.irq['hart1.intr']?.level, get(dut, entry(10)), sent(dut).length]).toEqual([false, LEVEL | 0x51, 3])
})

test('a level that no local APIC takes is sent again when its entry is mended', () => {
  // Nobody is there, one that software has disabled, lowest priority among none that takes any: then somebody is.
  for (const [low, high] of [[0x51, 0x0500_0000], [0x51, 0], [0x151, 0]] as const) {
    const cpus = testDevice(localApic, { harts: 2, ioApic: 'io' }, { backends: {} })
    cpus.device.local?.write(1, 0xf0, 0x1ff)
    const dut = make()
    // The wires between them, which carry at once.
    dut.context.irq.apic.send = (data) => { cpus.device.receive?.(4, data) }
    cpus.context.irq.eoi.send = (data) => { dut.device.receive?.(24, data) }
    put(dut, entry(10) + 1, high)
    put(dut, entry(10), LEVEL | low)
    raise(dut, 10)
    expect([get(dut, entry(10)), cpus.context.irq['hart1.intr']?.level]).toEqual([LEVEL | low, false])
    put(dut, entry(10) + 1, 0x0100_0000)
    expect([get(dut, entry(10)), cpus.context.irq['hart1.intr']?.level]).toEqual([LEVEL | REMOTE_IRR | low, true])
    put(dut, entry(10) + 1, 0x0100_0000)
    expect(cpus.device.acknowledge?.(1)).toBe(0x51)
    expect(cpus.context.irq['hart1.intr']?.level, 'once until its end').toBe(false)
    cpus.device.local?.write(1, 0xb0, 0)
    expect([get(dut, entry(10)), cpus.context.irq['hart1.intr']?.level]).toEqual([LEVEL | REMOTE_IRR | low, true])
  }
})

test('a state is taken back, and a wrong one changes nothing', () => {
  const dut = make()
  put(dut, entry(9), LEVEL | 0x41)
  raise(dut, 9)
  raise(dut, 3)
  put(dut, 0, 0x0500_0000)
  const state = structuredClone(dut.device.save())
  const other = make()
  other.device.restore(state)
  expect([other.device.save(), sent(other)]).toEqual([state, []])
  other.write(EOI, 0x41)
  expect(sent(other)).toEqual([LEVEL | 0x41])
  for (const wrong of [{}, { ...state, id: 16 }, { ...state, low: [] }, { ...state, levels: 2 ** 24 }]) {
    const before = dut.device.save()
    expect(() => { dut.device.restore(wrong as IoApicState) }).toThrow(expect.objectContaining({ code: 'state' }))
    expect(dut.device.save()).toEqual(before)
  }
  const config = ioApic.configure({ harts: 4 }, 'io')
  expect([ioApic.inputs?.(config), ioApic.defaultRoute?.('apic', config), ioApic.regions(config)[0]?.at]).toEqual([25, { to: 'apic', line: 8, shared: true }, 0xfec0_0000])
})
