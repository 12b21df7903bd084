import { posixError } from '@machinist/api'
import type { AttributeChanges, FileAttributes, FileKind, FolderEntry, TreeStatistics } from '@machinist/api'

/** What each name of a file counts. */
const leastCost = 512
const blockSize = 4096

/** One file: what all of its names and all who opened it share. */
export class Inode {
  readonly kind: FileKind
  readonly id: bigint
  mode: number
  user = 0
  group = 0
  links = 1
  /** Nodes and open files that refer to it. */
  holders = 0
  /** Of a folder: the one that it is in. */
  parent: Inode | null = null
  /** Content, or the target of a link; longer than `size`, so that it can grow. Zeroes behind that. */
  bytes: Uint8Array
  size: number
  accessed: bigint
  modified: bigint
  changed: bigint
  /** Of a folder: by name, one character for each byte. */
  readonly entries: Map<string, Inode> = new Map<string, Inode>()

  constructor(kind: FileKind, id: bigint, mode: number, now: bigint, bytes: Uint8Array) {
    this.kind = kind
    this.id = id
    this.mode = mode
    this.bytes = bytes
    this.size = bytes.length
    this.accessed = this.modified = this.changed = now
  }

  attributes(): FileAttributes {
    const { kind, id, mode, user, group, links, size, accessed, modified, changed } = this
    return { kind, id, mode, user, group, links: kind === 'folder' ? 2 : links, size, blocks: Math.ceil(size / 512), accessed, modified, changed }
  }
}

/** What the nodes of one tree share. */
export class MemoryStore {
  readonly readOnly: boolean
  root: Inode
  readonly #limit: number
  readonly #now: () => bigint
  #used = 0
  #count = 0

  constructor(options: { readonly readOnly?: boolean, readonly limit?: number, readonly now?: () => bigint }) {
    this.readOnly = options.readOnly ?? false
    this.#limit = options.limit ?? 64 << 20
    this.#now = options.now ?? (() => 0n)
    this.root = this.make('folder', 0o755)
  }

  /** Files that were ever made. */
  get count(): number {
    return this.#count
  }

  /**
   * Begins with other content in the place of all that there is; false, and nothing happens, when it is too much.
   *
   * @param files - all that are below `root`, and that
   */
  begin(root: Inode, files: readonly Inode[], count: number): boolean {
    const used = files.reduce((sum, { links, size }) => sum + leastCost * links + size, 0)
    if (used > this.#limit) return false
    this.root = root
    this.#used = used
    this.#count = count
    return true
  }

  now(): bigint {
    return this.#now()
  }

  /** A file; its name is counted already. `bytes` become its own. */
  make(kind: FileKind, mode: number, bytes: Uint8Array = new Uint8Array(0)): Inode {
    this.#charge(leastCost + bytes.length)
    this.#count += 1
    return new Inode(kind, BigInt(this.#count), mode & 0o7777, this.now(), bytes)
  }

  /** Takes a name away. */
  unname(inode: Inode): void {
    inode.links -= 1
    inode.changed = this.now()
    this.#used -= leastCost
    this.#sweep(inode)
  }

  /** Gives a file another name. */
  name(inode: Inode): void {
    this.#charge(leastCost)
    inode.links += 1
    inode.changed = this.now()
  }

  hold(inode: Inode): void {
    inode.holders += 1
  }

  drop(inode: Inode): void {
    inode.holders -= 1
    this.#sweep(inode)
  }

  /** Sets the size of a file, and counts it. */
  resize(inode: Inode, size: number): void {
    if (!Number.isSafeInteger(size) || size > this.#limit) throw posixError('EFBIG')
    this.#charge(size - inode.size)
    if (size > inode.bytes.length) {
      const larger = new Uint8Array(Math.min(Math.max(size, 2 * inode.bytes.length), this.#limit))
      larger.set(inode.bytes.subarray(0, inode.size))
      inode.bytes = larger
    } else {
      inode.bytes.fill(0, size, Math.max(size, inode.size))
    }
    inode.size = size
  }

  /** Changes attributes of a file, whether it has a name or not. */
  change(inode: Inode, changes: AttributeChanges): void {
    if (this.readOnly) throw posixError('EROFS')
    const now = this.now()
    if (changes.mode !== undefined && inode.kind === 'link') throw posixError('EOPNOTSUPP')
    if (changes.size !== undefined) {
      if (inode.kind !== 'file') throw posixError(inode.kind === 'folder' ? 'EISDIR' : 'EINVAL')
      this.resize(inode, changes.size)
      inode.modified = now
    }
    inode.mode = changes.mode === undefined ? inode.mode : changes.mode & 0o7777
    inode.user = changes.user ?? inode.user
    inode.group = changes.group ?? inode.group
    inode.accessed = changes.accessed === 'now' ? now : changes.accessed ?? inode.accessed
    inode.modified = changes.modified === 'now' ? now : changes.modified ?? inode.modified
    inode.changed = now
  }

  /** Content without name and user gives its room back. */
  #sweep(inode: Inode): void {
    if (inode.links === 0 && inode.holders === 0) this.#used -= inode.size
  }

  #charge(bytes: number): void {
    if (this.#used + bytes > this.#limit) throw posixError('ENOSPC')
    this.#used += bytes
  }

  statistics(): TreeStatistics {
    const free = Math.floor((this.#limit - this.#used) / blockSize)
    return { blockSize, blocks: Math.floor(this.#limit / blockSize), free, available: free, files: this.#count, filesFree: Math.floor((this.#limit - this.#used) / leastCost), nameLength: 255 }
  }
}

/** A name as a key: one character for each byte. */
export function nameKey(name: Uint8Array): string {
  let key = ''
  for (const byte of name) key += String.fromCharCode(byte)
  return key
}

/** The name that {@link nameKey} made a key of. */
export function keyName(key: string): Uint8Array {
  return Uint8Array.from(key, (character) => character.charCodeAt(0))
}

/** Entries of a folder from now. */
export function entriesOf(folder: Inode): FolderEntry[] {
  return [...folder.entries].map(([key, inode]) => ({ name: keyName(key), attributes: inode.attributes() }))
}
