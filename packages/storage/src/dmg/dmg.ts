/**
 * Apple's disk images (UDIF, `.dmg`): to read. The last 512 bytes of the file say where all else is; all numbers are big-endian:
 *
 * ```
 * 0   4    "koly"                        40   u64 ×2  resource fork: place and length
 * 4   u32  version, 4                    60   u32     segments, of which this is one
 * 24  u64  where the data fork begins    216  u64 ×2  property list: place and length
 *                                        492  u64     sectors of the disk
 * ```
 */
import type { RandomAccessFile } from '../file.ts'
import { imageDamaged, imageUnsupported } from '../format.ts'
import type { Codec, DiskFormat, DiskImage, OpenOptions } from '../format.ts'
import { asciiOf } from '../mapped/fields.ts'
import type { Fields } from '../mapped/fields.ts'
import { readOnlyImage } from '../mapped/pieces.ts'
import type { Packed, Piece } from '../mapped/pieces.ts'
import { opening, StagedFile } from '../mapped/staged.ts'
import { unadc } from './adc.ts'
import { unbzip2 } from './bzip2.ts'
import { kind, readChunks } from './chunks.ts'
import type { Chunk } from './chunks.ts'

const trailerSize = 512
const encrypted = 'encrcdsa'

/** Apple's disk images, plain or compressed with zlib, bzip2 or ADC: read-only. */
export const dmg: DiskFormat = {
  name: 'dmg',
  extensions: ['dmg'],
  probe: ({ header, trailer }) => (trailer.length === trailerSize && asciiOf(trailer.subarray(0, 4)) === 'koly') || asciiOf(header.subarray(0, 8)) === encrypted,
  open: (file, options) => opening('dmg', options.name, () => openDmg(file, options)),
}

async function openDmg(file: RandomAccessFile, options: OpenOptions): Promise<DiskImage> {
  const { name, codec } = options
  const bad = (problem: string, value?: number): never => { throw imageDamaged(name, 'dmg', problem, value) }
  if (options.snapshot !== undefined) throw imageUnsupported(name, 'dmg', 'snapshots')
  if (file.size < trailerSize) bad('it is too short', file.size)
  const staged = new StagedFile(file, trailerSize, false)
  if ((await staged.fields(0, encrypted.length)).text(0, encrypted.length) === encrypted) throw imageUnsupported(name, 'dmg', 'encryption')
  const trailer = await staged.fields(file.size - trailerSize, trailerSize)
  if (trailer.text(0, 4) !== 'koly') bad('it lacks the signature at its end')
  if (trailer.u32(4) !== 4) throw imageUnsupported(name, 'dmg', `version ${String(trailer.u32(4))}`)
  if (trailer.u32(60) > 1) throw imageUnsupported(name, 'dmg', 'several segments', 'Put them together with hdiutil convert')
  const size = trailer.u64(492) * 512
  if (!Number.isSafeInteger(size) || size === 0) bad('it names an impossible size of the disk', size)
  const place = (at: number): { offset: number, length: number } => placeOf(trailer, at, file.size - trailerSize) ?? bad('its tables have an impossible place', trailer.u64(at))
  const chunks = await readChunks(staged, { data: trailer.u64(24), resources: place(40), list: place(216) }, name)
  const find = (offset: number): Promise<Piece> => Promise.resolve(pieceAt(chunks, offset, size, (chunk) => packedOf(chunk, staged, codec)))
  const kinds = new Set(chunks.map((chunk) => chunk.kind))
  const compression = (['zlib', 'bzip2', 'adc'] as const).filter((each) => kinds.has(kind[each])).join(', ') || 'none'
  return readOnlyImage({ format: 'dmg', file, size, find, info: { details: { compression, chunks: chunks.length } } })
}

function placeOf(fields: Fields, at: number, end: number): { readonly offset: number, readonly length: number } | null {
  const [offset, length] = [fields.u64(at), fields.u64(at + 8)]
  return offset + length <= end ? { offset, length } : null
}

/** The chunk that holds a byte, or what lies between chunks, which is zero. */
function pieceAt(chunks: readonly Chunk[], offset: number, size: number, packed: (chunk: Chunk) => Packed): Piece {
  // The first chunk that begins behind it.
  let [low, high] = [0, chunks.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((chunks[middle]?.offset ?? 0) <= offset) low = middle + 1
    else high = middle
  }
  const chunk = chunks[low - 1]
  const start = chunk === undefined ? 0 : chunk.offset + chunk.length
  if (chunk === undefined || start <= offset) return { offset: start, length: (chunks[low]?.offset ?? Math.max(size, offset + 1)) - start, place: 'zero' }
  const zero = chunk.kind === kind.zero || chunk.kind === kind.ignore
  return { offset: chunk.offset, length: chunk.length, place: zero ? 'zero' : chunk.kind === kind.raw ? chunk.place : packed(chunk) }
}

function packedOf(chunk: Chunk, staged: StagedFile, codec: Codec | undefined): Packed {
  return {
    id: chunk.offset,
    async unpack() {
      const { bytes } = await staged.fields(chunk.place, chunk.packed)
      if (chunk.kind === kind.bzip2) return unbzip2(bytes, chunk.length)
      if (chunk.kind === kind.adc) return unadc(bytes, chunk.length)
      if (codec?.inflates.includes('zlib') !== true) throw new Error('the host cannot decompress')
      return codec.inflate('zlib', bytes, chunk.length)
    },
  }
}
