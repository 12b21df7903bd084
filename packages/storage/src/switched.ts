import { machinistError } from '@machinist/api'
import type { DiskImage } from './format.ts'

/** An image in whose place another can come while a disk is made of it: what {@link switchedImage} gives. */
export interface SwitchedImage extends DiskImage {
  /** The one that is used now. */
  readonly now: DiskImage
  /** Closes the one that is used now. */
  close(): Promise<void>
  /**
   * Uses another from now on. No request may be under way; whoever closes the one before has the guest's requests lost meanwhile, so: while the machine stands still.
   *
   * @throws a typed error, `'disk-size'`, for one of another size or block size, or which cannot be written as the one before can
   */
  switchTo(next: DiskImage): void
}

/**
 * An image that stands for another, and later for the next: so that a machine's disk can be written to a new overlay from some moment on.
 *
 * @param name - for errors
 */
export function switchedImage(first: DiskImage, name: string = 'disk'): SwitchedImage {
  let now = first
  let open = true
  const { size, readOnly, blockSize } = first
  return {
    get now() { return now },
    get format() { return now.format },
    get unit() { return now.unit },
    size, readOnly, blockSize,
    read: (offset, into) => now.read(offset, into),
    readAtOnce: (offset, into) => now.readAtOnce?.(offset, into) ?? false,
    write: (offset, from) => now.write(offset, from),
    flush: () => now.flush(),
    discard: (offset, length) => now.discard(offset, length),
    writeZeroes: (offset, length) => now.writeZeroes(offset, length),
    close() {
      const was = open
      open = false
      return was ? now.close() : Promise.resolve()
    },
    info: () => now.info(),
    ranges: () => now.ranges(),
    switchTo(next) {
      if (next.size !== size || next.blockSize !== blockSize || next.readOnly !== readOnly) {
        throw machinistError({ code: 'disk-size', part: name, value: next.size, remedy: 'Use an overlay on the image before' }, 'cannot take the place of the image before')
      }
      now = next
      open = true
    },
  }
}
