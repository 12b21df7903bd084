import { machinistError } from '@machinist/api'
import { type DiskImage, flatRanges } from '@machinist/storage'

const CHUNK = 1 << 20
/** What is looked at for zeroes, at least. */
const GRAIN = 4096

/** Whether bytes are all zero. */
function isZero(bytes: Buffer): boolean {
  return bytes.length === 0 || (bytes[0] === 0 && bytes.subarray(1).equals(bytes.subarray(0, -1)))
}

/**
 * Copies the content of one disk to another that reads as zeroes. What reads as zeroes is not written.
 *
 * @param progress - told how far it is, from 0 to 1
 * @throws a typed error, `'disk-read'` or `'disk-write'`
 */
export async function copyDisk(from: DiskImage, to: DiskImage, fromName: string, toName: string, progress: (done: number) => void): Promise<void> {
  const grain = Math.min(CHUNK, Math.max(GRAIN, to.unit, to.blockSize))
  const buffer = Buffer.alloc(CHUNK)
  const write = async (offset: number, bytes: Buffer): Promise<void> => {
    const status = await to.write(offset, [bytes])
    if (status !== 'ok') throw machinistError({ code: 'disk-write', part: toName, value: status, remedy: 'Look at the space and health of the file system.' }, `cannot be written at byte ${offset}`)
  }
  for await (const { offset, length, state } of flatRanges(from)) {
    progress(offset / from.size)
    if (state === 'zero') continue
    for (let at = offset; at < offset + length;) {
      // Up to a boundary of the other's units, so that each is written once.
      const bytes = buffer.subarray(0, Math.min(offset + length - at, CHUNK - at % CHUNK))
      const status = await from.read(at, [bytes])
      if (status !== 'ok') throw machinistError({ code: 'disk-read', part: fromName, value: status, remedy: 'Check the image with machinist disk check.' }, `cannot be read at byte ${at}`)
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
  if (status !== 'ok') throw machinistError({ code: 'disk-write', part: toName, value: status, remedy: 'Look at the space and health of the file system.' }, 'cannot be made stable')
}
