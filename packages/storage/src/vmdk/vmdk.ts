import { machinistError } from '@machinist/api'
import { below, imageDamaged, imageUnsupported } from '../format.ts'
import type { DiskFormat, DiskImage, OpenOptions } from '../format.ts'
import type { RandomAccessFile } from '../file.ts'
import { sampleOf } from '../formats.ts'
import { mappedImage } from '../mapped/engine.ts'
import type { Below, MappedBlocks } from '../mapped/engine.ts'
import { asciiOf, bytesOf } from '../mapped/fields.ts'
import { checkResize, Findings } from '../mapped/report.ts'
import { opening } from '../mapped/staged.ts'
import { createVmdk, parameters } from './create.ts'
import { isDescriptor, mostText, nextCid, noParent, parseDescriptor, withSize } from './descriptor.ts'
import type { Descriptor } from './descriptor.ts'
import { flatExtent, from, joined, unitOf, zeroExtent } from './extents.ts'
import { flag, isSparse, sector } from './header.ts'
import { openSparse, readSparse } from './sparse.ts'
import type { Extent } from './sparse.ts'
import { openStream } from './stream.ts'
import { isSeSparse, isVmfsSparse, openSeSparse, openVmfsSparse } from './vmfs.ts'

/**
 * VMware's VMDK: one sparse file, flat and sparse extents of any number, stream-optimised. An image that stands on another opens that too, and
 * only believes it when its content is still the one that it was made over.
 */
export const vmdk: DiskFormat = {
  name: 'vmdk',
  extensions: ['vmdk'],
  parameters,
  probe: ({ header }) => isSparse(header) || isVmfsSparse(header) || isSeSparse(header) || isDescriptor(asciiOf(header)),
  open: (file, options) => opening('vmdk', options.name, () => openVmdk(file, options)),
  create: createVmdk,
}

/** The text of the descriptor, and where it is. */
interface Place {
  readonly file: RandomAccessFile
  readonly offset: number
  /** Bytes that it may take. */
  readonly room: number
}

async function textAt({ file, offset, room }: Place): Promise<string> {
  const bytes = new Uint8Array(Math.min(room, mostText))
  return asciiOf(bytes.subarray(0, await file.read(offset, bytes)))
}

async function openParent(descriptor: Descriptor, options: OpenOptions): Promise<DiskImage | null> {
  if (descriptor.parentCid === noParent) return null
  const { name } = options
  if (descriptor.parentName === null) throw imageDamaged(name, 'vmdk', 'it does not name the parent that it stands on')
  if (options.openFile === undefined) {
    throw machinistError({ code: 'image-file-refused', part: name, value: descriptor.parentName, remedy: 'Allow it to open its parent, or convert it to one image' }, 'stands on another image')
  }
  const named = await options.openFile(descriptor.parentName, false)
  let parent: DiskImage | null = null
  try {
    if (!vmdk.probe(await sampleOf(named.file))) throw imageUnsupported(name, 'vmdk', 'a parent of another format')
    parent = await openVmdk(named.file, below(options, named))
    const { cid } = (await parent.info()).details
    if (cid !== descriptor.parentCid) throw imageDamaged(name, 'vmdk', `its parent ${named.name} has changed since it was made over it`, String(cid))
    return parent
  } catch (error) {
    await (parent ?? named.file).close()
    throw error
  }
}

async function openVmdk(file: RandomAccessFile, options: OpenOptions): Promise<DiskImage> {
  const { name } = options
  if (options.snapshot !== undefined) throw imageUnsupported(name, 'vmdk', 'snapshots')
  const start = new Uint8Array(Math.min(sector, file.size))
  await file.read(0, start)
  const readOnly = (options.readOnly ?? false) || !file.writable
  const single = isSparse(start) ? await readSparse(file, name) : null
  if (single?.descriptor === null || isVmfsSparse(start) || isSeSparse(start)) throw imageUnsupported(name, 'vmdk', 'an extent without its descriptor', 'Open the file that names this one')
  const place: Place = single?.descriptor ? { file, offset: single.descriptor.offset, room: single.descriptor.length } : { file, offset: 0, room: mostText }
  if (single === null && file.size > mostText) throw imageDamaged(name, 'vmdk', 'its descriptor is longer than any', file.size)
  const descriptor = parseDescriptor(await textAt(place), name)
  const parent = await openParent(descriptor, options)
  const extents: Extent[] = []
  const sparse = async (part: RandomAccessFile, backing: Below | null, fixed: boolean): Promise<Extent> => {
    const header = await readSparse(part, name)
    return (header.flags & flag.compressed) === 0 ? openSparse(part, header, backing, fixed, name) : openStream(part, header, backing, fixed, options.codec, name)
  }
  const closeAll = async (): Promise<void> => {
    for (const extent of extents) await extent.close()
    await parent?.close()
  }
  try {
    if (single !== null) extents.push(await sparse(file, parent, readOnly))
    else await openExtents(descriptor, options, parent, readOnly, extents, sparse)
  } catch (error) {
    // A single file stays the caller's.
    if (single === null) for (const extent of extents) await extent.close()
    await parent?.close()
    throw error
  }
  return imageOf({ name, place, descriptor, extents, parent, unclean: single?.unclean ?? false, readOnly: readOnly || extents.some((extent) => extent.readOnly), single: single !== null, closeAll })
}

/** Opens the files that a descriptor names. */
async function openExtents(
  descriptor: Descriptor, options: OpenOptions, parent: DiskImage | null, readOnly: boolean, extents: Extent[],
  sparse: (part: RandomAccessFile, backing: Below | null, fixed: boolean) => Promise<Extent>,
): Promise<void> {
  const { name, openFile } = options
  let at = 0
  for (const line of descriptor.extents) {
    const size = line.sectors * sector
    const fixed = readOnly || line.access === 'RDONLY'
    if (line.type === 'ZERO') extents.push(zeroExtent(size))
    else {
      if (openFile === undefined) {
        throw machinistError({ code: 'image-file-refused', part: name, value: line.file, remedy: 'Allow it to open its extents' }, 'consists of other files')
      }
      const onlyRead = line.type === 'VMFSSPARSE' || line.type === 'SESPARSE'
      const { file } = await openFile(line.file, !fixed && !onlyRead)
      try {
        if (line.type === 'VMFSSPARSE') extents.push(await openVmfsSparse(file, from(parent, at), name))
        else if (line.type === 'SESPARSE') extents.push(await openSeSparse(file, from(parent, at), name))
        else if (line.type === 'SPARSE') extents.push(await sparse(file, from(parent, at), fixed || !file.writable))
        else {
          if (!((line.offset + line.sectors) * sector <= file.size)) throw imageDamaged(name, 'vmdk', `its extent ${line.file} is shorter than it says`, file.size)
          extents.push(flatExtent(file, line.offset * sector, size, fixed || !file.writable))
        }
        if (extents[extents.length - 1]?.size !== size) throw imageDamaged(name, 'vmdk', `its extent ${line.file} has another size than it says`, size)
      } catch (error) {
        if (extents[extents.length - 1]?.size !== size) extents.pop()
        await file.close()
        throw error
      }
    }
    at += size
  }
}

interface Opened {
  readonly name: string
  readonly place: Place
  readonly descriptor: Descriptor
  readonly extents: readonly Extent[]
  readonly parent: DiskImage | null
  readonly unclean: boolean
  readonly readOnly: boolean
  readonly single: boolean
  closeAll(): Promise<void>
}

function imageOf({ name, place, descriptor, extents, parent, unclean, readOnly, single, closeAll }: Opened): DiskImage {
  let size = extents.reduce((sum, extent) => sum + extent.size, 0)
  let cid = descriptor.cid
  let begun: Promise<void> | null = null
  /** Before the first write: another CID, so that images made over this one do not take it for what it was. */
  const begin = (): Promise<void> => {
    begun ??= Promise.resolve(place.file.write(place.offset + descriptor.cidAt, bytesOf(nextCid(descriptor.cid))))
      .then(() => { cid = nextCid(descriptor.cid) })
      .catch((error: unknown) => {
        begun = null
        throw error
      })
    return begun
  }
  const mapped = joined(extents)
  const blocks: MappedBlocks = {
    ...mapped,
    async write(offset, bytes) {
      await begin()
      await mapped.write(offset, bytes)
    },
    async discard(offset, length) {
      await begin()
      await mapped.discard(offset, length)
    },
    async writeZeroes(offset, length) {
      await begin()
      await mapped.writeZeroes(offset, length)
    },
  }
  const flush = async (): Promise<void> => {
    await Promise.all(extents.map((extent) => extent.flush()))
    if (!single) await place.file.flush()
  }
  const only = extents.length === 1 ? extents[0] : undefined
  return mappedImage({
    format: 'vmdk', readOnly, unit: unitOf(extents, size), size: () => size, blocks, below: parent, flush,
    async close() {
      try {
        await closeAll()
      } finally {
        if (!single) await place.file.close()
      }
    },
    info: () => Promise.resolve({
      format: 'vmdk', size, dirty: unclean, ...(only !== undefined && only.unit > 1 ? { clusterSize: only.unit } : {}),
      ...(parent !== null && descriptor.parentName !== null ? { backing: { name: descriptor.parentName, format: 'vmdk' } } : {}),
      details: { subformat: descriptor.createType, cid: cid.padStart(8, '0'), parentCid: descriptor.parentCid, extents: extents.length },
    }),
    ...(extents.some((extent) => extent.check) && {
      async check({ repair = false, progress } = {}) {
        const findings = new Findings()
        const stated = descriptor.extents.reduce((sum, { sectors }) => sum + sectors, 0) * sector
        if (single && stated !== size && stated !== descriptor.extents[0]?.sectors) findings.corruption(`the descriptor says ${String(stated)} bytes, the header ${String(size)}`)
        for (const [index, extent] of extents.entries()) {
          await extent.check?.(findings, repair !== false)
          progress?.((index + 1) / extents.length)
        }
        return findings.report
      },
    }),
    async resize(to, how) {
      if (!checkResize(name, 'vmdk', size, to, how)) return
      if (only?.grow === undefined || parent !== null || to / sector >= 2 ** 32) {
        throw imageUnsupported(name, 'vmdk', `resizing an image of type ${descriptor.createType}`, 'Convert it to one of type monolithicSparse')
      }
      await begin()
      await only.grow(to)
      const text = bytesOf(withSize(await textAt(place), to / sector).replace(/\0+$/, ''))
      if (text.length > place.room) throw imageDamaged(name, 'vmdk', 'its descriptor has no room for another size')
      await place.file.write(place.offset, text)
      await place.file.flush()
      size = to
    },
  })
}
