import { posixError } from '@machinist/api'
import type { HostHandle } from './host-handle.ts'
import { type Identity, sameFile } from './place.ts'

/** What a guest has open of a shared folder. As long as a file is open, no other one gets its inode. */
export class OpenHandles {
  readonly #most: number
  readonly #handles = new Map<bigint, Set<HostHandle>>()
  #count = 0

  constructor(most: number) {
    this.#most = most
  }

  /** Open handles, and those that are about to be. */
  get count(): number {
    return this.#count
  }

  /** Counts a handle that is about to be opened; `'EMFILE'`. */
  reserve(): void {
    if (this.#count >= this.#most) throw posixError('EMFILE')
    this.#count += 1
  }

  /** Takes that back: it could not be opened. */
  unreserve(): void {
    this.#count -= 1
  }

  /** A handle that was counted. */
  add(handle: HostHandle): void {
    const { inode } = handle.identity
    this.#handles.set(inode, (this.#handles.get(inode) ?? new Set()).add(handle))
  }

  delete(handle: HostHandle): void {
    const { inode } = handle.identity
    const set = this.#handles.get(inode)
    set?.delete(handle)
    if (set?.size === 0) this.#handles.delete(inode)
    this.#count -= 1
  }

  /** A handle of a file, one that can write if there is such a one; null when the file is not open. */
  find(identity: Identity): HostHandle | null {
    const all = [...this.#handles.get(identity.inode) ?? []].filter((each) => sameFile(each.identity, identity))
    return all.find(({ writable }) => writable) ?? all[0] ?? null
  }
}
