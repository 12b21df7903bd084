/**
 * VirtualBox disk images. Layout, all numbers little-endian:
 *
 * ```
 * 0     64    text for people
 * 64    u32   signature 0xbeda107f
 * 68    u32   version, 1.1 as 0x00010001
 * 72    u32   bytes of what follows, 400 in version 1.1
 * 76    u32   type: 1 dynamic, 2 fixed, 3 undo, 4 differencing
 * 80    u32   flags
 * 84    256   description
 * 340   u32   offset of the block map
 * 344   u32   offset of the blocks
 * 348   4 u32 geometry, of old: cylinders, heads, sectors, bytes of a sector
 * 368   u64   size of the disk in bytes
 * 376   u32   bytes of a block, 1 MiB
 * 380   u32   extra bytes before each block, 0
 * 384   u32   blocks of the disk
 * 388   u32   blocks that have space
 * 392   4×16  UUIDs: of the image, of its last change, of its parent, of the parent's last change
 * 456   4 u32 geometry as a BIOS sees it
 * ```
 *
 * The map has a u32 for each block: its number among the blocks of the file, 0xffffffff for none, 0xfffffffe for zeroes.
 */
import { imageDamaged, imageUnsupported } from '../format.ts'
import { allZero, bytesOf, Fields, roundUp } from '../mapped/fields.ts'
import type { VdiParent } from './parent.ts'

export const vdiHeaderSize = 512
export const vdiSignature = 0xbeda107f
export const vdiType: { readonly dynamic: 1, readonly fixed: 2, readonly undo: 3, readonly differencing: 4 } = { dynamic: 1, fixed: 2, undo: 3, differencing: 4 }
/** Entries of the map from here on are no blocks. */
export const vdiZero = 0xfffffffe
/** Where the number of blocks that have space stands. */
export const vdiAllocatedAt = 388
export const vdiSizeAt = 368
export const vdiBlocksAt = 384
export const vdiModifiedAt = 408
export const vdiUuidAt = 392
export const vdiParentAt = 424
export const vdiParentModifiedAt = 440

const defaultBlock = 1 << 20

/** What we go by. */
export interface VdiHeader {
  readonly type: number
  readonly map: number
  readonly data: number
  readonly blockSize: number
  readonly size: number
  readonly blocks: number
  readonly allocated: number
  readonly uuid: Uint8Array
  /** Of a differencing image. */
  readonly parent: VdiParent | null
}

/** Checks a header against the length of the file. */
export function parseVdi(fields: Fields, fileSize: number, name: string): VdiHeader {
  const bad = (problem: string, value?: number): never => { throw imageDamaged(name, 'vdi', problem, value) }
  if (fields.u32(64) !== vdiSignature) bad('it lacks the signature')
  if (fields.u32(68) !== 0x00010001) throw imageUnsupported(name, 'vdi', `version ${String(fields.u32(68) >>> 16)}.${String(fields.u32(68) & 0xffff)}`)
  const type = fields.u32(76)
  const differencing = type === vdiType.differencing
  if (type !== vdiType.dynamic && type !== vdiType.fixed && !differencing) throw imageUnsupported(name, 'vdi', type === vdiType.undo ? 'an undo image' : `type ${String(type)}`)
  if (fields.u32(380) !== 0) throw imageUnsupported(name, 'vdi', 'extra bytes before each block')
  const [map, data, blockSize, blocks, size] = [fields.u32(340), fields.u32(344), fields.u32(376), fields.u32(384), fields.u64(vdiSizeAt)]
  if (blockSize < 4096 || blockSize > 1 << 28 || (blockSize & (blockSize - 1)) !== 0) bad('its blocks have an impossible size', blockSize)
  if (!Number.isSafeInteger(size) || size <= 0) bad('it names an impossible size of the disk', size)
  if (map < vdiHeaderSize || map % 512 !== 0) bad('its block map has an impossible place', map)
  if (blocks * blockSize < size || blocks >= vdiZero) bad('it has too few blocks for its size', blocks)
  if (data % 512 !== 0 || data < map + roundUp(blocks * 4, 512)) bad('its block map overlaps its blocks', data)
  if (map + blocks * 4 > fileSize) bad('its block map is cut off', fileSize)
  const uuidAt = (at: number): Uint8Array => fields.bytes.slice(at, at + 16)
  if (differencing === allZero(uuidAt(vdiParentAt)) || (!differencing && !allZero(uuidAt(vdiParentModifiedAt)))) bad('its type and the UUID of its parent contradict one another', type)
  return {
    type, map, data, blockSize, size: size - size % 512, blocks, allocated: fields.u32(vdiAllocatedAt), uuid: uuidAt(vdiUuidAt),
    parent: differencing ? { uuid: uuidAt(vdiParentAt), modified: uuidAt(vdiParentModifiedAt) } : null,
  }
}

/** A header for a new image, with room in the map to grow to twice its size, and at least to 256 GiB. */
export function encodeVdi(size: number, fixed: boolean, uuid: Uint8Array, modified: Uint8Array): Fields {
  const fields = new Fields(new Uint8Array(vdiHeaderSize), true)
  const blocks = Math.ceil(size / defaultBlock)
  fields.bytes.set(bytesOf('<<< Machinist VirtualBox-compatible disk image >>>\n'))
  fields.setU32(64, vdiSignature)
  fields.setU32(68, 0x00010001)
  fields.setU32(72, 400)
  fields.setU32(76, fixed ? vdiType.fixed : vdiType.dynamic)
  fields.setU32(340, vdiHeaderSize)
  fields.setU32(344, roundUp(vdiHeaderSize + Math.max(blocks * 8, 1 << 20), 4096))
  fields.setU32(360, 512)
  fields.setU64(vdiSizeAt, size)
  fields.setU32(376, defaultBlock)
  fields.setU32(vdiBlocksAt, blocks)
  fields.setU32(vdiAllocatedAt, fixed ? blocks : 0)
  fields.bytes.set(uuid, 392)
  fields.bytes.set(modified, vdiModifiedAt)
  fields.setU32(468, 512)
  return fields
}
