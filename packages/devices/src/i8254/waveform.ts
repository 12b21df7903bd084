/** A counting element: what it was loaded with, and when. Moments are pulses of the clock. */
export interface Count {
  /** 0 … 5. */
  readonly mode: number
  readonly bcd: boolean
  readonly gate: boolean
  /** Whether a count was loaded since the control word. */
  readonly loaded: boolean
  /** Before that, what it still holds, as a guest reads it. */
  readonly before: number
  /** What was loaded, 1 … 65536. */
  readonly count: number
  /** While it runs, the pulse at which it was loaded, or would have been had it never paused. */
  readonly start: number
  /** While it pauses, pulses since then. */
  readonly held: number
  readonly running: boolean
  /** The pulse at which it will be loaded; −1 for none. */
  readonly load: number
}

/** Pulses of the high half of mode 3, which has the odd one ("Mode 3"). */
function highHalf(count: number): number {
  return (count + 1) >>> 1
}

function elapsed({ running, start, held }: Count, now: number): number {
  return running ? now - start : held
}

/** The output ("Mode Definitions"). */
export function level(each: Count, now: number): boolean {
  const { mode, loaded, count, running } = each
  if (!loaded) return mode !== 0
  const past = elapsed(each, now)
  switch (mode) {
    case 0:
    case 1: return past >= count
    case 2: return !running || past % count !== count - 1
    case 3: return !running || past % count < highHalf(count)
    default: return !running || past !== count
  }
}

/** What a guest reads of it. */
export function valueAt(each: Count, now: number): number {
  const { mode, bcd, loaded, before, count } = each
  if (!loaded) return before
  const past = elapsed(each, now)
  const range = bcd ? 10_000 : 0x1_0000
  let value: number
  if (mode === 2) value = count - past % count
  else if (mode === 3) {
    const [place, high] = [past % count, highHalf(count)]
    value = (count & ~1) - 2 * (place < high ? place : place - high)
  } else value = count - past
  value = ((value % range) + range) % range
  return bcd ? toBcd(value) : value
}

/** The next pulse at which the output rises, as things stand; `Infinity` for none. */
export function nextRise(each: Count, now: number): number {
  const { mode, loaded, running, start, count } = each
  if (!loaded || !running) return Infinity
  const past = now - start
  switch (mode) {
    case 0:
    case 1: return past < count ? start + count : Infinity
    case 2:
    case 3: return count > 1 ? cycleStart(each, now) + count : Infinity
    default: return past <= count ? start + count + 1 : Infinity
  }
}

/** The next pulse at which there is something to see: a rise, a fall that lasts, or a count that is loaded. */
export function nextChange(each: Count, now: number): number {
  const { mode, loaded, running, count, load } = each
  const next = Math.min(nextRise(each, now), load < 0 ? Infinity : load)
  if (mode !== 3 || !loaded || !running) return next
  const fall = cycleStart(each, now) + highHalf(count)
  return fall > now ? Math.min(next, fall) : next
}

/** The pulse at which a count that was written meanwhile is loaded: the end of the cycle of mode 2, or of half of one of mode 3. */
export function cycleEnd(each: Count, now: number): number {
  const begin = cycleStart(each, now)
  const half = begin + highHalf(each.count)
  return each.mode === 3 && half > now ? half : begin + each.count
}

/** Whether a low half of mode 3 begins at a pulse. */
export function fallsAt(each: Count, at: number): boolean {
  return each.mode === 3 && each.loaded && each.running && each.count > 1 && at - cycleStart(each, at) === highHalf(each.count)
}

/** What the count register stands for; 0 is the largest count ("Write Operations"). */
export function countOf(register: number, bcd: boolean): number {
  const count = bcd ? [12, 8, 4, 0].reduce((sum, shift) => 10 * sum + (register >>> shift & 15), 0) : register
  return count === 0 ? (bcd ? 10_000 : 0x1_0000) : count
}

/** Where a count has to be thought to begin that is loaded when a low half of mode 3 does. */
export function startOfLow(load: number, count: number): number {
  return load - highHalf(count)
}

function cycleStart({ start, count }: Count, now: number): number {
  return start + Math.floor((now - start) / count) * count
}

function toBcd(value: number): number {
  return Math.floor(value / 1000) << 12 | Math.floor(value / 100) % 10 << 8 | Math.floor(value / 10) % 10 << 4 | value % 10
}
