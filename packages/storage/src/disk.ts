import { machinistError } from '@machinist/api'
import type { Backend, BackendClock, BlockPort, BlockStatus, Deliver } from '@machinist/api'
import type { Soon } from './eager.ts'
import { Sequencer } from './sequencer.ts'

/** A disk to connect to a device: `'block'` in a device's backends. */
export interface Disk extends Backend<BlockPort> {
  readonly kind: 'block'
  /**
   * Refuses further requests, lets those in flight finish, then releases what is below. Resolves when that is done.
   * Does not flush for the guest.
   */
  close(): Promise<void>
}

/** At once, or later. A rejection is the implementation's own mistake and reads as `'io-error'`. */
export type Outcome = Soon<BlockStatus>

/** What a disk format implements; `diskOf` adds checks, ordering and delivery. */
export interface DiskEngine {
  readonly size: number
  readonly readOnly: boolean
  readonly blockSize: number
  /** Requests that touch the same unit of this many bytes are ordered; 1 for no rounding. */
  readonly unit: number
  read(offset: number, into: readonly Uint8Array[]): Outcome
  /** As {@link BlockPort.readAtOnce}, without its bounds and its answer. */
  readAtOnce?(offset: number, into: readonly Uint8Array[]): boolean
  write(offset: number, from: readonly Uint8Array[]): Outcome
  flush(): Outcome
  discard(offset: number, length: number): Outcome
  writeZeroes(offset: number, length: number): Outcome
  close(): Promise<void>
}

/** Bytes of one sector: the granularity of every capacity. */
export const sectorSize = 512

/** Total bytes of a list of buffers. */
export function lengthOf(buffers: readonly Uint8Array[]): number {
  let total = 0
  for (const buffer of buffers) total += buffer.length
  return total
}

/** The backend over an engine that is made when the machine connects it. */
export function diskOf(open: (clock?: BackendClock) => DiskEngine, release?: () => Promise<void>): Disk {
  let engine: DiskEngine | null = null
  let closing: Promise<void> | null = null
  const sequencer = new Sequencer()
  return {
    kind: 'block',
    connect(deliver: Deliver, clock?: BackendClock): BlockPort {
      if (engine !== null || closing !== null) {
        throw machinistError(
          { code: 'disk-in-use', part: 'disk', remedy: 'Make one disk for each device' },
          closing === null ? 'already belongs to a device' : 'is closed')
      }
      engine = open(clock)
      return portOf(engine, sequencer, deliver, () => closing !== null)
    },
    close(): Promise<void> {
      // At once when nothing is in flight: then what is below can be opened anew right away.
      closing ??= new Promise<void>((resolve) => { sequencer.whenIdle(() => { resolve(engine === null ? release?.() : engine.close()) }) })
      return closing
    },
  }
}

function portOf(engine: DiskEngine, sequencer: Sequencer, deliver: Deliver, closed: () => boolean): BlockPort {
  const { size, unit } = engine
  type Done = (status: BlockStatus) => void

  // `length <= size - offset`, since the sum of the two may not be exact.
  const inside = (offset: number, length: number): boolean =>
    Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0 && offset <= size && length <= size - offset

  const refuse = (done: Done, status: BlockStatus): void => { deliver(() => { done(status) }) }

  const settle = (operation: () => Outcome, finish: Done): void => {
    let outcome: Outcome
    try {
      outcome = operation()
    } catch {
      outcome = 'io-error'
    }
    if (typeof outcome === 'string') finish(outcome)
    else outcome.then(finish, () => { finish('io-error') })
  }

  const submit = (offset: number, length: number, exclusive: boolean, operation: () => Outcome, done: Done): void => {
    if (closed()) return refuse(done, 'io-error')
    if (exclusive && engine.readOnly) return refuse(done, 'read-only')
    if (!inside(offset, length)) return refuse(done, 'out-of-range')
    if (length === 0) return refuse(done, 'ok')
    const start = offset - offset % unit
    const last = offset + length - 1
    const end = last - last % unit + unit
    sequencer.run(start, end, exclusive, (release) => {
      settle(operation, (status) => {
        deliver(() => { done(status) })
        release()
      })
    })
  }

  return {
    size,
    readOnly: engine.readOnly,
    blockSize: engine.blockSize,
    read(offset, into, done) {
      submit(offset, lengthOf(into), false, () => engine.read(offset, into), done)
    },
    ...(engine.readAtOnce !== undefined && {
      readAtOnce(offset: number, into: readonly Uint8Array[], done: Done): boolean {
        const length = lengthOf(into)
        // What is wrong with it, or has to come before it, `read` knows.
        if (closed() || !inside(offset, length) || !sequencer.readable(offset, offset + length)) return false
        if (engine.readAtOnce?.(offset, into) !== true) return false
        deliver(() => { done('ok') })
        return true
      },
    }),
    write(offset, from, done) {
      submit(offset, lengthOf(from), true, () => engine.write(offset, from), done)
    },
    flush(done) {
      if (closed()) return refuse(done, 'io-error')
      if (engine.readOnly) return refuse(done, 'ok')
      // Waits for nobody (an empty range), but counts as pending, so that `close` waits for it.
      sequencer.run(0, 0, false, (release) => {
        settle(() => engine.flush(), (status) => {
          deliver(() => { done(status) })
          release()
        })
      })
    },
    discard(offset, length, done) {
      submit(offset, length, true, () => engine.discard(offset, length), done)
    },
    writeZeroes(offset, length, done) {
      submit(offset, length, true, () => engine.writeZeroes(offset, length), done)
    },
  }
}

/** Checks a capacity in bytes. */
export function checkSize(part: string, size: number): number {
  if (!Number.isSafeInteger(size) || size <= 0 || size % sectorSize !== 0) {
    throw machinistError(
      { code: 'disk-size', part, value: size, remedy: `Use a positive multiple of ${String(sectorSize)} bytes` },
      'is not a size for a disk')
  }
  return size
}
