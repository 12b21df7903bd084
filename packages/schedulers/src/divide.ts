import { notNegative, positive, refused } from './refuse.ts'

/** What somebody asks of something that is shared, in any unit. */
export interface Claim {
  /** Its weight among others. */
  readonly shares: number
  /** What it gets before others get anything by their shares, if it wants it; 0 unless it is given. */
  readonly reservation?: number | undefined
  /** The most that it gets; `Infinity` unless it is given. */
  readonly limit?: number | undefined
  /** The most that it wants; `Infinity` unless it is given. */
  readonly demand?: number | undefined
}

/**
 * What each is entitled to: all that there is, or all that is wanted, is divided in proportion to shares, but nobody gets less than it reserved or more than its limit, or more
 * than it wants. This is what a policy of proportional shares comes to; a table of allocations and tests use it.
 *
 * @returns an amount for each claim, in order; they add up to `capacity`, or to all demands if these are less
 * @throws a `MachinistError`: `'parameter'`; `'not-admitted'` when the reservations that are wanted are more than there is
 */
export function divide(capacity: number, claims: readonly Claim[]): number[] {
  notNegative('the capacity', capacity)
  const bounds = claims.map(({ shares, reservation = 0, limit = Infinity, demand = Infinity }) => {
    positive('shares', shares)
    const most = Math.min(positive('the limit', limit, Infinity), demand < 0 ? NaN : demand)
    if (Number.isNaN(most)) throw refused('parameter', demand, 'the demand is out of its range', 'Give a number from 0.')
    return { shares, least: Math.min(notNegative('the reservation', reservation), most), most }
  })
  const promised = bounds.reduce((sum, { least }) => sum + least, 0)
  if (promised > capacity * (1 + 1e-9)) throw refused('not-admitted', promised, `more is reserved than the ${String(capacity)} that there are`, 'Reserve less.')

  // Each gets its shares times one level, within its bounds. As the level rises past a bound, it begins or ceases to grow with it.
  const turns = bounds.flatMap(({ shares, least, most }) => [{ level: least / shares, grows: shares }, { level: most / shares, grows: -shares }])
    .filter(({ level }) => level < Infinity).sort((one, other) => one.level - other.level)
  let [level, given, growing] = [0, promised, 0]
  for (const turn of turns) {
    const full = growing > 0 ? level + (capacity - given) / growing : Infinity
    if (full <= turn.level) break
    given += growing * (turn.level - level)
    level = turn.level
    growing += turn.grows
  }
  if (growing > 0) level += Math.max(0, capacity - given) / growing
  return bounds.map(({ shares, least, most }) => Math.min(most, Math.max(least, shares * level)))
}
