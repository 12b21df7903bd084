import { badBackendState, backendStateFields, machinistError } from '@machinist/api'
import type { Backend, BackendClock, BackendState, BlockPort, BlockStatus, Deliver } from '@machinist/api'
import { lengthOf } from './buffers.ts'
import { Throttle } from './throttle.ts'

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

/** Options of {@link limited}. */
export interface LimitedOptions {
  /**
   * The time by which the limits hold: that of a host, for a disk that several machines share. Unless given, that of the machine, which stands still with it. What is left and owed is in
   * snapshots and copies only with the machine's own.
   */
  readonly clock?: BackendClock
  /** Bytes that each request counts at least. Default: 0. */
  readonly leastBytes?: number
  /** Told when a request has to wait because of the limits, and none did before. It may set them. */
  readonly onHeld?: () => void
}

/** What passed a limited disk since it was made, and what waits. */
export interface DiskFlow {
  readonly readBytes: number
  /** Zeroed bytes are among them. */
  readonly writtenBytes: number
  readonly requests: number
  /** Bytes as the limits count them. */
  readonly countedBytes: number
  /** Requests that wait because of the limits, and bytes as these count them. */
  readonly waitingRequests: number
  readonly waitingBytes: number
  /** Nanoseconds for which there were such requests. */
  readonly heldTime: number
}

/** A disk whose limits may be changed while its machine runs. */
export interface LimitedDisk extends Backend<BlockPort> {
  /** Limits from now on; what waits goes by them. @throws a typed error, `'disk-limit'`; nothing has changed then */
  setLimits(limits: DiskLimits): void
  readonly flow: DiskFlow
}

function check(limits: DiskLimits): DiskLimits {
  for (const [name, value] of Object.entries(limits) as readonly [string, unknown][]) {
    if (value === undefined || (typeof value === 'number' && value >= 1 && Number.isFinite(value))) continue
    throw machinistError({ code: 'disk-limit', part: 'disk', value: `${name}: ${String(value)}`, remedy: 'Use a number from 1' }, 'is not a limit')
  }
  return limits
}

/**
 * A disk that does no more than so many bytes and requests in a second of the machine's time. What exceeds the limits waits: requests
 * begin in the order in which they came, flushes among them, and none fails for it. `close` lets those that wait go at once, and so does a machine that is saved
 * or copied: what they take is owed. How much is owed, or left, is in snapshots of the machine and in its copies.
 *
 * @throws a typed error, `'disk-limit'`, for a limit that is none; when connected without a clock, `'backend-clock'`
 */
export function limited(disk: Backend<BlockPort>, limits: DiskLimits, options: LimitedOptions = {}): LimitedDisk {
  return throttled(disk, check(limits), options, {})
}

/** How full buckets are. A machine and its copy have the same time. */
interface Levels {
  readonly bytes?: number | undefined
  readonly operations?: number | undefined
}

function throttled(disk: Backend<BlockPort>, given: DiskLimits, options: LimitedOptions, restored: Levels): LimitedDisk {
  let limits = given
  let before = restored
  let gate: Throttle | null = null
  const count = { readBytes: 0, writtenBytes: 0 }
  const levels = (): Levels => gate?.levels() ?? before
  const { fork } = disk
  return {
    kind: disk.kind,
    connect(deliver, machineClock): BlockPort {
      const clock = options.clock ?? machineClock
      if (clock === undefined) {
        throw machinistError({ code: 'backend-clock', part: 'disk', remedy: 'Connect it to a machine, or give connect a clock' }, 'has limits but no clock to keep them by')
      }
      const throttle = new Throttle(limits, clock, before, options.onHeld)
      const port = disk.connect(deliver, machineClock)
      gate = throttle
      return portOf(port, throttle, options.leastBytes ?? 0, count, deliver)
    },
    setLimits(next) {
      limits = check(next)
      gate?.set(limits)
    },
    get flow() {
      return { ...count, ...gate?.flow ?? { requests: 0, countedBytes: 0, waitingRequests: 0, waitingBytes: 0, heldTime: 0 } }
    },
    save: () => [...options.clock === undefined ? [{ kind: 'limits', version: 1, state: { ...levels() } }] : [], ...disk.save?.() ?? []],
    restore(saved, part) {
      if (saved.kind !== 'limits' || options.clock !== undefined) return disk.restore?.(saved, part) ?? false
      before = levelsOf(saved, part)
      return true
    },
    quiesce() {
      gate?.hurry()
      disk.quiesce?.()
    },
    heldBack: () => disk.heldBack?.() ?? 0,
    park: () => disk.park?.() ?? (() => {}),
    ...(fork && { fork: () => throttled(fork.call(disk), limits, options, options.clock === undefined ? levels() : {}) }),
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

function portOf(port: BlockPort, throttle: Throttle, least: number, count: { readBytes: number, writtenBytes: number }, deliver: Deliver): BlockPort {
  type Done = (status: BlockStatus) => void
  const ask = (bytes: number, done: Done, start: () => void): void => {
    if (!throttle.submit(Math.max(least, bytes), start)) deliver(() => { done('io-error') })
  }
  const { readAtOnce, discard, writeZeroes } = port
  const read = (length: number): void => { count.readBytes += length }
  const written = (length: number): void => { count.writtenBytes += length }
  return {
    size: port.size,
    readOnly: port.readOnly,
    blockSize: port.blockSize,
    read(offset, into, done) {
      const length = lengthOf(into)
      // Nearly always it may go now.
      if (throttle.pass(length < least ? least : length)) {
        read(length)
        port.read(offset, into, done)
      } else ask(length, done, () => { read(length); port.read(offset, into, done) })
    },
    ...(readAtOnce && {
      readAtOnce(offset: number, into: readonly Uint8Array[], done: Done) {
        const length = lengthOf(into)
        // What has to wait is read in its turn.
        return throttle.atOnce(Math.max(least, length), () => {
          const is = readAtOnce.call(port, offset, into, done)
          if (is) read(length)
          return is
        })
      },
    }),
    write(offset, from, done) {
      const length = lengthOf(from)
      ask(length, done, () => { written(length); port.write(offset, from, done) })
    },
    flush: (done) => { ask(0, done, () => { port.flush(done) }) },
    ...(discard && { discard: (offset: number, length: number, done: Done) => { ask(0, done, () => { discard.call(port, offset, length, done) }) } }),
    ...(writeZeroes && {
      writeZeroes: (offset: number, length: number, done: Done) => { ask(length, done, () => { written(length); writeZeroes.call(port, offset, length, done) }) },
    }),
  }
}
