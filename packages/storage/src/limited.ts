import { badBackendState, backendStateFields, machinistError } from '@machinist/api'
import type { Backend, BackendClock, BackendState, BlockPort, BlockStatus, Deliver, Timer } from '@machinist/api'
import { lengthOf } from './buffers.ts'

/** How much a disk may do. What is not given is not limited. */
export interface DiskLimits {
  /** Bytes read, written and zeroed in a second of the machine's time. From 1. */
  readonly bytesPerSecond?: number
  /** Requests of any kind in a second of the machine's time. From 1. */
  readonly operationsPerSecond?: number
  /** Bytes that a disk which was idle may do at once. Default: a tenth of a second's. */
  readonly burstBytes?: number
  /** Requests that a disk which was idle may do at once. Default: a tenth of a second's, at least 1. */
  readonly burstOperations?: number
  /** Most requests that may wait; those beyond fail with `'io-error'`. Default: 32768, the most that a virtqueue has. */
  readonly queue?: number
}

const second = 1e9

/**
 * So many tokens a second, up to a capacity. Whoever needs more than the capacity waits for a full one, and leaves a debt. It keeps
 * the time at which it will be full, not a level: nothing has to be added up as time passes, so nothing is rounded.
 */
class Bucket {
  readonly #capacity: number
  /** Nanoseconds that a token takes. */
  readonly #period: number
  #fullAt: number

  /** @param fullAt - nanoseconds; that of another bucket makes one that is as full */
  constructor(rate: number, capacity: number, fullAt: number) {
    this.#capacity = capacity
    this.#period = second / rate
    this.#fullAt = fullAt
  }

  get fullAt(): number {
    return this.#fullAt
  }

  /** When there will be enough, in nanoseconds: `now` when there is. */
  ready(cost: number, now: number): number {
    return Math.max(now, Math.ceil(this.#fullAt - Math.max(0, this.#capacity - cost) * this.#period))
  }

  take(cost: number, now: number): void {
    this.#fullAt = Math.max(this.#fullAt, now) + cost * this.#period
  }
}

interface Waiting {
  readonly bytes: number
  readonly start: () => void
}

function check(limits: DiskLimits): void {
  for (const [name, value] of Object.entries(limits) as readonly [string, unknown][]) {
    if (value === undefined || (typeof value === 'number' && value >= 1 && Number.isFinite(value))) continue
    throw machinistError({ code: 'disk-limit', part: 'disk', value: `${name}: ${String(value)}`, remedy: 'Use a number from 1' }, 'is not a limit')
  }
}

/**
 * A disk that does no more than so many bytes and requests in a second of the machine's time. What exceeds the limits waits: requests
 * begin in the order in which they came, flushes among them, and none fails for it. `close` lets those that wait go at once, and so does a machine that is saved
 * or copied: what they take is owed. How much is owed, or left, is in snapshots of the machine and in its copies.
 *
 * @throws a typed error, `'disk-limit'`, for a limit that is none; when connected without a clock, `'backend-clock'`
 */
export function limited(disk: Backend<BlockPort>, limits: DiskLimits): Backend<BlockPort> {
  check(limits)
  return throttled(disk, limits, {})
}

/** How full buckets are. A machine and its copy have the same time. */
interface Levels {
  readonly bytes?: number | undefined
  readonly operations?: number | undefined
}

function throttled(disk: Backend<BlockPort>, limits: DiskLimits, before: Levels): Backend<BlockPort> {
  let gate: Throttle | null = null
  const levels = (): Levels => gate?.levels() ?? before
  const { fork } = disk
  return {
    kind: disk.kind,
    connect(deliver, clock): BlockPort {
      if (clock === undefined) {
        throw machinistError({ code: 'backend-clock', part: 'disk', remedy: 'Connect it to a machine, or give connect a clock' }, 'has limits but no clock to keep them by')
      }
      const throttling = throttle(limits, clock, before)
      gate = throttling
      return portOf(disk.connect(deliver, clock), throttling.submit, deliver)
    },
    save: () => [{ kind: 'limits', version: 1, state: { ...levels() } }, ...disk.save?.() ?? []],
    restore(saved, part) {
      if (saved.kind !== 'limits') return disk.restore?.(saved, part) ?? false
      before = levelsOf(saved, part)
      return true
    },
    quiesce() {
      gate?.hurry()
      disk.quiesce?.()
    },
    ...(fork && { fork: () => throttled(fork.call(disk), limits, levels()) }),
    close() {
      gate?.open()
      return disk.close?.()
    },
  }
}

/** @throws a typed error `'state'` */
function levelsOf(saved: BackendState, part: string): Levels {
  const { bytes, operations } = backendStateFields(saved, 1, part)
  const level = (value: unknown): number | undefined => {
    if (value === undefined || (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER)) return value
    throw badBackendState(part, 'the saved limits are at no such time', String(value).slice(0, 80))
  }
  return { bytes: level(bytes), operations: level(operations) }
}

/** Starts requests when the limits let them; false when too many wait. */
type Submit = (bytes: number, start: () => void) => boolean

interface Throttle {
  readonly submit: Submit
  /** Ends the limits. */
  open(): void
  /** Lets those that wait go now. */
  hurry(): void
  levels(): Levels
}

function throttle(limits: DiskLimits, clock: BackendClock, before: Levels): Throttle {
  const bucketOf = (rate: number | undefined, burst: number | undefined, fullAt: number = clock.now()): Bucket | null =>
    rate === undefined ? null : new Bucket(rate, Math.max(1, burst ?? rate / 10), fullAt)
  const bytes = bucketOf(limits.bytesPerSecond, limits.burstBytes, before.bytes)
  const operations = bucketOf(limits.operationsPerSecond, limits.burstOperations, before.operations)
  const most = limits.queue ?? 32768
  let unlimited = false
  let queue: Waiting[] = []
  /** The first of the queue that has not begun. */
  let first = 0
  const drain = (): void => {
    for (let next = queue[first]; next !== undefined; next = queue[first]) {
      const now = clock.now()
      const at = unlimited ? now : Math.max(bytes?.ready(next.bytes, now) ?? now, operations?.ready(1, now) ?? now)
      if (at > now) {
        timer.arm(at)
        return
      }
      bytes?.take(next.bytes, now)
      operations?.take(1, now)
      first += 1
      if (first > 1024) {
        queue = queue.slice(first)
        first = 0
      }
      next.start()
    }
    queue = []
    first = 0
  }
  const timer: Timer = clock.timer(drain)
  return {
    submit(cost, start) {
      if (queue.length - first >= most) return false
      queue.push({ bytes: cost, start })
      if (queue.length - first === 1) drain()
      return true
    },
    levels: () => ({ bytes: bytes?.fullAt, operations: operations?.fullAt }),
    open() {
      unlimited = true
      timer.cancel()
      drain()
    },
    hurry() {
      const before = unlimited
      unlimited = true
      timer.cancel()
      drain()
      unlimited = before
    },
  }
}

function portOf(port: BlockPort, submit: Submit, deliver: Deliver): BlockPort {
  type Done = (status: BlockStatus) => void
  const ask = (bytes: number, done: Done, start: () => void): void => {
    if (!submit(bytes, start)) deliver(() => { done('io-error') })
  }
  const { discard, writeZeroes } = port
  return {
    size: port.size,
    readOnly: port.readOnly,
    blockSize: port.blockSize,
    read: (offset, into, done) => { ask(lengthOf(into), done, () => { port.read(offset, into, done) }) },
    write: (offset, from, done) => { ask(lengthOf(from), done, () => { port.write(offset, from, done) }) },
    flush: (done) => { ask(0, done, () => { port.flush(done) }) },
    ...(discard && { discard: (offset: number, length: number, done: Done) => { ask(0, done, () => { discard.call(port, offset, length, done) }) } }),
    ...(writeZeroes && { writeZeroes: (offset: number, length: number, done: Done) => { ask(length, done, () => { writeZeroes.call(port, offset, length, done) }) } }),
  }
}
