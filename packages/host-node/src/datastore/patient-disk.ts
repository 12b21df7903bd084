import type { BlockPort, BlockStatus } from '@machinist/api'
import type { DatastoreDisk, DiskSpace } from '@machinist/hypervisor'
import type { Disk } from '@machinist/storage'
import type { FileSpace } from './quota-file.ts'

/** Milliseconds after which writes that wait for room are tried again: others may have made some. */
const AGAIN = 500

/** Disks whose writes wait for room, in this thread. */
const waiting = new Set<() => void>()

/** There is room somewhere: all that wait in this thread are tried again. */
export function roomMade(): void {
  for (const retry of [...waiting]) retry()
}

/**
 * A disk on a datastore.
 *
 * @param patient - whether writes for which there is no room wait for some; otherwise they fail with `'no-space'`
 */
export function datastoreDisk(disk: Disk, file: FileSpace, patient: boolean): DatastoreDisk {
  /** Requests that had no room, and are not done. */
  let trying = 0
  /** Those of them that wait to be tried again, in order. */
  let held: (() => void)[] = []
  let timer: ReturnType<typeof setTimeout> | null = null
  let closed = false
  let parked = false
  let told = false
  const tell = (): void => {
    const is = trying > 0
    if (is === told) return
    told = is
    if (is) waiting.add(retry)
    else waiting.delete(retry)
    space.onWaiting?.(is)
  }
  const retry = (): void => {
    if (timer !== null) clearTimeout(timer)
    timer = null
    // Another has the image meanwhile.
    if (parked && !closed) return
    const again = held
    held = []
    // Those that still have none hold themselves again.
    for (const each of again) each()
  }
  const space: DiskSpace = {
    get used() { return file.used },
    get taken() { return file.taken },
    get room() { return file.room },
    set room(room) { file.room = room },
    get waiting() { return told },
    onWaiting: null,
    retry,
  }
  const { fork, save, restore, quiesce, park } = disk
  return {
    kind: 'block',
    space,
    connect(deliver, clock) {
      // What came of a request is known at once, also while the machine stands still and waits for room.
      const port = disk.connect((callback) => { callback() }, clock)
      type Done = (status: BlockStatus) => void
      const last = (done: Done): Done => (status) => { deliver(() => { done(status) }) }
      const attempt = (work: (done: Done) => void, done: Done): void => {
        let late = false
        const once = (): void => {
          const came = (status: BlockStatus): void => {
            if (status === 'no-space' && patient && !closed) {
              if (!late) trying += 1
              late = true
              held.push(once)
              timer ??= setTimeout(retry, AGAIN)
            } else {
              if (late) trying -= 1
              done(status)
            }
            tell()
          }
          // Whoever opens it next may do it again: it must not be done from here then.
          if (closed) came('no-space')
          else work(came)
        }
        once()
      }
      const { readAtOnce, discard, writeZeroes } = port
      return {
        size: port.size,
        readOnly: port.readOnly,
        blockSize: port.blockSize,
        read: (offset, into, done) => { port.read(offset, into, last(done)) },
        ...(readAtOnce && { readAtOnce: (offset: number, into: readonly Uint8Array[], done: Done) => readAtOnce.call(port, offset, into, last(done)) }),
        write: (offset, from, done) => { attempt((tried) => { port.write(offset, from, tried) }, last(done)) },
        flush: (done) => { port.flush(last(done)) },
        ...(discard && { discard: (offset: number, length: number, done: Done) => { discard.call(port, offset, length, last(done)) } }),
        ...(writeZeroes && { writeZeroes: (offset: number, length: number, done: Done) => { attempt((tried) => { writeZeroes.call(port, offset, length, tried) }, last(done)) } }),
      } satisfies BlockPort
    },
    ...(fork && { fork: () => fork.call(disk) }),
    ...(save && { save: () => save.call(disk) }),
    ...(restore && { restore: (saved: Parameters<typeof restore>[0], part: string) => restore.call(disk, saved, part) }),
    ...(quiesce && { quiesce: () => { quiesce.call(disk) } }),
    ...(park && {
      async park() {
        parked = true
        const comesBack = (): void => {
          parked = false
          retry()
        }
        try {
          const back = await park.call(disk)
          return async () => {
            await back()
            comesBack()
          }
        } catch (error) {
          comesBack()
          throw error
        }
      },
    }),
    heldBack: () => held.length,
    close() {
      closed = true
      // What has no room now fails.
      retry()
      waiting.delete(retry)
      return disk.close()
    },
  }
}
