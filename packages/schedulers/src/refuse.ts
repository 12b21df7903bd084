import { machinistError, type MachinistError } from '@machinist/api'

/** What a name looks like in a message: names that are objects are told by the host's own bookkeeping. */
const printed = (value: unknown): string | number | undefined =>
  typeof value === 'string' || typeof value === 'number' ? value : typeof value === 'bigint' || typeof value === 'boolean' ? String(value) : undefined

export function refused(code: string, value: unknown, problem: string, remedy: string): MachinistError {
  return machinistError({ code, part: 'scheduler', value: printed(value), remedy }, problem)
}

/** A number that is greater than 0; `Infinity` only where it means something. @throws a `MachinistError`: `'parameter'` */
export function positive(name: string, value: number, most: number = Number.MAX_VALUE): number {
  if (!(value > 0 && value <= most)) throw refused('parameter', value, `${name} is out of its range`, `Give a number greater than 0${most < Number.MAX_VALUE ? ` and at most ${String(most)}` : ''}.`)
  return value
}

/** A number from 0. @throws a `MachinistError`: `'parameter'` */
export function notNegative(name: string, value: number): number {
  if (!(value >= 0 && value < Infinity)) throw refused('parameter', value, `${name} is out of its range`, 'Give a number from 0.')
  return value
}

/** How many processors there may be. @throws a `MachinistError`: `'parameter'` */
export function processorCount(count: number): number {
  if (!Number.isInteger(count) || count < 1) throw refused('parameter', count, 'that is no number of processors', 'Give a whole number from 1.')
  return count
}

/** Processors as millionths, so that sums of promises are exact. */
export const MILLION = 1e6

/** A number of processors in millionths, rounded. */
export const millionths = (processors: number): number => Math.round(processors * MILLION)
