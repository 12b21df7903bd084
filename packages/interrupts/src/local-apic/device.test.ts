import type { LocalController } from '@machinist/api'
import { type FakeLine, testDevice, type TestDevice } from '@machinist/registers/testing'
import { describe, expect, test } from 'vitest'
import type { NoBackends } from '../harts.ts'
import { localApic, type LocalApicConfig, type LocalApicIrq, type LocalApicsState } from '../index.ts'

type Dut = TestDevice<LocalApicConfig, LocalApicsState, LocalApicIrq, NoBackends>
const [ID, TPR, PPR, EOI, LDR, DFR, SVR, ISR, TMR, IRR, ESR, ICR, ICR_HIGH] = [0x20, 0x80, 0xa0, 0xb0, 0xd0, 0xe0, 0xf0, 0x100, 0x180, 0x200, 0x280, 0x300, 0x310] as const
const [TIMER, LINT0, LINT1, ERROR, INITIAL, CURRENT, DIVIDE] = [0x320, 0x350, 0x360, 0x370, 0x380, 0x390, 0x3e0] as const
const [BASE, DEADLINE] = [0x1b, 0x6e0] as const
const MASK = 0x1_0000

function make(config: Partial<LocalApicConfig> = {}, enable = true): Dut {
  const dut = testDevice<LocalApicConfig, LocalApicsState, LocalApicIrq, NoBackends>(localApic, config, { backends: {}, frequency: 1_000_000_000 })
  if (enable) for (let hart = 0; hart < (config.harts ?? 1); hart++) own(dut).write(hart, SVR, 0x1ff)
  return dut
}

const own = (dut: Dut): LocalController => dut.device.local ?? expect.unreachable('it has no registers for harts')
const get = (dut: Dut, offset: number, hart = 0): number => own(dut).read(hart, offset)
const put = (dut: Dut, offset: number, value: number, hart = 0): void => { expect(own(dut).write(hart, offset, value >>> 0)).toBe(true) }
const line = (dut: Dut, name: 'intr' | 'nmi' | 'smi' | 'init' | 'sipi', hart = 0): FakeLine => dut.context.irq[`hart${hart}.${name}`] ?? expect.unreachable('no such line')
const intr = (dut: Dut, hart = 0): boolean => line(dut, 'intr', hart).level
/** The vector that a hart takes, or null when it is not asked to. */
const take = (dut: Dut, hart = 0): number | null => intr(dut, hart) ? dut.device.acknowledge?.(hart) ?? null : null
/** A message-signalled interrupt: to a physical destination unless told otherwise. With every other vector it is hinted that one of several is enough. */
const message = (dut: Dut, vector: number, destination = 0, more: { readonly logical?: boolean; readonly data?: number } = {}): void => {
  dut.device.message?.(0, destination << 12 | (more.logical === true ? 4 : 0) | (vector & 1) << 3, vector | (more.data ?? 0))
}
const bits = (dut: Dut, offset: number, hart = 0): number[] => Array.from({ length: 256 }, (_, bit) => bit).filter((bit) => (get(dut, offset + 16 * (bit >>> 5), hart) >>> (bit & 31) & 1) === 1)
function msr(dut: Dut, number: number, hart = 0): [low: number, high: number] | null {
  const words = new Uint32Array(2)
  return own(dut).readMsr(hart, number, words) ? [words[0] ?? 0, words[1] ?? 0] : null
}
/** Which harts have a vector waiting. */
const waiting = (dut: Dut, vector: number, harts: number): number[] => Array.from({ length: harts }, (_, hart) => hart).filter((hart) => bits(dut, IRR, hart).includes(vector))
const x2apic = (dut: Dut, hart: number): void => { expect(own(dut).writeMsr(hart, BASE, 0xfee0_0c00 | (hart === 0 ? 0x100 : 0), 0)).toBe(true) }

describe('priorities', () => {
  test('of what waits, the highest class above the processor priority is taken', () => {
    const dut = make()
    for (const vector of [0x31, 0x45, 0x42, 0x80]) message(dut, vector)
    expect(bits(dut, IRR)).toEqual([0x31, 0x42, 0x45, 0x80])
    put(dut, TPR, 0x80)
    expect([take(dut), get(dut, PPR)]).toEqual([null, 0x80])
    put(dut, TPR, 0x7f)
    expect(take(dut)).toBe(0x80)
    expect([bits(dut, ISR), get(dut, PPR)]).toEqual([[0x80], 0x80])
    expect(take(dut)).toBeNull()
    put(dut, TPR, 0x30)
    put(dut, EOI, 0)
    expect([take(dut), get(dut, PPR)]).toEqual([0x45, 0x40])
    expect(take(dut), 'of the same class').toBeNull()
    message(dut, 0x51)
    expect(take(dut)).toBe(0x51)
    put(dut, EOI, 0)
    put(dut, EOI, 0)
    expect(take(dut)).toBe(0x42)
    put(dut, EOI, 0)
    expect(take(dut), 'masked by the task priority').toBeNull()
    expect(own(dut).readPriority(0)).toBe(3)
    own(dut).writePriority(0, 2)
    expect([get(dut, TPR), take(dut)]).toEqual([0x20, 0x31])
  })

  test('what is gone when it is asked for is the spurious vector, which is not in service', () => {
    const dut = make()
    message(dut, 0x31)
    put(dut, TPR, 0xf0)
    expect([dut.device.acknowledge?.(0), bits(dut, ISR), bits(dut, IRR)]).toEqual([0xff, [], [0x31]])
  })

  test('one that software disables takes no fixed interrupts, and masks its local vector table', () => {
    const dut = make({}, false)
    put(dut, LINT0, 0x31)
    put(dut, TIMER, 0x2_0040)
    message(dut, 0x31)
    expect([get(dut, SVR), get(dut, LINT0), get(dut, TIMER), bits(dut, IRR)]).toEqual([0xff, MASK | 0x31, 0x3_0040, []])
    message(dut, 0, 0, { data: 0x400 })
    expect(line(dut, 'nmi').edges).toBe(1)
  })
})

describe('ends of interrupts', () => {
  test('of level-triggered ones are told I/O APICs, unless that is suppressed', () => {
    const dut = make({ ioApic: 'ioapic' })
    const end = (vector: number, level: boolean): void => {
      message(dut, vector, 0, { data: level ? 0xc000 : 0 })
      expect(bits(dut, TMR)).toEqual(level ? [vector] : [])
      expect(take(dut)).toBe(vector)
      put(dut, EOI, 0)
    }
    end(0x31, false)
    expect(dut.context.irq.eoi.sent).toEqual([])
    end(0x31, true)
    end(0x31, false)
    put(dut, SVR, 0x11ff)
    end(0x31, true)
    expect(dut.context.irq.eoi.sent).toEqual([0x31])
  })
})

test('a message that tells the end of a level is none to a hart', () => {
  const dut = make()
  message(dut, 0x31, 0, { data: 0x8000 })
  expect(bits(dut, IRR)).toEqual([])
  message(dut, 0x31, 0, { data: 0xc000 })
  message(dut, 0x31, 0, { data: 0x8000 })
  expect(bits(dut, IRR)).toEqual([0x31])
})

describe('destinations', () => {
  test('physical, by ID; all ones are all', () => {
    const dut = make({ harts: 3 })
    put(dut, ID, 0x0700_0000, 1)
    message(dut, 0x31, 7)
    message(dut, 0x32, 1)
    message(dut, 0x33, 2)
    message(dut, 0x34, 0xff)
    expect([0x31, 0x32, 0x33, 0x34].map((vector) => waiting(dut, vector, 3))).toEqual([[1], [], [2], [0, 1, 2]])
  })

  test('logical, flat and by clusters', () => {
    const dut = make({ harts: 4 })
    for (let hart = 0; hart < 4; hart++) put(dut, LDR, 1 << (24 + hart), hart)
    message(dut, 0x31, 0x05, { logical: true })
    expect(waiting(dut, 0x31, 4)).toEqual([0, 2])
    for (let hart = 0; hart < 4; hart++) {
      put(dut, DFR, 0x0fff_ffff, hart)
      put(dut, LDR, ((hart >> 1) + 1 << 28 | 1 << (24 + hart % 2)) >>> 0, hart)
    }
    expect(get(dut, DFR)).toBe(0x0fff_ffff)
    message(dut, 0x41, 0x23, { logical: true })
    message(dut, 0x42, 0x12, { logical: true })
    message(dut, 0x43, 0xf1, { logical: true })
    message(dut, 0x44, 0x31, { logical: true })
    expect([0x41, 0x42, 0x43, 0x44].map((vector) => waiting(dut, vector, 4))).toEqual([[2, 3], [1], [0, 2], []])
  })

  test('the lowest priority among them, in turns among equals', () => {
    const dut = make({ harts: 3 })
    const got = (vector: number): number[] => {
      message(dut, vector, 0xff, { data: 0x100 })
      return waiting(dut, vector, 3)
    }
    expect([got(0x31), got(0x32), got(0x33), got(0x34)]).toEqual([[1], [2], [0], [1]])
    put(dut, TPR, 0x20, 2)
    put(dut, TPR, 0x30, 0)
    put(dut, TPR, 0x40, 1)
    expect([got(0x61), got(0x62)]).toEqual([[2], [2]])
    put(dut, SVR, 0xff, 2)
    expect(got(0x63)).toEqual([0])
  })
})

describe('interprocessor interrupts', () => {
  const send = (dut: Dut, command: number, destination = 0, hart = 0): void => {
    put(dut, ICR_HIGH, destination << 24, hart)
    put(dut, ICR, command, hart)
  }

  test('go to destinations and shorthands', () => {
    const dut = make({ harts: 3 })
    send(dut, 0x31, 2)
    send(dut, 0x4_0032)
    send(dut, 0x8_0033, 0, 1)
    send(dut, 0xc_0034, 0, 1)
    expect([0x31, 0x32, 0x33, 0x34].map((vector) => waiting(dut, vector, 3))).toEqual([[2], [0], [0, 1, 2], [0, 2]])
    expect(get(dut, ICR)).toBe(0x4_0032)
    send(dut, 0xc035, 1)
    expect(bits(dut, TMR, 1), 'they are edges').toEqual([])
  })

  test('start other processors', () => {
    const dut = make({ harts: 2 })
    message(dut, 0x31, 1)
    put(dut, LDR, 0x100_0000, 1)
    send(dut, 0xc500, 1)
    expect([line(dut, 'init', 1).edges, line(dut, 'init').edges]).toEqual([1, 0])
    expect([get(dut, SVR, 1), get(dut, LDR, 1), get(dut, ID, 1), intr(dut, 1)]).toEqual([0xff, 0, 0x100_0000, false])
    send(dut, 0x8500, 1)
    expect(line(dut, 'init', 1).edges, 'level de-assert does nothing').toBe(1)
    send(dut, 0x699, 1)
    expect([line(dut, 'sipi', 1).sent, line(dut, 'sipi').sent]).toEqual([[0x99], []])
    send(dut, 0xc_0400)
    send(dut, 0xc_0200)
    expect([line(dut, 'nmi', 1).edges, line(dut, 'nmi').edges, line(dut, 'smi', 1).edges]).toEqual([1, 0, 1])
  })

  test('illegal vectors and addresses are errors, told by an interrupt each', () => {
    const dut = make()
    put(dut, ERROR, 0x55)
    send(dut, 0x0f)
    expect(get(dut, ESR), 'until it is written').toBe(0)
    expect(take(dut)).toBe(0x55)
    put(dut, EOI, 0)
    send(dut, 0x4_0003)
    expect(take(dut), 'the same error again').toBeNull()
    put(dut, ESR, 0)
    expect(get(dut, ESR)).toBe(0x20)
    message(dut, 0x05)
    expect(get(dut, 0x400)).toBe(0)
    expect(take(dut)).toBe(0x55)
    put(dut, ESR, 0)
    expect(get(dut, ESR)).toBe(0xc0)
    put(dut, ESR, 0)
    expect(get(dut, ESR)).toBe(0)
  })
})

describe('the timer', () => {
  test('counts down once, at the divided rate', () => {
    const dut = make()
    put(dut, TIMER, 0x40)
    put(dut, DIVIDE, 0x3)
    put(dut, INITIAL, 1000)
    dut.advance(1599)
    expect(get(dut, CURRENT)).toBe(901)
    dut.advance(14_400)
    expect([get(dut, CURRENT), take(dut)]).toEqual([1, null])
    dut.advance(1)
    expect([get(dut, CURRENT), take(dut)]).toEqual([0, 0x40])
    put(dut, EOI, 0)
    dut.advance(1_000_000)
    expect([get(dut, CURRENT), take(dut)]).toEqual([0, null])
    put(dut, DIVIDE, 0xb)
    put(dut, INITIAL, 100)
    dut.advance(50)
    put(dut, INITIAL, 0)
    dut.advance(100)
    expect([get(dut, CURRENT), take(dut)]).toEqual([0, null])
  })

  test('counts again and again; what is not taken is one', () => {
    const dut = make()
    put(dut, TIMER, 0x2_0041)
    put(dut, DIVIDE, 0xb)
    put(dut, INITIAL, 25_000)
    let count = 0
    for (let each = 0; each < 1000; each++) {
      dut.advance(2_500)
      if (take(dut) !== null) {
        count++
        put(dut, EOI, 0)
      }
      expect(get(dut, CURRENT)).toBe(25_000 - 2_500 * (each + 1) % 25_000)
    }
    expect(count).toBe(100)
    put(dut, TIMER, 0x3_0041)
    dut.advance(60_000)
    put(dut, TIMER, 0x2_0041)
    expect(take(dut), 'masked meanwhile').toBeNull()
  })

  test('has a deadline of the time counter, in its own mode alone', () => {
    const dut = make()
    const set = (ticks: number): void => { expect(own(dut).writeMsr(0, DEADLINE, ticks, 0)).toBe(true) }
    set(5000)
    expect(msr(dut, DEADLINE)).toEqual([0, 0])
    put(dut, TIMER, 0x4_0042)
    put(dut, INITIAL, 7)
    set(5000)
    expect(msr(dut, DEADLINE)).toEqual([5000, 0])
    dut.advance(4999)
    expect([take(dut), get(dut, CURRENT)]).toEqual([null, 0])
    dut.advance(1)
    expect([take(dut), msr(dut, DEADLINE)]).toEqual([0x42, [0, 0]])
    put(dut, EOI, 0)
    set(100)
    dut.advance(0)
    expect(take(dut), 'a deadline of the past comes at once').toBe(0x42)
    put(dut, EOI, 0)
    set(50_000)
    put(dut, TIMER, 0x42)
    put(dut, TIMER, 0x4_0042)
    dut.advance(100_000)
    expect(take(dut), 'another mode disarms it').toBeNull()
  })

  test('asks a host no more often than it can bear', () => {
    const dut = make()
    put(dut, TIMER, 0x2_0041)
    put(dut, INITIAL, 1)
    dut.advance(100_000_000)
    expect(take(dut)).toBe(0x41)
  })
})

describe('local pins', () => {
  test('without the APIC they are INTR and NMI', () => {
    const dut = make()
    expect(own(dut).writeMsr(0, BASE, 0xfee0_0100, 0)).toBe(true)
    expect(get(dut, ID)).toBe(-1)
    expect(own(dut).write(0, TPR, 1)).toBe(false)
    dut.device.input?.(0, true)
    dut.device.input?.(1, true)
    expect([intr(dut), line(dut, 'nmi').edges, dut.device.acknowledge?.(0)]).toEqual([true, 1, -1])
    dut.device.input?.(0, false)
    expect(intr(dut)).toBe(false)
  })

  test('an external interrupt has its vector from the controller behind LINT0, after those of the APIC', () => {
    const dut = make({ harts: 2, virtualWire: true }, false)
    expect([get(dut, SVR), get(dut, LINT0), get(dut, LINT1), get(dut, SVR, 1)]).toEqual([0x1ff, 0x700, 0x400, 0xff])
    dut.device.input?.(0, true)
    message(dut, 0x31)
    expect([take(dut), take(dut)]).toEqual([0x31, -1])
    put(dut, LINT0, MASK | 0x700)
    expect(intr(dut)).toBe(false)
    put(dut, SVR, 0x1ff, 1)
    put(dut, LINT0, 0x700, 1)
    dut.device.input?.(2, true)
    expect(take(dut, 1)).toBe(-3)
    dut.device.input?.(1, true)
    expect(line(dut, 'nmi').edges).toBe(1)
  })

  test('fixed ones are edges, or levels until they are gone, of either polarity', () => {
    const dut = make()
    put(dut, LINT1, 0x35)
    dut.device.input?.(1, true)
    expect(take(dut)).toBe(0x35)
    put(dut, EOI, 0)
    expect(take(dut)).toBeNull()
    dut.device.input?.(0, true)
    put(dut, LINT0, 0xa036)
    expect(take(dut)).toBeNull()
    dut.device.input?.(0, false)
    expect([get(dut, LINT0), take(dut)]).toEqual([0xe036, 0x36])
    put(dut, EOI, 0)
    expect(take(dut), 'it is still there').toBe(0x36)
    dut.device.input?.(0, true)
    put(dut, EOI, 0)
    expect([take(dut), get(dut, LINT0)]).toEqual([null, 0xa036])
  })
})

describe('x2APIC mode', () => {
  test('has its registers as MSRs, and no page', () => {
    const dut = make({ harts: 20 })
    expect(msr(dut, 0x802)).toBeNull()
    for (let hart = 0; hart < 20; hart++) x2apic(dut, hart)
    expect([get(dut, ID), msr(dut, 0x802, 18), msr(dut, 0x80d, 18), msr(dut, BASE)]).toEqual([-1, [18, 0], [0x1_0004, 0], [0xfee0_0d00, 0]])
    const send = (low: number, high: number): boolean => own(dut).writeMsr(0, 0x830, low, high)
    const has = (vector: number): number[] => Array.from({ length: 20 }, (_, hart) => hart).filter((hart) => ((msr(dut, 0x820 + (vector >>> 5), hart)?.[0] ?? 0) >>> (vector & 31) & 1) === 1)
    expect([send(0x31, 18), send(0x832, 0x1_000a), send(0x33, 0xffff_ffff), send(0x34, 0xff)]).toEqual([true, true, true, true])
    expect([has(0x31), has(0x32), has(0x33).length, has(0x34)]).toEqual([[18], [17, 19], 20, []])
    expect(msr(dut, 0x830)).toEqual([0x34, 0xff])
    expect(own(dut).writeMsr(3, 0x83f, 0x66, 0)).toBe(true)
    expect(has(0x66)).toEqual([3])
    // A device has 8 bits for a destination, of which all ones are all.
    message(dut, 0x71, 19)
    message(dut, 0x72, 0xff)
    expect([has(0x71), has(0x72).length]).toEqual([[19], 20])
  })

  test('refuses what the manual reserves', () => {
    const dut = make()
    x2apic(dut, 0)
    const before = dut.device.save()
    const refused: readonly (readonly [number, number, number])[] = [
      [0x802, 0, 0], [0x803, 0, 0], [0x808, 0x100, 0], [0x808, 0, 1], [0x80a, 0, 0], [0x80b, 1, 0], [0x80d, 0, 0], [0x80e, 0, 0], [0x80f, 0x400, 0], [0x810, 0, 0], [0x828, 1, 0],
      [0x830, 0x2000, 0], [0x831, 0, 0], [0x832, 0x8_0000, 0], [0x839, 0, 0], [0x83e, 0x10, 0], [0x83f, 0x100, 0], [0x840, 0, 0], [0x8ff, 0, 0],
      [BASE, 0xfee0_0400, 0], [BASE, 0xfee0_0800, 0], [BASE, 0xfee0_0c01, 0], [BASE, 0xfee0_0c00, 0x10_0000],
    ]
    for (const [number, low, high] of refused) expect(own(dut).writeMsr(0, number, low, high), number.toString(16)).toBe(false)
    expect(dut.device.save()).toEqual(before)
    expect([0x80b, 0x80e, 0x831, 0x83f, 0x840].map((number) => msr(dut, number))).toEqual([null, null, null, null, null])
    expect(own(dut).writeMsr(0, BASE, 0xfee0_0000, 0)).toBe(true)
    expect(own(dut).writeMsr(0, BASE, 0xfee0_0c00, 0), 'by way of xAPIC mode alone').toBe(false)
    expect(own(make({ x2apic: false })).writeMsr(0, BASE, 0xfee0_0d00, 0)).toBe(false)
  })
})

test('a state goes on elsewhere, timers with it, and a wrong one changes nothing', () => {
  const dut = make({ harts: 2 })
  put(dut, TIMER, 0x2_0041)
  put(dut, DIVIDE, 0x1)
  put(dut, INITIAL, 30_001)
  put(dut, TIMER, 0x43, 1)
  put(dut, INITIAL, 99_999, 1)
  message(dut, 0x31, 1)
  message(dut, 0x81, 1)
  take(dut, 1)
  dut.advance(77_777)
  const state = structuredClone(dut.device.save())
  const other = make({ harts: 2 })
  other.advance(123_456_789)
  other.device.restore(state)
  expect(other.device.save()).toEqual(state)
  for (let each = 0; each < 300; each++) {
    for (const one of [dut, other]) one.advance(3_777)
    expect([0, 1].map((hart) => [get(other, CURRENT, hart), take(other, hart)])).toEqual([0, 1].map((hart) => [get(dut, CURRENT, hart), take(dut, hart)]))
    if (each % 7 === 0) for (const one of [dut, other]) put(one, EOI, 0)
  }
  const [first] = state.harts
  for (const wrong of [{}, { ...state, harts: [first] }, { ...state, last: 2 }, { ...state, harts: [first, { ...first, lint: 4 }] }, { ...state, harts: [first, { ...first, timer: {} }] }]) {
    const before = dut.device.save()
    expect(() => { dut.device.restore(wrong as LocalApicsState) }).toThrow(expect.objectContaining({ code: 'state' }))
    expect(dut.device.save()).toEqual(before)
  }
})

test('its places, inputs and outputs', () => {
  const config = localApic.configure({ harts: 2, ioApic: 'io' }, 'apic')
  expect(localApic.regions(config)).toMatchObject([{ at: 0xfee0_0000, size: 0x10_0000, space: 'mmio' }])
  expect([localApic.inputs?.(config), localApic.irqs(config)]).toEqual([5, ['intr', 'nmi', 'smi', 'init', 'sipi'].flatMap((each) => [`hart0.${each}`, `hart1.${each}`]).concat('eoi')])
  expect([localApic.defaultRoute?.('hart1.nmi', config), localApic.defaultRoute?.('eoi', config)]).toEqual([{ to: 'cpu', line: 'hart1.nmi' }, { to: 'io', line: 24, shared: true }])
  const dut = make({ harts: 2 })
  dut.write(0x1000, 0x31)
  dut.device.receive?.(4, 0x0100_8032)
  dut.device.receive?.(3, 0x33)
  expect([bits(dut, IRR, 1), bits(dut, TMR, 1), bits(dut, IRR), dut.read(0x1000)]).toEqual([[0x31, 0x32], [0x32], [], 0])
})
