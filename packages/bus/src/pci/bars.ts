import { machinistError, type PciBar, type PciFunctionSpec, type RegionSpec, type Width } from '@machinist/api'

/** Registers behind a BAR. */
export interface BarTarget {
  read(offset: number, width: Width): number
  write(offset: number, width: Width, value: number): void
}

/** A BAR of a function, as it is made. */
export interface Bar {
  readonly index: number
  readonly space: 'memory' | 'io'
  readonly wide: boolean
  readonly size: number
  readonly target: BarTarget
}

/** Largest region: one bit below what a number holds exactly when it is added to an address. */
const MOST = 2 ** 40

/** What is in the low bits of a BAR (PCI 3.0, 6.2.5.1): I/O, or the width of a memory address. */
function flags({ space, wide }: Bar): number {
  return space === 'io' ? 1 : wide ? 4 : 0
}

/** What a BAR holds after the guest wrote `value`: address bits below the size are zero, which tells the size (6.2.5.1). */
export function barValue(bars: readonly Bar[], index: number, value: number): number {
  const low = bars.find((bar) => bar.index === index)
  if (low !== undefined) return ((value & -Math.min(low.size, 2 ** 31) & (low.size > 2 ** 31 ? 0 : -1)) | flags(low)) >>> 0
  const high = bars.find((bar) => bar.wide && bar.index === index - 1)
  return high === undefined ? 0 : (value & -Math.max(1, high.size / 2 ** 32)) >>> 0
}

/** The regions of a function behind its BARs. @throws a typed error `'pci-function'` for what the format cannot have */
export function makeBars(part: string, spec: PciFunctionSpec, regions: readonly RegionSpec[], behind: (region: number) => BarTarget): Bar[] {
  const refuse = (problem: string, value: number, remedy: string): never => {
    throw machinistError({ code: 'pci-function', part, value, remedy }, problem)
  }
  const taken = new Set<number>()
  return spec.bars.map(({ index, type, region }: PciBar): Bar => {
    const wide = type === 'memory64'
    for (const each of wide ? [index, index + 1] : [index]) {
      if (!Number.isInteger(each) || each < 0 || each > 5) refuse('it has no such BAR', each, 'Use 0 to 5; a 64-bit one takes two.')
      if (taken.has(each)) refuse('a BAR is used twice', each, 'Give each region a BAR of its own; a 64-bit one takes two.')
      taken.add(each)
    }
    const size = regions[region]?.size ?? refuse('a BAR is for a region that does not exist', region, 'Give the number of a region.')
    const least = type === 'io' ? 4 : 16
    const most = type === 'io' ? 256 : wide ? MOST : 2 ** 31
    if (size < least || size > most || !Number.isInteger(Math.log2(size))) {
      refuse('a region behind a BAR has an impossible size', size, `Use a power of two from ${least} to ${most}.`)
    }
    return { index, space: type === 'io' ? 'io' : 'memory', wide, size, target: behind(region) }
  })
}
