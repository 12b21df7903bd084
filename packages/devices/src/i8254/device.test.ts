import { testDevice, type TestDevice } from '@machinist/registers/testing'
import { describe, expect, test } from 'vitest'
import { i8254, type I8254State } from '../index.ts'

type Dut = TestDevice<Readonly<Record<never, never>>, I8254State, 'out0', Readonly<Record<never, never>>>
const make = (): Dut => testDevice(i8254, {}, { backends: {} })
const CONTROL = 3
const SECOND = 1_000_000_000
const FREQUENCY = 1_193_182

/** Moves to the next pulse, and `more` further ones. */
function pulse(dut: Dut, pulses = 1): void {
  const now = dut.context.clock.now()
  const tick = Math.floor(now * FREQUENCY / SECOND) + pulses
  dut.advance(Math.ceil(tick * SECOND / FREQUENCY) - now)
}

/** Count and output of a counter, by the read-back command: status in bit 7, then the count. */
function look(dut: Dut, counter: number): [count: number, out: number] {
  dut.write(CONTROL, 0xc0 | 2 << counter, 1)
  const status = dut.read(counter, 1)
  const low = dut.read(counter, 1)
  const count = (status & 0x30) === 0x30 ? low | dut.read(counter, 1) << 8 : (status & 0x20) === 0 ? low : low << 8
  return [count, status >>> 7]
}

/** What counter 2 does at the next pulses: counts and outputs. */
function run(dut: Dut, pulses: number, actions: Readonly<Record<number, () => void>> = {}): { counts: number[]; outs: string } {
  const counts: number[] = []
  let outs = ''
  for (let each = 0; each < pulses; each++) {
    actions[each]?.()
    pulse(dut)
    const [count, out] = look(dut, 2)
    counts.push(count)
    outs += String(out)
  }
  return { counts, outs }
}

const gate = (dut: Dut, high: boolean): void => { dut.write(0, high ? 1 : 0, 1, 1) }
/** Counter 2 in a mode, lower byte only, its gate as given. */
function program(mode: number, count: number | null, high = true): Dut {
  const dut = make()
  gate(dut, high)
  dut.write(CONTROL, 0x90 | mode << 1, 1)
  if (count !== null) dut.write(2, count, 1)
  return dut
}

describe('the timing diagrams of the data sheet (figures 15 to 20)', () => {
  test('mode 0: the output rises N + 1 pulses after the count is written; the gate holds; a new count is loaded', () => {
    expect(run(program(0, 4), 7)).toEqual({ counts: [4, 3, 2, 1, 0, 0xff, 0xfe], outs: '0000111' })
    const held = program(0, 3)
    expect(run(held, 8, { 2: () => { gate(held, false) }, 5: () => { gate(held, true) } })).toEqual({ counts: [3, 2, 2, 2, 2, 1, 0, 0xff], outs: '00000011' })
    const again = program(0, 3)
    expect(run(again, 7, { 3: () => { again.write(2, 2, 1) } })).toEqual({ counts: [3, 2, 1, 2, 1, 0, 0xff], outs: '0000011' })
  })

  test('mode 1: a trigger makes a pulse of N, another one a longer, and a new count waits for the next', () => {
    const dut = program(1, 3, false)
    const seen = run(dut, 12, { 1: () => { gate(dut, true) }, 6: () => { gate(dut, false); gate(dut, true) }, 8: () => { gate(dut, false); gate(dut, true) } })
    expect(seen.outs).toBe('100011000001')
    expect(seen.counts.slice(1)).toEqual([3, 2, 1, 0, 0xff, 3, 2, 3, 2, 1, 0])
    const other = program(1, 2, false)
    const late = run(other, 11, { 1: () => { gate(other, true) }, 2: () => { other.write(2, 4, 1) }, 6: () => { gate(other, false); gate(other, true) } })
    expect(late).toMatchObject({ outs: '10011100001' })
  })

  test('mode 2: low for the last pulse of each N; the gate begins anew; a new count waits for the end of the cycle', () => {
    expect(run(program(2, 3), 8)).toEqual({ counts: [3, 2, 1, 3, 2, 1, 3, 2], outs: '11011011' })
    const held = program(2, 3)
    expect(run(held, 8, { 2: () => { gate(held, false) }, 3: () => { gate(held, true) } })).toEqual({ counts: [3, 2, 2, 3, 2, 1, 3, 2], outs: '11111011' })
    const other = program(2, 4)
    expect(run(other, 9, { 2: () => { other.write(2, 5, 1) } })).toEqual({ counts: [4, 3, 2, 1, 5, 4, 3, 2, 1], outs: '111011110' })
  })

  test('mode 3: half of the time high, with the odd pulse; steps of two; a new count waits for the end of the half', () => {
    expect(run(program(3, 4), 9)).toEqual({ counts: [4, 2, 4, 2, 4, 2, 4, 2, 4], outs: '110011001' })
    expect(run(program(3, 5), 11)).toEqual({ counts: [4, 2, 0, 4, 2, 4, 2, 0, 4, 2, 4], outs: '11100111001' })
    const held = program(3, 4)
    expect(run(held, 8, { 3: () => { gate(held, false) }, 4: () => { gate(held, true) } })).toEqual({ counts: [4, 2, 4, 4, 4, 2, 4, 2], outs: '11011100' })
    const other = program(3, 6)
    expect(run(other, 10, { 1: () => { other.write(2, 4, 1) } })).toEqual({ counts: [6, 4, 2, 4, 2, 4, 2, 4, 2, 4], outs: '1110011001' })
  })

  test('mode 4: one low pulse when the count expires, N + 1 after it was written', () => {
    expect(run(program(4, 3), 7)).toEqual({ counts: [3, 2, 1, 0, 0xff, 0xfe, 0xfd], outs: '1110111' })
    const held = program(4, 3, false)
    expect(run(held, 7, { 3: () => { gate(held, true) } })).toEqual({ counts: [3, 3, 3, 2, 1, 0, 0xff], outs: '1111101' })
    const again = program(4, 3)
    expect(run(again, 8, { 3: () => { again.write(2, 2, 1) } })).toEqual({ counts: [3, 2, 1, 2, 1, 0, 0xff, 0xfe], outs: '11111011' })
  })

  test('mode 5: the same after a trigger', () => {
    const dut = program(5, 3, false)
    expect(run(dut, 11, { 1: () => { gate(dut, true) }, 6: () => { gate(dut, false); gate(dut, true) } }).outs).toBe('11110111101')
  })
})

describe('reading and writing', () => {
  test('a latched count waits to be read, one byte after the other; the counter goes on', () => {
    const dut = make()
    dut.write(CONTROL, 0x34, 1)
    dut.write(0, 0x34, 1)
    dut.write(0, 0x12, 1)
    pulse(dut, 5)
    dut.write(CONTROL, 0x00, 1)
    pulse(dut, 100)
    dut.write(CONTROL, 0x00, 1)
    expect([dut.read(0, 1), dut.read(0, 1)]).toEqual([0x30, 0x12])
    const [low, high] = [dut.read(0, 1), dut.read(0, 1)]
    expect(low | high << 8).toBe(0x1234 - 104)
  })

  test('status comes before a count that was latched with it, and says that a count is not loaded yet', () => {
    const dut = make()
    dut.write(CONTROL, 0xb7, 1)
    dut.write(CONTROL, 0xe8, 1)
    expect(dut.read(2, 1)).toBe(0xc0 | 0x37)
    gate(dut, true)
    dut.write(2, 0x00, 1)
    dut.write(2, 0x10, 1)
    dut.write(CONTROL, 0xe8, 1)
    expect(dut.read(2, 1)).toBe(0xc0 | 0x37)
    pulse(dut, 2)
    dut.write(CONTROL, 0xc8, 1)
    expect([dut.read(2, 1), dut.read(2, 1), dut.read(2, 1)]).toEqual([0x80 | 0x37, 0x98, 0x09])
  })

  test('binary-coded decimal counts from 10000', () => {
    const dut = make()
    dut.write(CONTROL, 0x31, 1)
    dut.write(0, 0, 1)
    dut.write(0, 0, 1)
    pulse(dut, 2)
    expect(look(dut, 0)).toEqual([0x9999, 0])
    pulse(dut, 9999)
    expect(look(dut, 0)).toEqual([0, 1])
    pulse(dut)
    expect(look(dut, 0)).toEqual([0x9999, 1])
  })

  test('half a count stops mode 0, and modes 6 and 7 are 2 and 3', () => {
    const dut = make()
    dut.write(CONTROL, 0x30, 1)
    dut.write(0, 9, 1)
    dut.write(0, 0, 1)
    pulse(dut, 3)
    dut.write(0, 5, 1)
    pulse(dut, 9)
    expect(look(dut, 0)).toEqual([7, 0])
    dut.write(0, 0, 1)
    pulse(dut, 2)
    expect(look(dut, 0)).toEqual([4, 0])
    dut.write(CONTROL, 0x7c, 1)
    dut.write(CONTROL, 0xe4, 1)
    expect(dut.read(1, 1) & 0x0e).toBe(4)
  })

  test('port B has the gate and output of counter 2, and refresh', () => {
    const dut = make()
    dut.write(0, 0xff, 1, 1)
    expect(dut.read(0, 1, 1) & 0xcf).toBe(0x0f)
    dut.write(CONTROL, 0xb0, 1)
    dut.write(2, 2, 1)
    dut.write(2, 0, 1)
    expect(dut.read(0, 1, 1) & 0x20).toBe(0)
    pulse(dut, 3)
    expect(dut.read(0, 1, 1) & 0x20).toBe(0x20)
    const seen = new Set<number>()
    for (let each = 0; each < 40; each++) {
      pulse(dut)
      seen.add(dut.read(0, 1, 1) & 0x10)
    }
    expect(seen.size).toBe(2)
  })
})

describe('the interrupt', () => {
  /** Edges within a second of counter 0 in a mode. */
  function edges(mode: number, count: number): number {
    const dut = make()
    dut.write(CONTROL, 0x30 | mode << 1, 1)
    dut.write(0, count & 0xff, 1)
    dut.write(0, count >> 8, 1)
    const before = dut.context.irq.out0.edges
    dut.advance(SECOND)
    return dut.context.irq.out0.edges - before
  }

  test('comes with each rise of counter 0', () => {
    expect(edges(2, 11_932)).toBe(99)
    expect(edges(3, 11_932)).toBe(99)
    expect(edges(3, 0)).toBe(18)
    expect([edges(0, 1000), edges(4, 1000)]).toEqual([1, 1])
  })

  test('is not told more often than a host can bear', () => {
    expect(edges(2, 2)).toBeLessThanOrEqual(SECOND / 10_000)
    expect(edges(2, 2)).toBeGreaterThan(SECOND / 20_000)
  })

  test('is exact to the nanosecond of the pulse', () => {
    const dut = make()
    dut.write(CONTROL, 0x30, 1)
    dut.write(0, 0xff, 1)
    dut.write(0, 0x00, 1)
    const due = Math.ceil(256 * SECOND / FREQUENCY)
    dut.advance(due - 1)
    expect(dut.context.irq.out0.level).toBe(false)
    dut.advance(1)
    expect(dut.context.irq.out0.level).toBe(true)
  })

  test('of a restored state comes when it would have come, whatever the time there', () => {
    const dut = make()
    dut.advance(123_456)
    dut.write(CONTROL, 0x34, 1)
    dut.write(0, 0x00, 1)
    dut.write(0, 0x10, 1)
    dut.advance(1_111_111)
    const state = structuredClone(dut.device.save())
    const other = make()
    other.advance(77 * SECOND + 13)
    other.device.restore(state)
    expect(other.device.save()).toEqual(state)
    for (let each = 0; each < 2000; each++) {
      dut.advance(7919)
      other.advance(7919)
      expect([look(other, 0), look(other, 1)]).toEqual([look(dut, 0), look(dut, 1)])
      expect(other.context.clock.deadline('counter-0') - other.context.clock.now()).toBe(dut.context.clock.deadline('counter-0') - dut.context.clock.now())
    }
    for (const wrong of [{}, { ...state, counters: [] }, { ...state, portB: 16 }, { ...state, rest: 10_001 }, { ...state, counters: [{ ...state.counters[0], mode: 6 }, ...state.counters.slice(1)] }]) {
      const before = dut.device.save()
      expect(() => { dut.device.restore(wrong as I8254State) }).toThrow(expect.objectContaining({ code: 'state' }))
      expect(dut.device.save()).toEqual(before)
    }
  })
})
