/**
 * qcow2, the format of QEMU: versions 2 and 3 as its docs/interop/qcow2 describes them. What is not supported is refused by name:
 * encryption, external data files, extended L2 entries.
 */
import { machinistError } from '@machinist/api'
import { backingPath } from '../backing-name.ts'
import type { RandomAccessFile } from '../file.ts'
import { below, imageDamaged } from '../format.ts'
import type { DiskFormat, DiskImage, OpenOptions } from '../format.ts'
import { imageFileRefused, openImage } from '../formats.ts'
import { growing } from '../growing.ts'
import { checkImage, readRefcountTable } from './check.ts'
import { createImage, parameters } from './create.ts'
import { readHeader } from './header.ts'
import type { Header } from './header.ts'
import { Qcow2Image } from './image.ts'
import { field, incompatible, magic } from './layout.ts'
import { readSnapshots } from './snapshots.ts'
import { Tables } from './tables.ts'

/** The qcow2 format. */
export const qcow2: DiskFormat = {
  name: 'qcow2',
  extensions: ['qcow2', 'qcow'],
  parameters,
  probe({ header }) {
    return header.length >= 8 && new DataView(header.buffer, header.byteOffset).getUint32(0) === magic
  },
  open: (file, options) => open(growing(file), options),
  create: createImage,
}

async function open(file: RandomAccessFile, options: OpenOptions): Promise<DiskImage> {
  const { name, maintenance = false } = options
  const readOnly = (options.readOnly ?? false) || !file.writable || options.snapshot !== undefined
  let header = await readHeader(file, name)
  if (header.compression === 'zstd' && options.codec?.inflates.includes('zstd') !== true) {
    throw machinistError({ code: 'image-unsupported', part: name, value: 'zstd', remedy: 'Use a newer Node.js, or convert it with qemu-img convert -o compression_type=zlib' }, 'has compressed data that this host cannot decompress')
  }
  if (!readOnly && !maintenance) header = await prepareToWrite(file, header, name)
  const { snapshots } = await readSnapshots(file, header, name)
  const chosen = options.snapshot === undefined ? null : snapshots.find(({ id, name: called }) => id === options.snapshot || called === options.snapshot) ?? null
  if (options.snapshot !== undefined && chosen === null) {
    throw machinistError({ code: 'image-snapshot', part: name, value: options.snapshot, remedy: snapshots.length === 0 ? 'It has none; leave it out' : `Use one of ${snapshots.map((each) => each.name).slice(0, 20).join(', ')}` }, 'has no such snapshot')
  }
  const l1 = new Uint8Array((chosen?.l1Entries ?? header.l1Entries) * 8)
  await file.read(chosen?.l1Offset ?? header.l1Offset, l1)
  const counts = readOnly || maintenance ? null : await writableCounts(file, header, name)
  const under = maintenance || header.backing === null ? null : await openBacking(header.backing, options)
  return new Qcow2Image({
    file, name, header, below: under, codec: options.codec, readOnly, snapshots,
    tables: new Tables(file, header, new DataView(l1.buffer), counts), size: chosen?.size ?? header.size,
  })
}

/** Refuses what must not be written, repairs what was not closed in good order, and takes back marks that writing makes untrue. */
async function prepareToWrite(file: RandomAccessFile, header: Header, name: string): Promise<Header> {
  if ((header.incompatible & incompatible.corrupt) !== 0) throw imageDamaged(name, 'qcow2', 'it is marked as corrupt, and can only be read')
  if (header.anyAutoclear) {
    await file.write(field.autoclearFeatures, new Uint8Array(8))
    await file.flush()
  }
  if ((header.incompatible & incompatible.dirty) === 0) return header
  const { corruptions } = await checkImage(file, name, { repair: 'all' })
  if (corruptions > 0) throw imageDamaged(name, 'qcow2', 'it was not closed in good order, and cannot be repaired', corruptions)
  return readHeader(file, name)
}

async function writableCounts(file: RandomAccessFile, header: Header, name: string): Promise<Float64Array> {
  const counts = await readRefcountTable(file, header)
  const blocks = counts.filter((block) => block !== 0)
  if (blocks.some((block) => Number.isNaN(block)) || new Set(blocks).size !== blocks.length) throw imageDamaged(name, 'qcow2', 'its refcount table cannot be right')
  return counts
}

async function openBacking(backing: { readonly name: string, readonly format?: string }, options: OpenOptions): Promise<DiskImage> {
  const path = backingPath(backing.name)
  if (options.openFile === undefined || path === null) throw imageFileRefused(options.name, backing.name)
  const named = await options.openFile(path, false)
  try {
    return await openImage(named.file, { ...below(options, named), formats: options.formats ?? [qcow2] }, backing.format)
  } catch (error) {
    await named.file.close()
    throw error
  }
}
