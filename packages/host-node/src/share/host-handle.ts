import { close, constants, fstat, fsync, ftruncate, open, type BigIntStats } from 'node:fs'
import { chmod, chown, utimes } from 'node:fs/promises'
import { promisify } from 'node:util'
import { posixError } from '@machinist/api'
import type { AttributeChanges, FileAttributes, OpenNode } from '@machinist/api'
import type { Attributer } from './attributes.ts'
import type { OpenHandles } from './open-handles.ts'
import { type Identity, identityOf } from './place.ts'

const openLater = promisify(open)
const ftruncateLater = promisify(ftruncate)
const syncLater = promisify(fsync)
const nsPerSecond = 1e9

/** Bits of a mode that a guest may set: programs that run as another user are none of its business. */
export const modeMask = 0o1777

/** The kernel's word on an open file. */
export function stat(fd: number): Promise<BigIntStats> {
  return new Promise((resolve, reject) => {
    fstat(fd, { bigint: true }, (error, stats) => {
      if (error === null) resolve(stats)
      else reject(error)
    })
  })
}

/**
 * The path of an open file itself: following it leads to that file, whether it has a name or not (proc_pid_fd(5)). So it
 * does for a handle of a link, which is not followed further.
 */
export function pathOf(fd: number): string {
  return `/proc/self/fd/${fd}`
}

/** Changes attributes of what a handle, of any sort, stands for. */
export async function changeOpen(fd: number, changes: AttributeChanges, owners: Attributer['owners'], writable: boolean = false): Promise<void> {
  const { mode, user, group, size, accessed, modified } = changes
  const path = pathOf(fd)
  const now = await stat(fd)
  if (size !== undefined) {
    if (!now.isFile()) throw posixError(now.isDirectory() ? 'EISDIR' : 'EINVAL')
    await truncate(fd, size, writable)
  }
  if (mode !== undefined) {
    if (now.isSymbolicLink()) throw posixError('EOPNOTSUPP')
    await chmod(path, mode & modeMask)
  }
  if ((user !== undefined || group !== undefined) && owners === 'host') await chown(path, user ?? Number(now.uid), group ?? Number(now.gid))
  if (accessed !== undefined || modified !== undefined) {
    const time = (given: bigint | 'now' | undefined, old: bigint): number => (given === 'now' ? Date.now() / 1000 : Number(given ?? old) / nsPerSecond)
    await utimes(path, time(accessed, now.atimeNs), time(modified, now.mtimeNs))
  }
}

async function truncate(fd: number, size: number, writable: boolean): Promise<void> {
  if (writable) return ftruncateLater(fd, size)
  const own = await openLater(pathOf(fd), constants.O_WRONLY | constants.O_NONBLOCK)
  try {
    await ftruncateLater(own, size)
  } finally {
    close(own, () => undefined)
  }
}

/** A file or folder of a shared folder that a guest has open. */
export class HostHandle implements OpenNode {
  readonly fd: number
  readonly identity: Identity
  readonly writable: boolean
  protected readonly attributer: Attributer
  readonly #open: OpenHandles
  #closed = false
  #users = 1

  /** @param open - where it can be found as long as it is open */
  constructor(fd: number, stats: BigIntStats, writable: boolean, attributer: Attributer, open: OpenHandles) {
    this.fd = fd
    this.identity = identityOf(stats)
    this.writable = writable
    this.attributer = attributer
    this.#open = open
    open.add(this)
  }

  async attributes(): Promise<FileAttributes> {
    return this.attributer.of(await this.borrow(stat))
  }

  change(changes: AttributeChanges): Promise<void> {
    return this.borrow((fd) => changeOpen(fd, changes, this.attributer.owners, this.writable))
  }

  flush(): Promise<void> {
    return this.borrow((fd) => syncLater(fd))
  }

  /** Keeps it open while `work` runs, also if it is closed meanwhile. `'EBADF'` when it is closed already. */
  async borrow<T>(work: (fd: number) => Promise<T>): Promise<T> {
    if (this.#users === 0) throw posixError('EBADF')
    this.#users += 1
    try {
      return await work(this.fd)
    } finally {
      this.#drop()
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#open.delete(this)
    this.#drop()
  }

  #drop(): void {
    this.#users -= 1
    if (this.#users === 0) close(this.fd, () => undefined)
  }
}
