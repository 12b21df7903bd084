/**
 * The engine of formats that are only read: a format says where the piece of the disk lies that holds a byte, and this reads it.
 */
import type { RandomAccessFile } from '../file.ts'
import type { DiskImage, ImageInfo, ImageRange } from '../format.ts'
import { Lock } from '../lock.ts'
import { mappedImage, readBacking } from './engine.ts'
import type { Below, MappedBlocks, Place } from './engine.ts'
import { roundUp } from './fields.ts'

/** A piece of the disk that has to be unpacked as a whole. */
export interface Packed {
  /** Its own among all of the image. */
  readonly id: number
  /** All of the piece; what it lacks reads as zeroes. Rejects when it cannot be unpacked. */
  unpack(): Promise<Uint8Array>
}

/** A piece of the disk that lies in one way. */
export interface Piece {
  /** The byte of the disk at which it begins. */
  readonly offset: number
  readonly length: number
  readonly place: Place | Packed
}

/** Bytes of unpacked pieces that are kept, besides the last one. */
const mostKept = 4 << 20
/** A request is answered, and ordered, in these. */
const unit = 4096

/** Unpacks one piece at a time, so that a host holds one of a hostile image and not as many as there are requests. */
class Unpacker {
  readonly #kept = new Map<number, Uint8Array>()
  readonly #lock = new Lock()
  #bytes = 0

  async get(packed: Packed): Promise<Uint8Array> {
    return this.#kept.get(packed.id) ?? this.#lock.run(async () => {
      const found = this.#kept.get(packed.id)
      if (found !== undefined) return found
      const bytes = await packed.unpack()
      for (const [id, old] of this.#kept) {
        if (this.#bytes + bytes.length <= mostKept) break
        this.#kept.delete(id)
        this.#bytes -= old.length
      }
      this.#kept.set(packed.id, bytes)
      this.#bytes += bytes.length
      return bytes
    })
  }
}

/** What writes to an image that is only read come to. */
export function refuseWrites(): Promise<void> {
  return Promise.reject(Object.assign(new Error('images of this kind are only read'), { code: 'EROFS' }))
}

/** The blocks of a format that says where its pieces lie: `find` gives the one that holds a byte of the disk. */
export function readOnlyBlocks(file: RandomAccessFile, backing: Below | null, find: (offset: number) => Promise<Piece>): MappedBlocks {
  const unpacker = new Unpacker()

  const readPiece = async ({ offset, place }: Piece, from: number, into: Uint8Array): Promise<void> => {
    if (place === 'zero') into.fill(0)
    else if (place === 'backing') await readBacking(backing, offset + from, into)
    else if (typeof place === 'number') {
      if (place >= file.size) throw new Error('a piece lies beyond the end of the file')
      // A file may end within its last piece.
      into.fill(0, await file.read(place + from, into))
    } else {
      const bytes = (await unpacker.get(place)).subarray(from, from + into.length)
      into.set(bytes)
      into.fill(0, bytes.length)
    }
  }

  return {
    async read(offset, into) {
      for (let done = 0; done < into.length;) {
        const piece = await find(offset + done)
        const from = offset + done - piece.offset
        const part = into.subarray(done, done + Math.min(into.length - done, piece.length - from))
        await readPiece(piece, from, part)
        done += part.length
      }
    },
    write: refuseWrites,
    discard: refuseWrites,
    writeZeroes: refuseWrites,
    async *ranges(size): AsyncGenerator<ImageRange> {
      let pending: ImageRange = { offset: 0, length: 0, state: 'zero' }
      for (let at = 0; at < size;) {
        // Where it cannot be told, reading fails.
        const piece = await find(at).catch((): Piece => ({ offset: at, length: unit, place: 0 }))
        const length = Math.min(size, piece.offset + piece.length) - at
        const state = piece.place === 'zero' || piece.place === 'backing' ? piece.place : 'data'
        if (pending.state === state) pending = { ...pending, length: pending.length + length }
        else {
          if (pending.length > 0) yield pending
          pending = { offset: at, length, state }
        }
        at += length
      }
      if (pending.length > 0) yield pending
    },
  }
}

/** A file as one of whole sectors: what its last one lacks reads as zeroes. */
export function padded(file: RandomAccessFile): RandomAccessFile {
  const size = roundUp(file.size, 512)
  return {
    size,
    writable: false,
    async read(offset, into) {
      const count = await file.read(offset, into)
      const all = Math.max(count, Math.min(into.length, size - offset))
      into.fill(0, count, all)
      return all
    },
    write: refuseWrites,
    flush: () => Promise.resolve(),
    close: () => file.close(),
  }
}

/** What a format that is only read says of an image. */
export interface ReadOnlyParts {
  readonly format: string
  readonly file: RandomAccessFile
  readonly size: number
  readonly below?: DiskImage | null
  readonly info: Omit<ImageInfo, 'format' | 'size'>
  readonly find: (offset: number) => Promise<Piece>
}

/** An image that is only read. */
export function readOnlyImage({ format, file, size, below = null, info, find }: ReadOnlyParts): DiskImage {
  return mappedImage({
    format, readOnly: true, unit, size: () => size, below,
    blocks: readOnlyBlocks(file, below, find),
    flush: () => Promise.resolve(),
    info: () => Promise.resolve({ format, size, ...info }),
    async close() {
      try {
        await file.close()
      } finally {
        await below?.close()
      }
    },
  })
}
