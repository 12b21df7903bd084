import { machinistError } from '@machinist/api'
import { plainData } from '@machinist/registers'
import type { PlainData } from '@machinist/registers'
import type { Chain, Segment } from './chain.ts'

/** Where the driver put a queue. Guest-physical; below 2^64. */
export interface QueueAddresses {
  /** Entries: a power of two, or in the packed format any number from 1 on. */
  readonly size: number
  /** Descriptor Area: descriptor table, or descriptor ring. */
  readonly desc: number
  /** Driver Area: available ring, or driver event suppression. */
  readonly driver: number
  /** Device Area: used ring, or device event suppression. */
  readonly device: number
}

/** How far a ring got. Split: entries, modulo 2^16. Packed: descriptors, modulo twice the size. */
export interface RingCounters {
  /** What was taken of the driver's. */
  readonly available: number
  /** What was given back. */
  readonly used: number
  /** `used` when the driver's wish for a notification was last looked at. */
  readonly signalled: number
}

/** A request in flight, as saved. */
export interface RequestState {
  /** Head of the chain, or Buffer ID. */
  readonly id: number
  /** Places that it takes in the ring. */
  readonly slots: number
  /** Address and length of each buffer, one after the other. */
  readonly readable: readonly number[]
  readonly writable: readonly number[]
}

/** A queue as saved: where it is, how far it got, and what was popped but not yet used. */
export interface QueueState extends QueueAddresses, RingCounters {
  readonly ready: boolean
  /** In the order in which they were popped. A restored queue gives them out again first. */
  readonly inFlight: readonly RequestState[]
}

/** Of a queue that was never anywhere. */
export const noAddresses: QueueAddresses = { size: 0, desc: 0, driver: 0, device: 0 }

/** What is wrong with where a driver put a queue (2.7 and 2.8.10.1: sizes and alignments), or null. */
export function addressProblem(at: QueueAddresses, maximumSize: number, packed: boolean): string | null {
  if (!Number.isInteger(at.size) || at.size < 1 || at.size > maximumSize || (!packed && (at.size & (at.size - 1)) !== 0)) return `a size of ${String(at.size)}`
  if (at.desc % 16 !== 0) return 'a descriptor area that is not aligned to 16 bytes'
  if (at.driver % (packed ? 4 : 2) !== 0) return `a driver area that is not aligned to ${packed ? '4' : '2'} bytes`
  if (at.device % 4 !== 0) return 'a device area that is not aligned to 4 bytes'
  return null
}

/** Checks a saved queue; throws a typed error (`state`). */
export function checkQueueState(part: string, input: unknown, maximumSize: number, packed: boolean): QueueState {
  const data = plainData(part, input, 'state')
  const ready = data.boolean('ready')
  const at: QueueAddresses = {
    size: data.integer('size', 0, maximumSize),
    desc: data.integer('desc', 0, 2 ** 64),
    driver: data.integer('driver', 0, 2 ** 64),
    device: data.integer('device', 0, 2 ** 64),
  }
  const lap = packed ? 2 * at.size : 2 ** 16
  const counter = (field: string): number => data.integer(field, 0, Math.max(lap - 1, 0))
  const counters: RingCounters = { available: counter('available'), used: counter('used'), signalled: counter('signalled') }
  const inFlight = data.list('inFlight', at.size, (each) => checkRequest(part, each, at.size, packed))
  data.done()
  const slots = inFlight.reduce((sum, request) => sum + request.slots, 0)
  const taken = lap === 0 ? 0 : (counters.available - counters.used + lap) % lap
  const wrong = (ready ? addressProblem(at, maximumSize, packed) : null)
    ?? (new Set(inFlight.map(({ id }) => id)).size !== inFlight.length ? 'a request in flight twice' : null)
    ?? (slots !== taken || slots > at.size ? `${String(slots)} entries in flight where its counters say ${String(taken)}` : null)
  if (wrong !== null) throw machinistError({ code: 'state', part, remedy: 'Restore a state saved by this version of this device' }, `the saved queue has ${wrong}`)
  return { ...at, ready, ...counters, inFlight }
}

function checkRequest(part: string, data: PlainData, size: number, packed: boolean): RequestState {
  const id = data.integer('id', 0, packed ? 0xffff : size - 1)
  const slots = data.integer('slots', 1, packed ? size : 1)
  const [readable, writable] = (['readable', 'writable'] as const).map((field) => {
    const given = data.unknown(field)
    const length = Array.isArray(given) ? Math.min(given.length, 2 * size) & ~1 : 0
    const words = data.integers(field, length, 0, 2 ** 64)
    const wrong = words.find((word, index) => index % 2 === 1 && !(word >= 1 && word <= 0xffff_ffff))
    if (wrong !== undefined) plainData(part, { length: wrong }, 'state').integer('length', 1, 0xffff_ffff)
    return words
  })
  return { id, slots, readable: readable ?? [], writable: writable ?? [] }
}

/** A request, as {@link QueueState} holds it. */
export function requestOf(chain: Chain): RequestState {
  return { id: chain.head, slots: chain.slots, readable: wordsOf(chain.readable), writable: wordsOf(chain.writable) }
}

function wordsOf(segments: readonly Segment[]): number[] {
  return segments.flatMap(({ address, length }) => [address, length])
}

/** The buffers in {@link RequestState}. */
export function segmentsOf(words: readonly number[]): Segment[] {
  return Array.from({ length: words.length / 2 }, (_, index) => ({ address: words[2 * index] ?? 0, length: words[2 * index + 1] ?? 0 }))
}
