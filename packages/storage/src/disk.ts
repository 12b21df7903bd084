import { machinistError } from '@machinist/api'
import type { Backend, BackendClock, BackendState, BlockPort, BlockStatus, Deliver } from '@machinist/api'
import { lengthOf } from './buffers.ts'
import { settle, type Soon } from './eager.ts'
import { ClusterTable } from './fork/cluster-table.ts'
import { type DiskContent, contentOf } from './content/content.ts'
import { copyEngine } from './fork/copy.ts'
import { restoreTable } from './fork/saved-table.ts'
import { type Layer, Origin } from './fork/origin.ts'
import { Sequencer } from './sequencer.ts'

/** A disk to connect to a device: `'block'` in a device's backends. */
export interface Disk extends Backend<BlockPort> {
  readonly kind: 'block'
  /**
   * A copy of the disk as it is now, which costs nothing: it reads what is here, and keeps in host memory what either side changes, 4 GiB at most for
   * all copies together. No request should be under way that changes the disk. To be closed, as any disk. Snapshots of the copy's machine have all that differs
   * from what is on the disk then.
   *
   * @throws a typed error, `'disk-in-use'`, when the disk is closed
   */
  fork(): Disk
  /**
   * Refuses further requests, lets those in flight finish, then releases what is below, if there are no copies that read it. Resolves when that is
   * done. Does not flush for the guest.
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
  /** As {@link Backend.save}, while no request is under way that changes it. */
  save?(): readonly BackendState[]
}

/** What a disk may have besides an engine. */
export interface DiskExtras {
  /** For a disk that nobody connected. */
  readonly release?: () => Promise<void>
  /** Most bytes of host memory that its copies may hold together; 4 GiB unless given. */
  readonly limit?: number | undefined
  /** As {@link Backend.restore}, before the engine is made. */
  readonly restore?: Backend<BlockPort>['restore']
  /** As {@link Backend.quiesce}. */
  readonly quiesce?: (() => void) | undefined
  /** As {@link Backend.park}. */
  readonly park?: Backend<BlockPort>['park'] | undefined
}

/** Bytes of one sector: the granularity of every capacity. */
export const sectorSize = 512

/** The backend over an engine that is made when the machine, or that of a copy, connects it. */
export function diskOf(open: (clock?: BackendClock) => DiskEngine, extras: DiskExtras = {}): Disk {
  const { release = () => Promise.resolve(), limit = 2 ** 32 } = extras
  const origin = new Origin(open, release, limit)
  return backendOf({
    ...extras,
    sequencer: origin.sequencer,
    open: (clock) => origin.own(clock),
    release: () => origin.leave(),
    ...(extras.park && {
      park() {
        if (!origin.copied) return extras.park?.() ?? (() => {})
        throw machinistError({ code: 'disk-copied', part: 'disk', remedy: 'End the machines that have copies of it first.' }, 'its copies read it')
      },
    }),
    fork: () => copyOf(origin, new ClusterTable(origin.room), origin.now()),
  })
}

/** A copy of a disk, or of a copy, with what it has of its own, and what the disk was when it was copied. */
function copyOf(origin: Origin, table: ClusterTable, since: Layer): Disk {
  const restored: { readonly content: DiskContent, readonly part: string }[] = []
  return backendOf({
    sequencer: new Sequencer(),
    open(clock) {
      for (const { content, part } of restored.splice(0)) restoreTable(table, content, origin.engine(clock).size, part)
      return copyEngine(origin, table, since, clock)
    },
    release() {
      table.clear()
      return origin.leave(since)
    },
    fork() {
      since.users += 1
      return copyOf(origin, table.copy(), since)
    },
    restore(saved, part) {
      const content = contentOf(saved, part)
      if (content !== null) restored.push({ content, part })
      return content !== null
    },
  })
}

interface DiskParts extends DiskExtras {
  readonly sequencer: Sequencer
  readonly open: (clock?: BackendClock) => DiskEngine
  readonly release: () => Promise<void>
  readonly fork: () => Disk
}

function backendOf({ sequencer, open, release, fork, restore, quiesce, park }: DiskParts): Disk {
  let engine: DiskEngine | null = null
  let closing: Promise<void> | null = null
  const refuse = (problem: string): never => {
    throw machinistError({ code: 'disk-in-use', part: 'disk', remedy: 'Make one disk for each device' }, problem)
  }
  return {
    kind: 'block',
    connect(deliver: Deliver, clock?: BackendClock): BlockPort {
      if (engine !== null || closing !== null) refuse(closing === null ? 'already belongs to a device' : 'is closed')
      const opened = open(clock)
      engine = opened
      return portOf(opened, sequencer, deliver, () => closing !== null)
    },
    fork: () => closing === null ? fork() : refuse('is closed'),
    save: () => closing === null ? engine?.save?.() ?? [] : [],
    restore: (saved, part) => restore?.(saved, part) ?? false,
    ...(quiesce && { quiesce }),
    ...(park && { park }),
    close(): Promise<void> {
      // At once when nothing is in flight: then what is below can be opened anew right away.
      closing ??= new Promise<void>((resolve) => { sequencer.whenIdle(() => { resolve(release()) }) })
      return closing
    },
  }
}

function readNow(engine: DiskEngine, offset: number, into: readonly Uint8Array[]): Outcome {
  try {
    return engine.read(offset, into)
  } catch {
    return 'io-error'
  }
}

function portOf(engine: DiskEngine, sequencer: Sequencer, deliver: Deliver, closed: () => boolean): BlockPort {
  const { size } = engine
  type Done = (status: BlockStatus) => void

  // `length <= size - offset`, since the sum of the two may not be exact.
  const inside = (offset: number, length: number): boolean =>
    Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0 && offset <= size && length <= size - offset

  const refuse = (done: Done, status: BlockStatus): void => { deliver(() => { done(status) }) }

  const submit = (offset: number, length: number, exclusive: boolean, operation: () => Outcome, done: Done): void => {
    if (closed()) return refuse(done, 'io-error')
    if (exclusive && engine.readOnly) return refuse(done, 'read-only')
    if (!inside(offset, length)) return refuse(done, 'out-of-range')
    if (length === 0) return refuse(done, 'ok')
    const { unit } = engine
    const start = offset - offset % unit
    const last = offset + length - 1
    const end = last - last % unit + unit
    sequencer.run(start, end, exclusive, (release) => {
      settle(operation, 'io-error', (status) => {
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
      const length = lengthOf(into)
      if (length === 0 || closed() || !inside(offset, length) || !sequencer.free) return submit(offset, length, false, () => engine.read(offset, into), done)
      // Nearly always there is nobody to wait for, and nobody who would have to: what is there at once never was under way.
      const outcome = readNow(engine, offset, into)
      if (outcome === 'ok') deliver(() => { done('ok') })
      else if (typeof outcome === 'string') deliver(() => { done(outcome) })
      else submit(offset, length, false, () => outcome, done)
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
        settle(() => engine.flush(), 'io-error', (status) => {
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
