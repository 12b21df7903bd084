import { machinistError } from '@machinist/api'
import type { CreateOptions } from '../format.ts'
import type { RandomAccessFile } from '../file.ts'
import { writeZeroes } from '../raw.ts'
import { bytesOf } from '../mapped/fields.ts'
import { identityHelp, identityOf } from '../mapped/identity.ts'
import { checkCreate, choice } from '../mapped/report.ts'
import { encodeDescriptor, mostExtents, nextCid } from './descriptor.ts'
import type { ExtentLine } from './descriptor.ts'
import { descriptorSectors, sector } from './header.ts'
import { createSparse } from './sparse.ts'
import { createStream } from './stream.ts'

export const parameters: Readonly<Record<string, string>> = {
  subformat: 'monolithicSparse (the default), monolithicFlat, twoGbMaxExtentSparse, twoGbMaxExtentFlat or streamOptimized', uuid: identityHelp,
}

/** What one file can name: sectors of 32 bits. A flat one has no such limit; nobody makes larger ones than 62 TiB. */
const mostOfOne = 2 ** 41 - 2 ** 32
const mostOfFlat = 62 * 2 ** 40
/** Sectors of one of several extents: 2047 MiB. */
const splitSectors = 4192256

export async function createVmdk(file: RandomAccessFile, size: number, options: CreateOptions): Promise<void> {
  const subformat = choice(options, 'subformat', ['monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat', 'streamOptimized'])
  const several = subformat.startsWith('twoGb')
  const flat = subformat.endsWith('Flat')
  checkCreate('vmdk', size, several ? mostExtents * splitSectors * sector : flat ? mostOfFlat : mostOfOne, options, parameters)
  const cid = nextCid(Array.from(identityOf(size, options).subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(''))
  const sectors = size / sector
  const base = (/[^/\\]*$/.exec(options.name)?.[0] ?? '').replace(/\.vmdk$/i, '').replaceAll('"', '') || 'disk'
  if (!flat && !several) {
    const text = bytesOf(encodeDescriptor(subformat, [{ access: 'RW', sectors, type: 'SPARSE', file: `${base}.vmdk`, offset: 0 }], cid))
    const descriptor = new Uint8Array(descriptorSectors * sector)
    descriptor.set(text)
    return subformat === 'streamOptimized' ? createStream(file, sectors, descriptor) : createSparse(file, sectors, descriptor)
  }
  const { createFile } = options
  if (createFile === undefined) {
    throw machinistError({ code: 'disk-parameter', part: options.name, value: subformat, remedy: 'Use monolithicSparse' }, 'consists of several files, and only one can be made here')
  }
  const extents: ExtentLine[] = []
  for (let first = 0; first < sectors; first += several ? splitSectors : sectors) {
    const number = String(extents.length + 1).padStart(3, '0')
    const length = several ? Math.min(splitSectors, sectors - first) : sectors
    extents.push({ access: 'RW', sectors: length, type: flat ? 'FLAT' : 'SPARSE', file: several ? `${base}-${flat ? 'f' : 's'}${number}.vmdk` : `${base}-flat.vmdk`, offset: 0 })
  }
  for (const extent of extents) {
    const part = await createFile(extent.file)
    try {
      if (!flat) await createSparse(part, extent.sectors, null)
      else if (part.truncate !== undefined) await part.truncate(extent.sectors * sector)
      else await writeZeroes(part, 0, extent.sectors * sector)
      await part.flush()
    } finally {
      await part.close()
    }
  }
  await file.write(0, bytesOf(encodeDescriptor(subformat, extents, cid)))
  await file.flush()
}
