import { posixError } from '@machinist/api'
import type { FileKind, FileNode, FileTree, FolderEntry, FolderList, FoundNode, OpenFile, OpenMode, OpenNode } from '@machinist/api'

/** Names from the root on. */
export type Path = readonly Uint8Array[]

/** Which file was at a place. */
export interface Identity {
  /** `'unknown'` and null when nobody has looked. */
  readonly kind: FileKind | 'unknown'
  readonly id: bigint | null
}

/** A place of a saved state: it is looked up by its path when somebody asks. */
export interface SavedPlace extends Identity {
  /** How long the client believed the file to be. */
  readonly believed: number
}

/** Gives what stands for an object of the tree in another machine that goes on from here. */
export type StandsFor = <T extends object>(object: T) => T

/** A place in the tree that fids share. */
export class Place {
  path: Path
  /** The file's id; null when it has yet to be looked up. */
  id: bigint | null
  /** How long the client believed the file to be, of a saved state. */
  readonly believed: number
  /** What must be there. */
  readonly #identity: Identity
  #found: Promise<FoundNode> | null
  /** As soon as it is found. */
  #there: FoundNode | null
  #users = 0

  constructor(path: Path, from: FoundNode | SavedPlace) {
    const found = 'node' in from ? from : null
    this.path = path
    this.believed = 'believed' in from ? from.believed : 0
    this.id = found?.attributes.id ?? null
    this.#identity = 'node' in from ? from.attributes : from
    this.#found = found && Promise.resolve(found)
    this.#there = found
  }

  /** The same place for fids that are copies, with what stands for its node. Nobody looks for it just now. */
  copy(standsFor: StandsFor): Place {
    const copy = new Place(this.path, { ...this.#identity, believed: this.believed })
    copy.id = this.id
    copy.#there = this.#there && { ...this.#there, node: standsFor(this.#there.node) }
    // One that was not found is not looked for again.
    copy.#found = copy.#there === null ? this.#found : Promise.resolve(copy.#there)
    return copy
  }

  /** Which file it was when it was looked up, perhaps before it was saved. */
  get identity(): Identity {
    const { kind, id } = this.#identity
    return { kind, id: id ?? this.id }
  }

  hold(): this {
    this.#users += 1
    return this
  }

  drop(): void {
    this.#users -= 1
    // At once, and not when a promise has its turn: what a device does follows from what its guest does.
    if (this.#users === 0) this.#there?.node.release()
  }

  /**
   * The node. When it comes from a saved state and is not there any more, or something else is, `'ENOENT'`: of that code Linux's client takes it that the
   * file went, and looks the name up anew.
   */
  async node(tree: FileTree): Promise<FileNode> {
    return (await this.#look(tree)).node
  }

  async kind(tree: FileTree): Promise<FileKind> {
    return (await this.#look(tree)).attributes.kind
  }

  #look(tree: FileTree): Promise<FoundNode> {
    this.#found ??= this.#find(tree)
    return this.#found
  }

  async #find(tree: FileTree): Promise<FoundNode> {
    const found = await this.#again(tree).catch(() => { throw posixError('ENOENT') })
    this.id = found.attributes.id
    this.#there = found
    // Whoever wanted it has gone meanwhile.
    if (this.#users === 0) found.node.release()
    return found
  }

  /** What is at the path, if it is what was there. The root may be another one: the folder was given anew. */
  async #again(tree: FileTree): Promise<FoundNode> {
    const { kind, id } = this.#identity
    const found = await walk(tree, this.path)
    const { attributes, node } = found
    if ((kind === 'unknown' || kind === attributes.kind) && (id === null || id === attributes.id || this.path.length === 0)) return found
    node.release()
    throw posixError('ENOENT')
  }
}

/** How a fid is open. */
export type Opened =
  | { readonly kind: 'file', readonly file: OpenFile, readonly id: bigint, readonly mode: OpenMode }
  | { readonly kind: 'folder', readonly listing: Listing }

/** Where a client is in a folder that it lists. */
export interface Listing {
  readonly list: FolderList
  /** Entries that were read and did not fit. */
  ahead: FolderEntry[]
  /** Number of the next entry, 0 for the first. */
  position: number
}

/** For what a saved fid was open: bits of its number. */
const saved = { read: 1, write: 2, append: 4, folder: 8 } as const
/** Largest such number. */
export const mostSaved: number = saved.folder

/**
 * What a client's fid stands for. Requests in flight count as users: what a clunk finds in use is released by the last
 * of them.
 */
export class Fid {
  place: Place
  opened: Opened | null = null
  /** A request that opens it is in flight. */
  opening = false
  /** The end of the last listing: one at a time. */
  turn: Promise<unknown> = Promise.resolve()
  /** How to open it again, after a restore. */
  #dormant: number
  #reopening: Promise<void> | null = null
  #users = 0

  constructor(place: Place, dormant: number = 0) {
    this.place = place.hold()
    this.#dormant = dormant
  }

  /** The same fid of another session, at a copy of its place. No request is about it just now. */
  copy(place: Place, standsFor: StandsFor): Fid {
    const copy = new Fid(place, this.#dormant)
    const { opened } = this
    if (opened?.kind === 'file') copy.opened = { ...opened, file: standsFor(opened.file) }
    else if (opened !== null) copy.opened = { kind: 'folder', listing: { ...opened.listing, list: standsFor(opened.listing.list), ahead: [...opened.listing.ahead] } }
    copy.#reopening = this.#reopening
    return copy
  }

  /** A request, or the table, begins to use it. */
  hold(): this {
    this.#users += 1
    return this
  }

  drop(): void {
    this.#users -= 1
    if (this.#users > 0) return
    this.handle?.close()
    this.opened = null
    this.place.drop()
  }

  /** What a client has opened: requests about the fid are about this, whatever is at its place now. */
  get handle(): OpenNode | null {
    const { opened } = this
    return opened === null ? null : opened.kind === 'file' ? opened.file : opened.listing.list
  }

  get isOpen(): boolean {
    return this.opened !== null || this.opening || this.#dormant !== 0
  }

  /** It stands for another place from now on, which is open. */
  become(place: Place, opened: Opened): void {
    this.place.drop()
    this.place = place.hold()
    this.opened = opened
  }

  /** The file that a client has opened; `'EBADF'`, and `'ESTALE'` when it was opened before a restore and is gone. */
  async file(tree: FileTree): Promise<Opened & { readonly kind: 'file' }> {
    await this.#reopen(tree)
    if (this.opened?.kind === 'folder') throw posixError('EISDIR')
    if (this.opened === null) throw posixError('EBADF')
    return this.opened
  }

  /** The folder that a client has opened; `'EBADF'`. */
  async folder(tree: FileTree): Promise<Opened & { readonly kind: 'folder' }> {
    await this.#reopen(tree)
    if (this.opened?.kind === 'file') throw posixError('ENOTDIR')
    if (this.opened === null) throw posixError('EBADF')
    return this.opened
  }

  /** The same, opened again if need be; `'EBADF'`. */
  async handleAgain(tree: FileTree): Promise<OpenNode> {
    await this.#reopen(tree)
    if (this.handle === null) throw posixError('EBADF')
    return this.handle
  }

  /** A number for {@link Fid}'s constructor. */
  save(): number {
    const { opened } = this
    if (opened === null) return this.#dormant
    if (opened.kind === 'folder') return saved.folder
    const { read, write, append } = opened.mode
    return (read ? saved.read : 0) | (write ? saved.write : 0) | (append === true ? saved.append : 0)
  }

  #reopen(tree: FileTree): Promise<void> | undefined {
    if (this.#dormant !== 0) this.#reopening ??= this.#openAgain(tree)
    return this.#reopening ?? undefined
  }

  async #openAgain(tree: FileTree): Promise<void> {
    const node = await this.place.node(tree).catch(() => { throw posixError('ESTALE') })
    const bit = (mask: number): boolean => (this.#dormant & mask) !== 0
    if (bit(saved.folder)) {
      this.opened = { kind: 'folder', listing: await beginListing(node) }
    } else {
      const mode = { read: bit(saved.read), write: bit(saved.write), append: bit(saved.append) }
      const { file, attributes: { id } } = await node.open(mode)
      this.opened = { kind: 'file', file, id, mode }
    }
    this.#dormant = 0
  }
}

/** What is at a path. The caller releases it. */
export async function walk(tree: FileTree, path: Path): Promise<FoundNode> {
  let found = await tree.root()
  for (const name of path) {
    const folder = found.node
    try {
      found = await folder.lookup(name)
    } finally {
      folder.release()
    }
  }
  return found
}

/** Begins to list a folder. */
export async function beginListing(node: FileNode): Promise<Listing> {
  return { list: await node.list(), ahead: [], position: 0 }
}

/**
 * Does something in the folder that holds a place's last name. `'EBUSY'` for the root, which is in none; `'ENOENT'` when
 * the name is another file's by now.
 */
export async function inParent<T>(tree: FileTree, place: Place, work: (folder: FileNode, name: Uint8Array) => Promise<T>): Promise<T> {
  const name = place.path.at(-1)
  if (name === undefined) throw posixError('EBUSY')
  const { id } = await (await place.node(tree)).attributes()
  const { node } = await walk(tree, place.path.slice(0, -1))
  try {
    const there = await node.lookup(name)
    there.node.release()
    if (there.attributes.id !== id) throw posixError('ENOENT')
    return await work(node, name)
  } finally {
    node.release()
  }
}
