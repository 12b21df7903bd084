import { fakeWallClock, testDevice, type TestDevice } from '@machinist/registers/testing'
import { describe, expect, test } from 'vitest'
import { mc146818, type Mc146818State, type RtcBackends } from '../index.ts'

interface Dut extends TestDevice<Readonly<Record<never, never>>, Mc146818State, 'interrupt', RtcBackends> {
  /** Time goes on, of host and machine alike. */
  pass(nanoseconds: number): void
  get(place: number): number
  put(place: number, value: number): void
}

const SECOND = 1_000_000_000
const [A, B, C, D] = [10, 11, 12, 13] as const
const [SET, PIE, AIE, UIE, BINARY, H24] = [0x80, 0x40, 0x20, 0x10, 0x04, 0x02] as const

function make(start = '2026-02-28T23:59:58Z'): Dut {
  const clock = fakeWallClock(BigInt(Date.parse(start)) * 1_000_000n)
  const dut = testDevice(mc146818, {}, { backends: { clock } })
  return {
    ...dut,
    pass(nanoseconds) {
      // In steps to each timer, at whose time both clocks are the same.
      for (let left = nanoseconds; left > 0;) {
        const step = Math.min(left, Math.max(1, dut.context.clock.deadline('next') - dut.context.clock.now()))
        clock.time += BigInt(step)
        dut.advance(step)
        left -= step
      }
    },
    get(place) {
      dut.write(0, place, 1)
      return dut.read(1, 1)
    },
    put(place, value) {
      dut.write(0, place, 1)
      dut.write(1, value, 1)
    },
  }
}

/** Seconds, minutes, hours, day of the week, date, month, year, century. */
const time = (dut: Dut): number[] => [0, 2, 4, 6, 7, 8, 9, 0x32].map((place) => dut.get(place))
const set = (dut: Dut, bytes: readonly number[]): void => {
  const b = dut.get(B)
  dut.put(B, b | SET)
  for (const [index, place] of [0, 2, 4, 6, 7, 8, 9, 0x32].entries()) dut.put(place, bytes[index] ?? 0)
  dut.put(B, b & ~SET)
}

describe('time', () => {
  test('is that of the host, in the formats of register B', () => {
    const dut = make()
    expect(time(dut)).toEqual([0x58, 0x59, 0x23, 7, 0x28, 0x02, 0x26, 0x20])
    dut.pass(2 * SECOND)
    expect(time(dut)).toEqual([0, 0, 0, 1, 1, 3, 0x26, 0x20])
    dut.put(B, BINARY)
    expect(time(dut)).toEqual([0, 0, 12, 1, 1, 3, 26, 20])
    dut.pass(13 * 3600 * SECOND)
    expect(time(dut)).toEqual([0, 0, 0x81, 1, 1, 3, 26, 20])
    dut.put(B, 0)
    dut.pass(11 * 3600 * SECOND - SECOND)
    expect(time(dut)).toEqual([0x59, 0x59, 0x91, 1, 1, 3, 0x26, 0x20])
  })

  test('is set while SET holds it, and goes on within the same second', () => {
    const dut = make()
    dut.pass(SECOND / 4)
    dut.put(B, SET | H24)
    for (const [place, value] of [[0, 0x30], [2, 0x59], [4, 0x23], [6, 3], [7, 0x28], [8, 0x02], [9, 0x24], [0x32, 0x20]] as const) dut.put(place, value)
    dut.pass(5 * SECOND)
    expect(time(dut)).toEqual([0x30, 0x59, 0x23, 3, 0x28, 2, 0x24, 0x20])
    dut.put(B, H24)
    dut.pass(3 * SECOND / 4 - 1)
    expect(dut.get(0)).toBe(0x30)
    dut.pass(1)
    expect(dut.get(0)).toBe(0x31)
    dut.pass(29 * SECOND)
    expect(time(dut), 'a leap day; the weekday goes on as it was set').toEqual([0, 0, 0, 4, 0x29, 2, 0x24, 0x20])
  })

  test('centuries: 2000 was a leap year, 2100 is none', () => {
    const dut = make()
    set(dut, [0x59, 0x59, 0x23, 1, 0x28, 0x02, 0x00, 0x20])
    dut.pass(SECOND)
    expect(time(dut).slice(4)).toEqual([0x29, 2, 0, 0x20])
    set(dut, [0x59, 0x59, 0x23, 1, 0x28, 0x02, 0x00, 0x21])
    dut.pass(SECOND)
    expect(time(dut).slice(4)).toEqual([1, 3, 0, 0x21])
    set(dut, [0x59, 0x59, 0x23, 1, 0x31, 0x12, 0x99, 0x99])
    dut.pass(SECOND)
    expect(time(dut).slice(4)).toEqual([1, 1, 0, 0])
  })

  test('a divider that is held stops all, and half a second after it was let go the first update comes', () => {
    const dut = make()
    dut.put(A, 0x70)
    dut.pass(10 * SECOND)
    expect([dut.get(0), dut.get(C)]).toEqual([0x58, 0])
    dut.put(A, 0x26)
    dut.pass(SECOND / 2 - 1)
    expect(dut.get(0)).toBe(0x58)
    dut.pass(1)
    expect(dut.get(0)).toBe(0x59)
  })

  test('UIP announces an update, unless the time is held', () => {
    const dut = make()
    dut.pass(SECOND - 244_141)
    expect(dut.get(A)).toBe(0x26)
    dut.pass(1)
    expect(dut.get(A)).toBe(0xa6)
    dut.put(B, SET | H24)
    expect(dut.get(A)).toBe(0x26)
    dut.put(B, H24)
    expect(dut.get(A)).toBe(0xa6)
    dut.pass(244_140)
    expect(dut.get(A)).toBe(0x26)
  })
})

describe('flags and interrupts', () => {
  test('an update ends once a second, and reading register C takes the flag', () => {
    const dut = make()
    expect(dut.get(C)).toBe(0)
    dut.pass(SECOND)
    expect([dut.get(C), dut.get(C), dut.context.irq.interrupt.level]).toEqual([0x50, 0, false])
    dut.put(B, H24 | UIE)
    dut.pass(SECOND - 1)
    expect(dut.context.irq.interrupt.level).toBe(false)
    dut.pass(1)
    expect(dut.context.irq.interrupt.level).toBe(true)
    expect(dut.get(C) & 0x90).toBe(0x90)
    expect(dut.context.irq.interrupt.level).toBe(false)
    dut.put(B, H24 | SET | UIE)
    expect(dut.get(B), 'SET clears UIE').toBe(H24 | SET)
  })

  test('while SET is 1, no update ends and no alarm comes', () => {
    const dut = make('2026-06-01T10:20:30Z')
    for (const place of [1, 3, 5]) dut.put(place, 0xc0)
    dut.put(B, H24 | SET | AIE)
    dut.pass(2 * SECOND)
    expect([dut.get(C) & 0x30, dut.context.irq.interrupt.level]).toEqual([0, false])
    dut.put(B, H24 | AIE)
    expect(dut.get(C) & 0x30).toBe(0)
    dut.pass(SECOND)
    expect([dut.context.irq.interrupt.level, dut.get(C) & 0x30]).toEqual([true, 0x30])
  })

  test('an interrupt that is enabled when its flag is there comes at once', () => {
    const dut = make()
    dut.pass(SECOND)
    dut.put(B, H24 | UIE)
    expect(dut.context.irq.interrupt.level).toBe(true)
    dut.put(B, H24)
    expect(dut.context.irq.interrupt.level).toBe(false)
    expect(dut.get(C) & 0x80).toBe(0)
  })

  test('an alarm comes when all its bytes match or do not care', () => {
    const dut = make('2026-06-01T10:20:30Z')
    for (const [place, value] of [[1, 0x15], [3, 0x21], [5, 0xc0], [B, H24 | AIE]] as const) dut.put(place, value)
    dut.pass(45 * SECOND - 1)
    expect(dut.context.irq.interrupt.level).toBe(false)
    dut.pass(1)
    expect(dut.context.irq.interrupt.level).toBe(true)
    expect(dut.get(C) & 0xa0).toBe(0xa0)
    dut.pass(3600 * SECOND - 1)
    expect(dut.context.irq.interrupt.level).toBe(false)
    dut.pass(1)
    expect(dut.context.irq.interrupt.level).toBe(true)
    dut.get(C)
    dut.put(5, 0x10)
    dut.pass(22 * 3600 * SECOND)
    expect(dut.get(C) & 0x20).toBe(0)
    dut.pass(3600 * SECOND)
    expect(dut.get(C) & 0x20, 'the flag comes without being asked').toBe(0x20)
    dut.put(1, 0x7f)
    dut.pass(48 * 3600 * SECOND)
    expect(dut.get(C) & 0x20, 'no time matches').toBe(0)
  })

  test('the alarm of a 12-hour clock has the afternoon in bit 7', () => {
    const dut = make('2026-06-01T11:59:00Z')
    for (const [place, value] of [[1, 0], [3, 0], [5, 0x92], [B, AIE]] as const) dut.put(place, value)
    dut.pass(60 * SECOND)
    expect(dut.context.irq.interrupt.level).toBe(true)
  })

  test.each([[1, 256], [2, 128], [3, 8192], [6, 1024], [15, 2]])('rate %d interrupts %d times a second', (rate, frequency) => {
    const dut = make()
    dut.put(A, 0x20 | rate)
    dut.put(B, H24 | PIE)
    let count = 0
    // Until the flag is taken there is no further interrupt.
    for (let each = 0; each < frequency; each++) {
      dut.pass(Math.ceil(SECOND / frequency))
      if (dut.context.irq.interrupt.level) count++
      expect(dut.get(C) & 0xc0).toBe(0xc0)
    }
    expect(count).toBe(frequency)
    dut.pass(10 * SECOND)
    expect(dut.context.irq.interrupt.edges).toBe(frequency + 1)
    dut.put(A, 0x20)
    dut.get(C)
    dut.pass(SECOND)
    expect(dut.get(C) & 0x40).toBe(0)
  })

  test('the periodic flag comes whether or not it interrupts', () => {
    const dut = make()
    dut.pass(976_562)
    expect(dut.get(C)).toBe(0)
    dut.pass(1)
    expect(dut.get(C)).toBe(0x40)
  })
})

test('RAM is kept over resets, as time is; interrupts are not', () => {
  const dut = make()
  for (let place = 14; place < 128; place++) if (place !== 0x32) dut.put(place, place ^ 0x5a)
  dut.put(B, H24 | PIE | UIE | 8)
  dut.pass(SECOND)
  for (const kind of ['warm', 'cold'] as const) {
    dut.device.reset(kind)
    expect([dut.context.irq.interrupt.level, dut.get(B), dut.get(0), dut.get(D)]).toEqual([false, H24, 0x59, 0x80])
    for (let place = 14; place < 128; place++) if (place !== 0x32) expect(dut.get(place)).toBe(place ^ 0x5a)
  }
  dut.put(D, 0)
  dut.put(C, 0xff)
  expect([dut.get(D), dut.get(C), dut.read(0, 1)]).toEqual([0x80, 0, 0xff])
  // One access of two bytes: the address, and what goes there.
  dut.write(0, 0x1234 | 0x40, 2)
  expect(dut.get(0x74)).toBe(0x12)
  dut.write(0, 0x80 | 0x74, 1)
  expect(dut.read(1, 1), 'the bit for NMIs is no part of the address').toBe(0x12)
})

test('a state is saved, and restored while nothing is waited for, without a look at the host\'s clock: in a replay it is there only where the guest looked', () => {
  const dut = make()
  dut.put(B, H24)
  dut.pass(2 * SECOND)
  const before = time(dut)
  dut.pass(77 * SECOND)
  const clock = dut.context.backends.clock as { now(): bigint }
  const now = clock.now.bind(clock)
  clock.now = () => { throw new Error('looked at') }
  const state = dut.device.save()
  dut.device.restore(state)
  clock.now = now
  expect(state.seen % 60).toBe(before[0])
  expect(time(dut)).toEqual([0x17, 0x01, 0, 1, 1, 3, 0x26, 0x20])
})

test('a restored state goes on with its own time; a wrong one changes nothing', () => {
  const dut = make()
  set(dut, [0x10, 0x20, 0x07, 2, 0x05, 0x06, 0x99, 0x19])
  dut.put(B, H24 | UIE)
  dut.pass(333_333_333)
  const state = structuredClone(dut.device.save())
  const other = make()
  other.pass(333_333_333)
  other.advance(12_345)
  other.device.restore(state)
  expect(other.device.save()).toEqual(state)
  for (let each = 0; each < 50; each++) {
    for (const one of [dut, other]) one.pass(77_777_777)
    expect([time(other), other.get(C), other.context.irq.interrupt.level]).toEqual([time(dut), dut.get(C), dut.context.irq.interrupt.level])
  }
  for (const wrong of [{}, { ...state, bytes: [] }, { ...state, ahead: SECOND }, { ...state, weekday: 7 }, { ...state, offset: 1.5 }]) {
    const before = dut.device.save()
    expect(() => { dut.device.restore(wrong as Mc146818State) }).toThrow(expect.objectContaining({ code: 'state' }))
    expect(dut.device.save()).toEqual(before)
  }
})
