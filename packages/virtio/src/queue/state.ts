import { machinistError } from '@machinist/api'
import { plainData } from '@machinist/registers'

/** Where the driver put a queue. Guest-physical; below 2^64. */
export interface QueueAddresses {
  /** Entries, a power of two. */
  readonly size: number
  /** Descriptor Table (Descriptor Area). */
  readonly desc: number
  /** Available Ring (Driver Area). */
  readonly driver: number
  /** Used Ring (Device Area). */
  readonly device: number
}

/** A queue as saved: where it is, how far it got, and what was popped but not yet used. */
export interface QueueState extends QueueAddresses {
  readonly ready: boolean
  readonly lastAvail: number
  readonly used: number
  readonly signalled: number
  /** Heads of requests in flight, in the order in which they were popped. A restored queue gives them out again first. */
  readonly inFlight: readonly number[]
}

/** What is wrong with where a driver put a queue (2.7: sizes and alignments), or null. */
export function addressProblem(at: QueueAddresses, maximumSize: number): string | null {
  if (!Number.isInteger(at.size) || at.size < 1 || at.size > maximumSize || (at.size & (at.size - 1)) !== 0) return `a size of ${String(at.size)}`
  if (at.desc % 16 !== 0) return 'a descriptor table that is not aligned to 16 bytes'
  if (at.driver % 2 !== 0) return 'an available ring that is not aligned to 2 bytes'
  if (at.device % 4 !== 0) return 'a used ring that is not aligned to 4 bytes'
  return null
}

/** Checks a saved queue; throws a typed error (`state`). */
export function checkQueueState(part: string, input: unknown, maximumSize: number): QueueState {
  const data = plainData(part, input, 'state')
  const ready = data.boolean('ready')
  const at: QueueAddresses = {
    size: data.integer('size', 0, maximumSize),
    desc: data.integer('desc', 0, 2 ** 64),
    driver: data.integer('driver', 0, 2 ** 64),
    device: data.integer('device', 0, 2 ** 64),
  }
  const lastAvail = data.integer('lastAvail', 0, 0xffff)
  const used = data.integer('used', 0, 0xffff)
  const signalled = data.integer('signalled', 0, 0xffff)
  const given = data.unknown('inFlight')
  const inFlight = data.integers('inFlight', Array.isArray(given) ? Math.min(given.length, at.size) : 0, 0, Math.max(at.size - 1, 0))
  data.done()
  const wrong = ready ? addressProblem(at, maximumSize) : null
  if (wrong !== null || new Set(inFlight).size !== inFlight.length) {
    throw machinistError(
      { code: 'state', part, remedy: 'Restore a state saved by this version of this device' },
      wrong === null ? 'the saved queue has a request in flight twice' : `the saved queue has ${wrong}`)
  }
  return { ...at, ready, lastAvail, used, signalled, inFlight }
}
