import type { CreateOptions } from '../format.ts'
import type { RandomAccessFile } from '../file.ts'
import { writeZeroes } from '../raw.ts'
import { Fields, roundUp } from '../mapped/fields.ts'
import { identityHelp, identityOf, mixedEndian, successor } from '../mapped/identity.ts'
import { checkCreate, choice, powerOfTwo, tableChunk } from '../mapped/report.ts'
import { batEntry, batShape, blockState, checksumOf, guidBytes, headerPlaces, headerSize, itemGuid, MiB, regionGuid, regionPlaces, regionTableSize } from './structures.ts'

export const parameters: Readonly<Record<string, string>> = {
  subformat: 'dynamic (the default) or fixed', block_size: 'bytes of a block, a power of two from 1M (the default) to 256M', uuid: identityHelp,
}

const TiB = 2 ** 40
/** The most of the format: 64 TiB. */
const mostBytes = 64 * TiB
const sectorBytes = 512
const logAt = MiB
const metadataAt = 2 * MiB
const batAt = 3 * MiB
const required = 4
const ofDisk = 2

export async function createVhdx(file: RandomAccessFile, size: number, options: CreateOptions): Promise<void> {
  checkCreate('vhdx', size, mostBytes, options, parameters)
  const fixed = choice(options, 'subformat', ['dynamic', 'fixed']) === 'fixed'
  const blockSize = powerOfTwo(options, 'block_size', MiB, 256 * MiB, size <= TiB ? MiB : 32 * MiB)
  const uuid = identityOf(size, options)
  const { blocks, ratio, entries } = batShape(size, blockSize, sectorBytes)
  // Room to grow to twice the size.
  const batLength = roundUp(entries * batEntry * 2, MiB)
  const data = batAt + batLength
  await file.write(0, identifier())
  for (const place of regionPlaces) await file.write(place, regionTable(batLength))
  await file.write(metadataAt, metadata(size, blockSize, fixed, uuid))
  for (let first = 0; fixed && first < entries; first += tableChunk / batEntry) {
    const part = new Fields(new Uint8Array(Math.min(tableChunk / batEntry, entries - first) * batEntry), true)
    for (let at = 0; at < part.bytes.length; at += batEntry) {
      const entry = first + at / batEntry
      const block = entry - Math.floor(entry / (ratio + 1))
      if (entry % (ratio + 1) !== ratio) part.setU64(at, data + block * blockSize + blockState.present)
    }
    await file.write(batAt + first * batEntry, part.bytes)
  }
  const end = data + (fixed ? blocks * blockSize : 0)
  if (file.truncate !== undefined) await file.truncate(end)
  else if (fixed) await writeZeroes(file, data, end - data)
  else await file.write(end - 1, new Uint8Array(1))
  await file.flush()
  // The headers make an image of it.
  for (const [index, place] of headerPlaces.entries()) await file.write(place, header(index + 1, uuid))
  await file.flush()
}

function identifier(): Uint8Array {
  const fields = new Fields(new Uint8Array(65536), true)
  fields.setText(0, 'vhdxfile')
  ;[...'Machinist'].forEach((character, index) => { fields.setU16(8 + index * 2, character.charCodeAt(0)) })
  return fields.bytes
}

function header(sequence: number, uuid: Uint8Array): Uint8Array {
  const fields = new Fields(new Uint8Array(headerSize), true)
  fields.setText(0, 'head')
  fields.setU64(8, sequence)
  fields.bytes.set(successor(uuid), 16)
  fields.bytes.set(successor(successor(uuid)), 32)
  fields.setU16(66, 1)
  fields.setU32(68, MiB)
  fields.setU64(72, logAt)
  fields.setU32(4, checksumOf(fields.bytes))
  return fields.bytes
}

function regionTable(batLength: number): Uint8Array {
  const fields = new Fields(new Uint8Array(regionTableSize), true)
  fields.setText(0, 'regi')
  fields.setU32(8, 2)
  ;[{ guid: regionGuid.bat, offset: batAt, length: batLength }, { guid: regionGuid.metadata, offset: metadataAt, length: MiB }].forEach(({ guid, offset, length }, index) => {
    const at = 16 + index * 32
    fields.bytes.set(guidBytes(guid), at)
    fields.setU64(at + 16, offset)
    fields.setU32(at + 24, length)
    fields.setU32(at + 28, 1)
  })
  fields.setU32(4, checksumOf(fields.bytes))
  return fields.bytes
}

function metadata(size: number, blockSize: number, fixed: boolean, uuid: Uint8Array): Uint8Array {
  const fields = new Fields(new Uint8Array(65536 + 4096), true)
  fields.setText(0, 'metadata')
  const items: readonly { guid: string, length: number, flags: number, put: (at: number) => void }[] = [
    { guid: itemGuid.parameters, length: 8, flags: required, put: (at) => { fields.setU32(at, blockSize); fields.setU32(at + 4, fixed ? 1 : 0) } },
    { guid: itemGuid.size, length: 8, flags: required | ofDisk, put: (at) => { fields.setU64(at, size) } },
    { guid: itemGuid.diskId, length: 16, flags: required | ofDisk, put: (at) => { fields.bytes.set(mixedEndian(uuid), at) } },
    { guid: itemGuid.logicalSector, length: 4, flags: required | ofDisk, put: (at) => { fields.setU32(at, sectorBytes) } },
    { guid: itemGuid.physicalSector, length: 4, flags: required | ofDisk, put: (at) => { fields.setU32(at, 4096) } },
  ]
  fields.setU16(10, items.length)
  items.forEach(({ guid, length, flags, put }, index) => {
    const [at, place] = [32 + index * 32, 65536 + index * 16]
    fields.bytes.set(guidBytes(guid), at)
    fields.setU32(at + 16, place)
    fields.setU32(at + 20, length)
    fields.setU32(at + 24, flags)
    put(place)
  })
  return fields.bytes
}
