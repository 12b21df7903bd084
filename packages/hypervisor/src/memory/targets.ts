import { divide } from '@machinist/schedulers'

/**
 * How much dearer an idle page is than one in use, less 1 in each: a tax of three quarters, as ESX has it (Waldspurger, OSDI 2002, section 5.2): a machine pays for an idle page what it would pay for four in use.
 */
const IDLE_COST = 1 / (1 - 0.75)

/** How many shares a page costs, on the average, of memory of which such a part is in use, from 0 to 1. */
export const pageCost = (active: number): number => active + IDLE_COST * (1 - active)

/** What a machine wants, and what it may ask for. Pages. */
export interface MemoryClaim {
  /** Its weight. */
  readonly shares: number
  readonly reservation: number
  readonly limit: number
  /** What it would take. */
  readonly wanted: number
  /** The part of its memory that it uses, from 0 to 1. */
  readonly active: number
}

/**
 * What each may have: in proportion to shares, but a page that is idle costs more shares than one that is used, so that when there is too little, idle memory goes first. Nobody gets less than its
 * reservation, as far as that is wanted, or more than it wants.
 *
 * @param pages - that there are
 * @returns pages, in order; they add up to what there is, or to all that is wanted
 */
export function memoryTargets(pages: number, claims: readonly MemoryClaim[]): number[] {
  const bounds = claims.map(({ shares, reservation, limit, wanted, active }) => {
    const most = Math.min(limit, wanted)
    return { shares: shares / pageCost(active), reservation: Math.min(reservation, most), demand: most }
  })
  // Admission sees to it that promises can be kept. Less may be there since, or what nobody was promised may be in use.
  const promised = bounds.reduce((sum, { reservation }) => sum + reservation, 0)
  const kept = promised > pages ? pages / promised : 1
  return divide(Math.max(0, pages), bounds.map((bound) => ({ ...bound, reservation: bound.reservation * kept })))
}
