import { divide } from '@machinist/schedulers'

/** Who takes part of a rate. */
export interface Taker {
  readonly shares: number
  readonly reservation: number
  readonly limit: number
  /** It has to wait: it wants more than it takes. */
  readonly held: boolean
  /** What it takes. */
  readonly taken: number
}

/**
 * The rates by which some may take of a total now. Those that are held get all that the others do not take, by their terms. Each of the others may begin at once with what it would be due if all
 * wanted something, and with what is left; whoever makes use of that is held soon, or takes more, and then the rates are others.
 */
export function apportion(total: number, takers: readonly Taker[]): number[] {
  if (total === Infinity) return takers.map(({ limit }) => limit)
  // What was reserved is there: admission saw to that.
  const all = Math.max(total, takers.reduce((sum, { reservation, limit }) => sum + Math.min(reservation, limit), 0))
  const given = divide(all, takers.map(({ held, taken, ...terms }) => ({ ...terms, demand: held ? Infinity : taken })))
  const left = Math.max(0, all - given.reduce((sum, rate) => sum + rate, 0))
  const due = divide(all, takers.map(({ shares, reservation, limit }) => ({ shares, reservation, limit })))
  return takers.map(({ held, limit }, index) => Math.min(limit, held ? given[index] ?? 0 : Math.max(due[index] ?? 0, (given[index] ?? 0) + left)))
}
