import { close, constants, fchmod, ftruncate, open } from 'node:fs'
import { chmod, lchown, link, lstat, lutimes, mkdir, opendir, readlink, rename, rmdir, symlink, unlink } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { BigIntStats } from 'node:fs'
import { isPosixError, posixError } from '@machinist/api'
import type { AttributeChanges, FileAttributes, FileNode, FolderList, FoundFile, FoundNode, OpenMode } from '@machinist/api'
import { entryPath, O_PATH } from './folder-handles.ts'
import { OpenHostFile, stat } from './host-file.ts'
import { HostList } from './host-list.ts'
import { keyOf, Place } from './place.ts'
import type { FolderShare } from './folder-share.ts'

const openLater = promisify(open)
const fchmodLater = promisify(fchmod)
const ftruncateLater = promisify(ftruncate)

/** Bits of a mode that a guest may set: programs that run as another user are none of its business. */
const modeMask = 0o1777
/** Never follows a link, never waits for the other end of a pipe, never makes a terminal ours. */
const careful = constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY
const nsPerSecond = 1e9

/** A file of a shared folder. Every system call names one component below an open folder. */
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
    return this.#share.attributer.of(await this.#stat())
  }

  async change(changes: AttributeChanges): Promise<void> {
    this.#share.writable()
    const { mode, user, group, size, accessed, modified } = changes
    if (size !== undefined) await this.#truncate(size)
    if (mode !== undefined) await this.#chmod(mode & modeMask)
    if ((user !== undefined || group !== undefined) && this.#share.owners === 'host') {
      const now = await this.#stat()
      await this.#byName((path) => lchown(path, user ?? Number(now.uid), group ?? Number(now.gid)))
    }
    if (accessed !== undefined || modified !== undefined) {
      const now = await this.#stat()
      const time = (given: bigint | 'now' | undefined, old: bigint): number => (given === 'now' ? Date.now() / 1000 : Number(given ?? old) / nsPerSecond)
      await this.#byName((path) => lutimes(path, time(accessed, now.atimeNs), time(modified, now.mtimeNs)))
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
        handle = await openLater(path, flagsOf(how) | constants.O_CREAT | constants.O_EXCL, wanted)
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
      return this.#opened(handle, how, wanted, (stats) => this.#found(name, stats))
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
    await this.#share.handles.use(parent, (from) => this.#inside((to) => link(entryPath(from, oldName), entryPath(to, name))))
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
    return this.#byName(async (path) => new Uint8Array(await readlink(path, { encoding: 'buffer' })))
  }

  async open(how: OpenMode): Promise<FoundFile> {
    if (how.write || how.truncate === true) this.#share.writable()
    // A device may do something when it is merely opened.
    if (!this.place.isFile) throw posixError(this.place.isFolder ? 'EISDIR' : this.place.isLink ? 'ELOOP' : 'EACCES')
    const handle = await this.#byName((path) => openLater(path, flagsOf(how)))
    return this.#opened(handle, how, null, () => ({}))
  }

  async list(): Promise<FolderList> {
    if (!this.place.isFolder) throw posixError('ENOTDIR')
    const share = this.#share
    try {
      share.countFile()
      // Node knows names as bytes; its types do not.
      const encoding = 'buffer' as BufferEncoding
      const dir = await this.#inside((fd) => opendir(`/proc/self/fd/${fd}/`, { encoding, bufferSize: 64 }))
      const attributes = (name: Uint8Array): Promise<FileAttributes> =>
        this.#inside(async (fd) => share.attributer.of(await lstat(entryPath(fd, name), { bigint: true })))
      return new HostList(dir, attributes, () => { share.openFiles -= 1 })
    } catch (error) {
      share.openFiles -= 1
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
    if (parent === null) return this.#inside((fd) => work(Buffer.from(`/proc/self/fd/${fd}/.`)))
    return this.#share.handles.use(parent, (fd) => work(entryPath(fd, name)))
  }

  #stat(): Promise<BigIntStats> {
    const open = this.place.gone ? [...this.place.files].at(-1) : undefined
    if (open !== undefined) return open.borrow(stat)
    return this.#byName((path) => lstat(path, { bigint: true }))
  }

  async #find(fd: number, name: Uint8Array): Promise<FoundNode> {
    return this.#found(name, await lstat(entryPath(fd, name), { bigint: true }))
  }

  #found(name: Uint8Array, stats: BigIntStats): FoundNode {
    const known = this.place.children.get(keyOf(name))
    if (known !== undefined && (known.inode !== stats.ino || known.device !== stats.dev)) {
      known.detach()
      this.#share.handles.forget(known)
    }
    const place = this.place.children.get(keyOf(name)) ?? new Place(this.place, name, stats)
    return { node: new FolderNode(this.#share, place), attributes: this.#share.attributer.of(stats) }
  }

  /**
   * Makes an open file of a handle, if it is one of a regular file; closes it otherwise.
   *
   * @param mode - of a new file: the process has a mask of its own, and the guest's kernel has applied its
   */
  async #opened<T extends object>(handle: number, how: OpenMode, mode: number | null, found: (stats: BigIntStats) => T): Promise<T & FoundFile> {
    try {
      this.#share.countFile()
      let stats = await stat(handle)
      if (!stats.isFile()) throw posixError(stats.isDirectory() ? 'EISDIR' : 'EACCES')
      if (how.truncate === true && stats.size > 0n) {
        await ftruncateLater(handle, 0)
        stats = await stat(handle)
      }
      if (mode !== null && (Number(stats.mode) & 0o7777) !== mode) {
        await fchmodLater(handle, mode)
        stats = await stat(handle)
      }
      const result = found(stats)
      const place = 'node' in result && result.node instanceof FolderNode ? result.node.place : this.place
      const file = new OpenHostFile(handle, how.append === true, this.#share.attributer, (closed) => {
        place.files.delete(closed)
        this.#share.openFiles -= 1
      })
      place.files.add(file)
      return { ...result, file, attributes: this.#share.attributer.of(stats) }
    } catch (error) {
      this.#share.openFiles -= 1
      close(handle, () => undefined)
      throw error
    }
  }

  async #truncate(size: number): Promise<void> {
    const open = [...this.place.files].at(-1)
    if (this.place.gone && open !== undefined) return open.borrow((fd) => ftruncateLater(fd, size))
    const { file } = await this.open({ read: false, write: true })
    try {
      if (file instanceof OpenHostFile) await ftruncateLater(file.fd, size)
    } finally {
      file.close()
    }
  }

  /** Linux has no chmod that does not follow links, so by a handle of what is no link. */
  async #chmod(mode: number): Promise<void> {
    const handle = await this.#byName((path) => openLater(path, O_PATH | constants.O_NOFOLLOW))
    try {
      if ((await stat(handle)).isSymbolicLink()) throw posixError('EOPNOTSUPP')
      await chmod(`/proc/self/fd/${handle}`, mode)
    } finally {
      close(handle, () => undefined)
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
