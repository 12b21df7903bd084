import type { FdtCell, FdtNode, FdtValue } from '@machinist/api'
import { testDevice, type TestDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { NoBackends } from '../harts.ts'
import { plic, type PlicConfig, type PlicIrq } from '../index.ts'
import type { PlicState } from './device.ts'

type Dut = TestDevice<PlicConfig, PlicState, PlicIrq, NoBackends>
const make = (config: unknown = {}): Dut => testDevice<PlicConfig, PlicState, PlicIrq, NoBackends>(plic, config, { backends: {} })

const priority = (source: number): number => 4 * source
const pending = (source: number): number => 0x1000 + 4 * (source >> 5)
const enable = (target: number, source: number): number => 0x2000 + 0x80 * target + 4 * (source >> 5)
const threshold = (target: number): number => 0x20_0000 + 0x1000 * target
const claim = (target: number): number => threshold(target) + 4

describe('the interrupt flow', () => {
  test('a source goes from its wire to the claim and again after completion while its level stays high', () => {
    const dut = make({ harts: 2 })
    dut.write(priority(40), 3)
    dut.write(enable(3, 40), 1 << 8)
    dut.device.input?.(40, true)
    expect(dut.context.irq['hart1.seip']?.level).toBe(true)
    expect(dut.context.irq['hart1.meip']?.level).toBe(false)
    expect(dut.read(pending(40))).toBe(1 << 8)
    expect(dut.read(claim(2))).toBe(0)
    expect(dut.read(claim(3))).toBe(40)
    expect(dut.context.irq['hart1.seip']?.level).toBe(false)
    expect(dut.read(pending(40))).toBe(0)
    dut.device.input?.(40, false)
    dut.device.input?.(40, true)
    expect(dut.read(pending(40)), 'the gateway waits for completion').toBe(0)
    dut.write(claim(3), 40)
    expect(dut.context.irq['hart1.seip']?.level).toBe(true)
  })

  test('a request stays pending when its wire drops before the claim', () => {
    const dut = make()
    dut.write(priority(1), 1)
    dut.write(enable(0, 1), 2)
    dut.device.input?.(1, true)
    dut.device.input?.(1, false)
    expect(dut.read(claim(0))).toBe(1)
    dut.write(claim(0), 1)
    expect(dut.read(claim(0))).toBe(0)
  })

  test('completion by a context that has not enabled the source is ignored', () => {
    const dut = make()
    dut.write(priority(5), 1)
    dut.write(enable(0, 5), 1 << 5)
    dut.device.input?.(5, true)
    expect(dut.read(claim(0))).toBe(5)
    dut.write(claim(1), 5)
    expect(dut.read(pending(5))).toBe(0)
    dut.write(claim(0), 5)
    expect(dut.read(pending(5))).toBe(1 << 5)
  })

  test('a threshold masks the output but not the claim', () => {
    const dut = make()
    dut.write(priority(5), 2)
    dut.write(enable(1, 5), 1 << 5)
    dut.write(threshold(1), 2)
    dut.device.input?.(5, true)
    expect(dut.context.irq['hart0.seip']?.level).toBe(false)
    dut.write(threshold(1), 1)
    expect(dut.context.irq['hart0.seip']?.level).toBe(true)
    dut.write(threshold(1), 7)
    expect(dut.read(claim(1))).toBe(5)
  })

  test('priorities and thresholds keep the configured bits, source 0 and missing sources are wired to zero', () => {
    const dut = make({ sources: 33, priorityBits: 2 })
    for (const offset of [priority(1), threshold(0)]) {
      dut.write(offset, 0xffff_ffff)
      expect(dut.read(offset)).toBe(3)
    }
    dut.write(priority(0), 7)
    expect(dut.read(priority(0))).toBe(0)
    for (const [word, expected] of [[0, 0xffff_fffe], [1, 3], [2, 0]] as const) {
      dut.write(0x2000 + 4 * word, 0xffff_ffff)
      expect(dut.read(0x2000 + 4 * word)).toBe(expected)
    }
    expect(dut.context.warnings).toEqual([])
    expect(dut.read(priority(34))).toBe(0)
    expect(dut.context.warnings).toHaveLength(1)
  })

  test('a warm reset forgets claims and samples the wires again', () => {
    const dut = make()
    dut.device.input?.(9, true)
    dut.device.reset('warm')
    expect(dut.read(pending(9))).toBe(1 << 9)
    dut.device.reset('cold')
    expect(dut.read(pending(9))).toBe(0)
  })
})

/** The specification told a second time, source by source, with no regard to speed. */
class Model {
  readonly sources = new Map<number, { level: boolean; pending: boolean; claimed: boolean; priority: number }>()
  readonly enabled = new Set<string>()
  readonly thresholds: number[]

  constructor(sources: number, contexts: number) {
    for (let source = 1; source <= sources; source++) this.sources.set(source, { level: false, pending: false, claimed: false, priority: 0 })
    this.thresholds = new Array<number>(contexts).fill(0)
  }

  sample(source: number): void {
    const state = this.sources.get(source)
    if (state?.level && !state.claimed) state.pending = true
  }

  candidates(target: number): number[] {
    return [...this.sources].filter(([source, state]) => state.pending && state.priority > 0 && this.enabled.has(`${target}/${source}`))
      .sort(([a, x], [b, y]) => y.priority - x.priority || a - b).map(([source]) => source)
  }

  output(target: number): boolean {
    return this.candidates(target).some((source) => (this.sources.get(source)?.priority ?? 0) > (this.thresholds[target] ?? 0))
  }

  claim(target: number): number {
    const source = this.candidates(target)[0] ?? 0
    const state = this.sources.get(source)
    if (state !== undefined) Object.assign(state, { pending: false, claimed: true })
    return source
  }

  complete(target: number, source: number): void {
    const state = this.sources.get(source)
    if (state === undefined || !this.enabled.has(`${target}/${source}`)) return
    if (state.claimed) {
      state.claimed = false
      this.sample(source)
    }
  }
}

const sources = 37
const operation = fc.oneof(
  fc.record({ op: fc.constant('input' as const), source: fc.nat(sources + 2), level: fc.boolean() }),
  fc.record({ op: fc.constant('priority' as const), source: fc.nat(sources), value: fc.nat(7) }),
  fc.record({ op: fc.constant('enable' as const), target: fc.nat(3), word: fc.nat(1), bits: fc.integer({ min: 0, max: 0xffff_ffff }) }),
  fc.record({ op: fc.constant('threshold' as const), target: fc.nat(3), value: fc.nat(7) }),
  fc.record({ op: fc.constant('claim' as const), target: fc.nat(3) }),
  fc.record({ op: fc.constant('complete' as const), target: fc.nat(3), source: fc.nat(sources + 2) }),
  fc.record({ op: fc.constant('snapshot' as const) }),
)

test('any sequence of events gives what a plain model of the specification gives, also across save and restore', () => {
  fc.assert(fc.property(fc.array(operation, { maxLength: 120 }), (operations) => {
    let dut = make({ sources, harts: 2 })
    const model = new Model(sources, 4)
    const outputs = ['hart0.meip', 'hart0.seip', 'hart1.meip', 'hart1.seip'] as const
    for (const each of operations) {
      if (each.op === 'input') {
        dut.device.input?.(each.source, each.level)
        const state = model.sources.get(each.source)
        if (state !== undefined) state.level = each.level
        model.sample(each.source)
      } else if (each.op === 'priority') {
        dut.write(priority(each.source), each.value)
        const state = model.sources.get(each.source)
        if (state !== undefined) state.priority = each.value
      } else if (each.op === 'enable') {
        dut.write(enable(each.target, each.word * 32), each.bits)
        for (let bit = 0; bit < 32; bit++) {
          const key = `${each.target}/${each.word * 32 + bit}`
          if (each.bits >>> bit & 1) model.enabled.add(key)
          else model.enabled.delete(key)
        }
      } else if (each.op === 'threshold') {
        dut.write(threshold(each.target), each.value)
        model.thresholds[each.target] = each.value
      } else if (each.op === 'claim') {
        expect(dut.read(claim(each.target))).toBe(model.claim(each.target))
      } else if (each.op === 'complete') {
        dut.write(claim(each.target), each.source)
        model.complete(each.target, each.source)
      } else {
        const state = structuredClone(dut.device.save())
        dut = make({ sources, harts: 2 })
        dut.device.restore(state)
        expect(dut.device.save()).toEqual(state)
      }
      expect(outputs.map((name) => dut.context.irq[name]?.level)).toEqual(outputs.map((_, target) => model.output(target)))
      const bits = [...model.sources].reduce((sum, [source, state]) => sum + (state.pending ? 2 ** source : 0), 0)
      expect(dut.read(0x1000) + dut.read(0x1004) * 2 ** 32).toBe(bits)
    }
  }), { numRuns: 150 })
})

test('nothing a guest does to any offset throws or gives a number out of range', () => {
  const dut = make({ sources: 1023, harts: 3, modes: 'S', priorityBits: 32 })
  const offset = fc.oneof(fc.nat(0x3000), fc.integer({ min: 0x20_0000, max: 0x20_4000 }), fc.nat(0x3ff_fffc))
  fc.assert(fc.property(offset, fc.constantFrom(1, 2, 4), fc.integer({ min: 0, max: 0xffff_ffff }), fc.boolean(), (at, width, value, write) => {
    if (write) dut.write(at, value % 2 ** (8 * width), width)
    const read = dut.read(at, width)
    expect(Number.isInteger(read) && read >= 0 && read < 2 ** (8 * width)).toBe(true)
    dut.device.input?.(value & 0x7ff, write)
  }), { numRuns: 2000 })
})

test('a saved state that does not fit is refused and changes nothing', () => {
  const dut = make()
  dut.write(priority(3), 5)
  const before = dut.device.save()
  const bad: unknown[] = [null, {}, { ...before, claimed: [1] }, { ...before, levels: Array(32).fill(-1) }, { ...before, registers: {} },
    { ...before, registers: { ...before.registers, THRESHOLD: [0] } }, { ...before, registers: { ...before.registers, EXTRA: 0 } }]
  for (const state of bad) {
    expect(() => { dut.device.restore(state as PlicState) }).toThrow(expect.objectContaining({ code: 'state' }))
    expect(dut.device.save()).toEqual(before)
  }
})

test('a wrong configuration is refused by part and field', () => {
  for (const [config, part] of [[{ sources: 1024 }, 'plic0.sources'], [{ modes: 'U' }, 'plic0.modes'], [{ harts: 0 }, 'plic0.harts'],
    [{ sorces: 3 }, 'plic0.sorces'], ['x', 'plic0']] as const) {
    expect(() => plic.configure(config, 'plic0')).toThrow(expect.objectContaining({ code: 'config', part }))
  }
})

test('outputs, inputs, routes and the device-tree node follow the configuration', () => {
  const config = plic.configure({ harts: 2, sources: 10 }, 'plic')
  expect(plic.irqs(config)).toEqual(['hart0.meip', 'hart0.seip', 'hart1.meip', 'hart1.seip'])
  expect(plic.inputs?.(config)).toBe(11)
  expect(plic.defaultRoute?.('hart1.seip', config)).toEqual({ to: 'cpu', line: 'hart1.seip' })
  const seen = new Map<string, FdtValue>()
  const node = (path: string): FdtNode => ({
    set(name, value) { seen.set(`${path}:${name}`, value); return this },
    child: (name) => node(`${path}/${name}`),
    label(label) { seen.set(path, label); return this },
  })
  const irqs = [
    { irq: 'hart0.meip', to: 'cpu', line: 'hart3.meip', ref: 'hart3', cells: [11] },
    { irq: 'hart1.meip', to: 'other', line: 5, ref: 'other', cells: [5] },
    { irq: 'hart1.seip', to: 'cpu', line: 'hart1.seip', ref: 'hart1', cells: [9] },
  ]
  plic.describe?.(config, { name: 'plic', regions: [{ base: 0xc00_0000, size: 0x400_0000 }], irqs, harts: 2, timeFrequency: 1 }, { fdt: node('') })
  const path = '/soc/plic@c000000'
  expect(seen.get(path)).toBe('plic')
  // Where the outputs were routed; the context that goes nowhere keeps its place.
  const cells: FdtCell[] = [{ ref: 'hart3' }, 11, { ref: 'hart3' }, 0xffff_ffff, { ref: 'other' }, 5, { ref: 'hart1' }, 9]
  expect(seen.get(`${path}:interrupts-extended`)).toEqual(cells)
  expect(seen.get(`${path}:riscv,ndev`)).toBe(10)
})
