/**
 * Sparse extents of VMware ESX: to read. All numbers are little-endian, places in sectors.
 *
 * VMFS sparse ("COWD"), which ESX made up to version 6:
 *
 * ```
 * 0   4    "COWD"                    16  u32  sectors of a grain
 * 4   u32  version, 1                20  u32  grain directory
 * 12  u32  sectors of the disk       24  u32  entries of it
 * ```
 *
 * A grain directory names grain tables, of 4096 entries, and these name grains; 0 for none.
 *
 * Space-efficient sparse ("seSparse"), which it makes since:
 *
 * ```
 * 0   u64  0xcafebabe                128 u64 ×2  grain directory: place and length
 * 8   u64  version, 2.1              144 u64 ×2  grain tables
 * 16  u64  sectors of the disk       192 u64 ×2  grains
 * 24  u64  sectors of a grain, 8     80  u64     another header, which says at byte 24 whether a journal must be replayed
 * 32  u64  sectors of a grain table, 64
 * ```
 *
 * An entry of the directory is 0, or 1 in its highest four bits and the number of a grain table. An entry of a table is 0 for none; with 1 or 2 in
 * its highest four bits it reads as zeroes; with 3 its bits 0 to 47 are the number of a grain from bit 12 on, and bits 48 to 59 its lowest twelve.
 */
import { imageDamaged, imageUnsupported } from '../format.ts'
import type { RandomAccessFile } from '../file.ts'
import type { Below } from '../mapped/engine.ts'
import { Fields } from '../mapped/fields.ts'
import { padded, readOnlyBlocks } from '../mapped/pieces.ts'
import type { Piece } from '../mapped/pieces.ts'
import { StagedFile } from '../mapped/staged.ts'
import { sector } from './header.ts'
import type { Extent } from './sparse.ts'

const cowdEntries = 4096
const seMagic = 0xcafebabe
const seVolatileMagic = 0xcafecafe
const seHeaderSize = 208
const seGrain = 8
const seTable = 64
const seTableEntries: number = seTable * sector / 8

export function isVmfsSparse(header: Uint8Array): boolean {
  return header.length >= sector && new Fields(header, true).text(0, 4) === 'COWD'
}

export function isSeSparse(header: Uint8Array): boolean {
  if (header.length < sector) return false
  const fields = new Fields(header, true)
  return fields.u32(0) === seMagic && fields.u32(4) === 0
}

function readOnlyExtent(file: RandomAccessFile, size: number, grain: number, backing: Below | null, find: (offset: number) => Promise<Piece>): Extent {
  return { size, unit: grain, readOnly: true, blocks: readOnlyBlocks(file, backing, find), flush: () => Promise.resolve(), close: () => file.close() }
}

/** Opens a VMFS sparse extent. */
export async function openVmfsSparse(given: RandomAccessFile, backing: Below | null, name: string): Promise<Extent> {
  const file = padded(given)
  const bad = (problem: string, value?: number): never => { throw imageDamaged(name, 'vmdk', problem, value) }
  if (file.size < sector) bad('an extent is too short', file.size)
  const staged = new StagedFile(file, sector, true)
  const header = await staged.fields(0, sector)
  if (!isVmfsSparse(header.bytes)) bad('an extent lacks the signature')
  if (header.u32(4) !== 1) throw imageUnsupported(name, 'vmdk', `version ${String(header.u32(4))} of VMFS sparse extents`)
  const [sectors, grainSectors, directory, entries] = [header.u32(12), header.u32(16), header.u32(20) * sector, header.u32(24)]
  const grain = grainSectors * sector
  const span = grain * cowdEntries
  if (sectors === 0) bad('it names an impossible size of the disk', sectors)
  if (grainSectors === 0 || grainSectors > 16384) bad('its grains have an impossible size', grainSectors)
  if (directory < sector || directory + entries * 4 > file.size || entries * span < sectors * sector) bad('its grain directory has an impossible place', directory)
  const elsewhere = backing === null ? 'zero' : 'backing'
  return readOnlyExtent(file, sectors * sector, grain, backing, async (offset) => {
    const first = offset - offset % span
    const named = await staged.field(directory + first / span * 4)
    const table = named.fields.u32(named.at) * sector
    if (table === 0) return { offset: first, length: span, place: elsewhere }
    const start = offset - offset % grain
    const { fields, at } = await staged.field(table + (start - first) / grain * 4)
    const place = fields.u32(at) * sector
    return { offset: start, length: grain, place: place === 0 ? elsewhere : place }
  })
}

/** Opens a space-efficient sparse extent. */
export async function openSeSparse(given: RandomAccessFile, backing: Below | null, name: string): Promise<Extent> {
  const file = padded(given)
  const bad = (problem: string, value?: number): never => { throw imageDamaged(name, 'vmdk', problem, value) }
  if (file.size < sector) bad('an extent is too short', file.size)
  const staged = new StagedFile(file, sector, true)
  const header = await staged.fields(0, Math.max(sector, seHeaderSize))
  if (!isSeSparse(header.bytes)) bad('an extent lacks the signature')
  if (header.u32(8) !== 1 || header.u32(12) !== 2) throw imageUnsupported(name, 'vmdk', `version ${String(header.u32(12))}.${String(header.u32(8))} of seSparse extents`)
  if (header.u64(24) !== seGrain || header.u64(32) !== seTable) throw imageUnsupported(name, 'vmdk', `seSparse grains of ${String(header.u64(24))} sectors, in tables of ${String(header.u64(32))}`)
  if (header.u64(40) !== 0) throw imageUnsupported(name, 'vmdk', 'flags of seSparse extents')
  const size = header.u64(16) * sector
  const [directory, tables, grains] = [header.u64(128) * sector, header.u64(144) * sector, header.u64(192) * sector]
  const grain = seGrain * sector
  const span = grain * seTableEntries
  if (!Number.isSafeInteger(size) || size === 0) bad('it names an impossible size of the disk', size)
  if (!(directory + Math.ceil(size / span) * 8 <= file.size)) bad('its grain directory has an impossible place', directory)
  if (!(tables <= file.size && grains <= file.size)) bad('its grains have an impossible place', grains)
  const other = header.u64(80) * sector
  if (!(other + sector <= file.size)) bad('its second header has an impossible place', other)
  const state = await staged.fields(other, sector)
  if (state.u32(0) !== seVolatileMagic || state.u32(4) !== 0) bad('its second header lacks the signature')
  if (state.u64(24) !== 0) throw imageUnsupported(name, 'vmdk', 'a journal of seSparse extents that is not empty', 'Open it once with VMware')
  const elsewhere = backing === null ? 'zero' : 'backing'
  return readOnlyExtent(file, size, grain, backing, async (offset) => {
    const first = offset - offset % span
    const named = await staged.field(directory + first / span * 8)
    const [number, mark] = [named.fields.u32(named.at), named.fields.u32(named.at + 4)]
    if (number === 0 && mark === 0) return { offset: first, length: span, place: elsewhere }
    if (mark !== 0x10000000) throw new Error('an entry of the grain directory is damaged')
    const start = offset - offset % grain
    const { fields, at } = await staged.field(tables + number * seTable * sector + (start - first) / grain * 8)
    const [low, high] = [fields.u32(at), fields.u32(at + 4)]
    const piece = (place: Piece['place']): Piece => ({ offset: start, length: grain, place })
    switch (high >>> 28) {
      case 0:
        if (low !== 0 || high !== 0) throw new Error('an entry of a grain table is damaged')
        return piece(elsewhere)
      case 1: // unmapped by the guest
      case 2:
        return piece('zero')
      case 3:
        return piece(grains + (((high & 0xffff) * 2 ** 32 + low) * 2 ** 12 + (high >>> 16 & 0xfff)) * grain)
      default:
        throw new Error('an entry of a grain table is damaged')
    }
  })
}
