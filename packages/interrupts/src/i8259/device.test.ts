import { testDevice, type TestDevice } from '@machinist/registers/testing'
import { describe, expect, test } from 'vitest'
import type { NoBackends } from '../harts.ts'
import { i8259, type I8259Config, type I8259Irq, type I8259State } from '../index.ts'

type Dut = TestDevice<I8259Config, I8259State, I8259Irq, NoBackends>
const [MASTER, SLAVE, ELCR] = [0, 1, 2] as const
const EOI = 0x20

/** A pair as a BIOS sets it up: vectors from 0x20 and 0x28, nothing masked. */
function make(config: unknown = {}, icw4: readonly [number, number] = [1, 1]): Dut {
  const dut = testDevice<I8259Config, I8259State, I8259Irq, NoBackends>(i8259, config, { backends: {} })
  setUp(dut, icw4)
  return dut
}

function setUp(dut: Dut, icw4: readonly [number, number], icw1 = 0x11): void {
  for (const [chip, words] of [[MASTER, [0x20, 4, icw4[0]]], [SLAVE, [0x28, 2, icw4[1]]]] as const) {
    dut.write(0, icw1, 1, chip)
    for (const word of words) dut.write(1, word, 1, chip)
    dut.write(1, 0, 1, chip)
  }
}

const raise = (dut: Dut, ...lines: number[]): void => { for (const line of lines) dut.device.input?.(line, true) }
const lower = (dut: Dut, ...lines: number[]): void => { for (const line of lines) dut.device.input?.(line, false) }
const intr = (dut: Dut): boolean => dut.context.irq.intr.level
/** What a processor does with an interrupt: its vector, or null without one. */
const take = (dut: Dut): number | null => intr(dut) ? dut.device.acknowledge?.(0) ?? null : null
const command = (dut: Dut, value: number, chip: 0 | 1 = MASTER): void => { dut.write(0, value, 1, chip) }
const mask = (dut: Dut, value: number, chip: 0 | 1 = MASTER): void => { dut.write(1, value, 1, chip) }
function irr(dut: Dut, chip: 0 | 1 = MASTER): number {
  command(dut, 0x0a, chip)
  return dut.read(0, 1, chip)
}
function isr(dut: Dut, chip: 0 | 1 = MASTER): number {
  command(dut, 0x0b, chip)
  return dut.read(0, 1, chip)
}

describe('the fully nested mode', () => {
  test('serves by priority, and lets only higher ones interrupt until the end is told', () => {
    const dut = make()
    raise(dut, 5, 3)
    expect(irr(dut)).toBe(0x28)
    expect(take(dut)).toBe(0x23)
    expect([irr(dut), isr(dut)]).toEqual([0x20, 0x08])
    expect(take(dut)).toBeNull()
    raise(dut, 1)
    expect(take(dut)).toBe(0x21)
    command(dut, EOI)
    expect(isr(dut)).toBe(0x08)
    expect(take(dut)).toBeNull()
    command(dut, EOI)
    expect(take(dut)).toBe(0x25)
    command(dut, 0x65)
    expect([irr(dut), isr(dut), intr(dut)]).toEqual([0, 0, false])
  })

  test('an interrupt of the slave is one of both, and needs two ends', () => {
    const dut = make()
    raise(dut, 12)
    expect([irr(dut), irr(dut, SLAVE)]).toEqual([4, 0x10])
    expect(take(dut)).toBe(0x2c)
    expect([isr(dut), isr(dut, SLAVE)]).toEqual([4, 0x10])
    raise(dut, 8, 3)
    expect(take(dut), 'the master is serving the slave').toBeNull()
    command(dut, EOI, SLAVE)
    command(dut, EOI)
    expect(take(dut)).toBe(0x28)
  })

  test('a masked input is remembered', () => {
    const dut = make()
    mask(dut, 0x10)
    raise(dut, 4)
    expect([intr(dut), irr(dut), dut.read(1, 1)]).toEqual([false, 0x10, 0x10])
    mask(dut, 0)
    expect(take(dut)).toBe(0x24)
  })
})

describe('edges and levels', () => {
  test('an edge is one request; it is gone when its input falls before it is served, and the last vector stands for it', () => {
    const dut = make()
    raise(dut, 3)
    expect(take(dut)).toBe(0x23)
    command(dut, EOI)
    expect(intr(dut)).toBe(false)
    lower(dut, 3)
    raise(dut, 3)
    lower(dut, 3)
    expect([intr(dut), irr(dut)]).toEqual([false, 0])
    expect(dut.device.acknowledge?.(0)).toBe(0x27)
    expect(isr(dut)).toBe(0)
  })

  test('a poll of the slave takes its request away from the master', () => {
    const dut = make()
    raise(dut, 9)
    command(dut, 0x0c, SLAVE)
    expect(dut.read(0, 1, SLAVE)).toBe(0x81)
    expect([intr(dut), irr(dut)]).toEqual([false, 0])
    expect(dut.device.acknowledge?.(0)).toBe(0x27)
  })

  test('ELCR makes inputs level-sensitive, where a PC lets it', () => {
    const dut = make()
    dut.write(0, 0xff, 1, ELCR)
    dut.write(1, 0xff, 1, ELCR)
    expect([dut.read(0, 1, ELCR), dut.read(1, 1, ELCR)]).toEqual([0xf8, 0xde])
    raise(dut, 10)
    expect(take(dut)).toBe(0x2a)
    command(dut, EOI, SLAVE)
    command(dut, EOI)
    expect(take(dut), 'the level is still there').toBe(0x2a)
    lower(dut, 10)
    command(dut, EOI, SLAVE)
    command(dut, EOI)
    expect(intr(dut)).toBe(false)
  })

  test('without ELCR, ICW1 decides for all inputs; with it, it does not', () => {
    for (const elcr of [true, false]) {
      const dut = make({ elcr })
      setUp(dut, [1, 1], 0x19)
      raise(dut, 6)
      expect(take(dut)).toBe(0x26)
      command(dut, EOI)
      expect(intr(dut)).toBe(!elcr)
    }
  })

  test('ICW1 clears mask, what is in service, and edges that were there', () => {
    const dut = make()
    raise(dut, 3, 4)
    expect(take(dut)).toBe(0x23)
    mask(dut, 0xff)
    setUp(dut, [1, 1])
    expect([irr(dut), isr(dut), dut.read(1, 1), intr(dut)]).toEqual([0, 0, 0, false])
    lower(dut, 4)
    raise(dut, 4)
    expect(take(dut)).toBe(0x24)
  })
})

describe('the other modes', () => {
  test('automatic end leaves nothing in service, and may rotate', () => {
    const dut = make({}, [3, 1])
    raise(dut, 1, 2 + 8)
    expect([take(dut), isr(dut)]).toEqual([0x21, 0])
    command(dut, 0x80)
    lower(dut, 1)
    raise(dut, 3, 1)
    expect(take(dut)).toBe(0x21)
    expect(take(dut), 'the one served last is the lowest').toBe(0x2a)
    expect(take(dut)).toBe(0x23)
    lower(dut, 1, 3)
    raise(dut, 1, 3)
    expect(take(dut), 'input 3 was served last').toBe(0x21)
  })

  test('a slave with automatic end asks again at once for what still waits', () => {
    const dut = make({}, [1, 3])
    raise(dut, 9, 11)
    expect(take(dut)).toBe(0x29)
    command(dut, EOI)
    expect(take(dut)).toBe(0x2b)
  })

  test('priorities rotate at an end, or are set', () => {
    const dut = make()
    command(dut, 0xc4)
    raise(dut, 4, 5, 0)
    expect(take(dut)).toBe(0x25)
    command(dut, 0xa0)
    expect(take(dut)).toBe(0x20)
    command(dut, 0xe0)
    expect(take(dut)).toBe(0x24)
  })

  test('in special mask mode lower ones interrupt what is masked, and an end passes over it', () => {
    const dut = make()
    raise(dut, 3)
    expect(take(dut)).toBe(0x23)
    mask(dut, 8)
    raise(dut, 6)
    expect(take(dut)).toBeNull()
    command(dut, 0x68)
    expect(take(dut)).toBe(0x26)
    command(dut, EOI)
    expect(isr(dut)).toBe(8)
    command(dut, EOI)
    expect(isr(dut), 'a masked one is not ended').toBe(8)
    command(dut, 0x48)
    command(dut, EOI)
    expect(isr(dut)).toBe(0)
  })

  test('in the special fully nested mode a slave that is served asks for more, but lower inputs of the master do not', () => {
    const dut = make({}, [0x11, 1])
    raise(dut, 12)
    expect(take(dut)).toBe(0x2c)
    raise(dut, 3)
    expect(take(dut)).toBeNull()
    raise(dut, 9)
    expect(take(dut)).toBe(0x29)
  })

  test('a poll serves, and says whom', () => {
    const dut = make()
    raise(dut, 5)
    command(dut, 0x0c)
    expect(dut.read(0, 1)).toBe(0x85)
    expect(isr(dut)).toBe(0x20)
    command(dut, 0x0c)
    expect(dut.read(1, 1), 'at either port; nothing asks').toBe(0)
    expect(dut.read(1, 1)).toBe(0)
  })

  test('a single master gives the vector of input 2; one whose slave has another number, none', () => {
    const dut = make()
    dut.write(0, 0x13, 1, MASTER)
    for (const word of [0x40, 1, 0]) dut.write(1, word, 1, MASTER)
    raise(dut, 9)
    expect(take(dut)).toBe(0x42)
    setUp(dut, [1, 1])
    dut.write(0, 0x11, 1, SLAVE)
    for (const word of [0x28, 3, 1, 0]) dut.write(1, word, 1, SLAVE)
    lower(dut, 9)
    raise(dut, 9)
    expect(take(dut)).toBe(0xff)
  })
})

test('a state may be taken in the middle of everything, and a wrong one changes nothing', () => {
  const dut = make()
  raise(dut, 3)
  take(dut)
  raise(dut, 9)
  command(dut, 0x0c, SLAVE)
  dut.write(0, 0x11, 1, MASTER)
  dut.write(1, 0x50, 1, MASTER)
  const state = structuredClone(dut.device.save())
  const other = make()
  other.device.restore(state)
  expect(other.device.save()).toEqual(state)
  for (const each of [dut, other]) {
    for (const word of [4, 1, 0]) each.write(1, word, 1, MASTER)
    expect(each.read(0, 1, SLAVE)).toBe(0x81)
    lower(each, 9)
    raise(each, 9)
    command(each, EOI, SLAVE)
    expect(take(each)).toBe(0x29)
  }
  for (const wrong of [{}, { ...state, elcr: [0] }, { ...state, master: { ...state.master, next: 1 } }, { ...state, slave: { ...state.slave, lowest: 8 } }]) {
    const before = dut.device.save()
    expect(() => { dut.device.restore(wrong as I8259State) }).toThrow(expect.objectContaining({ code: 'state' }))
    expect(dut.device.save()).toEqual(before)
  }
})

test('a wide access reaches both ports, the lower first', () => {
  const dut = make()
  mask(dut, 0xa5)
  raise(dut, 1)
  command(dut, 0x0a)
  expect(dut.read(0, 2)).toBe(0xa502)
})
