import type { BackendClock, Timer } from '@machinist/api'
import { Bucket } from './bucket.ts'
import type { DiskFlow, DiskLimits } from './limited.ts'

interface Waiting {
  readonly bytes: number
  readonly start: () => void
}

/** Requests that have begun are cut off from the list of those that wait when there are so many. */
const SPENT = 1024

/** Starts requests, in order, when limits let them. */
export class Throttle {
  readonly #clock: BackendClock
  readonly #onHeld: (() => void) | undefined
  readonly #timer: Timer
  #bytes: Bucket | null
  #operations: Bucket | null
  #most: number
  #unlimited = false
  #queue: Waiting[] = []
  /** The first of the queue that has not begun. */
  #first = 0
  #requests = 0
  #countedBytes = 0
  #waitingBytes = 0
  #heldTime = 0
  /** Since when something waits for tokens; NaN: nothing does. */
  #heldSince = NaN
  /** Whoever is told that something waits may set limits. */
  #telling = false

  /**
   * @param before - when buckets are full, in nanoseconds; now unless given
   * @param onHeld - told when something has to wait, and nothing did
   */
  constructor(limits: DiskLimits, clock: BackendClock, before: { readonly bytes?: number | undefined, readonly operations?: number | undefined }, onHeld?: () => void) {
    this.#clock = clock
    this.#onHeld = onHeld
    const now = clock.now()
    this.#bytes = changed(null, limits.bytesPerSecond, limits.burstBytes, now, before.bytes)
    this.#operations = changed(null, limits.operationsPerSecond, limits.burstOperations, now, before.operations)
    this.#most = limits.queue ?? MOST
    this.#timer = clock.timer(() => { this.#drain() })
  }

  set(limits: DiskLimits): void {
    const now = this.#clock.now()
    this.#bytes = changed(this.#bytes, limits.bytesPerSecond, limits.burstBytes, now)
    this.#operations = changed(this.#operations, limits.operationsPerSecond, limits.burstOperations, now)
    this.#most = limits.queue ?? MOST
    if (this.#length > 0 && !this.#telling) this.#drain()
  }

  levels(): { readonly bytes: number | undefined, readonly operations: number | undefined } {
    return { bytes: this.#bytes?.fullAt, operations: this.#operations?.fullAt }
  }

  get flow(): Omit<DiskFlow, 'readBytes' | 'writtenBytes'> {
    const waiting = Number.isNaN(this.#heldSince) ? 0 : Math.max(0, this.#clock.now() - this.#heldSince)
    return { requests: this.#requests, countedBytes: this.#countedBytes, waitingRequests: this.#length, waitingBytes: this.#waitingBytes, heldTime: this.#heldTime + waiting }
  }

  /** Counts it as started, if it may start now; false when it has to wait, with {@link Throttle.submit}. */
  pass(bytes: number): boolean {
    if (this.#length > 0 || this.#most === 0) return false
    if (this.#bytes === null && this.#operations === null) {
      this.#take(bytes, 0)
      return true
    }
    const now = this.#clock.now()
    if (this.#when(bytes, now) > now) return false
    this.#take(bytes, now)
    return true
  }

  /** Starts it as soon as it may; false when too many wait. */
  submit(bytes: number, start: () => void): boolean {
    const waiting = this.#length
    if (waiting >= this.#most) return false
    if (this.pass(bytes)) {
      start()
      return true
    }
    this.#queue.push({ bytes, start })
    this.#waitingBytes += bytes
    if (waiting === 0) this.#drain()
    return true
  }

  /** Does it now, if it may; false when it may not, or could not be done. */
  atOnce(bytes: number, work: () => boolean): boolean {
    const now = this.#clock.now()
    if (this.#length > 0 || this.#when(bytes, now) > now || !work()) return false
    this.#take(bytes, now)
    return true
  }

  /** Ends the limits. */
  open(): void {
    this.#unlimited = true
    this.#drain()
  }

  /** Lets those that wait go now. */
  hurry(): void {
    const before = this.#unlimited
    this.open()
    this.#unlimited = before
  }

  get #length(): number {
    return this.#queue.length - this.#first
  }

  #when(bytes: number, now: number): number {
    if (this.#unlimited || (this.#bytes === null && this.#operations === null)) return now
    return Math.max(this.#bytes?.ready(bytes, now) ?? now, this.#operations?.ready(1, now) ?? now)
  }

  #take(bytes: number, now: number): void {
    this.#bytes?.take(bytes, now)
    this.#operations?.take(1, now)
    this.#requests += 1
    this.#countedBytes += bytes
  }

  #drain(): void {
    this.#timer.cancel()
    for (let next = this.#queue[this.#first]; next !== undefined; next = this.#queue[this.#first]) {
      const now = this.#clock.now()
      if (this.#when(next.bytes, now) > now && Number.isNaN(this.#heldSince)) {
        this.#heldSince = now
        this.#telling = true
        this.#onHeld?.()
        this.#telling = false
      }
      const at = this.#when(next.bytes, now)
      if (at > now) {
        this.#timer.arm(at)
        return
      }
      this.#take(next.bytes, now)
      this.#waitingBytes -= next.bytes
      this.#first += 1
      if (this.#first > SPENT) {
        this.#queue = this.#queue.slice(this.#first)
        this.#first = 0
      }
      next.start()
    }
    this.#queue = []
    this.#first = 0
    if (!Number.isNaN(this.#heldSince)) this.#heldTime += Math.max(0, this.#clock.now() - this.#heldSince)
    this.#heldSince = NaN
  }
}

/** The most requests that a virtqueue has. */
const MOST = 32768

function changed(bucket: Bucket | null, rate: number | undefined, burst: number | undefined, now: number, fullAt: number = now): Bucket | null {
  if (rate === undefined) return null
  const capacity = Math.max(1, burst ?? rate / 10)
  if (bucket === null) return new Bucket(rate, capacity, fullAt)
  bucket.change(rate, capacity, now)
  return bucket
}
