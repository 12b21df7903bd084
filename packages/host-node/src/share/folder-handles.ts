import { close, constants, open } from 'node:fs'
import { promisify } from 'node:util'
import { posixError } from '@machinist/api'
import { pathOf, stat } from './host-handle.ts'
import type { OpenHandles } from './open-handles.ts'
import { identityOf, type Place, sameFile } from './place.ts'

const openLater = promisify(open)

/** Linux's O_PATH, which Node does not name: a handle of a file that neither reads nor writes it. */
export const O_PATH: number = 0o10000000
const FOLDER = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW
/** Folders that stay open between operations. */
const kept = 256

/** An open folder. */
interface Handle {
  readonly fd: Promise<number>
  users: number
  /** Nobody may take it any more: it is closed when its last user has gone. */
  dead: boolean
}

/**
 * Open folders, so that a name is looked up in the very folder that was found before, whatever is renamed meanwhile:
 * `/proc/self/fd/N/NAME` is what `openat(N, NAME)` is elsewhere. Each is opened below its parent, by one component, without
 * following links.
 */
export class FolderHandles {
  readonly #open: OpenHandles
  readonly #handles = new Map<Place, Handle>()

  /** @param open - what the guest has open: a folder that went from its place is still found there */
  constructor(open: OpenHandles) {
    this.#open = open
  }

  /** Runs `work` with a folder open. `'ENOTDIR'`, `'ENOENT'`, … */
  async use<T>(folder: Place, work: (fd: number) => Promise<T>): Promise<T> {
    const handle = this.#take(folder)
    try {
      return await work(await handle.fd)
    } finally {
      handle.users -= 1
      this.#closeIfDone(handle)
    }
  }

  /** Lets go of a folder that went, or that nobody refers to. */
  forget(folder: Place): void {
    const handle = this.#handles.get(folder)
    if (handle === undefined) return
    this.#handles.delete(folder)
    handle.dead = true
    this.#closeIfDone(handle)
  }

  close(): void {
    for (const folder of [...this.#handles.keys()]) this.forget(folder)
  }

  #take(folder: Place): Handle {
    let handle = this.#handles.get(folder)
    if (handle === undefined) {
      const fd = this.#find(folder)
      handle = { fd, users: 0, dead: false }
      fd.catch(() => { this.forget(folder) })
    } else {
      this.#handles.delete(folder)
    }
    // The last of the map is the one that was used last.
    this.#handles.set(folder, handle)
    handle.users += 1
    if (this.#handles.size > kept) {
      for (const [place, { users }] of this.#handles) {
        // The root stays: it is found by a path, where another folder may be by now.
        if (users > 0 || place.parent === null) continue
        this.forget(place)
        break
      }
    }
    return handle
  }

  async #find(folder: Place): Promise<number> {
    const { parent, name, identity } = folder
    if (parent === null) return openLater(Buffer.from(folder.name), O_PATH | constants.O_DIRECTORY)
    const open = this.#open.find(identity)
    if (open !== null) return open.borrow((fd) => openLater(`${pathOf(fd)}/.`, FOLDER))
    if (folder.gone) throw posixError('ENOENT')
    const fd = await this.use(parent, (above) => openLater(entryPath(above, name), FOLDER))
    if (sameFile(identityOf(await stat(fd)), identity)) return fd
    close(fd, () => undefined)
    throw posixError('ENOENT')
  }

  #closeIfDone(handle: Handle): void {
    if (!handle.dead || handle.users > 0) return
    handle.users = Infinity
    handle.fd.then((fd) => { close(fd, () => undefined) }, () => undefined)
  }
}

/** The path of the entry `name` of an open folder. What is not one component is refused, whoever has checked it before. */
export function entryPath(fd: number, name: Uint8Array): Buffer {
  const dots = name.length <= 2 && name.every((byte) => byte === 0x2e)
  if (dots || name.includes(0) || name.includes(0x2f)) throw posixError('EINVAL')
  return Buffer.concat([Buffer.from(`${pathOf(fd)}/`), name])
}
