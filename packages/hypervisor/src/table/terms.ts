import { type MachinistError, machinistError } from '@machinist/api'
import { RESOURCE_KINDS, type ResourceKind, type Resources, type Terms } from '../contract/resources.ts'

/** The terms of whoever was given none. */
const PLAIN: Required<Terms> = { shares: 1000, reservation: 0, limit: Infinity }

/** Terms with all that was not given. */
export function termsOf(resources: Resources | undefined, kind: ResourceKind): Required<Terms> {
  const terms = resources?.[kind]
  if (terms === undefined) return PLAIN
  const { shares = PLAIN.shares, reservation = PLAIN.reservation } = terms
  // JSON has no Infinity.
  return { shares, reservation, limit: (terms.limit as number | null | undefined) ?? PLAIN.limit }
}

/** A typed error about a parameter. */
export function parameter(part: string, value: string | number, problem: string, remedy: string): MachinistError {
  return machinistError({ code: 'parameter', part, value, remedy }, problem)
}

/** Terms whose shape is right, with all that was not given. @throws a typed error `'parameter'` */
export function checkedTerms(resources: Resources | undefined, part: string): Resources {
  return Object.fromEntries(RESOURCE_KINDS.filter((kind) => resources?.[kind] !== undefined).map((kind) => {
    const terms = termsOf(resources, kind)
    const { shares, reservation, limit } = terms
    if (!(shares > 0 && shares < Infinity)) throw parameter(`${part}.${kind}.shares`, shares, 'shares are out of their range', 'Give a number above 0.')
    if (!(reservation >= 0 && reservation < Infinity)) throw parameter(`${part}.${kind}.reservation`, reservation, 'a reservation is out of its range', 'Give a number from 0.')
    if (!(limit > 0)) throw parameter(`${part}.${kind}.limit`, limit, 'a limit is out of its range', 'Give a number above 0.')
    if (reservation > limit) throw parameter(`${part}.${kind}.reservation`, reservation, `more is reserved than the limit of ${String(limit)}`, 'Reserve less, or raise the limit.')
    return [kind, terms]
  }))
}

/** Terms, some of which are changed: what is not given stays as it was. @throws a typed error `'parameter'` */
export function changedTerms(before: Resources | undefined, changes: Resources | undefined, part: string): Resources {
  const merged = Object.fromEntries(RESOURCE_KINDS.flatMap((kind) => {
    const terms = { ...before?.[kind], ...changes?.[kind] }
    return Object.keys(terms).length === 0 ? [] : [[kind, terms]]
  }))
  return checkedTerms(merged, part)
}
