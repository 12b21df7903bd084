import { fakeWallClock, testDevice, type TestDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { goldfishRtc, type GoldfishRtcState, type RtcBackends } from '../index.ts'

const [TIME_LOW, TIME_HIGH, ALARM_LOW, ALARM_HIGH, IRQ_ENABLED, CLEAR_ALARM, ALARM_STATUS, CLEAR_INTERRUPT] =
  [0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x18, 0x1c]

type Config = Readonly<Record<never, never>>
interface Rtc extends TestDevice<Config, GoldfishRtcState, 'alarm', RtcBackends> {
  /** Moves the host's clock and virtual time on together. */
  pass(nanoseconds: number): void
  readonly host: { time: bigint }
  time(): bigint
  alarm(at: bigint): void
}

function make(start: bigint): Rtc {
  const host = fakeWallClock(start)
  const dut = testDevice(goldfishRtc, undefined, { backends: { clock: host } })
  return {
    ...dut, host,
    pass(nanoseconds) {
      host.time += BigInt(nanoseconds)
      dut.advance(nanoseconds)
    },
    time: () => BigInt(dut.read(TIME_LOW)) | BigInt(dut.read(TIME_HIGH)) << 32n,
    alarm(at) {
      dut.write(ALARM_HIGH, Number(at >> 32n))
      dut.write(ALARM_LOW, Number(at & 0xffff_ffffn))
    },
  }
}

test('the two halves of the time belong together: reading the low one latches the high one', () => {
  const rtc = make(0x1_ffff_ffffn)
  expect(rtc.read(TIME_LOW)).toBe(0xffff_ffff)
  rtc.pass(1)
  expect(rtc.read(TIME_HIGH)).toBe(1)
  expect(rtc.time()).toBe(0x2_0000_0000n)
})

test('the guest sets the time, high half first, and it goes on from there', () => {
  fc.assert(fc.property(fc.bigInt(0n, (1n << 64n) - 1n), fc.bigInt(0n, (1n << 63n)), (host, set) => {
    const rtc = make(host)
    rtc.write(TIME_HIGH, Number(set >> 32n))
    rtc.write(TIME_LOW, Number(set & 0xffff_ffffn))
    expect(rtc.time()).toBe(set)
    rtc.pass(12_345)
    expect(rtc.time()).toBe(set + 12_345n)
    const copy = make(host + 12_345n)
    copy.device.restore(structuredClone(rtc.device.save()))
    expect(copy.time()).toBe(set + 12_345n)
    rtc.device.reset('warm')
    expect(rtc.time()).toBe(set + 12_345n)
    rtc.device.reset('cold')
    expect(rtc.time()).toBe(BigInt.asUintN(64, host + 12_345n))
  }))
})

test('an alarm fires at its time, once, and interrupts where enabled', () => {
  const rtc = make(1_000n)
  const line = rtc.context.irq.alarm
  rtc.alarm(6_000n)
  expect(rtc.read(ALARM_STATUS)).toBe(1)
  rtc.pass(4_999)
  expect(rtc.read(ALARM_STATUS)).toBe(1)
  rtc.pass(1)
  expect(rtc.read(ALARM_STATUS)).toBe(0)
  expect(line.level).toBe(false)
  rtc.write(IRQ_ENABLED, 1)
  expect(line.level).toBe(true)
  rtc.write(CLEAR_INTERRUPT, 1)
  expect(line.level).toBe(false)
  rtc.pass(1_000_000)
  expect(line.edges).toBe(1)
  expect([rtc.read(ALARM_LOW), rtc.read(ALARM_HIGH)]).toEqual([6_000, 0])
})

test('an alarm in the past fires at once, a cleared one never', () => {
  const rtc = make(1_000n)
  rtc.write(IRQ_ENABLED, 1)
  rtc.alarm(999n)
  expect(rtc.context.irq.alarm.level).toBe(true)
  rtc.write(CLEAR_INTERRUPT, 1)
  rtc.alarm(3_000n)
  rtc.write(CLEAR_ALARM, 1)
  rtc.pass(1_000_000)
  expect(rtc.context.irq.alarm.level).toBe(false)
})

test('setting the time past an alarm fires it', () => {
  const rtc = make(1_000n)
  rtc.write(IRQ_ENABLED, 1)
  rtc.alarm(1n << 40n)
  rtc.write(TIME_HIGH, 0x101)
  expect(rtc.context.irq.alarm.level).toBe(true)
})

test('an alarm waits for the host\'s clock when virtual time runs ahead of it, and survives a snapshot', () => {
  const rtc = make(0n)
  rtc.write(IRQ_ENABLED, 1)
  rtc.alarm(5_000_000n)
  rtc.advance(50_000_000)
  expect(rtc.context.irq.alarm.level).toBe(false)
  const copy = make(4_000_000n)
  copy.device.restore(structuredClone(rtc.device.save()))
  copy.pass(1_000_000)
  expect(copy.context.irq.alarm.level).toBe(true)
  const third = make(4_000_000n)
  third.device.restore(structuredClone(copy.device.save()))
  expect(third.context.irq.alarm.level, 'a pending interrupt is restored').toBe(true)
})

test('nothing a guest does throws or gives a number out of range, and its state always restores', () => {
  const rtc = make(1_700_000_000_000_000_000n)
  fc.assert(fc.property(fc.nat(0x40), fc.constantFrom(1, 2, 4), fc.integer({ min: 0, max: 0xffff_ffff }), fc.boolean(), fc.nat(10_000_000), (at, width, value, write, time) => {
    if (write) rtc.write(at, value % 2 ** (8 * width), width)
    const read = rtc.read(at, width)
    expect(Number.isInteger(read) && read >= 0 && read < 2 ** (8 * width)).toBe(true)
    rtc.pass(time)
    rtc.device.restore(structuredClone(rtc.device.save()))
  }), { numRuns: 1000 })
})

test('a bad state and a bad configuration are refused', () => {
  const rtc = make(0n)
  const good = rtc.device.save()
  for (const change of [{ offset: 1 }, { offset: -1n }, { interrupt: 1 }, { registers: {} }]) {
    expect(() => { rtc.device.restore({ ...good, ...change } as unknown as GoldfishRtcState) }).toThrow(expect.objectContaining({ code: 'state' }))
  }
  expect(rtc.device.save()).toEqual(good)
  expect(() => goldfishRtc.configure({ utc: true }, 'rtc')).toThrow(expect.objectContaining({ part: 'rtc.utc' }))
})

test('an alarm whose time has come where it is restored goes off in its turn, when lines have their levels', () => {
  const rtc = make(1000n)
  rtc.write(IRQ_ENABLED, 1)
  rtc.alarm(5000n)
  const saved = structuredClone(rtc.device.save())
  const later = make(1_000_000n)
  later.device.restore(saved)
  expect([later.read(ALARM_STATUS), later.context.irq.alarm.level]).toEqual([1, false])
  later.pass(2_000_000)
  expect([later.read(ALARM_STATUS), later.context.irq.alarm.level]).toEqual([0, true])
})
