import type { BigIntStats } from 'node:fs'
import { posixError } from '@machinist/api'

/** Which file something is, on the host, as long as it has a name or somebody has it open. */
export interface Identity {
  readonly device: bigint
  readonly inode: bigint
}

export function identityOf({ dev, ino }: BigIntStats): Identity {
  return { device: dev, inode: ino }
}

/** Whether two are the same file. */
export function sameFile(one: Identity, other: Identity): boolean {
  return one.inode === other.inode && one.device === other.device
}

/**
 * A name in the shared folder that nodes refer to. There is one for each, so that a rename takes all of them along, and
 * what is below.
 */
export class Place {
  /** Null for the root. */
  parent: Place | null
  /** Of the root: its path on the host. */
  name: Uint8Array
  readonly isFolder: boolean
  readonly isFile: boolean
  readonly isLink: boolean
  /** Which file was there when it was looked up. */
  readonly identity: Identity
  /** Children that somebody refers to, by {@link keyOf} their names. */
  readonly children: Map<string, Place> = new Map<string, Place>()
  /** Its name was removed, or given to another. */
  gone = false
  users = 0

  constructor(parent: Place | null, name: Uint8Array, stats: BigIntStats) {
    this.parent = parent
    this.name = name
    this.isFolder = stats.isDirectory()
    this.isFile = stats.isFile()
    this.isLink = stats.isSymbolicLink()
    this.identity = identityOf(stats)
    parent?.children.set(keyOf(name), this)
  }

  /**
   * Refuses what is another file than was found here, with `'ENOENT'`: of that code Linux's client takes it that the file
   * went, and looks the name up anew. The root is what it was opened as.
   */
  check(stats: BigIntStats): void {
    if (this.parent !== null && !sameFile(identityOf(stats), this.identity)) throw posixError('ENOENT')
  }

  /** Takes it out of its folder: what has its name now is another file. */
  detach(): void {
    this.gone = true
    this.parent?.children.delete(keyOf(this.name))
  }

  /** Puts it, with all below it, elsewhere. */
  move(parent: Place, name: Uint8Array): void {
    const key = keyOf(name)
    const old = parent.children.get(key)
    if (old === this) return
    old?.detach()
    this.parent?.children.delete(keyOf(this.name))
    this.parent = parent
    this.name = name
    parent.children.set(key, this)
  }
}

/** A name as a key. */
export function keyOf(name: Uint8Array): string {
  return Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1')
}
