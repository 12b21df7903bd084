/**
 * Parallels' expandable images (`.hds`, `.hdd`), as QEMU's docs/interop/parallels describes them: to read. All numbers are little-endian:
 *
 * ```
 * 0   16   magic, "WithoutFreeSpace" or "WithouFreSpacExt"     44  u32  0x746f6e59 while somebody writes it
 * 16  u32  version, 2                                          48  u32  sector of the first cluster
 * 28  u32  sectors of a cluster, any number                    52  u32  flags: bit 0, all is zero
 * 32  u32  entries of the table of clusters                    56  u64  sector of extensions: bitmaps of backups
 * 36  u64  sectors of the disk; u32 in the first kind
 * ```
 *
 * From byte 64 on stands the table: for each cluster of the disk where it is, in sectors, or with the second magic in clusters; 0 for none.
 */
import type { RandomAccessFile } from '../file.ts'
import { imageDamaged, imageUnsupported } from '../format.ts'
import type { DiskFormat, DiskImage, OpenOptions } from '../format.ts'
import { asciiOf } from '../mapped/fields.ts'
import type { Fields } from '../mapped/fields.ts'
import { padded, readOnlyImage } from '../mapped/pieces.ts'
import { opening, StagedFile } from '../mapped/staged.ts'

const sector = 512
const headerSize = 64
const inUse = 0x746f6e59
const emptyFlag = 1
/** The largest cluster that is believed, in sectors: 1 GiB. Others make 1 MiB. */
const mostSectors = 2 ** 21
const magic: { readonly old: string, readonly extended: string } = { old: 'WithoutFreeSpace', extended: 'WithouFreSpacExt' }

/** Parallels' expandable images: read-only. */
export const parallels: DiskFormat = {
  name: 'parallels',
  extensions: ['hds', 'hdd'],
  probe({ header }) {
    const signature = asciiOf(header.subarray(0, 16))
    return signature === magic.old || signature === magic.extended
  },
  open: (file, options) => opening('parallels', options.name, () => openParallels(padded(file), options)),
}

interface Header {
  readonly cluster: number
  readonly size: number
  readonly entries: number
  /** Bytes in which the table counts. */
  readonly unit: number
  readonly empty: boolean
  readonly dirty: boolean
}

function parse(fields: Fields, fileSize: number, name: string): Header {
  const bad = (problem: string, value?: number): never => { throw imageDamaged(name, 'parallels', problem, value) }
  const signature = fields.text(0, 16)
  if (signature !== magic.old && signature !== magic.extended) bad('it lacks the signature')
  if (fields.u32(16) !== 2) throw imageUnsupported(name, 'parallels', `version ${String(fields.u32(16))}`)
  const [sectors, entries] = [fields.u32(28), fields.u32(32)]
  const size = (signature === magic.old ? fields.u32(36) : fields.u64(36)) * sector
  if (sectors === 0 || sectors > mostSectors) bad('its clusters have an impossible size', sectors)
  if (!Number.isSafeInteger(size) || size === 0) bad('it names an impossible size of the disk', size)
  if (headerSize + entries * 4 > fileSize) bad('its table of clusters is cut off', entries)
  return {
    cluster: sectors * sector, size, entries, unit: signature === magic.old ? sector : sectors * sector,
    empty: (fields.u32(52) & emptyFlag) !== 0, dirty: fields.u32(44) === inUse,
  }
}

async function openParallels(file: RandomAccessFile, options: OpenOptions): Promise<DiskImage> {
  const { name } = options
  if (options.snapshot !== undefined) throw imageUnsupported(name, 'parallels', 'snapshots')
  if (file.size < headerSize) throw imageDamaged(name, 'parallels', 'it is too short', file.size)
  const staged = new StagedFile(file, sector, true)
  const { cluster, size, entries, unit, empty, dirty } = parse(await staged.fields(0, headerSize), file.size, name)
  return readOnlyImage({
    format: 'parallels', file, size,
    info: { clusterSize: cluster, dirty, details: { version: unit === sector ? 'WithoutFreeSpace' : 'WithouFreSpacExt' } },
    async find(offset) {
      const block = Math.floor(offset / cluster)
      // What is beyond the table has no place either.
      if (empty || block >= entries) return { offset: block * cluster, length: Math.max(cluster, size - block * cluster), place: 'zero' }
      const { fields, at } = await staged.field(headerSize + block * 4)
      const place = fields.u32(at) * unit
      return { offset: block * cluster, length: cluster, place: place === 0 ? 'zero' : place }
    },
  })
}
