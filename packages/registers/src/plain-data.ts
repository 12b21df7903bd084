import { machinistError } from '@machinist/api'

/**
 * Reads the fields of plain data that nobody has checked yet: a device's configuration from a file, or a saved
 * state. Each method throws a typed error that names part, field, value and remedy.
 */
export interface PlainData {
  /** An integer in `min` … `max`; `fallback` when the field is absent (an error without one). */
  integer(field: string, min: number, max: number, fallback?: number): number
  boolean(field: string, fallback?: boolean): boolean
  string(field: string, fallback?: string): string
  /** One of `choices`. */
  oneOf<const Choice extends string | number>(field: string, choices: readonly Choice[], fallback?: Choice): Choice
  /** An array of exactly `length` integers in `min` … `max`. */
  integers(field: string, length: number, min: number, max: number): number[]
  /** An array of at most `length` integers in 0 … 255. */
  bytes(field: string, length: number): number[]
  /** Unsigned integer below 2^64, as a BigInt. */
  u64(field: string): bigint
  /**
   * An array of at most `most` objects: what `read` makes of each. `read` asks for all the fields of an object, and no
   * other may be there.
   */
  list<T>(field: string, most: number, read: (entry: PlainData) => T): T[]
  /** Nested data: whatever the field holds, unchecked. */
  unknown(field: string): unknown
  /** Refuses fields that no method asked for: a misspelt option must not pass in silence. Call it last. */
  done(): void
}

/**
 * @param part - name of the device in the machine
 * @param input - the data; for a configuration, undefined stands for `{}`
 * @param what - `'configuration'` (error code `config`) or `'state'` (error code `state`)
 */
export function plainData(part: string, input: unknown, what: 'configuration' | 'state'): PlainData {
  const noun = what === 'state' ? 'the saved state' : 'the configuration'
  const refuse = (field: string | null, problem: string, value: unknown, remedy: string): never => {
    throw machinistError({
      code: what === 'state' ? 'state' : 'config', part: field === null ? part : `${part}.${field}`, value: printable(value), remedy,
    }, problem)
  }
  const data = input === undefined && what === 'configuration' ? {} : input
  // Bytes have a field for each.
  if (typeof data !== 'object' || data === null || Array.isArray(data) || ArrayBuffer.isView(data)) {
    return refuse(null, `${noun} is not an object`, input, 'Give an object with named fields.')
  }
  const fields = new Map<string, unknown>(Object.entries(data))
  const asked = new Set<string>()

  function take<T>(field: string, fallback: T | undefined, accepts: (value: unknown) => value is T, remedy: string): T {
    asked.add(field)
    const value = fields.get(field)
    if (value === undefined && fallback !== undefined) return fallback
    if (accepts(value)) return value
    return refuse(field, value === undefined ? 'the field is missing' : 'not an acceptable value', value, remedy)
  }
  const within = (min: number, max: number) => (value: unknown): value is number =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
  const list = (least: number, most: number, min: number, max: number) => (value: unknown): value is number[] =>
    Array.isArray(value) && value.length >= least && value.length <= most && Array.from(value).every(within(min, max))

  return {
    integer: (field, min, max, fallback) => take(field, fallback, within(min, max), `Give an integer from ${min} to ${max}.`),
    boolean: (field, fallback) => take(field, fallback, (value) => typeof value === 'boolean', 'Give true or false.'),
    string: (field, fallback) => take(field, fallback, (value) => typeof value === 'string', 'Give a string.'),
    oneOf: <const Choice extends string | number>(field: string, choices: readonly Choice[], fallback?: Choice) =>
      take(field, fallback, (value): value is Choice => choices.some((choice) => choice === value), `Give one of ${choices.join(', ')}.`),
    integers: (field, length, min, max) =>
      [...take(field, undefined, list(length, length, min, max), `Give ${length} integers from ${min} to ${max}.`)],
    bytes: (field, length) => [...take(field, undefined, list(0, length, 0, 255), `Give at most ${length} integers from 0 to 255.`)],
    u64: (field) => take(field, undefined, (value): value is bigint => typeof value === 'bigint' && value >= 0n && value < 1n << 64n,
      'Give a BigInt from 0 to 2^64 - 1.'),
    list<T>(field: string, most: number, read: (entry: PlainData) => T): T[] {
      const entries = take(field, undefined, (value): value is unknown[] => Array.isArray(value) && value.length <= most, `Give an array of at most ${most} objects.`)
      return Array.from(entries, (entry, index) => {
        const each = plainData(`${part}.${field}[${index}]`, entry ?? null, what)
        const made = read(each)
        each.done()
        return made
      })
    },
    unknown(field) {
      asked.add(field)
      return fields.get(field)
    },
    done() {
      for (const [field, value] of fields) {
        if (!asked.has(field)) refuse(field, `${noun} has no such field`, value, `Use one of: ${[...asked].join(', ') || 'none'}.`)
      }
    },
  }
}

function printable(value: unknown): string | number {
  if (typeof value === 'number') return value
  if (typeof value === 'string') return value.slice(0, 80)
  return typeof value === 'object' && value !== null ? (Array.isArray(value) ? 'an array' : 'an object') : String(value)
}
