import { machinistError } from '@machinist/api'

/** Deeper data is refused. */
const MOST_DEPTH = 100
/** Byte strings up to this length stand in the text, as hexadecimal digits; others are pieces of the file. */
const SHORT = 256

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

function refuse(value: string): never {
  throw machinistError({ code: 'snapshot-state', part: 'snapshot', value, remedy: 'Save plain data: numbers, bigints, texts, bytes, lists and objects.' }, 'a state cannot be written as text')
}

/**
 * Plain data as JSON can hold it. What JSON has not is an object of one key: `{ "$bigint": "12" }`, `{ "$bytes": "00ff" }` or the number of a piece,
 * `{ "$number": "Infinity" }`, `{ "$undefined": true }`; and an object whose first key begins with `$` is `{ "$object": … }`.
 *
 * @param keep - takes bytes into the file; returns the number of the piece
 * @throws a typed error `'snapshot-state'` for data that is not plain
 */
export function encodePlain(value: unknown, keep: (bytes: Uint8Array) => number, depth: number = 0): Json {
  if (depth > MOST_DEPTH) return refuse('too deep')
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? value : { $number: Object.is(value, -0) ? '-0' : String(value) }
    case 'bigint':
      return { $bigint: String(value) }
    case 'undefined':
      return { $undefined: true }
    case 'object': {
      if (value === null) return null
      if (Array.isArray(value)) return value.map((each) => encodePlain(each, keep, depth + 1))
      if (value instanceof Uint8Array) return { $bytes: value.length > SHORT ? keep(value) : hex(value) }
      if (Object.getPrototypeOf(value) !== Object.prototype && Object.getPrototypeOf(value) !== null) return refuse(Object.prototype.toString.call(value))
      const entries = Object.entries(value).map(([key, each]): [string, Json] => [key, encodePlain(each, keep, depth + 1)])
      const object = Object.fromEntries(entries)
      return entries[0]?.[0].startsWith('$') === true ? { $object: object } : object
    }
    default:
      return refuse(typeof value)
  }
}

/**
 * What {@link encodePlain} was given.
 *
 * @param json - what JSON.parse made of a text from anywhere
 * @param bytes - gives the bytes of a piece
 * @throws a typed error `'snapshot-state'`
 */
export function decodePlain(json: unknown, bytes: (piece: number) => Uint8Array, depth: number = 0): unknown {
  if (depth > MOST_DEPTH) return refuse('too deep')
  if (typeof json !== 'object' || json === null) return json
  if (Array.isArray(json)) return json.map((each: unknown) => decodePlain(each, bytes, depth + 1))
  const entries = Object.entries(json as Record<string, unknown>)
  const [key = '', value] = entries[0] ?? []
  if (!key.startsWith('$')) return plainObject(entries, bytes, depth)
  switch (key) {
    case '$bigint':
      return typeof value === 'string' && /^-?[0-9]{1,1000}$/.test(value) ? BigInt(value) : refuse(key)
    case '$bytes':
      if (typeof value === 'number') return bytes(value)
      return typeof value === 'string' && value.length <= 2 * SHORT && /^([0-9a-f]{2})*$/.test(value) ? unhex(value) : refuse(key)
    case '$number':
      return ['NaN', 'Infinity', '-Infinity', '-0'].includes(String(value)) ? Number(value) : refuse(key)
    case '$undefined':
      return undefined
    case '$object':
      return typeof value === 'object' && value !== null ? plainObject(Object.entries(value), bytes, depth) : refuse(key)
    default:
      return refuse(key)
  }
}

function plainObject(entries: readonly [string, unknown][], bytes: (piece: number) => Uint8Array, depth: number): unknown {
  // `__proto__` becomes a key like others.
  return Object.fromEntries(entries.map(([key, each]) => [key, decodePlain(each, bytes, depth + 1)]))
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function unhex(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, index) => parseInt(text.slice(2 * index, 2 * index + 2), 16))
}
