import { machinistError, type MachinistError } from '@machinist/api'
import { viewOf } from '../bytes.ts'
import { decodeUtf8 } from '../text.ts'

/*
 * What of ext4's structures is needed to read files, after Linux' Documentation/filesystems/ext4. Everything is little-endian. An image is
 * as little to be trusted as the guest that wrote it: every number is checked before it is used as a place or as an amount of work.
 */

/** Reads bytes of a disk. Gives fewer than `length` only when the disk ends there. */
export type ReadBytes = (offset: number, length: number) => Promise<Uint8Array>

const SUPERBLOCK = { at: 1024, size: 1024, magic: 0xef53 } as const

/** Features without which a reader misunderstands the file system (`s_feature_incompat`), of those understood here. */
const UNDERSTOOD = {
  filetype: 0x2, recover: 0x4, extents: 0x40, bits64: 0x80, multipleMount: 0x100, flexibleGroups: 0x200, attributeInodes: 0x400,
  checksumSeed: 0x2000, largeDirectories: 0x4000, inlineData: 0x8000, encryption: 0x1_0000, caseFolding: 0x2_0000,
} as const
const UNDERSTOOD_MASK = Object.values(UNDERSTOOD).reduce((mask, bit) => mask | bit, 0)

/** `i_flags` that change how content is found. */
export const INODE_FLAG = { encrypted: 0x800, extents: 0x8_0000, inline: 0x1000_0000 } as const
/** File types in `i_mode`. */
export const FILE_TYPE = { mask: 0xf000, directory: 0x4000, file: 0x8000, symlink: 0xa000 } as const

const MIN_LOG_BLOCK = 0
const MAX_LOG_BLOCK = 6
const MIN_INODE = 128
const MIN_DESCRIPTOR = 32
const WIDE_DESCRIPTOR = 64

/** An error about the content of a file system. */
export function ext4Error(problem: string, value?: string | number): MachinistError {
  return machinistError({ code: 'ext4', part: 'ext4', value, remedy: 'Check the file system with e2fsck' }, problem)
}

/** What a superblock says, checked. */
export interface Superblock {
  readonly blockSize: number
  readonly blocks: number
  readonly inodes: number
  readonly inodesPerGroup: number
  readonly inodeSize: number
  readonly descriptorSize: number
  /** Byte at which the group descriptors begin. */
  readonly descriptors: number
  /** As text: `8-4-4-4-12` hexadecimal digits. */
  readonly uuid: string
  readonly label: string
}

function uuidText(bytes: Uint8Array): string {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join('-')
}

/**
 * Reads the superblock; null when there is no ext file system.
 *
 * @throws a typed error `'ext4'` when there is one that cannot be read
 */
export async function readSuperblock(read: ReadBytes): Promise<Superblock | null> {
  const bytes = await read(SUPERBLOCK.at, SUPERBLOCK.size)
  if (bytes.length < SUPERBLOCK.size) return null
  const view = viewOf(bytes)
  if (view.getUint16(56, true) !== SUPERBLOCK.magic) return null
  const check = (what: string, value: number, good: boolean): number => {
    if (!good) throw ext4Error(`impossible ${what} in the superblock`, value)
    return value
  }
  const incompatible = view.getUint32(96, true)
  const unknown = (incompatible & ~UNDERSTOOD_MASK) >>> 0
  if (unknown !== 0) throw ext4Error('the file system uses features that are not understood', `0x${unknown.toString(16)}`)
  const wide = (incompatible & UNDERSTOOD.bits64) !== 0
  const logBlock = view.getUint32(24, true)
  check('block size', logBlock, logBlock >= MIN_LOG_BLOCK && logBlock <= MAX_LOG_BLOCK)
  const blockSize = 1024 << logBlock
  const blocks = view.getUint32(4, true) + (wide ? view.getUint32(336, true) * 2 ** 32 : 0)
  check('size', blocks, Number.isSafeInteger(blocks * blockSize))
  const inodeSize = view.getUint32(76, true) === 0 ? MIN_INODE : view.getUint16(88, true)
  check('inode size', inodeSize, inodeSize >= MIN_INODE && inodeSize <= blockSize && (inodeSize & (inodeSize - 1)) === 0)
  const inodesPerGroup = view.getUint32(40, true)
  check('number of inodes', inodesPerGroup, inodesPerGroup > 0 && inodesPerGroup <= 8 * blockSize)
  const descriptorSize = wide ? view.getUint16(254, true) : MIN_DESCRIPTOR
  check('group descriptor', descriptorSize, descriptorSize >= (wide ? WIDE_DESCRIPTOR : MIN_DESCRIPTOR) && descriptorSize <= 1024)
  const firstBlock = view.getUint32(20, true)
  check('first block', firstBlock, firstBlock <= 1)
  return {
    blockSize, blocks, inodes: view.getUint32(0, true), inodesPerGroup, inodeSize, descriptorSize,
    descriptors: (firstBlock + 1) * blockSize,
    uuid: uuidText(bytes.subarray(104, 120)),
    label: decodeUtf8(bytes.subarray(120, 136)).replace(/\0.*$/s, ''),
  }
}

/** An inode as far as it is needed. */
export interface Inode {
  readonly number: number
  readonly mode: number
  /** Bytes. */
  readonly size: number
  readonly flags: number
  /** `i_block`: the root of the extent tree, or a short symbolic link. */
  readonly block: Uint8Array
}

/** Reads an inode by its number. */
export async function readInode(read: ReadBytes, fs: Superblock, number: number): Promise<Inode> {
  if (number < 1 || number > fs.inodes) throw ext4Error('no such inode', number)
  const group = Math.floor((number - 1) / fs.inodesPerGroup)
  const descriptor = await read(fs.descriptors + group * fs.descriptorSize, fs.descriptorSize)
  if (descriptor.length < fs.descriptorSize) throw ext4Error('the disk ends before its group descriptors', group)
  const view = viewOf(descriptor)
  const table = view.getUint32(8, true) + (fs.descriptorSize >= WIDE_DESCRIPTOR ? view.getUint32(0x28, true) * 2 ** 32 : 0)
  if (table >= fs.blocks) throw ext4Error('an inode table outside the file system', table)
  const bytes = await read(table * fs.blockSize + ((number - 1) % fs.inodesPerGroup) * fs.inodeSize, MIN_INODE)
  if (bytes.length < MIN_INODE) throw ext4Error('the disk ends before its inode tables', number)
  const inode = viewOf(bytes)
  return {
    number, mode: inode.getUint16(0, true), flags: inode.getUint32(0x20, true), block: bytes.slice(0x28, 0x64),
    size: inode.getUint32(4, true) + inode.getUint32(0x6c, true) * 2 ** 32,
  }
}
