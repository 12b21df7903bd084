/**
 * QEMU's first format of its own, which qcow2 replaced: to read. All numbers are big-endian:
 *
 * ```
 * 0   u32  magic "QFI\xfb"              24  u64  size of the disk in bytes
 * 4   u32  version, 1                   32  u8   log2 of the bytes of a cluster
 * 8   u64  name of the backing file     33  u8   log2 of the entries of an L2 table
 * 16  u32  its length                   36  u32  encryption, 0 for none
 * 20  u32  the backing file's mtime     40  u64  L1 table
 * ```
 *
 * An L1 entry is the place of an L2 table, an L2 entry that of a cluster; 0 for none, which is in the backing file, or zeroes. With its
 * highest bit set, a cluster is compressed: below that bit stand its length, in as many bits as a cluster's size has, and its place.
 */
import { backingPath } from '../backing-name.ts'
import { imageFileRefused, openImage } from '../formats.ts'
import type { RandomAccessFile } from '../file.ts'
import { below, imageDamaged, imageUnsupported } from '../format.ts'
import type { DiskFormat, DiskImage, OpenOptions } from '../format.ts'
import { Fields } from '../mapped/fields.ts'
import { padded, readOnlyImage } from '../mapped/pieces.ts'
import type { Piece } from '../mapped/pieces.ts'
import { opening, StagedFile } from '../mapped/staged.ts'
import { textOf } from '../qcow2/layout.ts'

const magic = 0x514649fb
const headerSize = 48
const entrySize = 8
/** The longest name of a backing file, as QEMU has it. */
const longestName = 1023

/** QEMU's qcow, version 1: read-only. */
export const qcow: DiskFormat = {
  name: 'qcow',
  extensions: [],
  probe({ header }) {
    const fields = new Fields(header, false)
    return header.length >= 8 && fields.u32(0) === magic && fields.u32(4) === 1
  },
  open: (file, options) => opening('qcow', options.name, () => openQcow(padded(file), options)),
}

interface Header {
  readonly clusterBits: number
  readonly l2Bits: number
  readonly size: number
  readonly l1: number
  readonly backing: { readonly offset: number, readonly length: number } | null
}

function parse(fields: Fields, fileSize: number, name: string): Header {
  const bad = (problem: string, value?: number): never => { throw imageDamaged(name, 'qcow', problem, value) }
  if (fields.u32(0) !== magic) bad('it lacks the signature')
  if (fields.u32(4) !== 1) throw imageUnsupported(name, 'qcow', `version ${String(fields.u32(4))}`, 'Open it as qcow2')
  const [size, clusterBits, l2Bits, l1] = [fields.u64(24), fields.bytes[32] ?? 0, fields.bytes[33] ?? 0, fields.u64(40)]
  if (fields.u32(36) !== 0) throw imageUnsupported(name, 'qcow', 'encryption')
  if (clusterBits < 9 || clusterBits > 16) bad('its clusters have an impossible size', clusterBits)
  if (l2Bits < 6 || l2Bits > 13) bad('its L2 tables have an impossible size', l2Bits)
  if (!Number.isSafeInteger(size) || size < 512) bad('it names an impossible size of the disk', size)
  const entries = Math.ceil(size / 2 ** (clusterBits + l2Bits))
  if (l1 < headerSize || l1 % entrySize !== 0 || !(l1 + entries * entrySize <= fileSize)) bad('its L1 table has an impossible place', l1)
  const [offset, length] = [fields.u64(8), fields.u32(16)]
  if (offset !== 0 && (length > longestName || !(offset + length <= fileSize))) bad('the name of its backing file has an impossible place', offset)
  return { clusterBits, l2Bits, size: size - size % 512, l1, backing: offset === 0 || length === 0 ? null : { offset, length } }
}

async function openQcow(file: RandomAccessFile, options: OpenOptions): Promise<DiskImage> {
  const { name, codec, maintenance = false } = options
  if (options.snapshot !== undefined) throw imageUnsupported(name, 'qcow', 'snapshots')
  if (file.size < headerSize) throw imageDamaged(name, 'qcow', 'it is too short', file.size)
  const staged = new StagedFile(file, 512, false)
  const { clusterBits, l2Bits, size, l1, backing } = parse(await staged.fields(0, headerSize), file.size, name)
  const backingName = backing === null ? null : textOf((await staged.fields(backing.offset, backing.length)).bytes)
  const under = backingName === null || maintenance ? null : await openBacking(backingName, options)
  const elsewhere = under === null ? 'zero' : 'backing'
  const cluster = 2 ** clusterBits
  const span = cluster * 2 ** l2Bits

  const find = async (offset: number): Promise<Piece> => {
    const first = offset - offset % span
    const directory = await staged.field(l1 + first / span * entrySize)
    const table = directory.fields.u64(directory.at)
    if (table === 0) return { offset: first, length: span, place: elsewhere }
    if (!(table < file.size) || table % entrySize !== 0) throw new Error('an L2 table has an impossible place')
    const start = offset - offset % cluster
    const { fields, at } = await staged.field(table + (start - first) / cluster * entrySize)
    const entry = (BigInt(fields.u32(at)) << 32n) | BigInt(fields.u32(at + 4))
    if (entry === 0n) return { offset: start, length: cluster, place: elsewhere }
    if ((entry >> 63n) === 0n) return { offset: start, length: cluster, place: Number(entry) }
    const placeBits = BigInt(63 - clusterBits)
    const [place, length] = [Number(entry & ((1n << placeBits) - 1n)), Number((entry >> placeBits) & BigInt(cluster - 1))]
    return {
      offset: start, length: cluster,
      place: {
        id: start,
        async unpack() {
          if (!(place + length <= file.size)) throw new Error('a compressed cluster lies beyond the end of the file')
          if (codec?.inflates.includes('deflate') !== true) throw new Error('the host cannot decompress')
          const bytes = await codec.inflate('deflate', (await staged.fields(place, length)).bytes, cluster)
          if (bytes.length !== cluster) throw new Error('a compressed cluster is too short')
          return bytes
        },
      },
    }
  }
  return readOnlyImage({
    format: 'qcow', file, size, below: under, find,
    info: { clusterSize: cluster, ...(backingName !== null && { backing: { name: backingName } }), details: { version: 1 } },
  })
}

async function openBacking(name: string, options: OpenOptions): Promise<DiskImage> {
  const path = backingPath(name)
  if (options.openFile === undefined || path === null) throw imageFileRefused(options.name, name)
  const named = await options.openFile(path, false)
  try {
    return await openImage(named.file, { ...below(options, named), formats: options.formats ?? [qcow] })
  } catch (error) {
    await named.file.close()
    throw error
  }
}
