import type { BigIntStats } from 'node:fs'
import type { FileAttributes, FileKind } from '@machinist/api'

/** Whose files the guest sees: see `FolderOptions.owners`. */
export type Owners = 'squash' | 'host'

/** Makes attributes out of what the kernel says. */
export class Attributer {
  readonly owners: Owners
  /** File systems below the root, in the order in which they were met: inode numbers are unique in each only. */
  readonly #devices = new Map<bigint, bigint>()

  constructor(owners: Owners) {
    this.owners = owners
  }

  of(stats: BigIntStats): FileAttributes {
    const squash = this.owners === 'squash'
    return {
      kind: kindOf(stats),
      id: BigInt.asUintN(64, stats.ino ^ (this.#device(stats.dev) << 48n)),
      mode: Number(stats.mode) & 0o7777,
      user: squash ? 0 : Number(stats.uid),
      group: squash ? 0 : Number(stats.gid),
      links: Number(stats.nlink),
      size: Number(stats.size),
      blocks: Number(stats.blocks),
      accessed: stats.atimeNs,
      modified: stats.mtimeNs,
      changed: stats.ctimeNs,
    }
  }

  /** The file systems that were met so far: they decide ids. */
  get devices(): readonly bigint[] {
    return [...this.#devices.keys()]
  }

  /** Gives files the ids that they had before, if the file system of the root is the same. */
  restore([root, ...others]: readonly bigint[]): void {
    if (root === undefined || this.#devices.size !== 1 || !this.#devices.has(root)) return
    for (const device of others) this.#device(device)
  }

  #device(device: bigint): bigint {
    const known = this.#devices.get(device)
    if (known !== undefined) return known
    const number = BigInt(this.#devices.size & 0xffff)
    this.#devices.set(device, number)
    return number
  }
}

function kindOf(stats: BigIntStats): FileKind {
  if (stats.isFile()) return 'file'
  if (stats.isDirectory()) return 'folder'
  if (stats.isSymbolicLink()) return 'link'
  if (stats.isFIFO()) return 'fifo'
  if (stats.isSocket()) return 'socket'
  return stats.isBlockDevice() ? 'block' : 'character'
}
