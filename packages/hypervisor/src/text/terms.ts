import { parseNumber } from '@machinist/machine'
import type { ResourceKind, Terms } from '../contract/resources.ts'

/** Refuses a value: says what is wrong with it, and what to do. */
export type Refuse = (value: unknown, problem: string, remedy: string) => never

/** Names of the terms of a resource. */
export const TERMS = ['shares', 'reservation', 'limit'] as const

/** The name of one of them. */
export type TermName = typeof TERMS[number]

/** What an amount of each resource may look like. */
const AMOUNTS: Readonly<Record<ResourceKind, string>> = {
  cpu: 'Use processors, such as 0.5, or a share of one, such as "50%"',
  memory: 'Use bytes, such as "512M"',
  disk: 'Use bytes a second, such as "20M"',
  space: 'Use bytes, such as "20G"',
  network: 'Use bytes a second, such as "1M"',
}
const SHARES = 'Use a whole number from 1 on; 1000 is the usual one.'
const MOST_SHARES = 1_000_000
const NO_LIMIT = 'none'

/** Processors: a number, `'0.5'`, `'50%'`. */
function processors(input: unknown): number {
  const match = typeof input === 'string' ? /^([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(%?)$/.exec(input.trim()) : null
  if (match !== null) return Number(match[1]) / (match[2] === '%' ? 100 : 1)
  return typeof input === 'number' && input >= 0 && Number.isFinite(input) ? input : NaN
}

function amountOf(kind: ResourceKind, input: unknown): number {
  if (kind === 'cpu') return processors(input)
  try {
    return parseNumber(input, kind)
  } catch {
    return NaN
  }
}

/**
 * A term of a resource in its unit: `2000`, `'512M'`, `'50%'`, and for a limit `'none'`, null or `Infinity`.
 *
 * @throws what `refuse` throws
 */
export function termOf(kind: ResourceKind, name: TermName, input: unknown, refuse: Refuse): number {
  if (name === 'shares') {
    const shares = typeof input === 'string' && /^[0-9]{1,9}$/.test(input) ? Number(input) : input
    if (typeof shares !== 'number' || !Number.isInteger(shares) || shares < 1 || shares > MOST_SHARES) return refuse(input, 'is not a number of shares', SHARES)
    return shares
  }
  if (name === 'limit' && (input === null || input === Infinity || input === NO_LIMIT)) return Infinity
  const amount = amountOf(kind, input)
  if (Number.isNaN(amount)) return refuse(input, `is not an amount of ${kind}`, `${AMOUNTS[kind]}${name === 'limit' ? `, or "${NO_LIMIT}"` : ''}.`)
  if (name === 'limit' && amount === 0) return refuse(input, 'is a limit with which nothing runs', `${AMOUNTS[kind]}, or "${NO_LIMIT}".`)
  return amount
}

/** Terms that go together. @throws what `refuse` throws */
export function checkTerms(kind: ResourceKind, { reservation = 0, limit = Infinity }: Terms, refuse: Refuse): void {
  if (reservation > limit) refuse(`${amountText(kind, reservation)} of ${amountText(kind, limit)}`, 'more is reserved than the limit allows', 'Raise the limit, or lower the reservation.')
}

const UNITS = ['', 'K', 'M', 'G', 'T', 'P'] as const

/** A number of bytes in a few letters: `'512M'`, `'1.5G'`. */
export function bytesText(bytes: number): string {
  if (!Number.isFinite(bytes)) return '-'
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 2 ** (10 * power)
  // 1023.96 would be shown as 1024 of the smaller unit.
  const places = power === 0 || value >= 100 ? 0 : 1
  if (Number(value.toFixed(places)) >= 1024 && power < UNITS.length - 1) return `1${UNITS[power + 1]}`
  return `${Number(value.toFixed(places))}${UNITS[power]}`
}

/** An amount of a resource, without its unit of time; `'-'` for what has no end. */
export function amountText(kind: ResourceKind, amount: number): string {
  if (!Number.isFinite(amount)) return '-'
  return kind === 'cpu' ? String(Number(amount.toFixed(2))) : bytesText(amount)
}
