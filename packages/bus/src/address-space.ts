import { machinistError, type ShortcutServer, type Width } from '@machinist/api'

/** Whoever answers accesses to a range of an address space. `offset` counts from the start of its region. */
export interface BusTarget {
  read(region: number, offset: number, width: Width): number
  write(region: number, offset: number, width: Width, value: number): void
}

interface Entry {
  readonly owner: string
  readonly base: number
  readonly end: number
  readonly region: number
  readonly target: BusTarget
}

/** Devices have pages of their own, as a rule. */
const PAGE = 4096
/** A power of two. */
const RECENT = 64

/**
 * One space of device registers: guest-physical (memory-mapped) or port I/O. Accesses are synchronous, at most
 * four bytes wide, and never straddle two targets.
 */
export class AddressSpace {
  readonly name: string
  /** Sorted by base; never overlapping. */
  readonly #entries: Entry[] = []
  /** Who answered last, by the low bits of the page. */
  readonly #recent: (Entry | null)[] = new Array<Entry | null>(RECENT).fill(null)
  /** Called before each access: the instant that it sees begins. */
  onAccess: (() => void) | null = null
  /** Set by a CPU that serves what devices declare, before there are devices. */
  shortcuts: ShortcutServer | null = null

  constructor(name: string) {
    this.name = name
  }

  /**
   * Routes `size` bytes at `base` to region number `region` of `target`.
   *
   * @throws a typed error `'overlap'` that names both owners, or `'bad-range'`
   */
  attach(owner: string, base: number, size: number, region: number, target: BusTarget): void {
    if (!Number.isSafeInteger(base) || base < 0 || !Number.isSafeInteger(size) || size <= 0 || !Number.isSafeInteger(base + size)) {
      throw machinistError({ code: 'bad-range', part: owner, value: `${size} bytes at ${base}`, remedy: 'Use whole numbers below 2^53.' }, 'not a range of addresses')
    }
    const clash = this.#entries.find((e) => base < e.end && e.base < base + size)
    if (clash) {
      throw machinistError(
        { code: 'overlap', part: owner, value: `0x${base.toString(16)}`, remedy: `Move ${owner} or ${clash.owner}.` },
        `its registers overlap those of ${clash.owner}`,
      )
    }
    this.#entries.push({ owner, base, end: base + size, region, target })
    this.#entries.sort((a, b) => a.base - b.base)
  }

  /** Ends all routes to `owner`. */
  detach(owner: string): void {
    for (let i = this.#entries.length - 1; i >= 0; i--) if (this.#entries[i]?.owner === owner) this.#entries.splice(i, 1)
    this.#recent.fill(null)
  }

  #find(address: number, width: number): Entry | null {
    let low = 0
    let high = this.#entries.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const entry = this.#entries[middle]
      if (!entry) return null
      if (address < entry.base) high = middle - 1
      else if (address >= entry.end) low = middle + 1
      else {
        if (address + width > entry.end) return null
        this.#recent[(address / PAGE) & (RECENT - 1)] = entry
        return entry
      }
    }
    return null
  }

  /**
   * Unsigned value, or −1 when nobody answers: the bus error of real hardware.
   *
   * @param more - it is the second half of an access of 8 bytes, at the instant of the first
   */
  read(address: number, width: Width, more: boolean = false): number {
    const recent = this.#recent[(address / PAGE) & (RECENT - 1)]
    const entry = recent && address >= recent.base && address + width <= recent.end ? recent : this.#find(address, width)
    if (!entry) return -1
    if (!more) this.onAccess?.()
    return entry.target.read(entry.region, address - entry.base, width)
  }

  /**
   * Returns false when nobody answers.
   *
   * @param more - as in {@link AddressSpace.read}
   */
  write(address: number, width: Width, value: number, more: boolean = false): boolean {
    const recent = this.#recent[(address / PAGE) & (RECENT - 1)]
    const entry = recent && address >= recent.base && address + width <= recent.end ? recent : this.#find(address, width)
    if (!entry) return false
    if (!more) this.onAccess?.()
    entry.target.write(entry.region, address - entry.base, width, value)
    return true
  }

  /** What is attached, in order of addresses. */
  get ranges(): readonly { readonly owner: string; readonly base: number; readonly size: number; readonly region: number }[] {
    return this.#entries.map(({ owner, base, end, region }) => ({ owner, base, size: end - base, region }))
  }

  /** Who answers at `address`, for diagnostics. */
  ownerAt(address: number): string | null {
    return this.#find(address, 1)?.owner ?? null
  }
}
