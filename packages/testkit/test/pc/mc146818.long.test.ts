/**
 * The MC146818 against QEMU's. What QEMU does otherwise than the data sheet, and is left out:
 *
 * - a time that is written while the clock runs begins its second anew ("Divider Control": the chain goes on): time is written while SET holds it;
 * - the periodic flag is there only while its interrupt is enabled, and its periods begin with that ("PF"): here it is compared after two periods;
 * - the hour of an alarm of 12-hour clocks is before or after noon as the time is, when the alarm is looked for (the quick tests have such alarms);
 * - flags of updates come while SET holds the time, from which alarms are told late: register C is read when SET is cleared.
 */
import { mc146818 } from '@machinist/devices'
import { fakeWallClock, testDevice } from '@machinist/registers/testing'
import { expect, it } from 'vitest'
import { Random } from '../../src/random.ts'
import { type Access, INSTRUCTION, onGuest } from './guest.ts'
import { x86QemuVersion } from './qtest.ts'

const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)
const STEPS = Number(process.env['MACHINIST_STEPS'] ?? 16_000)
const START = '2026-02-27T22:58:51'
const SECOND = 1_000_000_000
const [A, B, C, CENTURY] = [10, 11, 12, 0x32] as const
const [SET, PIE, AIE, UIE, BINARY, H24] = [0x80, 0x40, 0x20, 0x10, 0x04, 0x02] as const
const TIME = [0, 2, 4, 6, 7, 8, 9, CENTURY] as const

interface Step extends Access {
  readonly place: number
  readonly mask?: number
}

function steps(random: Random): Step[] {
  const list: Step[] = []
  let b: number = H24
  const access = (kind: 'inb' | 'outb', place: number, value: number, mask: number, wait: number): void => {
    list.push({ kind: 'outb', at: 0x70, value: place | (random.chance(0.5) ? 0x80 : 0), place, wait })
    list.push({ kind, at: 0x71, value, place, mask })
  }
  /** Turns of the guest's loop, of two instructions each. */
  const wait = (): number => random.chance(0.5) ? random.below(10) : random.chance(0.7) ? random.below(SECOND / INSTRUCTION / 4) : random.below(2 * SECOND / INSTRUCTION)
  const read = (place: number, mask = 0xff): void => { access('inb', place, 0, mask, wait()) }
  const write = (place: number, value: number, rest = wait()): void => { access('outb', place, value, 0, rest) }
  /** Register C, without the periodic flag, and IRQF only where that is out of it. */
  const flags = (): void => { read(C, (b & PIE) !== 0 ? 0x30 : 0xb0) }
  const coded = (value: number): number => (b & BINARY) !== 0 ? value : Math.floor(value / 10) << 4 | value % 10
  const hour = (value: number): number => (b & H24) !== 0 ? coded(value) : coded(value % 12 === 0 ? 12 : value % 12) | (value >= 12 ? 0x80 : 0)
  const setTime = (): void => {
    write(B, b | SET)
    b = (b & ~UIE) | SET
    const year = random.between(1970, 2099)
    const month = random.between(1, 12)
    // The last days of months more often than others.
    const days = new Date(Date.UTC(year, month, 0)).getUTCDate()
    const date = random.chance(0.6) ? days : random.between(1, days)
    const [h, m, s] = random.chance(0.7) ? [23, 59, random.between(50, 59)] : [random.below(24), random.below(60), random.below(60)]
    const weekday = new Date(Date.UTC(year, month - 1, date)).getUTCDay() + 1
    const bytes = [coded(s), coded(m), hour(h), weekday, coded(date), coded(month), coded(year % 100), coded(Math.floor(year / 100))]
    for (const [index, place] of TIME.entries()) write(place, bytes[index] ?? 0)
    for (const place of TIME) if (random.chance(0.3)) read(place)
    b &= ~SET
    write(B, b)
    access('inb', C, 0, 0, 0)
  }
  const alarm = (): void => {
    write(1, random.chance(0.5) ? 0xc0 | random.below(64) : coded(random.below(60)))
    write(3, random.chance(0.8) ? 0xc0 | random.below(64) : coded(random.below(60)))
    write(5, random.chance(0.9) || (b & H24) === 0 ? 0xc0 | random.below(64) : hour(random.below(24)))
    access('inb', C, 0, 0, 0)
  }
  setTime()
  alarm()
  while (list.length < STEPS) {
    const kind = random.below(20)
    if (kind < 2) setTime()
    else if (kind < 3) alarm()
    else if (kind < 9) for (const place of TIME) read(place)
    else if (kind < 12) flags()
    else if (kind < 14) read(A)
    else if (kind < 15) {
      b = (b & ~(AIE | UIE)) | random.pick([0, AIE, UIE, AIE | UIE])
      write(B, b)
      flags()
    } else if (kind < 16) {
      // The formats: what is set is not set any more, so all begins anew.
      b = (b & ~(BINARY | H24)) | random.pick([0, BINARY, H24, BINARY | H24])
      setTime()
      alarm()
    } else if (kind < 18) {
      const place = random.between(14, 127)
      if (place === CENTURY || place === 0x37) continue
      write(place, random.below(256))
      read(place)
    } else if (kind < 19) {
      // The divider is held, and let go.
      write(A, random.pick([0x60, 0x70]) | 6)
      for (const place of TIME) read(place)
      write(A, 0x26)
      access('inb', C, 0, 0, 0)
    } else {
      const rate = random.between(3, 15)
      write(A, 0x20 | rate)
      write(B, b | PIE)
      access('inb', C, 0, 0, 0)
      access('inb', C, 0, 0xc0, Math.ceil(2 * SECOND * 2 ** (rate - 1) / 32_768 / INSTRUCTION))
      write(B, b)
      access('inb', C, 0, 0, 0)
    }
  }
  return list
}

it.skipIf(x86QemuVersion() === null).each([0, 1])('the MC146818 is that of QEMU, at every moment (stream %d; skipped without qemu-system-x86_64)', (stream) => {
  const list = steps(new Random(SEED, stream))
  const outcomes = onGuest(list, ['-rtc', `base=${START},clock=vm`])
  const start = BigInt(Date.parse(`${START}Z`)) * 1_000_000n
  const clock = fakeWallClock(start)
  const dut = testDevice(mc146818, {}, { backends: { clock } })
  let trail: unknown[] = []
  let alarms = 0
  for (const [index, { kind, at = 0, value = 0, place, mask = 0 }] of list.entries()) {
    const { time, value: theirs } = outcomes[index] ?? expect.unreachable('a step has no outcome')
    for (let left = time - dut.context.clock.now(); left > 0; left = time - dut.context.clock.now()) {
      const step = Math.min(left, Math.max(1, dut.context.clock.deadline('next') - dut.context.clock.now()))
      clock.time += BigInt(step)
      dut.advance(step)
    }
    const ours = kind === 'inb' ? dut.read(at - 0x70, 1) : 0
    if (kind === 'outb') dut.write(at - 0x70, value, 1)
    trail = [...trail.slice(-12), { index, kind, place: place.toString(16), value: value.toString(16), time, theirs: theirs.toString(16), ours: ours.toString(16), mask: mask.toString(16) }]
    if (kind === 'inb') expect((ours ^ theirs) & mask, JSON.stringify({ trail: trail.slice(-4), state: dut.device.save() })).toBe(0)
    if (place === C && mask !== 0 && (ours & 0x20) !== 0) alarms++
  }
  expect(alarms).toBeGreaterThan(STEPS / 600)
}, 20 * 60_000)
