import { posixError } from '@machinist/api'
import type { AttributeChanges, FileAttributes, FileNode, FolderList, FoundFile, FoundNode, OpenMode } from '@machinist/api'
import { MemoryFile, MemoryList } from './memory-open.ts'
import { type Inode, type MemoryStore, nameKey } from './memory-store.ts'

const longestName = 255

/** A file of a tree in memory. */
export class MemoryNode implements FileNode {
  readonly inode: Inode
  readonly #store: MemoryStore

  constructor(store: MemoryStore, inode: Inode) {
    this.#store = store
    this.inode = inode
    store.hold(inode)
  }

  async attributes(): Promise<FileAttributes> {
    return this.inode.attributes()
  }

  async change(changes: AttributeChanges): Promise<void> {
    this.#store.change(this.inode, changes)
  }

  async lookup(name: Uint8Array): Promise<FoundNode> {
    return this.#found(this.#entry(nameKey(name)))
  }

  async create(name: Uint8Array, mode: number, how: OpenMode & { readonly exclusive: boolean }): Promise<FoundNode & FoundFile> {
    this.#writable()
    const old = this.#folder.get(nameKey(name))
    if (old !== undefined) {
      if (how.exclusive) throw posixError('EEXIST')
      const node = new MemoryNode(this.#store, old)
      try {
        return { node, ...await node.open(how) }
      } catch (error) {
        node.release()
        throw error
      }
    }
    this.#vacant(name)
    const inode = this.#add(name, this.#store.make('file', mode))
    return { ...this.#found(inode), file: new MemoryFile(this.#store, inode, how.append === true) }
  }

  async makeFolder(name: Uint8Array, mode: number): Promise<FoundNode> {
    this.#vacant(name)
    return this.#found(this.#add(name, this.#store.make('folder', mode)))
  }

  async makeLink(name: Uint8Array, target: Uint8Array): Promise<FoundNode> {
    this.#vacant(name)
    return this.#found(this.#add(name, this.#store.make('link', 0o777, target.slice())))
  }

  async link(name: Uint8Array, node: FileNode): Promise<void> {
    this.#vacant(name)
    const { inode } = own(node)
    if (inode.kind === 'folder') throw posixError('EPERM')
    if (inode.links === 0) throw posixError('ENOENT')
    this.#store.name(inode)
    this.#add(name, inode)
  }

  async unlink(name: Uint8Array, folder: boolean): Promise<void> {
    this.#writable()
    const key = nameKey(name)
    const inode = this.#entry(key)
    if (folder && inode.kind !== 'folder') throw posixError('ENOTDIR')
    if (!folder && inode.kind === 'folder') throw posixError('EISDIR')
    if (inode.entries.size > 0) throw posixError('ENOTEMPTY')
    this.#folder.delete(key)
    this.#store.unname(inode)
    this.#touch()
  }

  async rename(name: Uint8Array, into: FileNode, newName: Uint8Array): Promise<void> {
    this.#writable()
    checkName(newName)
    const target = own(into)
    const key = nameKey(name)
    const newKey = nameKey(newName)
    const moved = this.#entry(key)
    const old = target.#folder.get(newKey)
    if (old === moved) return
    if (moved.kind === 'folder' && holds(moved, target.inode)) throw posixError('EINVAL')
    if (target.inode.links === 0) throw posixError('ENOENT')
    if (old !== undefined) {
      if (moved.kind === 'folder' && old.kind !== 'folder') throw posixError('ENOTDIR')
      if (moved.kind !== 'folder' && old.kind === 'folder') throw posixError('EISDIR')
      if (old.entries.size > 0) throw posixError('ENOTEMPTY')
      this.#store.unname(old)
    }
    this.#folder.delete(key)
    target.#folder.set(newKey, moved)
    if (moved.kind === 'folder') moved.parent = target.inode
    moved.changed = this.#store.now()
    this.#touch()
    target.#touch()
  }

  async readLink(): Promise<Uint8Array> {
    if (this.inode.kind !== 'link') throw posixError('EINVAL')
    return this.inode.bytes.slice(0, this.inode.size)
  }

  async open(how: OpenMode): Promise<FoundFile> {
    if (this.inode.kind === 'folder') throw posixError('EISDIR')
    if (this.inode.kind === 'link') throw posixError('ELOOP')
    if (how.write) this.#writable()
    if (how.truncate === true) await this.change({ size: 0 })
    return { file: new MemoryFile(this.#store, this.inode, how.append === true), attributes: this.inode.attributes() }
  }

  async list(): Promise<FolderList> {
    void this.#folder
    return new MemoryList(this.#store, this.inode)
  }

  release(): void {
    this.#store.drop(this.inode)
  }

  get #folder(): Map<string, Inode> {
    if (this.inode.kind !== 'folder') throw posixError('ENOTDIR')
    return this.inode.entries
  }

  #found(inode: Inode): FoundNode {
    return { node: new MemoryNode(this.#store, inode), attributes: inode.attributes() }
  }

  #entry(key: string): Inode {
    const inode = this.#folder.get(key)
    if (inode === undefined) throw posixError('ENOENT')
    return inode
  }

  #vacant(name: Uint8Array): void {
    this.#writable()
    checkName(name)
    if (this.#folder.has(nameKey(name))) throw posixError('EEXIST')
    if (this.inode.links === 0) throw posixError('ENOENT')
  }

  #add(name: Uint8Array, inode: Inode): Inode {
    if (inode.kind === 'folder') inode.parent = this.inode
    this.#folder.set(nameKey(name), inode)
    this.#touch()
    return inode
  }

  #touch(): void {
    this.inode.modified = this.inode.changed = this.#store.now()
  }

  #writable(): void {
    if (this.#store.readOnly) throw posixError('EROFS')
  }
}

function own(node: FileNode): MemoryNode {
  if (!(node instanceof MemoryNode)) throw posixError('EXDEV')
  return node
}

function checkName(name: Uint8Array): void {
  if (name.length > longestName) throw posixError('ENAMETOOLONG')
}

/** Whether `folder` is `inner` or somewhere above it. */
function holds(folder: Inode, inner: Inode): boolean {
  let inode: Inode | null = inner
  while (inode !== null && inode !== folder) inode = inode.parent
  return inode !== null
}
