import type { Bar } from './bars.ts'
import type { PciHostConfig } from './config.ts'

/** A function whose BARs are put somewhere. */
export interface Assignable {
  readonly bars: readonly Bar[]
  assign(index: number, space: Bar['space'], address: number): void
}

/**
 * Puts the BARs of all functions into the windows, the largest first, so that nothing is lost by alignment: those of 64 bits below 4 GiB as well while there is room. What finds no room stays
 * where it is, and is not decoded.
 */
export function assignBars({ io, memory, memory64 }: PciHostConfig, functions: readonly Assignable[]): void {
  const windows = { io: { at: 0, end: io }, low: { at: memory.base, end: memory.base + memory.size }, high: memory64 === null ? null : { at: memory64.base, end: memory64.base + memory64.size } }
  const all = functions.flatMap((target) => target.bars.map((bar) => ({ target, bar }))).sort((one, other) => other.bar.size - one.bar.size)
  for (const { target, bar: { index, space, wide, size } } of all) {
    for (const window of space === 'io' ? [windows.io] : [windows.low, ...wide && windows.high !== null ? [windows.high] : []]) {
      const address = Math.ceil(window.at / size) * size
      // At 0 it would be one that was not put anywhere.
      const from = address === 0 ? size : address
      if (from + size > window.end) continue
      window.at = from + size
      target.assign(index, space, from)
      break
    }
  }
}
