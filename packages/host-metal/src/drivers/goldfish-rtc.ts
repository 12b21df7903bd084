import type { WallClockPort } from '@machinist/api'
import { type AddressRange, type Hardware, registersAt } from './hardware.ts'

/** `compatible` of what is driven. */
export const RTC_COMPATIBLE: readonly string[] = ['google,goldfish-rtc']

/** Nanoseconds since 1970. Reading the low half latches the high one. */
const REGISTER = { timeLow: 0x00, timeHigh: 0x04 } as const

/** The time of a Goldfish real-time clock. */
export function goldfishClock(hardware: Hardware, range: AddressRange): WallClockPort {
  const registers = registersAt(hardware, range)
  return {
    now() {
      const low = registers.read(REGISTER.timeLow)
      return BigInt(registers.read(REGISTER.timeHigh)) << 32n | BigInt(low)
    },
  }
}
