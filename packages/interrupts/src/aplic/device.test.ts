import type { FdtNode, FdtValue } from '@machinist/api'
import { testDevice, type TestDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { aplic, type AplicConfig, type AplicIrq, type AplicState } from '../index.ts'
import type { NoBackends } from '../harts.ts'

type Dut = TestDevice<AplicConfig, AplicState, AplicIrq, NoBackends>
const make = (config: unknown): Dut => testDevice<AplicConfig, AplicState, AplicIrq, NoBackends>(aplic, config, { backends: {} })

const sources = 40
const sourcecfg = (source: number): number => 4 * source
const target = (source: number): number => 0x3000 + 4 * source

interface Source {
  wire: boolean
  mode: number
  pending: boolean
  enabled: boolean
  target: number
}

/** AIA 1.0, 4.5, 4.7 and 4.9, told again source by source. */
class Model {
  readonly sources: readonly Source[] = Array.from({ length: sources + 1 }, () => ({ wire: false, mode: 0, pending: false, enabled: false, target: 0 }))
  readonly sent: [hart: number, identity: number][] = []
  on = false

  rectified({ mode, wire }: Source): boolean {
    return mode >= 4 && wire !== (mode % 2 === 1)
  }

  /** The active sources with these numbers, 0 being none. */
  active(numbers: readonly number[]): Source[] {
    return numbers.flatMap((number) => this.sources[number] ?? []).filter(({ mode }) => mode !== 0)
  }

  settle(): void {
    for (const source of this.sources) {
      if (source.mode >= 6 && !this.rectified(source)) source.pending = false
      if (!this.on || !source.pending || !source.enabled) continue
      source.pending = false
      this.send(source.target)
    }
  }

  send(to: number): void {
    if (to >>> 18 < 2) this.sent.push([to >>> 18, to & 0x7ff])
  }

  input(number: number, level: boolean): void {
    const source = this.sources[number]
    if (source === undefined || number === 0) return
    const before = this.rectified(source)
    source.wire = level
    if (!before && this.rectified(source)) source.pending = true
  }

  configure(number: number, value: number): void {
    const source = this.sources[number]
    if (source === undefined) return
    const before = source.mode
    source.mode = (value & 0x400) !== 0 || (value & 7) === 2 || (value & 7) === 3 ? 0 : value & 7
    if (source.mode === 0) Object.assign(source, { pending: false, enabled: false, target: 0 })
    else if (source.mode >= 6 && source.mode !== before && this.rectified(source)) source.pending = true
  }

  bits(of: (source: Source) => boolean, word: number): number {
    return this.sources.reduce((sum, source, number) => number >>> 5 === word && of(source) ? sum + 2 ** (number & 31) : sum, 0)
  }
}

const word = fc.integer({ min: 0, max: 0xffff_ffff })
const number = fc.oneof({ arbitrary: fc.nat(8), weight: 4 }, fc.nat(sources + 2), word)
const operation = fc.oneof(
  fc.record({ op: fc.constant('input' as const), source: fc.nat(8), level: fc.boolean() }),
  fc.record({ op: fc.constant('input' as const), source: fc.oneof(fc.nat(8), fc.nat(sources + 2)), level: fc.boolean() }),
  fc.record({ op: fc.constant('sourcecfg' as const), source: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: sources })), value: fc.oneof(fc.nat(7), fc.nat(0x7ff)) }),
  fc.record({ op: fc.constant('target' as const), source: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: sources })), value: fc.oneof(word, fc.tuple(fc.nat(2), fc.nat(255)).map(([hart, id]) => hart * 2 ** 18 + id)) }),
  fc.record({ op: fc.constantFrom('setip', 'clrip', 'setie', 'clrie'), word: fc.nat(2), value: word }),
  fc.record({ op: fc.constantFrom('setipnum', 'setipnum_le', 'clripnum', 'setienum', 'clrienum'), source: number }),
  fc.record({ op: fc.constant('genmsi' as const), value: fc.oneof(word, fc.nat(2 ** 19)) }),
  fc.record({ op: fc.constant('domaincfg' as const), value: fc.oneof(word, fc.constant(0x104)) }),
  fc.record({ op: fc.constant('snapshot' as const) }),
)
const arrays = { setip: 0x1c00, clrip: 0x1d00, setie: 0x1e00, clrie: 0x1f00 } as const
const numbers = { setipnum: 0x1cdc, setipnum_le: 0x2000, clripnum: 0x1ddc, setienum: 0x1edc, clrienum: 0x1fdc } as const

test('any sequence of events gives what a plain model of the specification gives, also across save and restore', () => {
  let messages = 0
  fc.assert(fc.property(fc.array(operation, { minLength: 10, maxLength: 120 }), (operations) => {
    let dut = make({ sources, harts: 2 })
    const model = new Model()
    let genmsi = 0
    // Most interrupts get somewhere.
    for (const [offset, value] of [[0, 0x100], [0x1e00, 0]] as const) dut.write(offset, value)
    model.on = true
    for (let source = 1; source <= 8; source++) {
      for (const [offset, value] of [[sourcecfg(source), [1, 4, 5, 6, 7][source % 5] ?? 0], [target(source), source], [0x1edc, source]] as const) dut.write(offset, value)
      model.configure(source, [1, 4, 5, 6, 7][source % 5] ?? 0)
      Object.assign(model.sources[source] ?? {}, { target: source, enabled: true })
    }
    model.settle()
    const apply = (name: string, list: Source[]): void => {
      for (const source of list) {
        if (name.startsWith('setip')) source.pending ||= source.mode < 6 || model.rectified(source)
        else if (name.startsWith('clrip')) source.pending = false
        else source.enabled = name.startsWith('setie')
      }
    }
    for (const each of operations) {
      if (each.op === 'snapshot') {
        const state = structuredClone(dut.device.save())
        const sent = [0, 1].map((hart) => dut.context.irq[`hart${hart}.simsic` as const]?.sent ?? [])
        dut = make({ sources, harts: 2 })
        dut.device.restore(state)
        expect(dut.device.save()).toEqual(state)
        // What was sent is sent; the new wires are told what the old ones carried.
        expect([0, 1].map((hart) => dut.context.irq[`hart${hart}.simsic` as const]?.sent)).toEqual([[], []])
        for (const [hart, list] of sent.entries()) for (const identity of list) dut.context.irq[`hart${hart}.simsic` as const]?.send(identity)
      } else if (each.op === 'input') {
        dut.device.input?.(each.source, each.level)
        model.input(each.source, each.level)
      } else if (each.op === 'sourcecfg') {
        dut.write(sourcecfg(each.source), each.value)
        model.configure(each.source, each.value)
      } else if (each.op === 'target') {
        dut.write(target(each.source), each.value)
        for (const source of model.active([each.source])) source.target = (each.value & 0xfffc_07ff) >>> 0
      } else if (each.op === 'genmsi') {
        dut.write(0x3000, each.value)
        genmsi = (each.value & 0xfffc_07ff) >>> 0
        model.send(genmsi)
      } else if (each.op === 'domaincfg') {
        dut.write(0, each.value)
        model.on = (each.value & 0x100) !== 0
      } else if ('word' in each) {
        dut.write(arrays[each.op as keyof typeof arrays] + 4 * each.word, each.value)
        apply(each.op, model.active(Array.from({ length: 32 }, (_, bit) => (each.value >>> bit & 1) === 1 ? each.word * 32 + bit : 0)))
      } else {
        dut.write(numbers[each.op as keyof typeof numbers], each.source)
        apply(each.op, model.active([each.source]))
      }
      model.settle()
      expect(dut.read(0)).toBe(model.on ? 0x8000_0104 : 0x8000_0004)
      expect(dut.read(0x3000)).toBe(genmsi)
      for (const index of [0, 1, 2]) {
        expect([0x1c00, 0x1d00, 0x1e00].map((offset) => dut.read(offset + 4 * index))).toEqual([
          model.bits(({ pending }) => pending, index), model.bits((source) => model.rectified(source), index), model.bits(({ enabled }) => enabled, index)])
      }
      for (let source = 1; source <= sources; source++) {
        expect([dut.read(sourcecfg(source)), dut.read(target(source))]).toEqual([model.sources[source]?.mode, model.sources[source]?.target])
      }
      for (const hart of [0, 1]) expect(dut.context.irq[`hart${hart}.simsic` as const]?.sent).toEqual(model.sent.filter(([to]) => to === hart).map(([, identity]) => identity))
    }
    messages += model.sent.length
  }), { numRuns: 100 })
  expect(messages).toBeGreaterThan(150)
})

test('nothing a guest does to any offset throws or gives a number out of range', () => {
  const dut = make({ sources: 1023, harts: 3 })
  fc.assert(fc.property(fc.nat(0x3ffc), fc.constantFrom(1, 2, 4), word, fc.boolean(), (at, width, value, write) => {
    if (write) dut.write(at, value % 2 ** (8 * width), width)
    const read = dut.read(at, width)
    expect(Number.isInteger(read) && read >= 0 && read < 2 ** (8 * width)).toBe(true)
    dut.device.input?.(value & 0x7ff, write)
  }), { numRuns: 2000 })
})

test('a saved state that does not fit is refused and changes nothing; what no guest could bring about is put right', () => {
  const dut = make({ sources: 10 })
  dut.write(sourcecfg(3), 6)
  const before = dut.device.save()
  const bad: unknown[] = [null, {}, { ...before, levels: [1] }, { ...before, registers: {} }, { ...before, more: 1 }, { ...before, registers: { ...before.registers, target: [0] } }]
  for (const state of bad) {
    expect(() => { dut.device.restore(state as AplicState) }).toThrow(expect.objectContaining({ code: 'state' }))
    expect(dut.device.save()).toEqual(before)
  }
  const all = Array<number>(32).fill(0xffff_ffff)
  dut.device.restore({ registers: { ...before.registers, domaincfg: 0xff, pending: all, enabled: all, target: Array<number>(10).fill(0xffff_ffff) }, levels: Array<number>(32).fill(0) })
  expect([0, 0x1c00, 0x1e00, target(3), target(4)].map((offset) => dut.read(offset))).toEqual([0x8000_0004, 0, 8, 0xfffc_07ff, 0])
})

test('its node, inputs and routes follow the configuration', () => {
  const config = aplic.configure({ harts: 2, sources: 10, imsic: 'files' }, 'aplic')
  expect([aplic.inputs?.(config), aplic.inputCells?.(7)]).toEqual([11, [7, 4]])
  expect(aplic.defaultRoute?.('hart1.simsic', config)).toEqual({ to: 'cpu', line: 'hart1.simsic', shared: true })
  const seen = new Map<string, FdtValue>()
  const node: FdtNode = { set(name, value) { seen.set(name, value); return this }, child: () => node, label: () => node }
  aplic.describe?.(config, { name: 'aplic', regions: [{ base: 0xd00_0000, size: 0x4000 }], irqs: [], harts: 2, timeFrequency: 1 }, { fdt: node })
  expect(Object.fromEntries(seen)).toMatchObject({ compatible: 'riscv,aplic', '#interrupt-cells': 2, 'interrupt-controller': true, 'msi-parent': [{ ref: 'files' }], 'riscv,num-sources': 10 })
  for (const wrong of [{ sources: 1024 }, { harts: 0 }, { mode: 'direct' }]) expect(() => aplic.configure(wrong, 'aplic')).toThrow(expect.objectContaining({ code: 'config' }))
})
