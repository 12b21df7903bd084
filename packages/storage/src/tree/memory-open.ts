import type { AttributeChanges, FileAttributes, FolderEntry, FolderList, OpenFile, OpenNode } from '@machinist/api'
import { entriesOf, type Inode, type MemoryStore } from './memory-store.ts'

/** A file or folder of a tree in memory, open. */
class MemoryOpen implements OpenNode {
  protected readonly store: MemoryStore
  protected readonly inode: Inode

  constructor(store: MemoryStore, inode: Inode) {
    this.store = store
    this.inode = inode
    store.hold(inode)
  }

  async attributes(): Promise<FileAttributes> {
    return this.inode.attributes()
  }

  async change(changes: AttributeChanges): Promise<void> {
    this.store.change(this.inode, changes)
  }

  async flush(): Promise<void> {}

  close(): void {
    this.store.drop(this.inode)
  }
}

/** A file of a tree in memory, open. */
export class MemoryFile extends MemoryOpen implements OpenFile {
  readonly #append: boolean

  constructor(store: MemoryStore, inode: Inode, append: boolean) {
    super(store, inode)
    this.#append = append
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    const { bytes, size } = this.inode
    const piece = bytes.subarray(Math.min(offset, size), Math.min(offset + into.length, size))
    into.set(piece)
    return piece.length
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    const { inode, store } = this
    const at = this.#append ? inode.size : offset
    if (at + from.length > inode.size) store.resize(inode, at + from.length)
    inode.bytes.set(from, at)
    inode.modified = inode.changed = store.now()
  }
}

/** A folder of a tree in memory, open. */
export class MemoryList extends MemoryOpen implements FolderList {
  #left: FolderEntry[]

  constructor(store: MemoryStore, inode: Inode) {
    super(store, inode)
    this.#left = entriesOf(inode)
  }

  async next(count: number): Promise<readonly FolderEntry[]> {
    return this.#left.splice(0, count)
  }

  async rewind(): Promise<void> {
    this.#left = entriesOf(this.inode)
  }
}
