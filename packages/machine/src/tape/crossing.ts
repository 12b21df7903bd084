import type { Answer, Call, Callbacks } from './shapes.ts'
import type { Checksum } from './digest.ts'

/** Of what a part says, so much of each byte string is compared. */
const MOST_SAID = 4096
const MOST_DEPTH = 8

type Method = (...args: readonly unknown[]) => unknown

/** What a part gave to be called, in a form that tells somebody else first. */
export function callbacksOf(callbacks: Callbacks, given: unknown, tell: (member: number, answers: readonly Answer[], method: Method) => Method): unknown {
  const members = Object.entries(callbacks.members)
  const [first] = members
  if (first?.[0] === '') return tell(0, first[1], given as Method)
  return Object.fromEntries(members.map(([name, answers], index) => [name, tell(index, answers, (...args) => (given as Readonly<Record<string, Method>>)[name]?.(...args))]))
}

/** Adds what a part says in a call to a checksum. */
export function say(sum: Checksum, id: number, member: number, call: Call, args: readonly unknown[]): void {
  sum.word(id)
  sum.word(member)
  for (const [index, each] of args.entries()) if (call.args[index] === 'plain') add(sum, each, 0)
}

function add(sum: Checksum, value: unknown, depth: number): void {
  if (typeof value === 'number') {
    sum.word(value)
    sum.word(Math.floor(value / 2 ** 32))
  } else if (typeof value === 'string' || typeof value === 'bigint') {
    for (const character of String(value)) sum.word(character.codePointAt(0) ?? 0)
  } else if (value instanceof Uint8Array) sum.bytes(value, MOST_SAID)
  else if (typeof value === 'object' && value !== null && depth < MOST_DEPTH) for (const each of Object.values(value)) add(sum, each, depth + 1)
  else sum.word(value === true ? 1 : 2)
}

/** Whether two values of plain data are the same. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || a instanceof Uint8Array) return false
  const entries = Object.entries(a)
  const other = b as Readonly<Record<string, unknown>>
  return entries.length === Object.keys(b).length && entries.every(([key, each]) => isEqual(each, other[key]))
}

/** What is kept of an error: its text, and its name if it has one. */
export function errorOf(error: unknown): { readonly message: string; readonly code?: string } {
  const message = error instanceof Error ? error.message : String(error)
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? { message, code: error.code } : { message }
}

/** An error like the one that was kept. */
export function errorFrom(kept: unknown): Error {
  const { message, code } = typeof kept === 'object' && kept !== null ? kept as Readonly<Record<string, unknown>> : {}
  const error = new Error(typeof message === 'string' ? message : 'an error')
  return typeof code === 'string' ? Object.assign(error, { code }) : error
}
