import type { BlockStatus } from '@machinist/api'
import { lengthOf } from './buffers.ts'
import type { Soon } from './eager.ts'
import type { RandomAccessFile } from './file.ts'
import { sampleSize } from './format.ts'
import type { DiskFormat, DiskImage, ImageSample } from './format.ts'
import { Lock } from './lock.ts'
import { signatureOf } from './signatures.ts'

const trailerSize = 512

/**
 * An image that refuses, with `'io-error'`, each write after which it would be taken for an image of one of `formats`, or for one of another format that has a
 * signature: those are known by their first bytes and by their last.
 *
 * @param sample - what the file holds now
 */
export function guardHeaders(image: DiskImage, file: RandomAccessFile, sample: ImageSample, formats: readonly DiskFormat[]): DiskImage {
  const lock = new Lock()
  /** What it rightly looks like: nothing, or a fixed VHD. */
  const known = signatureOf(sample)
  const trailerStart = sample.size - Math.min(trailerSize, sample.size)

  /** Does `work` when the ends of the file, changed by `change`, still look like nothing. */
  const guarded = (offset: number, length: number, change: (bytes: Uint8Array, start: number) => void, work: () => Soon<BlockStatus>): Soon<BlockStatus> => {
    if (offset >= sampleSize && offset + length <= trailerStart) return work()
    // One after the other, since two writes that are harmless alone may not be together.
    return lock.run(async () => {
      try {
        // Beyond what the file had is padding, and the file's last bytes are the last of what was written.
        const size = Math.max(sample.size, Math.min(offset + length, image.size))
        const header = new Uint8Array(Math.min(sampleSize, size))
        const trailer = new Uint8Array(Math.min(trailerSize, size))
        await file.read(0, header)
        await file.read(size - trailer.length, trailer)
        change(header, 0)
        change(trailer, size - trailer.length)
        // The length that the next reader finds is either of the two.
        const shorter = new Uint8Array(Math.min(trailerSize, sample.size))
        await file.read(trailerStart, shorter)
        change(shorter, trailerStart)
        const risky = (found: ImageSample): boolean => formats.some((format) => format.probe(found)) || (signatureOf(found) ?? known) !== known
        return risky({ header, trailer, size }) || risky({ header, trailer: shorter, size: sample.size }) ? 'io-error' : await work()
      } catch {
        return 'io-error'
      }
    })
  }
  const zero = (offset: number, length: number) => (bytes: Uint8Array, start: number): void => {
    bytes.fill(0, Math.max(0, Math.min(bytes.length, offset - start)), Math.max(0, Math.min(bytes.length, offset + length - start)))
  }
  const copy = (offset: number, from: readonly Uint8Array[]) => (bytes: Uint8Array, start: number): void => {
    let at = offset - start
    for (const buffer of from) {
      const first = Math.max(0, -at)
      const past = Math.min(buffer.length, bytes.length - at)
      if (first < past) bytes.set(buffer.subarray(first, past), at + first)
      at += buffer.length
    }
  }
  return {
    format: image.format,
    get size() { return image.size },
    readOnly: image.readOnly,
    blockSize: image.blockSize,
    unit: image.unit,
    read: (offset, into) => image.read(offset, into),
    ...(image.readAtOnce !== undefined && { readAtOnce: (offset: number, into: readonly Uint8Array[]) => image.readAtOnce?.(offset, into) ?? false }),
    write: (offset, from) => guarded(offset, lengthOf(from), copy(offset, from), () => image.write(offset, from)),
    flush: () => image.flush(),
    discard: (offset, length) => guarded(offset, length, zero(offset, length), () => image.discard(offset, length)),
    writeZeroes: (offset, length) => guarded(offset, length, zero(offset, length), () => image.writeZeroes(offset, length)),
    close: () => image.close(),
    info: () => image.info(),
    ranges: () => image.ranges(),
    ...(image.resize !== undefined && { resize: async (size, options) => { await image.resize?.(size, options) } }),
  }
}
