import { close, constants, fchmod, ftruncate, open } from 'node:fs'
import { link, lstat, mkdir, readlink, rename, rmdir, symlink, unlink } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { BigIntStats } from 'node:fs'
import { isPosixError, posixError } from '@machinist/api'
import type { AttributeChanges, FileAttributes, FileNode, FolderList, FoundFile, FoundNode, OpenMode } from '@machinist/api'
import { entryPath, O_PATH } from './folder-handles.ts'
import { OpenHostFile } from './host-file.ts'
import { changeOpen, type HostHandle, modeMask, pathOf, stat } from './host-handle.ts'
import { HostList } from './host-list.ts'
import { identityOf, keyOf, Place, sameFile } from './place.ts'
import type { FolderShare } from './folder-share.ts'

const openLater = promisify(open)
const fchmodLater = promisify(fchmod)
const ftruncateLater = promisify(ftruncate)

/** Never waits for the other end of a pipe, never makes a terminal ours. */
const careful = constants.O_NONBLOCK | constants.O_NOCTTY

/**
 * A file of a shared folder. What the guest has open is operated on through its handle; else every system call names one
 * component below an open folder, and what is there must be the file that was found there.
 */
export class FolderNode implements FileNode {
  readonly place: Place
  readonly #share: FolderShare
  #released = false

  constructor(share: FolderShare, place: Place) {
    this.#share = share
    this.place = place
    place.users += 1
  }

  async attributes(): Promise<FileAttributes> {
    const held = this.#held
    if (held !== null) return held.attributes()
    const stats = await this.#byName((path) => lstat(path, { bigint: true }))
    this.place.check(stats)
    return this.#share.attributer.of(stats)
  }

  async change(changes: AttributeChanges): Promise<void> {
    this.#share.writable()
    const held = this.#held
    if (held !== null) return held.change(changes)
    const handle = await this.#byName((path) => openLater(path, O_PATH | constants.O_NOFOLLOW))
    try {
      this.place.check(await stat(handle))
      await changeOpen(handle, changes, this.#share.attributer.owners)
    } finally {
      close(handle, () => undefined)
    }
  }

  async lookup(name: Uint8Array): Promise<FoundNode> {
    return this.#inside((fd) => this.#find(fd, name))
  }

  async create(name: Uint8Array, mode: number, how: OpenMode & { readonly exclusive: boolean }): Promise<FoundNode & FoundFile> {
    this.#share.writable()
    return this.#inside(async (fd) => {
      const wanted = mode & modeMask
      const path = entryPath(fd, name)
      let handle: number
      try {
        handle = await openLater(path, flagsOf(how) | constants.O_NOFOLLOW | constants.O_CREAT | constants.O_EXCL, wanted)
      } catch (error) {
        if (how.exclusive || !isPosixError(error, 'EEXIST')) throw error
        const { node } = await this.#find(fd, name)
        try {
          return { node, ...await node.open(how) }
        } catch (refused) {
          node.release()
          throw refused
        }
      }
      const opened = await this.#opened(handle, how, wanted)
      return { node: this.#found(name, opened.stats).node, ...opened.found }
    })
  }

  async makeFolder(name: Uint8Array, mode: number): Promise<FoundNode> {
    this.#share.writable()
    return this.#inside(async (fd) => {
      await mkdir(entryPath(fd, name), mode & modeMask)
      const found = await this.#find(fd, name)
      if (found.attributes.mode === (mode & modeMask)) return found
      try {
        await found.node.change({ mode })
        return { node: found.node, attributes: await found.node.attributes() }
      } catch {
        return found
      }
    })
  }

  async makeLink(name: Uint8Array, target: Uint8Array): Promise<FoundNode> {
    this.#share.writable()
    return this.#inside(async (fd) => {
      await symlink(Buffer.from(target), entryPath(fd, name))
      return this.#find(fd, name)
    })
  }

  async link(name: Uint8Array, node: FileNode): Promise<void> {
    this.#share.writable()
    const { place } = this.#own(node)
    if (place.parent === null) throw posixError('EPERM')
    const { parent, name: oldName } = place
    if (place.gone) throw posixError('ENOENT')
    await this.#share.handles.use(parent, async (from) => {
      const old = entryPath(from, oldName)
      place.check(await lstat(old, { bigint: true }))
      await this.#inside((to) => link(old, entryPath(to, name)))
    })
  }

  async unlink(name: Uint8Array, folder: boolean): Promise<void> {
    this.#share.writable()
    await this.#inside((fd) => (folder ? rmdir : unlink)(entryPath(fd, name)))
    const place = this.place.children.get(keyOf(name))
    place?.detach()
    if (place !== undefined) this.#share.handles.forget(place)
  }

  async rename(name: Uint8Array, into: FileNode, newName: Uint8Array): Promise<void> {
    this.#share.writable()
    const target = this.#own(into).place
    await this.#inside((from) => this.#share.handles.use(target, (to) => rename(entryPath(from, name), entryPath(to, newName))))
    const moved = this.place.children.get(keyOf(name))
    if (moved !== undefined) moved.move(target, newName)
    else target.children.get(keyOf(newName))?.detach()
  }

  async readLink(): Promise<Uint8Array> {
    return this.#byName(async (path) => {
      this.place.check(await lstat(path, { bigint: true }))
      return new Uint8Array(await readlink(path, { encoding: 'buffer' }))
    })
  }

  async open(how: OpenMode): Promise<FoundFile> {
    if (how.write || how.truncate === true) this.#share.writable()
    // A device may do something when it is merely opened.
    if (!this.place.isFile) throw posixError(this.place.isFolder ? 'EISDIR' : this.place.isLink ? 'ELOOP' : 'EACCES')
    const held = this.#held
    const handle = await (held === null
      ? this.#byName((path) => openLater(path, flagsOf(how) | constants.O_NOFOLLOW))
      : held.borrow((fd) => openLater(pathOf(fd), flagsOf(how))))
    return (await this.#opened(handle, how, null)).found
  }

  async list(): Promise<FolderList> {
    const { open, attributer } = this.#share
    open.reserve()
    let handle = -1
    try {
      handle = await this.#inside((fd) => openLater(`${pathOf(fd)}/.`, constants.O_RDONLY | constants.O_DIRECTORY))
      return new HostList(handle, await stat(handle), attributer, open)
    } catch (error) {
      open.unreserve()
      if (handle >= 0) close(handle, () => undefined)
      throw error
    }
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.place.users -= 1
    this.#share.sweep(this.place)
  }

  /** Runs `work` with this folder open. */
  async #inside<T>(work: (fd: number) => Promise<T>): Promise<T> {
    if (!this.place.isFolder) throw posixError('ENOTDIR')
    return this.#share.handles.use(this.place, work)
  }

  /** Runs `work` with a path of this node: a name in its folder, which is open; the last component may be a link. */
  async #byName<T>(work: (path: Buffer) => Promise<T>): Promise<T> {
    const { parent, name, gone } = this.place
    if (gone) throw posixError('ENOENT')
    if (parent === null) return this.#inside((fd) => work(Buffer.from(`${pathOf(fd)}/.`)))
    return this.#share.handles.use(parent, (fd) => work(entryPath(fd, name)))
  }

  /** A handle of this file, when the guest has it open. */
  get #held(): HostHandle | null {
    return this.#share.open.find(this.place.identity)
  }

  async #find(fd: number, name: Uint8Array): Promise<FoundNode> {
    return this.#found(name, await lstat(entryPath(fd, name), { bigint: true }))
  }

  #found(name: Uint8Array, stats: BigIntStats): FoundNode {
    const known = this.place.children.get(keyOf(name))
    if (known !== undefined && !sameFile(known.identity, identityOf(stats))) {
      known.detach()
      this.#share.handles.forget(known)
    }
    const place = this.place.children.get(keyOf(name)) ?? new Place(this.place, name, stats)
    return { node: new FolderNode(this.#share, place), attributes: this.#share.attributer.of(stats) }
  }

  /**
   * Makes an open file of a handle, if it is one of a regular file; closes it otherwise.
   *
   * @param mode - of a new file: the process has a mask of its own, and the guest's kernel has applied its. Null for one that
   * was opened, which must be this node's
   */
  async #opened(handle: number, how: OpenMode, mode: number | null): Promise<{ readonly found: FoundFile, readonly stats: BigIntStats }> {
    const { open, attributer } = this.#share
    let counted = false
    try {
      open.reserve()
      counted = true
      let stats = await stat(handle)
      if (!stats.isFile()) throw posixError(stats.isDirectory() ? 'EISDIR' : 'EACCES')
      if (mode === null) this.place.check(stats)
      if (how.truncate === true && stats.size > 0n) {
        await ftruncateLater(handle, 0)
        stats = await stat(handle)
      }
      if (mode !== null && (Number(stats.mode) & 0o7777) !== mode) {
        await fchmodLater(handle, mode)
        stats = await stat(handle)
      }
      return { found: { file: new OpenHostFile(handle, stats, how, attributer, open), attributes: attributer.of(stats) }, stats }
    } catch (error) {
      if (counted) open.unreserve()
      close(handle, () => undefined)
      throw error
    }
  }

  #own(node: FileNode): FolderNode {
    if (!(node instanceof FolderNode) || node.#share !== this.#share) throw posixError('EXDEV')
    return node
  }
}

function flagsOf({ read, write, append, truncate: cut }: OpenMode): number {
  const access = write || cut === true ? (read ? constants.O_RDWR : constants.O_WRONLY) : constants.O_RDONLY
  return access | careful | (append === true ? constants.O_APPEND : 0)
}
