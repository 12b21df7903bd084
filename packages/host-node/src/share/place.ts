import type { BigIntStats } from 'node:fs'
import type { OpenHostFile } from './host-file.ts'

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
  readonly device: bigint
  readonly inode: bigint
  /** Children that somebody refers to, by {@link keyOf} their names. */
  readonly children: Map<string, Place> = new Map<string, Place>()
  /** Open files that were opened here, the newest last: what is left of a file without a name. */
  readonly files: Set<OpenHostFile> = new Set<OpenHostFile>()
  /** Its name was removed, or given to another. */
  gone = false
  users = 0

  constructor(parent: Place | null, name: Uint8Array, stats: BigIntStats) {
    this.parent = parent
    this.name = name
    this.isFolder = stats.isDirectory()
    this.isFile = stats.isFile()
    this.isLink = stats.isSymbolicLink()
    this.device = stats.dev
    this.inode = stats.ino
    parent?.children.set(keyOf(name), this)
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
