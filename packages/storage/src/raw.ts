import { machinistError, type BlockStatus } from '@machinist/api'
import { diskOf, sectorSize } from './disk.ts'
import type { Disk, DiskEngine, Outcome } from './disk.ts'
import { wait, whenThere } from './eager.ts'
import { guarded, statusOfError } from './file.ts'
import { Later } from './later.ts'
import type { RandomAccessFile } from './file.ts'

/** How {@link raw} behaves. */
export interface RawOptions {
  /** Refuses writes. Always so when the file is not writable. Default: false. */
  readonly readOnly?: boolean
  /** How errors name the disk. Default: `'disk'`. */
  readonly name?: string
}

/**
 * A raw image: byte n of the disk is byte n of the file. Flush is the file's flush.
 *
 * A file whose length is not a multiple of 512 makes a disk that is longer by the missing part of its last sector.
 * That part reads as zeroes; the first write to it makes the file longer by as much.
 *
 * @throws a typed error, `'disk-empty'`, when the file has no bytes
 */
export function raw(file: RandomAccessFile, options: RawOptions = {}): Disk {
  if (!Number.isSafeInteger(file.size) || file.size <= 0) {
    throw machinistError(
      { code: 'disk-empty', part: options.name ?? 'disk', value: file.size, remedy: 'Make it as long as the disk is to be, for example with truncate' },
      'the image has no bytes')
  }
  const readOnly = (options.readOnly ?? false) || !file.writable
  return diskOf(() => rawEngine(file, readOnly), { release: () => file.close(), ...(!readOnly && file.park && { park: () => file.park?.() ?? (() => {}) }) })
}

export function rawEngine(file: RandomAccessFile, readOnly: boolean): DiskEngine {
  const length = file.size
  const size = Math.ceil(length / sectorSize) * sectorSize
  return {
    size, readOnly, blockSize: 4096, unit: 1,
    // The usual request has one buffer, and costs no work that waits.
    read: (offset, into) => into.length === 1 && into[0] !== undefined && into[0].length > 0 && offset + into[0].length <= length ? readWhole(file, offset, into[0]) : guarded(function* () {
      for (const buffer of into) {
        if (buffer.length === 0) continue
        const count = yield* wait(file.read(offset, buffer))
        if (count < buffer.length) {
          // Past the length that it had, a missing part is the padding; before it, somebody cut the file short.
          if (offset + count < length) return 'io-error'
          buffer.fill(0, count)
        }
        offset += buffer.length
      }
      return 'ok'
    }),
    ...(file.readAtOnce !== undefined && { readAtOnce: (offset: number, into: readonly Uint8Array[]) => file.readAtOnce?.(offset, into) ?? false }),
    write: (offset, from) => guarded(function* () {
      for (const buffer of from) {
        if (buffer.length > 0) yield* wait(file.write(offset, buffer))
        offset += buffer.length
      }
      return 'ok'
    }),
    flush: () => guarded(function* () {
      yield* wait(file.flush())
      return 'ok'
    }),
    discard: (offset, count) => guarded(function* () {
      yield* wait(file.discard?.(offset, count))
      return 'ok'
    }),
    writeZeroes: (offset, count) => guarded(function* () {
      // Only within the file: a hole cannot make it longer, and past its end it reads as zeroes already.
      if (file.discard !== undefined && offset + count <= length) yield* wait(file.discard(offset, count))
      else yield* wait(writeZeroes(file, offset, count))
      return 'ok'
    }),
    close: () => file.close(),
  }
}

/** Reads what lies within a file. */
function readWhole(file: RandomAccessFile, offset: number, into: Uint8Array): Outcome {
  const wanted = into.length
  try {
    const count = file.read(offset, into)
    if (typeof count === 'number') return count < wanted ? 'io-error' : 'ok'
    const outcome = new Later<BlockStatus>()
    whenThere(count, (read) => { outcome.resolve(read < wanted ? 'io-error' : 'ok') }, (error) => { outcome.resolve(statusOfError(error)) })
    return outcome
  } catch (error) {
    return statusOfError(error)
  }
}

const zeroes = new Uint8Array(65536)

/** Writes zeroes piece by piece, for files that cannot punch holes. */
export async function writeZeroes(file: RandomAccessFile, offset: number, length: number): Promise<void> {
  for (let done = 0; done < length;) {
    const count = Math.min(zeroes.length, length - done)
    await file.write(offset + done, zeroes.subarray(0, count))
    done += count
  }
}
