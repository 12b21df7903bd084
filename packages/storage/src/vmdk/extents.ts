import type { Below, MappedBlocks } from '../mapped/engine.ts'
import { flatLayout, mappedBlocks } from '../mapped/engine.ts'
import { StagedFile } from '../mapped/staged.ts'
import type { RandomAccessFile } from '../file.ts'
import type { ImageRange } from '../format.ts'
import type { Extent } from './sparse.ts'

/** An extent that is a part of a file as it is. */
export function flatExtent(file: RandomAccessFile, offset: number, length: number, readOnly: boolean): Extent {
  const staged = new StagedFile(file, 512, true)
  let size = length
  return {
    get size() { return size },
    unit: 1,
    readOnly,
    blocks: mappedBlocks(flatLayout(offset), staged, null, () => size),
    flush: () => staged.flush(),
    close: () => staged.close(!readOnly),
    async grow(to) {
      await staged.zero(offset + size, to - size)
      await staged.flush()
      size = to
    },
  }
}

/** An extent that has no file and reads as zeroes. */
export function zeroExtent(size: number): Extent {
  const blocks: MappedBlocks = {
    read: (_offset, into) => Promise.resolve(void into.fill(0)),
    write: () => Promise.reject(Object.assign(new Error('an extent of zeroes cannot be written'), { code: 'EROFS' })),
    discard: () => Promise.resolve(),
    writeZeroes: () => Promise.resolve(),
    async *ranges(total): AsyncIterable<ImageRange> {
      yield await Promise.resolve({ offset: 0, length: total, state: 'zero' as const })
    },
  }
  return { size, unit: 1, readOnly: false, blocks, flush: () => Promise.resolve(), close: () => Promise.resolve() }
}

/** An image below, as an extent that begins at `start` sees it. */
export function from(below: Below | null, start: number): Below | null {
  if (below === null || start === 0) return below
  return { size: Math.max(0, below.size - start), read: (offset, into) => below.read(start + offset, into) }
}

/** The blocks of extents that follow one another. */
export function joined(extents: readonly Extent[]): MappedBlocks {
  const starts: number[] = []
  for (const [index, extent] of extents.entries()) starts[index + 1] = (starts[index] ??= 0) + extent.size
  const each = async (offset: number, length: number, visit: (extent: Extent, at: number, count: number, done: number) => Promise<void>): Promise<void> => {
    // The last extent that begins at or before the offset.
    let [low, high] = [0, extents.length - 1]
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    for (let done = 0; done < length; low++) {
      const extent = extents[low]
      if (extent === undefined) throw new Error('past the last extent')
      const at = offset + done - (starts[low] ?? 0)
      const count = Math.min(extent.size - at, length - done)
      await visit(extent, at, count, done)
      done += count
    }
  }
  if (extents.length === 1 && extents[0] !== undefined) return extents[0].blocks
  return {
    read: (offset, into) => each(offset, into.length, (extent, at, count, done) => extent.blocks.read(at, into.subarray(done, done + count))),
    write: (offset, bytes) => each(offset, bytes.length, (extent, at, count, done) => extent.blocks.write(at, bytes.subarray(done, done + count))),
    discard: (offset, length) => each(offset, length, (extent, at, count) => extent.blocks.discard(at, count)),
    writeZeroes: (offset, length) => each(offset, length, (extent, at, count) => extent.blocks.writeZeroes(at, count)),
    async *ranges() {
      for (const [index, extent] of extents.entries()) {
        for await (const range of extent.blocks.ranges(extent.size)) yield { ...range, offset: (starts[index] ?? 0) + range.offset }
      }
    },
  }
}

/** The unit in which requests are ordered: whole grains of all extents, or the whole disk where grains lie across such units. */
export function unitOf(extents: readonly Extent[], size: number): number {
  const unit = Math.max(...extents.map((extent) => extent.unit))
  return extents.slice(0, -1).every((extent) => extent.size % unit === 0) && extents.every((extent) => unit % extent.unit === 0) ? unit : Math.max(unit, size)
}
