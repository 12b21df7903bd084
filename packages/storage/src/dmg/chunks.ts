/**
 * The tables of a disk image of Apple's. Each is for a part of the disk ("blkx") and stands, in base 64, in a property list, or in the
 * file's resource fork. All numbers are big-endian:
 *
 * ```
 * 0   u32  "mish"                        204  40 bytes for each chunk:
 * 8   u64  first sector of the part           0   u32  kind
 * 24  u64  added to chunks' places            8   u64  first sector, within the part
 *                                             16  u64  sectors
 *                                             24  u64  place in the data fork
 *                                             32  u64  bytes there
 * ```
 */
import { imageDamaged, imageUnsupported } from '../format.ts'
import { asciiOf, Fields } from '../mapped/fields.ts'
import type { StagedFile } from '../mapped/staged.ts'

const headerSize = 204
const chunkSize = 40
const sector = 512
/** The largest chunk that is unpacked, as QEMU has it: 32 MiB. */
const mostPacked = 32 << 20
/** The longest table that is believed, as QEMU has it. */
const mostTable = 16 << 20

/** Kinds of chunks. */
export const kind: { readonly [Name in 'zero' | 'raw' | 'ignore' | 'comment' | 'adc' | 'zlib' | 'bzip2' | 'end']: number } = {
  zero: 0, raw: 1, ignore: 2, comment: 0x7ffffffe, adc: 0x80000004, zlib: 0x80000005, bzip2: 0x80000006, end: 0xffffffff,
}
const unsupported: Readonly<Record<number, string>> = { 0x80000007: 'LZFSE compression', 0x80000008: 'LZMA compression' }

/** A part of the disk, in bytes. */
export interface Chunk {
  readonly kind: number
  readonly offset: number
  readonly length: number
  /** Where it is in the file, and how long there. */
  readonly place: number
  readonly packed: number
}

/** Where the tables are, and what their places are relative to. */
export interface Forks {
  readonly data: number
  readonly list: { readonly offset: number, readonly length: number }
  readonly resources: { readonly offset: number, readonly length: number }
}

/** All chunks but empty ones, in order. None overlaps another. */
export async function readChunks(staged: StagedFile, { data, list, resources }: Forks, name: string): Promise<Chunk[]> {
  const table = list.length > 0 ? list : resources
  if (table.length === 0) throw imageDamaged(name, 'dmg', 'it has no table of its content')
  if (table.length > mostTable) throw imageDamaged(name, 'dmg', 'its table is longer than any', table.length)
  const bytes = await staged.fields(table.offset, table.length)
  const chunks: Chunk[] = []
  for (const part of list.length > 0 ? listed(asciiOf(bytes.bytes), name) : resourcesOf(bytes, name)) addChunks(chunks, part, data, staged.end, name)
  chunks.sort((a, b) => a.offset - b.offset)
  chunks.forEach(({ offset }, index) => {
    const before = chunks[index - 1]
    if (before !== undefined && before.offset + before.length > offset) throw imageDamaged(name, 'dmg', 'two chunks hold the same part of the disk', offset)
  })
  return chunks
}

/** What stands between `<data>` and `</data>`. */
function* listed(text: string, name: string): Generator<Uint8Array> {
  for (let at = text.indexOf('<data>'); at >= 0; at = text.indexOf('<data>', at)) {
    const end = text.indexOf('</data>', at)
    if (end < 0) throw imageDamaged(name, 'dmg', 'its property list is cut off')
    yield fromBase64(text, at + '<data>'.length, end)
    at = end
  }
}

const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const digitOf = new Map(Array.from(digits, (digit, value) => [digit.charCodeAt(0), value]))

/** Bytes of base 64; what is no digit is passed over. */
function fromBase64(text: string, start: number, end: number): Uint8Array {
  const bytes = new Uint8Array(Math.floor((end - start) * 3 / 4))
  let [held, count, length] = [0, 0, 0]
  for (let at = start; at < end; at++) {
    const value = digitOf.get(text.charCodeAt(at))
    if (value === undefined) continue
    held = (held << 6 | value) & 0xffff
    count += 6
    if (count < 8) continue
    count -= 8
    bytes[length++] = held >>> count
  }
  return bytes.subarray(0, length)
}

/** The resources of a resource fork, whatever their types are. */
function* resourcesOf(fork: Fields, name: string): Generator<Uint8Array> {
  const { bytes } = fork
  if (bytes.length < 16) throw imageDamaged(name, 'dmg', 'its resource fork is too short', bytes.length)
  const [start, length] = [fork.u32(0), fork.u32(8)]
  const end = start + length
  if (end > bytes.length) throw imageDamaged(name, 'dmg', 'its resources have an impossible place', start)
  for (let at = start; at + 4 <= end;) {
    const count = fork.u32(at)
    if (at + 4 + count > end) throw imageDamaged(name, 'dmg', 'a resource is cut off', at)
    yield bytes.subarray(at + 4, at + 4 + count)
    at += 4 + count
  }
}

function addChunks(chunks: Chunk[], part: Uint8Array, data: number, fileSize: number, name: string): void {
  const fields = new Fields(part, false)
  // A list has other data, too.
  if (part.length < headerSize || fields.text(0, 4) !== 'mish') return
  const [first, base] = [fields.u64(8), fields.u64(24)]
  for (let at = headerSize; at + chunkSize <= part.length; at += chunkSize) {
    const type = fields.u32(at)
    if (type === kind.comment || type === kind.end) continue
    if (!Object.values(kind).includes(type)) throw imageUnsupported(name, 'dmg', unsupported[type] ?? `chunks of type 0x${type.toString(16)}`, 'Convert it with hdiutil to UDZO')
    const [offset, length] = [(first + fields.u64(at + 8)) * sector, fields.u64(at + 16) * sector]
    const [place, packed] = [data + base + fields.u64(at + 24), fields.u64(at + 32)]
    if (length === 0) continue
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(offset + length)) throw imageDamaged(name, 'dmg', 'a chunk is in an impossible part of the disk', offset)
    if (type !== kind.zero && type !== kind.ignore) {
      if (!(place + packed <= fileSize)) throw imageDamaged(name, 'dmg', 'a chunk lies beyond the end of the file', place)
      if (type === kind.raw ? packed < length : length > mostPacked || packed > 2 * length + 1024) throw imageDamaged(name, 'dmg', 'a chunk has an impossible size', packed)
    }
    chunks.push({ kind: type, offset, length, place, packed })
  }
}
