import { B, Place } from './registers.ts'

const DAY = 86_400
/** What a byte of an alarm begins with that any time matches ("Time, Calendar and Alarm Locations"). */
const ANY = 0xc0

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by
}

/** Days since 1970-01-01 of a date in the Gregorian calendar, month 1 … 12; dates beyond a month go on in the next. */
function daysOf(year: number, month: number, date: number): number {
  const months = year * 12 + month - 1
  const [y, m] = [Math.floor(months / 12), modulo(months, 12)]
  // Years that begin in March have their leap day at the end.
  const [from, shifted] = m < 2 ? [y - 1, m + 10] : [y, m - 2]
  return 365 * from + Math.floor(from / 4) - Math.floor(from / 100) + Math.floor(from / 400) + Math.floor((153 * shifted + 2) / 5) + date - 1 - 719_468
}

/** Year, month and date of a day. */
function dateOf(days: number): readonly [year: number, month: number, date: number] {
  let year = 1970 + Math.floor(days / 365.2425)
  if (daysOf(year, 1, 1) > days) year--
  if (daysOf(year + 1, 1, 1) <= days) year++
  let month = 1
  while (month < 12 && daysOf(year, month + 1, 1) <= days) month++
  return [year, month, days - daysOf(year, month, 1) + 1]
}

/** The formats that register B chooses. */
interface Format {
  readonly binary: boolean
  readonly hours24: boolean
}

export function formatOf(b: number): Format {
  return { binary: (b & B.binary) !== 0, hours24: (b & B.hours24) !== 0 }
}

function encode(value: number, { binary }: Format): number {
  return binary ? value : Math.floor(value / 10) << 4 | value % 10
}

function decode(byte: number, { binary }: Format): number {
  return binary ? byte : 10 * (byte >>> 4) + (byte & 15)
}

function encodeHour(hour: number, format: Format): number {
  return format.hours24 ? encode(hour, format) : encode(hour % 12 === 0 ? 12 : hour % 12, format) | (hour >= 12 ? 0x80 : 0)
}

function decodeHour(byte: number, format: Format): number {
  return format.hours24 ? decode(byte, format) : decode(byte & 0x7f, format) % 12 + (byte >= 0x80 ? 12 : 0)
}

/** Writes the bytes of a time, in seconds since 1970. @param weekday - that of day 0, 0 … 6 */
export function writeTime(bytes: Uint8Array, seconds: number, weekday: number): void {
  const format = formatOf(bytes[Place.b] ?? 0)
  const days = Math.floor(seconds / DAY)
  const second = seconds - days * DAY
  const [year, month, date] = dateOf(days)
  bytes[Place.seconds] = encode(second % 60, format)
  bytes[Place.minutes] = encode(Math.floor(second / 60) % 60, format)
  bytes[Place.hours] = encodeHour(Math.floor(second / 3600), format)
  bytes[Place.dayOfWeek] = encode(weekdayOf(days, weekday) + 1, format)
  bytes[Place.date] = encode(date, format)
  bytes[Place.month] = encode(month, format)
  bytes[Place.year] = encode(modulo(year, 100), format)
  bytes[Place.century] = encode(modulo(Math.floor(year / 100), 100), format)
}

/** The time that bytes stand for, in seconds since 1970, and the weekday of day 0 that makes theirs right. What is no time is counted on, as 61 seconds are a minute and one. */
export function readTime(bytes: Uint8Array): { readonly seconds: number; readonly weekday: number } {
  const format = formatOf(bytes[Place.b] ?? 0)
  const field = (place: number): number => decode(bytes[place] ?? 0, format)
  const clock = field(Place.seconds) + 60 * field(Place.minutes) + 3600 * decodeHour(bytes[Place.hours] ?? 0, format)
  const seconds = daysOf(100 * field(Place.century) + field(Place.year), field(Place.month), field(Place.date)) * DAY + clock
  return { seconds, weekday: weekdayOf(field(Place.dayOfWeek) - 1, -Math.floor(seconds / DAY)) }
}

function weekdayOf(days: number, weekday: number): number {
  return modulo(days + weekday, 7)
}

/** The first time after `seconds` that matches the alarm bytes; `Infinity` when none does. */
export function nextAlarm(bytes: Uint8Array, seconds: number): number {
  const format = formatOf(bytes[Place.b] ?? 0)
  const matches = (alarm: number, byte: number): boolean => {
    const wanted = bytes[alarm] ?? 0
    return (wanted & ANY) === ANY || wanted === byte
  }
  const start = seconds + 1
  const minutes = Math.floor(start / 60)
  for (let minute = minutes; minute <= minutes + DAY / 60; minute++) {
    const hour = modulo(Math.floor(minute / 60), 24)
    if (!matches(Place.hoursAlarm, encodeHour(hour, format)) || !matches(Place.minutesAlarm, encode(modulo(minute, 60), format))) continue
    for (let second = minute === minutes ? start - minute * 60 : 0; second < 60; second++) {
      if (matches(Place.secondsAlarm, encode(second, format))) return minute * 60 + second
    }
  }
  return Infinity
}
