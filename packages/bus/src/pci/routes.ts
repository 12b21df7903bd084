import type { BarTarget } from './bars.ts'

/** Addresses of a PCI bus that a function claims. */
export interface Claim {
  readonly base: number
  readonly size: number
  readonly target: BarTarget
}

interface Segment {
  readonly start: number
  readonly end: number
  readonly claim: Claim
}

/**
 * Who answers at which address of one space of a bus. Guests may put claims anywhere, also over one another: then
 * each byte belongs to the first claim in the list, and an access must lie wholly in bytes of one claim. What
 * changes is found at the next access, so that a guest that moves things about pays for itself.
 */
export class Routes {
  readonly #claims: () => readonly Claim[]
  #segments: readonly Segment[] | null = null

  /** @param claims - gives the claims, those that win first */
  constructor(claims: () => readonly Claim[]) {
    this.#claims = claims
  }

  /** The claims have changed. */
  invalidate(): void {
    this.#segments = null
  }

  /** The claim that has all of `width` bytes at `address`, or null. */
  find(address: number, width: number): Claim | null {
    const segments = this.#segments ??= segmentsOf(this.#claims())
    let low = 0
    let high = segments.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const segment = segments[middle]
      if (segment === undefined) return null
      if (address < segment.start) high = middle - 1
      else if (address >= segment.end) low = middle + 1
      else return address + width <= segment.end ? segment.claim : null
    }
    return null
  }
}

/** Pieces that do not overlap, in order of addresses. */
function segmentsOf(claims: readonly Claim[]): Segment[] {
  const edges = [...new Set(claims.flatMap(({ base, size }) => [base, base + size]))].sort((a, b) => a - b)
  const segments: Segment[] = []
  for (const [index, start] of edges.entries()) {
    const claim = claims.find(({ base, size }) => base <= start && start < base + size)
    const end = edges[index + 1]
    if (claim === undefined || end === undefined) continue
    const last = segments.at(-1)
    if (last?.claim === claim && last.end === start) segments[segments.length - 1] = { ...last, end }
    else segments.push({ start, end, claim })
  }
  return segments
}
