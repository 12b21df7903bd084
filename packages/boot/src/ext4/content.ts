import { viewOf } from '../bytes.ts'
import { ext4Error, FILE_TYPE, type Inode, INODE_FLAG, type ReadBytes, type Superblock } from './layout.ts'

const EXTENT_MAGIC = 0xf30a
const EXTENT_ENTRY = 12
/** `EXT4_MAX_EXTENT_DEPTH`. */
const MAX_DEPTH = 5
/** Blocks of a tree that are looked at: enough for files of many pieces, and an end for trees that loop. */
const MAX_NODES = 4096
/** A longer extent is one of this less, allocated and never written: it reads as zeroes. */
const UNWRITTEN = 32768
const SHORT_LINK = 60

/** A run of a file's blocks. */
interface Extent {
  /** In the file. */
  readonly logical: number
  /** On the disk; null for what was never written. */
  readonly physical: number | null
  readonly count: number
}

/** The extents of a file, in order. */
async function extentsOf(read: ReadBytes, fs: Superblock, inode: Inode): Promise<readonly Extent[]> {
  const extents: Extent[] = []
  let nodes = 0
  const visit = async (node: Uint8Array, expected: number | null): Promise<void> => {
    if (++nodes > MAX_NODES) throw ext4Error('a file of too many pieces', inode.number)
    const view = viewOf(node)
    const entries = view.getUint16(2, true)
    const depth = view.getUint16(6, true)
    const wrong = view.getUint16(0, true) !== EXTENT_MAGIC || EXTENT_ENTRY * (entries + 1) > node.length
    if (wrong || depth > MAX_DEPTH || (expected !== null && depth !== expected)) throw ext4Error('a damaged extent tree', inode.number)
    for (let index = 1; index <= entries; index++) {
      const at = index * EXTENT_ENTRY
      if (depth > 0) {
        const child = view.getUint32(at + 4, true) + view.getUint16(at + 8, true) * 2 ** 32
        if (child >= fs.blocks) throw ext4Error('an extent outside the file system', inode.number)
        const below = await read(child * fs.blockSize, fs.blockSize)
        if (below.length < fs.blockSize) throw ext4Error('the disk ends inside a file', inode.number)
        await visit(below, depth - 1)
        continue
      }
      const length = view.getUint16(at + 4, true)
      const count = length > UNWRITTEN ? length - UNWRITTEN : length
      const start = view.getUint32(at + 8, true) + view.getUint16(at + 6, true) * 2 ** 32
      const logical = view.getUint32(at, true)
      const last = extents.at(-1)
      if (count === 0 || start + count > fs.blocks || (last !== undefined && logical < last.logical + last.count)) throw ext4Error('a damaged extent', inode.number)
      // What lies past the end is of no interest, and there may be any number of it.
      if (logical * fs.blockSize < inode.size) extents.push({ logical, physical: length > UNWRITTEN ? null : start, count })
    }
  }
  await visit(inode.block, null)
  return extents
}

/**
 * All bytes of a file, directory or symbolic link.
 *
 * @param limit - the most bytes that it may have
 */
export async function readContent(read: ReadBytes, fs: Superblock, inode: Inode, limit: number): Promise<Uint8Array> {
  const { size, flags } = inode
  if (size > limit) throw ext4Error(`a file of more than ${limit} bytes`, size)
  if ((inode.mode & FILE_TYPE.mask) === FILE_TYPE.symlink && size < SHORT_LINK && (flags & INODE_FLAG.extents) === 0) return inode.block.slice(0, size)
  if ((flags & INODE_FLAG.encrypted) !== 0) throw ext4Error('an encrypted file', inode.number)
  if ((flags & INODE_FLAG.extents) === 0) throw ext4Error('a file without extents', inode.number)
  const content = new Uint8Array(size)
  for (const { logical, physical, count } of await extentsOf(read, fs, inode)) {
    const from = logical * fs.blockSize
    if (physical === null || from >= size) continue
    const length = Math.min(count * fs.blockSize, size - from)
    const bytes = await read(physical * fs.blockSize, length)
    if (bytes.length < length) throw ext4Error('the disk ends inside a file', inode.number)
    content.set(bytes, from)
  }
  return content
}
