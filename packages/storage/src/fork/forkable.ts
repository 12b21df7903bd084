import type { Backend, BlockPort, BlockStatus } from '@machinist/api'
import { type Disk, type DiskEngine, diskOf, type Outcome } from '../disk.ts'
import { answered, type Eager, eagerly, wait } from '../eager.ts'

/** How {@link forkable} behaves. */
export interface ForkableOptions {
  /** Most bytes of host memory that all copies together may hold; then writes fail with `'no-space'`, on either side. Default: 4 GiB. */
  readonly limit?: number
}

/** Zeroes that are written at once to a disk that knows no other way. */
const zeroes = new Uint8Array(65536)

/**
 * Any disk as one that can be copied with its machine, also one that cannot by itself, or with another limit. It connects and closes the disk.
 */
export function forkable(disk: Backend<BlockPort>, options: ForkableOptions = {}): Disk {
  return diskOf(
    // Its completions are steps inside ours, which will pass the machine's gate.
    (clock) => engineOf(disk.connect((callback) => { callback() }, clock), disk),
    {
      release: () => Promise.resolve(disk.close?.()),
      limit: options.limit,
      restore: (saved, part) => disk.restore?.(saved, part) ?? false,
      quiesce: () => { disk.quiesce?.() },
    })
}

function engineOf(port: BlockPort, disk: Backend<BlockPort>): DiskEngine {
  const write = (offset: number, from: readonly Uint8Array[]): Outcome => answered((done) => { port.write(offset, from, done) })
  const clear = function* (offset: number, length: number): Eager<BlockStatus> {
    for (let done = 0; done < length; done += zeroes.length) {
      const status = yield* wait(write(offset + done, [zeroes.subarray(0, length - done)]))
      if (status !== 'ok') return status
    }
    return 'ok'
  }
  return {
    size: port.size,
    readOnly: port.readOnly,
    blockSize: port.blockSize,
    unit: 1,
    read: (offset, into) => answered((done) => { port.read(offset, into, done) }),
    ...(port.readAtOnce !== undefined && { readAtOnce: (offset: number, into: readonly Uint8Array[]) => port.readAtOnce?.(offset, into, () => {}) === true }),
    write,
    flush: () => answered((done) => { port.flush(done) }),
    discard: (offset, length) => port.discard === undefined ? 'ok' : answered((done) => { port.discard?.(offset, length, done) }),
    writeZeroes: (offset, length) => port.writeZeroes === undefined ? eagerly(clear(offset, length)) : answered((done) => { port.writeZeroes?.(offset, length, done) }),
    close: () => Promise.resolve(disk.close?.()),
    save: () => disk.save?.() ?? [],
  }
}
