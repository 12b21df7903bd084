import { isMachinistError, type PciFunctionContext, type PciFunctionSpec, type PciSlot, pciInput, type RegionSpec, type Width } from '@machinist/api'
import { testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { pciHost } from '../index.ts'

const ECAM = 0
const IO = 1
const MEMORY = 2
const MEMORY64 = 3
const BASE = 0x4000_0000
const BASE64 = 0x4_0000_0000
const [ADDRESS, DATA] = [4, 5] as const
const configuration = { buses: 2, memory: { base: BASE, size: 0x10_0000 }, memory64: { base: BASE64, size: 0x10_0000 }, ports: true }

const regions: readonly RegionSpec[] = [
  { name: 'wide', size: 0x4000, space: 'mmio' }, { name: 'ports', size: 32, space: 'pio' }, { name: 'small', size: 16, space: 'mmio' },
  { name: 'huge', size: 2 ** 33, space: 'mmio' }, { name: 'live', size: 12, space: 'config' },
]
const spec: PciFunctionSpec = {
  vendorId: 0x1af4, deviceId: 0x1042, revision: 1, classCode: 0x01_0203, subsystemVendorId: 0x1111, subsystemId: 0x2222,
  bars: [{ index: 0, type: 'memory64', region: 0 }, { index: 2, type: 'io', region: 1 }, { index: 3, type: 'memory32', region: 2 }],
  capabilities: [{ id: 9, body: [7, 1, 2, 3, 4] }, { id: 9, body: { region: 4 } }],
  msix: { vectors: 40, bar: 4 },
}
const huge: PciFunctionSpec = { ...spec, bars: [{ index: 1, type: 'memory64', region: 3 }], capabilities: [], msix: { vectors: 1, bar: 0 } }
const { msix: _, ...plain } = spec
const bare: PciFunctionSpec = { ...plain, bars: [], capabilities: [] }

interface Access { readonly slot: number; readonly region: number; readonly offset: number; readonly width: Width; readonly value?: number }

const slots: readonly (readonly [PciSlot, PciFunctionSpec])[] = [
  [{ device: 1, function: 0 }, spec], [{ device: 2, function: 0 }, spec], [{ device: 2, function: 3 }, huge], [{ device: 5, function: 0 }, spec], [{ device: 31, function: 7 }, bare],
]

function make() {
  const dut = testDevice(pciHost, configuration, { backends: {} })
  const log: Access[] = []
  const messages: { readonly address: number; readonly data: number }[] = []
  const live = new Map<number, Uint8Array>()
  const contexts = new Map<number, PciFunctionContext>()
  for (const [slot, each] of slots) {
    const at = pciInput(slot)
    const bytes = new Uint8Array(12)
    live.set(at, bytes)
    const context = dut.device.pci?.plug(slot, each, regions, {
      name: `f${at}`, interrupts: true, dma: dut.context.dma,
      read(region, offset, width) {
        if (region === 4) return Array.from({ length: width }, (_, i) => (bytes[offset + i] ?? 0) * 2 ** (8 * i)).reduce((a, b) => a + b)
        log.push({ slot: at, region, offset, width })
        return (offset * 3 + at) % 2 ** (8 * width)
      },
      write(region, offset, width, value) {
        if (region === 4) for (let i = 0; i < width; i++) bytes[offset + i] = value >>> (8 * i)
        else log.push({ slot: at, region, offset, width, value })
      },
      message(address, data) { messages.push({ address, data }) },
    })
    if (context !== undefined) contexts.set(at, context)
  }
  const context = (at: number): PciFunctionContext => {
    const found = contexts.get(at)
    if (found === undefined) throw new Error(`no function ${at}`)
    return found
  }
  return { dut, log, messages, context }
}

/** The model of a configuration space: bytes, and which bits of them a guest can change. */
class Model {
  readonly bytes = new Uint8Array(256)
  readonly mask = new Uint8Array(256)
  readonly at: number
  readonly ranges: readonly { readonly bar: number; readonly size: number; readonly io: boolean; readonly wide: boolean; readonly region: number | null }[]

  constructor([slot, each]: readonly [PciSlot, PciFunctionSpec]) {
    this.at = pciInput(slot)
    const put = (offset: number, ...bytes: number[]): void => { this.bytes.set(bytes, offset) }
    put(0, 0xf4, 0x1a, 0x42, 0x10, 0, 0, each === bare ? 0 : 0x10, 0, 1, 0x03, 0x02, 0x01, 0, 0, slot.device === 2 && slot.function === 0 ? 0x80 : 0)
    put(0x2c, 0x11, 0x11, 0x22, 0x22)
    put(0x3d, 1)
    this.mask.set([0x47, 0x05], 4)
    this.mask.set([0xff, 0xff], 0xc)
    this.mask[0x3c] = 0xff
    if (each === spec) {
      put(0x34, 0x40)
      put(0x40, 9, 0x48, 7, 1, 2, 3, 4)
      put(0x48, 9, 0x54)
      this.mask.fill(0xff, 0x4a, 0x54)
      put(0x54, 0x11, 0, 39, 0, 4, 0, 0, 0, 4, 8, 0, 0)
      this.mask[0x57] = 0xc0
      put(0x10, 4)
      put(0x18, 1)
      for (const [offset, ...bytes] of [[0x10, 0, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0x18, 0xe0, 0xff, 0xff, 0xff], [0x1c, 0xf0, 0xff, 0xff, 0xff], [0x20, 0, 0xf0, 0xff, 0xff]] as const) this.mask.set(bytes, offset)
      this.ranges = [
        { bar: 0x10, size: 0x4000, io: false, wide: true, region: 0 }, { bar: 0x18, size: 32, io: true, wide: false, region: 1 },
        { bar: 0x1c, size: 16, io: false, wide: false, region: 2 }, { bar: 0x20, size: 0x1000, io: false, wide: false, region: null },
      ]
    } else if (each === huge) {
      put(0x34, 0x40)
      put(0x40, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0)
      this.mask[0x43] = 0xc0
      put(0x14, 4)
      this.mask.set([0, 0xf0, 0xff, 0xff], 0x10)
      this.mask.set([0xfe, 0xff, 0xff, 0xff], 0x18)
      this.ranges = [{ bar: 0x14, size: 2 ** 33, io: false, wide: true, region: 3 }, { bar: 0x10, size: 0x1000, io: false, wide: false, region: null }]
    } else {
      this.ranges = []
    }
  }

  read(offset: number, width: Width): number {
    let value = 0
    for (let i = 0; i < width; i++) value += (this.bytes[offset + i] ?? 0) * 2 ** (8 * i)
    return value
  }

  write(offset: number, width: Width, value: number): void {
    for (let i = 0; i < width; i++) {
      const mask = this.mask[offset + i] ?? 0
      this.bytes[offset + i] = ((this.bytes[offset + i] ?? 0) & ~mask) | ((value >>> (8 * i)) & mask)
    }
  }

  claims(io: boolean): { readonly model: Model; readonly base: number; readonly size: number; readonly region: number | null }[] {
    if (((this.read(4, 1) >> (io ? 0 : 1)) & 1) === 0) return []
    return this.ranges.filter((range) => range.io === io).map(({ bar, size, wide, region }) => {
      const low = this.read(bar, 4)
      return { model: this, size, region, base: low - low % (io ? 4 : 16) + (wide ? this.read(bar + 4, 4) * 2 ** 32 : 0) }
    })
  }
}

/** Everyone who claims a byte, the winner first. */
function ownerOf(models: readonly Model[], io: boolean, address: number) {
  return models.flatMap((model) => model.claims(io)).find(({ base, size }) => address >= base && address < base + size)
}

const width = fc.constantFrom<Width>(1, 2, 4)
const address = fc.oneof(fc.nat(0x80).map((n) => BASE + n * 0x400), fc.nat(64).map((n) => BASE + n * 4), fc.constantFrom(0, 0xffff_ffff, BASE + 0xf_fff0, 0x8000_0000, 4, 0x10))
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('config'), slot: fc.nat(slots.length), offset: fc.oneof(fc.nat(0x60), fc.nat(0x110)), width, value: fc.option(fc.oneof(fc.nat(0xffff_ffff), fc.constant(0xffff_ffff)), { nil: null }) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('bar'), slot: fc.nat(slots.length - 1), offset: fc.constantFrom(0x10, 0x14, 0x18, 0x1c, 0x20), width: fc.constant<Width>(4), value: fc.oneof(address, fc.constantFrom(0, 4, 8)) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('command'), slot: fc.nat(slots.length - 1), offset: fc.constant(4), width: fc.constant<Width>(2), value: fc.constantFrom(7, 7, 3, 2, 1, 0) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom('memory', 'memory64', 'io'), slot: fc.constant(0), offset: fc.oneof(fc.nat(0x100), fc.nat(0x2_0000), fc.nat(0x7f).map((n) => n * 0x400)), width, value: fc.option(fc.nat(255), { nil: null }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('save', 'reset'), slot: fc.constant(0), offset: fc.nat(), width, value: fc.nat() }) },
)

/** What firmware does: all decode, somewhere in the windows. */
const setup = fc.tuple(...slots.map((_, slot) => fc.tuple(...[0x10, 0x18, 0x1c, 0x20].map((offset) =>
  fc.nat(15).map((n) => ({ kind: 'bar', slot, offset, width: 4 as Width, value: offset === 0x18 ? n * 32 : BASE + n * 0x400 }))), fc.constant({ kind: 'command', slot, offset: 4, width: 2 as Width, value: 7 }))))

test('configuration space and windows are those of a simple model, whatever a guest does', () => {
  let reached = 0
  let contested = 0
  let accesses = 0
  fc.assert(fc.property(setup, fc.array(step, { minLength: 20, maxLength: 60 }), (first, more) => {
    const steps = [...first.flat(), ...more]
    const { dut, log } = make()
    let models = slots.map((slot) => new Model(slot))
    for (const { kind, slot, offset, width, value } of steps) {
      log.length = 0
      if (kind === 'save') {
        const state = structuredClone(dut.device.save())
        dut.device.reset('warm')
        dut.device.restore(state)
        expect(dut.device.save()).toEqual(state)
      } else if (kind === 'reset') {
        dut.device.reset('cold')
        const before = models
        models = slots.map((each) => new Model(each))
        // What a live capability holds is the device's, and its reset is not the bus's affair.
        models.forEach((model, index) => { if (slots[index]?.[1] === spec) model.bytes.set(before[index]?.bytes.subarray(0x4a, 0x54) ?? [], 0x4a) })
      } else if (kind === 'memory' || kind === 'memory64' || kind === 'io') {
        const region = { io: IO, memory: MEMORY, memory64: MEMORY64 }[kind]
        const at = Math.min(offset, (kind === 'io' ? 0x1_0000 : 0x10_0000) - width)
        const bus = at + (kind === 'io' ? 0 : kind === 'memory' ? BASE : BASE64)
        const owners = Array.from({ length: width }, (_, i) => ownerOf(models, kind === 'io', bus + i))
        const owner = owners.every((each) => each?.model === owners[0]?.model && each?.region === owners[0]?.region) ? owners[0] : undefined
        if (models.flatMap((model) => model.claims(kind === 'io')).filter(({ base, size }) => bus >= base && bus < base + size).length > 1) contested++
        if (value === null) {
          const got = dut.read(at, width, region)
          if (owner === undefined) expect(got).toBe(2 ** (8 * width) - 1)
          else if (owner.region !== null) expect(got).toBe(((bus - owner.base) * 3 + owner.model.at) % 2 ** (8 * width))
        } else {
          dut.write(at, value, width, region)
        }
        if (owner !== undefined) reached++
        const expected = owner === undefined || owner.region === null ? []
          : [{ slot: owner.model.at, region: owner.region, offset: bus - owner.base, width, ...(value === null ? {} : { value }) }]
        expect(log).toEqual(expected)
      } else {
        const model = models[slot]
        const number = model?.at ?? 0x20
        // Every other time by ports, where that is possible: in the first 256 bytes, within a word.
        const byPorts = ++accesses % 2 === 0 && offset < 256 && offset % 4 + width <= 4
        if (byPorts) dut.write(0, (0xff00_0003 | number << 8 | offset & 0xfc) >>> 0, 4, ADDRESS)
        const [at, region] = byPorts ? [offset % 4, DATA] as const : [number * 4096 + offset, ECAM] as const
        if (value === null) expect(dut.read(at, width, region)).toBe(model === undefined ? 2 ** (8 * width) - 1 : model.read(offset, width))
        else {
          const cut = value % 2 ** (8 * width)
          dut.write(at, cut, width, region)
          model?.write(offset, width, cut)
        }
        expect(log).toEqual([])
      }
    }
    for (const model of models) for (let offset = 0; offset < 256; offset += 4) expect(dut.read(model.at * 4096 + offset, 4, ECAM)).toBe(model.read(offset, 4))
  }), { numRuns: 200 })
  expect(reached).toBeGreaterThan(200)
  expect(contested).toBeGreaterThan(50)
})

describe('a bus', () => {
  test('answers with ones where nobody is, and on other buses', () => {
    const { dut } = make()
    expect([dut.read(0x2_0000), dut.read(0x1000, 2), dut.read(0x10_8000), dut.read(0x1f_fffc, 1)]).toEqual([0xffff_ffff, 0xffff, 0xffff_ffff, 0xff])
    expect(dut.read(0x8000)).toBe(0x1042_1af4)
  })

  test('has its configuration space behind two ports when it is told to, while that is enabled (PCI 3.0, 3.2.2.3.2)', () => {
    const { dut } = make()
    const select = (value: number): number => {
      dut.write(0, value, 4, ADDRESS)
      return dut.read(0, 4, ADDRESS)
    }
    // Reserved bits are zeros.
    expect([select(0xffff_ffff), select(0x8000_0803)]).toEqual([0x80ff_fffc, 0x8000_0800])
    expect([dut.read(0, 4, DATA), dut.read(2, 2, DATA), dut.read(3, 1, DATA)]).toEqual([0x1042_1af4, 0x1042, 0x10])
    expect(dut.device.save()).toMatchObject({ address: 0x8000_0800 })
    for (const nobody of [0x0000_0800, 0x8001_0800, 0x8000_0900]) {
      select(nobody)
      dut.write(0, 0, 4, DATA)
      expect([dut.read(0, 4, DATA), dut.read(1, 1, DATA)]).toEqual([0xffff_ffff, 0xff])
    }
    dut.device.reset('warm')
    expect(dut.read(0, 4, ADDRESS)).toBe(0)
    const without = testDevice(pciHost, {}, { backends: {} })
    expect(pciHost.regions(pciHost.configure({}, 'pci')).map(({ name }) => name)).toEqual(['ecam', 'io', 'memory'])
    without.device.restore({ ...without.device.save(), address: 0x8000_0000 })
    expect(without.device.save().address).toBe(0)
    const old = pciHost.migrate?.({ functions: without.device.save().functions }, 2) ?? expect.unreachable()
    without.device.restore(old)
  })

  test('has its BARs in its windows after a reset when it is told to, apart and decoded', () => {
    fc.assert(fc.property(fc.array(fc.array(fc.record({ type: fc.constantFrom('memory32' as const, 'memory64' as const, 'io' as const), bits: fc.integer({ min: 4, max: 20 }) }), { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 20 }), (given) => {
      const windows = { memory: [BASE, 0x20_0000], memory64: [BASE64, 0x10_0000], io: [0, 0x1000] } as const
      const dut = testDevice(pciHost, { ...configuration, memory: { base: BASE, size: 0x20_0000 }, io: 0x1000, assigned: true }, { backends: {} })
      given.forEach((bars, index) => {
        const sizes: RegionSpec[] = bars.map(({ type, bits }, at) => ({ name: `bar${at}`, size: 2 ** Math.min(bits, type === 'io' ? 8 : 20), space: type === 'io' ? 'pio' : 'mmio' }))
        dut.device.pci?.plug({ device: index + 1, function: 0 }, { ...bare, bars: bars.map(({ type }, at) => ({ index: 2 * at, type, region: at })) }, sizes, { name: `f${index}`, interrupts: true, dma: dut.context.dma, read: () => 0, write() {}, message() {} })
      })
      dut.device.reset('cold')
      const taken: { readonly space: string; readonly base: number; readonly end: number }[] = []
      given.forEach((bars, index) => {
        const at = (index + 1) * 0x8000
        for (const [place, { type, bits }] of bars.entries()) {
          const size = 2 ** Math.min(bits, type === 'io' ? 8 : 20)
          const low = dut.read(at + 0x10 + 8 * place)
          const base = type === 'io' ? low - low % 4 : low - low % 16 + (type === 'memory64' ? dut.read(at + 0x14 + 8 * place) * 2 ** 32 : 0)
          if (base === 0) continue
          const space = type === 'io' ? 'io' : base >= BASE64 ? 'memory64' : 'memory'
          expect([base % size, base >= windows[space][0], base + size <= windows[space][0] + windows[space][1], dut.read(at + 4) >> (space === 'io' ? 0 : 1) & 1]).toEqual([0, true, true, 1])
          if (space === 'memory64') expect(type).toBe('memory64')
          for (const other of taken) expect(other.space !== space || other.end <= base || base + size <= other.base).toBe(true)
          taken.push({ space, base, end: base + size })
        }
      })
      // Nothing is left out for which the windows are large enough.
      const all = given.flat()
      const sum = (type: string): number => all.filter((bar) => bar.type === type).reduce((total, { bits }) => total + 2 ** Math.min(bits, type === 'io' ? 8 : 20), 0)
      if (sum('memory32') + sum('memory64') <= 0x20_0000 && sum('io') <= 0xf00) expect(taken.length).toBe(all.length)
    }), { numRuns: 60 })
  })

  test('has its host bridge at 00:00.0, with nothing behind it, and takes no other there', () => {
    const { dut } = make()
    dut.write(0x04, 0xffff_ffff)
    for (let bar = 0x10; bar < 0x28; bar += 4) dut.write(bar, 0xffff_ffff)
    expect([dut.read(0), dut.read(4, 2), dut.read(8), dut.read(0x0e, 1), dut.read(0x34, 1), dut.read(0x3d, 1)]).toEqual([0x0008_1b36, 0x0547, 0x0600_0000, 0, 0, 0])
    expect([0x10, 0x14, 0x18, 0x1c, 0x20, 0x24].map((bar) => dut.read(bar))).toEqual([0, 0, 0, 0, 0, 0])
  })

  test('swizzles pins, ORs them, and masks them by Interrupt Disable and MSI-X', () => {
    const { dut } = make()
    const { irq } = dut.context
    const levels = (): boolean[] => [irq.inta.level, irq.intb.level, irq.intc.level, irq.intd.level]
    const set = (slot: PciSlot, level: boolean): void => { dut.device.input?.(pciInput(slot), level) }
    set({ device: 1, function: 0 }, true)
    set({ device: 5, function: 0 }, true)
    set({ device: 31, function: 7 }, true)
    set({ device: 3, function: 0 }, true)
    expect(levels()).toEqual([false, true, false, true])
    set({ device: 31, function: 7 }, false)
    set({ device: 5, function: 0 }, false)
    expect(levels()).toEqual([false, true, false, false])
    const config = 0x8000
    expect(dut.read(config + 6, 2)).toBe(0x18)
    dut.write(config + 4, 0x400, 2)
    expect([levels()[1], dut.read(config + 6, 2)]).toEqual([false, 0x18])
    dut.write(config + 4, 0, 2)
    expect(levels()[1]).toBe(true)
    dut.write(config + 0x56, 0x8000, 2)
    expect([levels()[1], dut.read(config + 6, 2)]).toEqual([false, 0x10])
    const state = dut.device.save()
    dut.device.reset('cold')
    expect(levels()).toEqual([false, false, false, false])
    dut.device.restore(state)
    dut.write(config + 0x56, 0, 2)
    expect(levels()[1]).toBe(true)
  })

  test('lets only a bus master at memory', () => {
    const { dut, context } = make()
    const { dma } = context(8)
    const bytes = Uint8Array.of(1, 2)
    const tries = (): unknown[] => [dma.write(0x8000_0000, bytes), dma.read(0x8000_0000, bytes), dma.map(0x8000_0000, 2, 'read') !== null]
    expect(tries()).toEqual([false, false, false])
    dut.write(0x8004, 4, 2)
    expect(tries()).toEqual([true, true, true])
  })

  test('sends MSI-X messages, keeps them while masked, drops them while off', () => {
    const { dut, messages, context } = make()
    const { msi } = context(8)
    const table = (offset: number, value: number): void => { dut.write(offset, value, 4, MEMORY) }
    dut.write(0x8020, BASE)
    dut.write(0x8004, 6, 2)
    expect(msi?.vectors).toBe(40)
    expect(dut.read(39 * 16 + 12, 4, MEMORY)).toBe(1)
    for (const [offset, value] of [[0, 0x2800_0003], [4, 1], [8, 77]] as const) table(39 * 16 + offset, value)
    msi?.send(39)
    dut.write(0x8056, 0x8000, 2)
    table(39 * 16 + 12, 0)
    expect(messages).toEqual([])
    const message = { address: 0x1_2800_0000, data: 77 }
    msi?.send(39)
    for (const wrong of [40, -1, 0.5, NaN]) msi?.send(wrong)
    expect(messages).toEqual([message])
    // Masked, one or all: pending, and sent once.
    for (const [mask, unmask] of [[() => { table(39 * 16 + 12, 1) }, () => { table(39 * 16 + 12, 0) }], [() => { dut.write(0x8056, 0xc000, 2) }, () => { dut.write(0x8056, 0x8000, 2) }]] as const) {
      messages.length = 0
      mask()
      msi?.send(39)
      msi?.send(39)
      expect([messages.length, dut.read(0x804, 4, MEMORY)]).toEqual([0, 0x80])
      table(0x804, 0)
      const state = structuredClone(dut.device.save())
      dut.device.reset('warm')
      dut.device.restore(state)
      unmask()
      expect([messages, dut.read(0x804, 4, MEMORY)]).toEqual([[message], 0])
    }
    messages.length = 0
    dut.write(0x8004, 2, 2)
    msi?.send(39)
    expect(messages).toEqual([])
  })

  test('refuses functions that cannot be', () => {
    const { dut } = make()
    const port = { name: 'x', interrupts: false, dma: dut.context.dma, read: () => 0, write() {}, message() {} }
    const code = (slot: PciSlot, each: PciFunctionSpec): string => {
      try {
        dut.device.pci?.plug(slot, each, regions, port)
      } catch (error) {
        if (isMachinistError(error)) return error.code
      }
      return 'nothing'
    }
    const free = { device: 9, function: 0 }
    expect(code({ device: 1, function: 0 }, bare)).toBe('pci-function')
    for (const wrong of [
      { ...spec, msix: { vectors: 2049, bar: 4 } }, { ...spec, msix: { vectors: 1, bar: 1 } }, { ...bare, bars: [{ index: 5, type: 'memory64', region: 0 }] },
      { ...bare, bars: [{ index: 0, type: 'io', region: 0 }] }, { ...bare, bars: [{ index: 0, type: 'memory32', region: 4 }] }, { ...bare, bars: [{ index: 0, type: 'memory32', region: 9 }] },
      { ...bare, bars: [{ index: 0, type: 'memory32', region: 3 }] }, { ...bare, capabilities: [{ id: 9, body: new Array<number>(200).fill(0) }] },
    ] satisfies PciFunctionSpec[]) expect(code(free, wrong)).toBe('pci-function')
    expect(code(free, bare)).toBe('nothing')
  })

  test('checks saved states: all or nothing', () => {
    const { dut } = make()
    dut.write(0x8010, BASE)
    const good = dut.device.save()
    const first = good.functions['1.0']
    for (const bad of [null, {}, { functions: {}, address: 0 }, { ...good, address: -1 }, { functions: good.functions }, { address: 0, functions: { ...good.functions, '7.0': first } }, { address: 0, functions: { ...good.functions, '31.7': { ...first } } },
      { address: 0, functions: { ...good.functions, '2.0': { ...first, msix: null } } }, { address: 0, functions: { ...good.functions, '5.0': { ...first, header: { BAR: 1 } } } },
      { address: 0, functions: { ...good.functions, '5.0': { ...first, msix: { capability: first?.msix?.capability, table: {} } } } }]) {
      expect(() => { dut.device.restore(bad as typeof good) }).toThrow()
      expect(dut.device.save()).toEqual(good)
    }
    const odd = structuredClone(good) as { functions: Record<string, { header: Record<string, unknown> }> }
    Object.assign(odd.functions['1.0']?.header ?? {}, { VendorID: 1, BAR: [1, 2, 3, 4, 5, 6], Command: 0xffff, Status: 9 })
    dut.device.restore(odd as unknown as typeof good)
    expect([dut.read(0x8000), dut.read(0x8004), dut.read(0x8010), dut.read(0x8018)]).toEqual([0x1042_1af4, 0x10_0547, 4, 1])
  })
})
