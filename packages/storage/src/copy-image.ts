import { machinistError } from '@machinist/api'
import type { DiskImage } from './format.ts'
import { flatRanges } from './formats.ts'

const chunk = 1 << 20
/** What is looked at for zeroes, at least. */
const leastGrain = 4096

/** Options of {@link copyImage}. */
export interface CopyOptions {
  /** How errors name the one that is read, and the other. Default: `'image'`, `'new image'`. */
  readonly fromName?: string
  readonly toName?: string
  /** Told how far it is, from 0 to 1. */
  readonly progress?: (done: number) => void
}

function failure(code: 'disk-read' | 'disk-write', part: string, status: string, problem: string): Error {
  return machinistError({ code, part, value: status, remedy: code === 'disk-read' ? 'Check the image' : 'Look at the space and health of the file system' }, problem)
}

/** Whether bytes are all zero. */
function isZero(bytes: Uint8Array): boolean {
  const words = bytes.byteOffset % 4 === 0 ? new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2) : new Uint32Array(0)
  for (let at = 0; at < words.length; at++) if (words[at] !== 0) return false
  for (let at = words.length * 4; at < bytes.length; at++) if (bytes[at] !== 0) return false
  return true
}

/**
 * Copies the content of one open image, with all below it, to another that reads as zeroes and is at least as large, and flushes. What reads as
 * zeroes is not written.
 *
 * @throws a typed error, `'disk-read'` or `'disk-write'`, `'disk-size'` when the other is smaller
 */
export async function copyImage(from: DiskImage, to: DiskImage, options: CopyOptions = {}): Promise<void> {
  const { fromName = 'image', toName = 'new image', progress = () => {} } = options
  if (to.size < from.size) throw machinistError({ code: 'disk-size', part: toName, value: to.size, remedy: `Make it of ${String(from.size)} bytes at least` }, `is smaller than ${fromName}`)
  const grain = Math.min(chunk, Math.max(leastGrain, to.unit, to.blockSize))
  const buffer = new Uint8Array(chunk)
  const write = async (offset: number, bytes: Uint8Array): Promise<void> => {
    const status = await to.write(offset, [bytes])
    if (status !== 'ok') throw failure('disk-write', toName, status, `cannot be written at byte ${String(offset)}`)
  }
  for await (const { offset, length, state } of flatRanges(from)) {
    progress(offset / from.size)
    if (state === 'zero') continue
    for (let at = offset; at < offset + length;) {
      // Up to a boundary of the other's units, so that each is written once.
      const bytes = buffer.subarray(0, Math.min(offset + length - at, chunk - at % chunk))
      const status = await from.read(at, [bytes])
      if (status !== 'ok') throw failure('disk-read', fromName, status, `cannot be read at byte ${String(at)}`)
      let start = -1
      for (let done = 0; done < bytes.length;) {
        const step = Math.min(bytes.length - done, grain - (at + done) % grain)
        if (isZero(bytes.subarray(done, done + step))) {
          if (start >= 0) await write(at + start, bytes.subarray(start, done))
          start = -1
        } else if (start < 0) {
          start = done
        }
        done += step
      }
      if (start >= 0) await write(at + start, bytes.subarray(start))
      at += bytes.length
      progress(at / from.size)
    }
  }
  const status = await to.flush()
  if (status !== 'ok') throw failure('disk-write', toName, status, 'cannot be made stable')
}

/**
 * Copies what an open image has itself, not what lies below it, over what another has: data, and also what it has as zeroes. Not flushed. So the content of
 * overlays becomes that of one.
 *
 * @throws typed errors, as {@link copyImage}
 */
export async function copyOwnContent(from: DiskImage, to: DiskImage, options: CopyOptions = {}): Promise<void> {
  const { fromName = 'image', toName = 'new image', progress = () => {} } = options
  if (to.size !== from.size) throw machinistError({ code: 'disk-size', part: toName, value: to.size, remedy: `Make it of ${String(from.size)} bytes` }, `is of another size than ${fromName}`)
  const buffer = new Uint8Array(chunk)
  for await (const { offset, length, state } of from.ranges()) {
    progress(offset / from.size)
    if (state === 'backing') continue
    for (let at = offset; at < offset + length;) {
      const count = Math.min(offset + length - at, chunk - at % chunk)
      const bytes = buffer.subarray(0, count)
      const read = state === 'zero' ? 'ok' : await from.read(at, [bytes])
      if (read !== 'ok') throw failure('disk-read', fromName, read, `cannot be read at byte ${String(at)}`)
      const written = state === 'zero' || isZero(bytes) ? await to.writeZeroes(at, count) : await to.write(at, [bytes])
      if (written !== 'ok') throw failure('disk-write', toName, written, `cannot be written at byte ${String(at)}`)
      at += count
    }
  }
}
