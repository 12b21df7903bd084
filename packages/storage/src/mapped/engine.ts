import type { BlockStatus } from '@machinist/api'
import { sectorSize } from '../disk.ts'
import { statusOfError } from '../file.ts'
import type { CheckOptions, DiskImage, ImageRange, ResizeOptions } from '../format.ts'
import { roundUp } from './fields.ts'
import { opening, type StagedFile } from './staged.ts'

/** Where a block's content is: from a byte of the file on, nowhere, or in the image below. */
export type Place = number | 'zero' | 'backing'

/** A part of a block that lies in one way. */
export interface Run {
  readonly place: Place
  readonly length: number
}

/** Space for a block. */
export interface Space {
  readonly place: number
  /** Past the end of the file, so that it reads as zeroes. */
  readonly fresh: boolean
}

/**
 * What a format with a table of blocks says about them. Blocks are numbered from 0; requests that touch one block
 * never overlap in time, those to different blocks do.
 */
export interface Layout {
  readonly blockSize: number
  find(block: number): Promise<Place> | Place
  /** How the bytes from `from` of a block lie, at most `length` of them. Default: all as `find` says. */
  run?(block: number, place: Place, from: number, length: number): Promise<Run>
  /** How many blocks from this one on have no table, or one that cannot be read, so that all lie as this one does; 0 when it has one. Default: 0. */
  untold?(block: number): Promise<number>
  /** Takes space for a block. At once, so that no two get the same. */
  reserve(block: number): Space
  /** Gives space back that could not be used. */
  release(space: Space): void
  /** The bytes from `from` to `to` of the space hold the block's content, others too unless {@link Layout.run} tells otherwise. Names it. */
  commit(block: number, space: Space, from: number, to: number): Promise<void>
  /** Bytes of a block that has space already were written. */
  written?(block: number, place: number, from: number, to: number): Promise<void>
  /** Marks a block as reading zeroes; false when the format cannot. */
  clear?(block: number): Promise<boolean>
}

/** What can be done with the blocks of a {@link Layout}. */
export interface MappedBlocks {
  read(offset: number, into: Uint8Array): Promise<void>
  write(offset: number, from: Uint8Array): Promise<void>
  discard(offset: number, length: number): Promise<void>
  writeZeroes(offset: number, length: number): Promise<void>
  ranges(size: number): AsyncIterable<ImageRange>
}

const chunk = 1 << 20

/** What is needed of an image below. */
export type Below = Pick<DiskImage, 'size' | 'read'>

/** Reads from the image below, and zeroes past its end. */
export async function readBacking(backing: Below | null, offset: number, into: Uint8Array): Promise<void> {
  const there = backing === null ? 0 : Math.max(0, Math.min(into.length, backing.size - offset))
  into.fill(0, there)
  if (backing === null || there === 0) return
  const status = await backing.read(offset, [into.subarray(0, there)])
  if (status !== 'ok') throw new Error(`the image below: ${status}`)
}

/** A file, from a byte on, that is the disk itself. */
export function flatLayout(base: number): Layout {
  const blockSize = chunk
  const impossible = (): never => { throw new Error('every block of a flat image has its place') }
  return { blockSize, find: (block) => base + block * blockSize, reserve: impossible, release: impossible, commit: impossible }
}

/** Status instead of rejection. */
export async function settled(work: () => Promise<void>): Promise<BlockStatus> {
  try {
    await work()
    return 'ok'
  } catch (error) {
    return statusOfError(error)
  }
}

/** Does something with each block of a range: its number, and the part of it that is in the range. */
async function eachBlock(offset: number, length: number, blockSize: number, visit: (block: number, from: number, to: number, done: number) => Promise<void>): Promise<void> {
  for (let done = 0; done < length;) {
    const from = (offset + done) % blockSize
    const to = Math.min(blockSize, from + length - done)
    await visit((offset + done - from) / blockSize, from, to, done)
    done += to - from
  }
}

/** Blocks of a file. `size` is asked again each time, since an image may be resized. */
export function mappedBlocks(layout: Layout, staged: StagedFile, backing: Below | null, size: () => number): MappedBlocks {
  const { blockSize } = layout
  const runOf = async (block: number, place: Place, from: number, length: number): Promise<Run> =>
    layout.run === undefined ? { place, length } : layout.run(block, place, from, length)

  const read = (offset: number, into: Uint8Array): Promise<void> => eachBlock(offset, into.length, blockSize, async (block, from, to, done) => {
    const place = await layout.find(block)
    for (let at = from; at < to;) {
      const run = await runOf(block, place, at, to - at)
      const part = into.subarray(done + at - from, done + at - from + run.length)
      if (run.place === 'zero') part.fill(0)
      else if (run.place === 'backing') await readBacking(backing, block * blockSize + at, part)
      else await staged.read(run.place + at, part)
      at += run.length
    }
  })

  /** Fills a part of new space with what the block reads as. */
  const fill = async (block: number, space: Space, from: number, to: number, old: Place): Promise<void> => {
    const end = Math.min(to, size() - block * blockSize)
    let at = from
    // A format that knows each sector of a block leaves the others to the image below.
    if (old === 'backing' && layout.run === undefined) {
      for (; at < end; at += chunk) {
        const bytes = new Uint8Array(Math.min(chunk, end - at))
        await readBacking(backing, block * blockSize + at, bytes)
        await staged.write(space.place + at, bytes)
      }
      at = Math.max(from, end)
    }
    if (at >= to) return
    if (!space.fresh) await staged.zero(space.place + at, to - at)
    // The file must reach to the end of the block; what lies between reads as zeroes.
    else if (to === blockSize) await staged.write(space.place + to - Math.min(512, to - at), new Uint8Array(Math.min(512, to - at)))
  }

  const writePart = async (block: number, from: number, to: number, content: (place: number) => Promise<void>): Promise<void> => {
    const old = await layout.find(block)
    if (typeof old === 'number') {
      await content(old + from)
      return layout.written?.(block, old, from, to)
    }
    const space = layout.reserve(block)
    try {
      await fill(block, space, 0, from, old)
      await content(space.place + from)
      await fill(block, space, to, blockSize, old)
    } catch (error) {
      layout.release({ ...space, fresh: false })
      throw error
    }
    await layout.commit(block, space, from, to)
  }

  /** What is not whole sectors is completed by what is there, for formats that know each sector. */
  const whole = async (offset: number, from: Uint8Array): Promise<{ offset: number, from: Uint8Array }> => {
    const [start, end] = [offset - offset % sectorSize, roundUp(offset + from.length, sectorSize)]
    if (layout.run === undefined || end - start === from.length) return { offset, from }
    const bytes = new Uint8Array(end - start)
    await read(start, bytes.subarray(0, sectorSize))
    await read(end - sectorSize, bytes.subarray(bytes.length - sectorSize))
    bytes.set(from, offset - start)
    return { offset: start, from: bytes }
  }

  const write = (offset: number, from: Uint8Array): Promise<void> => eachBlock(offset, from.length, blockSize, (block, first, past, done) =>
    writePart(block, first, past, (place) => staged.write(place, from.subarray(done, done + past - first))))

  /** How the bytes from `from` of a block lie. Where it cannot be told, the table being damaged, there is what cannot be read. */
  const whereabouts = async (block: number, from: number, length: number): Promise<Run> => {
    try {
      return await runOf(block, await layout.find(block), from, length)
    } catch {
      return { place: 0, length }
    }
  }

  return {
    read,
    async write(offset, from) {
      const sectors = await whole(offset, from)
      await write(sectors.offset, sectors.from)
    },
    discard: (offset, length) => eachBlock(offset, length, blockSize, async (block, from, to) => {
      const place = await layout.find(block)
      // Where the block knows its sectors, those that are not its own read as before.
      if (typeof place === 'number' && staged.file.discard !== undefined) await staged.file.discard(place + from, to - from)
    }),
    writeZeroes: (offset, length) => eachBlock(offset, length, blockSize, async (block, from, to) => {
      const place = await layout.find(block)
      if (place === 'zero') return
      const all = from === 0 && to === Math.min(blockSize, size() - block * blockSize)
      if (place === 'backing' && all && await layout.clear?.(block) === true) return
      if (layout.run !== undefined && (from % sectorSize !== 0 || to % sectorSize !== 0)) {
        const sectors = await whole(block * blockSize + from, new Uint8Array(to - from))
        return write(sectors.offset, sectors.from)
      }
      await writePart(block, from, to, (at) => staged.zero(at, to - from))
    }),
    async *ranges(total) {
      let pending: ImageRange = { offset: 0, length: 0, state: 'zero' }
      let alike = 1
      for (let block = 0; block * blockSize < total; block += alike) {
        // A large image of which little was written has few tables, and blocks by the million.
        alike = Math.max(1, await layout.untold?.(block) ?? 0)
        const length = Math.min(alike * blockSize, total - block * blockSize)
        for (let at = 0; at < length;) {
          const run = await whereabouts(block, at, length - at)
          const state = typeof run.place === 'number' ? 'data' : run.place
          if (pending.state === state) pending = { ...pending, length: pending.length + run.length }
          else {
            if (pending.length > 0) yield pending
            pending = { offset: block * blockSize + at, length: run.length, state }
          }
          at += run.length
        }
      }
      if (pending.length > 0) yield pending
    },
  }
}

/** What an image has besides its blocks. */
export interface MappedParts {
  readonly format: string
  readonly readOnly: boolean
  readonly unit: number
  /** {@link DiskImage.plain}. */
  readonly plain?: boolean
  readonly size: () => number
  readonly blocks: MappedBlocks
  /** The image below, if there is one. */
  readonly below?: DiskImage | null
  readonly flush: () => Promise<void>
  readonly close: () => Promise<void>
  readonly info: DiskImage['info']
  readonly check?: DiskImage['check']
  readonly resize?: DiskImage['resize']
}

/** An image of blocks. */
export function mappedImage(parts: MappedParts): DiskImage {
  const { blocks, check, resize } = parts
  return {
    format: parts.format,
    readOnly: parts.readOnly,
    blockSize: Math.min(parts.unit, 4096),
    unit: parts.unit,
    ...(parts.plain === true && { plain: true }),
    get size() { return parts.size() },
    read: (offset, into) => settled(async () => {
      for (const buffer of into) {
        await blocks.read(offset, buffer)
        offset += buffer.length
      }
    }),
    write: (offset, from) => settled(async () => {
      for (const buffer of from) {
        await blocks.write(offset, buffer)
        offset += buffer.length
      }
    }),
    flush: () => parts.readOnly ? 'ok' : settled(parts.flush),
    discard: (offset, length) => settled(() => blocks.discard(offset, length)),
    writeZeroes: (offset, length) => settled(() => blocks.writeZeroes(offset, length)),
    info: parts.info,
    ...(parts.below && { below: parts.below }),
    ranges: () => blocks.ranges(parts.size()),
    ...(check && { check: (options?: CheckOptions) => opening(parts.format, `${parts.format} image`, () => check(options)) }),
    ...(resize && !parts.readOnly && { resize: (size: number, options?: ResizeOptions) => opening(parts.format, `${parts.format} image`, () => resize(size, options)) }),
    close: parts.close,
  }
}
