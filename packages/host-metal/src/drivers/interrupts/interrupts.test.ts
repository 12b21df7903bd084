import { describe, expect, it } from 'vitest'
import { createFdt, parseFdt } from '@machinist/boot'
import { aplic, plic } from '@machinist/interrupts'
import { testDevice } from '@machinist/registers/testing'
import { FuzzRandom } from '@machinist/virtio/testing'
import { fakeHardware, type FakePlace, placed } from '../../../test/fake-hardware.ts'
import { hardwareNodes, type HardwareNode } from '../probe.ts'
import type { InterruptController } from '../hardware.ts'
import { aplicDirectDriver } from './aplic-direct.ts'
import { aplicDriver, type InterruptFile, sourceModes } from './aplic.ts'
import { plicDriver, supervisorInput } from './plic.ts'
import { InterruptTable } from './table.ts'

const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)
const PLIC_SIZE = 0x400_0000
const PLACE = 0x0c00_0000

/** A tree with two harts, 5 and 7, and controllers as QEMU has them. */
function nodes(): readonly HardwareNode[] {
  const tree = createFdt()
  tree.root.set('#address-cells', 2).set('#size-cells', 2)
  const cpus = tree.root.child('cpus').set('#address-cells', 1).set('#size-cells', 0)
  for (const hart of [5, 7]) {
    cpus.child(`cpu@${hart}`).set('compatible', 'riscv').set('reg', hart).child('interrupt-controller').set('compatible', 'riscv,cpu-intc').set('#interrupt-cells', 1).set('interrupt-controller', true).label(`intc${hart}`)
  }
  const soc = tree.root.child('soc').set('#address-cells', 2).set('#size-cells', 2).set('compatible', 'simple-bus').set('ranges', true)
  soc.child('plic@c000000').set('compatible', ['sifive,plic-1.0.0', 'riscv,plic0']).set('reg', [{ u64: PLACE }, { u64: PLIC_SIZE }]).set('#interrupt-cells', 1).set('riscv,ndev', 95).label('plic')
    .set('interrupts-extended', [{ ref: 'intc5' }, 11, { ref: 'intc5' }, 9, { ref: 'intc7' }, 11, { ref: 'intc7' }, 9])
  soc.child('aplic@d000000').set('compatible', 'riscv,aplic').set('reg', [{ u64: 0xd00_0000 }, { u64: 0x8000 }]).set('#interrupt-cells', 2).label('aplic')
  for (const [unit, sense] of [[1, 4], [2, 1], [3, 2], [4, 8]] as const) soc.child(`thing@${unit}`).set('compatible', 'thing').set('interrupts-extended', [{ ref: 'aplic' }, 10 + unit, sense])
  return hardwareNodes(parseFdt(tree.toBytes()))
}

const named = (name: string): HardwareNode => nodes().find(({ path }) => path.includes(name))!

describe('a PLIC', () => {
  it('has the context of a hart in supervisor mode', () => {
    expect([supervisorInput(nodes(), named('plic'), 5), supervisorInput(nodes(), named('plic'), 7)]).toEqual([1, 3])
    expect(() => supervisorInput(nodes(), named('plic'), 6)).toThrow(expect.objectContaining({ code: 'hardware-unsupported' }))
  })

  it('gives exactly what is pending and enabled, at random', () => {
    const random = new FuzzRandom(SEED)
    const model = testDevice(plic, { sources: 95 }, { backends: {} })
    // What firmware left behind.
    model.write(0x2080, 0xffff_fffe)
    const controller = plicDriver(fakeHardware([placed(model, PLACE, PLIC_SIZE)]), { address: PLACE, length: PLIC_SIZE }, 1, 95)
    const [high, enabled, claimed] = [new Set<number>(), new Set<number>(), new Set<number>()]
    let got = 0
    for (let step = 0; step < 5000; step++) {
      const source = 1 + random.below(95)
      const what = random.below(5)
      if (what === 0) {
        if (!high.delete(source)) high.add(source)
        model.device.input?.(source, high.has(source))
      } else if (what === 1) {
        const on = random.chance(0.6)
        controller.enable(source, on)
        if (on) enabled.add(source)
        else enabled.delete(source)
      } else if (what === 2) {
        const number = controller.claim()
        if (number === 0) continue
        got++
        expect(enabled.has(number) && !claimed.has(number)).toBe(true)
        claimed.add(number)
      } else for (const number of claimed) {
        // A PLIC ignores the completion of what is not enabled for the context.
        if (!enabled.has(number)) continue
        controller.complete(number)
        claimed.delete(number)
        break
      }
    }
    expect(got).toBeGreaterThan(100)
    for (const source of enabled) if (claimed.has(source)) controller.complete(source)
    for (let source = 1; source <= 95; source++) model.device.input?.(source, true)
    const all = new Set<number>()
    for (let number = controller.claim(); number !== 0; number = controller.claim()) all.add(number)
    expect(all).toEqual(enabled)
  })

  it('that claims what does not exist is broken', () => {
    const hardware = fakeHardware([placed(testDevice(plic, {}, { backends: {} }), PLACE, PLIC_SIZE)])
    const controller = plicDriver(hardware, { address: PLACE, length: PLIC_SIZE }, 1, 95)
    hardware.spy = () => 96
    expect(() => controller.claim()).toThrow(expect.objectContaining({ code: 'hardware-broken' }))
    expect(() => { controller.enable(96, true) }).toThrow(expect.objectContaining({ code: 'hardware-unsupported' }))
  })
})

/** An interrupt file, which gets what was sent to a hart since it was looked at last. */
function fileOf(sent: () => readonly number[]): InterruptFile & { readonly enabled: Set<number> } {
  const [enabled, pending] = [new Set<number>(), new Set<number>()]
  let seen = 0
  return {
    identities: 255, enabled,
    claim() {
      for (const identity of sent().slice(seen)) pending.add(identity)
      seen = sent().length
      const first = [...pending].filter((identity) => enabled.has(identity)).sort((a, b) => a - b)[0] ?? 0
      pending.delete(first)
      return first
    },
    enable(identity, on) {
      if (on) enabled.add(identity)
      else enabled.delete(identity)
    },
  }
}

describe('an APLIC with interrupt files', () => {
  it('knows the sense of its sources', () => {
    expect([...sourceModes(nodes(), named('aplic'))]).toEqual([[11, 6], [12, 4], [13, 5], [14, 7]])
  })

  it('tells a level as long as it is high, an edge once, to this hart', () => {
    const model = testDevice(aplic, { harts: 2 }, { backends: {} })
    const file = fileOf(() => model.context.irq['hart1.simsic']!.sent)
    const controller = aplicDriver(fakeHardware([placed(model, PLACE, 0x4000)]), { address: PLACE, length: 0x4000 }, file, 1, 95, sourceModes(nodes(), named('aplic')))
    const serve = (): number => {
      const source = controller.claim()
      if (source !== 0) controller.complete(source)
      return source
    }
    for (const source of [11, 12, 20]) controller.enable(source, true)
    expect(serve()).toBe(0)
    model.device.input?.(11, true)
    model.device.input?.(12, true)
    model.device.input?.(30, true)
    expect([serve(), serve()]).toEqual([11, 11])
    model.device.input?.(11, false)
    // Its last message was sent while it was high.
    expect([serve(), serve(), serve()]).toEqual([11, 12, 0])
    controller.enable(20, false)
    model.device.input?.(20, true)
    expect([serve(), file.enabled.has(20)]).toEqual([0, false])
    expect(model.context.irq['hart0.simsic']!.sent).toEqual([])
    expect(() => { controller.enable(96, true) }).toThrow(expect.objectContaining({ code: 'hardware-unsupported' }))
  })
})

describe('an APLIC without messages', () => {
  it('is told priorities and senses, claims by its hart\'s registers, and is refused when it only has messages', () => {
    const registers = new Map<number, number>()
    const place = (fixed: number): FakePlace => ({
      address: PLACE, length: 0x8000, read: (offset) => (registers.get(offset) ?? 0) | (offset === 0 ? fixed : 0), write(offset, _, value) { registers.set(offset, value) },
    })
    const range = { address: PLACE, length: 0x8000 }
    const modes = new Map([[12, 4]])
    const controller = aplicDirectDriver(fakeHardware([place(0)]), range, 1, 95, modes)
    for (const source of [12, 20]) controller.enable(source, true)
    // 4.5.2, 4.5.16, 4.8.1: modes; hart and priority; the registers of hart 1. Interrupts are on, and no source is left as firmware had it.
    expect([0x4 + 4 * 11, 0x4 + 4 * 19, 0x3004 + 4 * 11, 0x1edc, 0x4020, 0x4024, 0x4028, 0, 0x1f00, 0x1f08].map((offset) => registers.get(offset)))
      .toEqual([4, 6, 1 << 18 | 1, 20, 1, 0, 0, 0x100, 0xffff_ffff, 0xffff_ffff])
    registers.set(0x403c, 20 << 16 | 1)
    expect(controller.claim()).toBe(20)
    controller.enable(20, false)
    expect(registers.get(0x1fdc)).toBe(20)
    registers.set(0x403c, 96 << 16)
    expect(() => controller.claim()).toThrow(expect.objectContaining({ code: 'hardware-broken' }))
    expect(() => { controller.enable(96, true) }).toThrow(expect.objectContaining({ code: 'hardware-unsupported' }))
    expect(() => aplicDirectDriver(fakeHardware([place(4)]), range, 0, 95, modes)).toThrow(expect.objectContaining({ code: 'hardware-unsupported' }))
  })
})

describe('the table of sources', () => {
  function controllerOf(pending: number[]): InterruptController & { readonly on: Map<number, boolean>; readonly done: number[] } {
    const on = new Map<number, boolean>()
    const done: number[] = []
    return { on, done, claim: () => pending.shift() ?? 0, complete(source) { done.push(source) }, enable(source, is) { on.set(source, is) } }
  }

  it('calls all who share a source, and completes it once', () => {
    const pending = [3, 5, 3]
    const controller = controllerOf(pending)
    const table = new InterruptTable(controller)
    const calls: string[] = []
    table.attach(3, () => calls.push('a') > 0)
    table.attach(3, () => calls.push('b') > 0)
    table.attach(5, () => calls.push('c') > 0)
    expect(table.dispatch()).toBe(3)
    expect([calls, controller.done, [...controller.on]]).toEqual([['a', 'b', 'c', 'a', 'b'], [3, 5, 3], [[3, true], [5, true]]])
    expect(() => { table.attach(0, () => true) }).toThrow(expect.objectContaining({ code: 'interrupt-source' }))
  })

  it('ends a turn of interrupts without end, and switches off what interrupts for nothing', () => {
    const controller = { ...controllerOf([]), claim: () => 7 }
    const warnings: string[] = []
    const table = new InterruptTable(controller, (text) => warnings.push(text))
    table.attach(7, () => false)
    for (let turn = 0; turn < 10; turn++) expect(table.dispatch()).toBe(256)
    expect([controller.on.get(7), warnings.length]).toEqual([false, 1])
    const stray = controllerOf([9])
    new InterruptTable(stray).dispatch()
    expect([stray.on.get(9), stray.done]).toEqual([false, [9]])
  })
})
