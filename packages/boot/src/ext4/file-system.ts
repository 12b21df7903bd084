import { viewOf } from '../bytes.ts'
import { decodeUtf8 } from '../text.ts'
import { readContent } from './content.ts'
import { ext4Error, FILE_TYPE, type Inode, type ReadBytes, readInode, readSuperblock } from './layout.ts'

const ROOT_INODE = 2
const ENTRY_HEADER = 8
const MAX_DIRECTORY = 16 * 2 ** 20
const MAX_LINK = 4096
/** As many as Linux follows (`MAXSYMLINKS`). */
const MAX_LINKS = 40
const MAX_COMPONENTS = 1024
const DEFAULT_LIMIT = 256 * 2 ** 20

/** An ext4 file system that is read and never written. Paths are absolute; symbolic links are followed, within it. */
export interface Ext4 {
  /** As `root=UUID=` wants it. */
  readonly uuid: string
  /** `''` when it has none. */
  readonly label: string
  /** Names in a directory, without `.` and `..`, in no order; null when there is no such directory. */
  list(path: string): Promise<readonly string[] | null>
  /** The path of what `path` leads to, without symbolic links; null when there is nothing. */
  resolve(path: string): Promise<string | null>
  /**
   * All bytes of a regular file; null when there is none.
   *
   * @param limit - refuse files of more bytes; 256 MiB unless given
   */
  read(path: string, limit?: number): Promise<Uint8Array | null>
}

interface Found {
  readonly inode: Inode
  readonly path: readonly string[]
}

/**
 * Opens an ext4 file system; null when `read` gives something else. The journal is not replayed: what was written shortly before a
 * machine was killed may be missing.
 *
 * @param read - byte 0 is the first of the file system
 * @throws a typed error `'ext4'`, here and in all calls, for file systems that are damaged, or have features that are not understood
 */
export async function openExt4(read: ReadBytes): Promise<Ext4 | null> {
  const superblock = await readSuperblock(read)
  if (superblock === null) return null
  const fs = superblock
  const kind = (inode: Inode): number => inode.mode & FILE_TYPE.mask

  async function entries(directory: Inode): Promise<ReadonlyMap<string, number>> {
    const bytes = await readContent(read, fs, directory, MAX_DIRECTORY)
    const view = viewOf(bytes)
    const found = new Map<string, number>()
    for (let at = 0; at + ENTRY_HEADER <= bytes.length;) {
      const number = view.getUint32(at, true)
      // In blocks of 64 KiB, one that fills its block says 65535.
      const stored = view.getUint16(at + 4, true)
      const length = stored === 0xffff ? fs.blockSize - (at % fs.blockSize) : stored
      const name = view.getUint8(at + 6)
      if (length < ENTRY_HEADER || at + length > bytes.length || ENTRY_HEADER + name > length) throw ext4Error('a damaged directory', directory.number)
      if (number !== 0 && name > 0) found.set(decodeUtf8(bytes.subarray(at + ENTRY_HEADER, at + ENTRY_HEADER + name)), number)
      at += length
    }
    return found
  }

  async function find(path: string): Promise<Found | null> {
    const root = await readInode(read, fs, ROOT_INODE)
    let here: Found[] = [{ inode: root, path: [] }]
    const todo = path.split('/').reverse()
    let links = 0
    for (let steps = 0; todo.length > 0; steps++) {
      if (steps > MAX_COMPONENTS) return null
      const name = todo.pop() ?? ''
      if (name === '' || name === '.') continue
      const parent = here.at(-1)
      if (parent === undefined || kind(parent.inode) !== FILE_TYPE.directory) return null
      if (name === '..') {
        if (here.length > 1) here.pop()
        continue
      }
      const number = (await entries(parent.inode)).get(name)
      if (number === undefined) return null
      const inode = await readInode(read, fs, number)
      if (kind(inode) !== FILE_TYPE.symlink) {
        here.push({ inode, path: [...parent.path, name] })
        continue
      }
      if (++links > MAX_LINKS) return null
      const target = decodeUtf8(await readContent(read, fs, inode, MAX_LINK))
      if (target.startsWith('/')) here = here.slice(0, 1)
      todo.push(...target.split('/').reverse())
    }
    return here.at(-1) ?? null
  }

  return {
    uuid: fs.uuid,
    label: fs.label,
    async list(path: string): Promise<readonly string[] | null> {
      const found = await find(path)
      if (found === null || kind(found.inode) !== FILE_TYPE.directory) return null
      return [...(await entries(found.inode)).keys()].filter((name) => name !== '.' && name !== '..')
    },
    async resolve(path: string): Promise<string | null> {
      const found = await find(path)
      return found === null ? null : `/${found.path.join('/')}`
    },
    async read(path: string, limit: number = DEFAULT_LIMIT): Promise<Uint8Array | null> {
      const found = await find(path)
      if (found === null || kind(found.inode) !== FILE_TYPE.file) return null
      return readContent(read, fs, found.inode, limit)
    },
  }
}
