import { PMP_ENTRIES } from './hart-layout.ts'
import type { HartRecord } from './record.ts'

/** Physical addresses have 56 bits. */
const PHYSICAL_END = 1n << 56n

/** Works out the ranges of PMP entries from their registers (privileged specification, 3.7.1), for generated code. */
export function writePmpRanges(record: HartRecord): void {
  let active = 0
  let open = 0
  for (let i = 0; i < PMP_ENTRIES; i++) {
    const address = record.get64('pmpaddr', i)
    let low = 0n
    let high = 0n
    const kind = (record.get('pmpcfg', i) >> 3) & 3
    if (kind === 1) {
      low = i === 0 ? 0n : record.get64('pmpaddr', i - 1) << 2n
      high = address << 2n
      if (low >= high) low = high = 0n
    } else if (kind === 2) {
      low = address << 2n
      high = low + 4n
    } else if (kind === 3) {
      // The lowest zero bit says the size: 8 bytes for a zero in bit 0, doubled for each one below it.
      const ones = address ^ (address + 1n)
      low = (address & ~ones) << 2n
      high = low + ((ones + 1n) << 2n)
    }
    if (kind !== 0 && active === 0) {
      active = 1
      if (low === 0n && high >= PHYSICAL_END && (record.get('pmpcfg', i) & 7) === 7) open = 1
    }
    record.set64('pmpLow', low, i)
    record.set64('pmpHigh', high, i)
  }
  record.set('pmpActive', active)
  record.set('pmpOpen', open)
}
