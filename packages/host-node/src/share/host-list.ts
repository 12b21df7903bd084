import { type BigIntStats, type Dir } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import type { FolderEntry, FolderList } from '@machinist/api'
import type { Attributer } from './attributes.ts'
import { entryPath } from './folder-handles.ts'
import { HostHandle, pathOf } from './host-handle.ts'
import type { OpenHandles } from './open-handles.ts'

/** A folder of the host that is open and read. */
export class HostList extends HostHandle implements FolderList {
  /** What comes next of the folder; null before the first entry. */
  #dir: Dir | null = null
  #reading: Promise<unknown> = Promise.resolve()

  constructor(fd: number, stats: BigIntStats, attributer: Attributer, open: OpenHandles) {
    super(fd, stats, false, attributer, open)
  }

  next(count: number): Promise<readonly FolderEntry[]> {
    return this.#inTurn(() => this.#read(count))
  }

  rewind(): Promise<void> {
    return this.#inTurn(() => this.#closeDir())
  }

  override close(): void {
    void this.#reading.then(() => this.#closeDir()).catch(() => undefined)
    super.close()
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#reading.then(() => this.borrow(work))
    this.#reading = turn.catch(() => undefined)
    return turn
  }

  async #closeDir(): Promise<void> {
    const dir = this.#dir
    this.#dir = null
    await dir?.close()
  }

  async #read(count: number): Promise<readonly FolderEntry[]> {
    // Node knows names as bytes; its types do not.
    const encoding = 'buffer' as BufferEncoding
    const dir = this.#dir ??= await opendir(`${pathOf(this.fd)}/`, { encoding, bufferSize: 64 })
    for (;;) {
      const names: Uint8Array[] = []
      while (names.length < count) {
        const entry = await dir.read()
        if (entry === null) break
        const name: unknown = entry.name
        if (name instanceof Uint8Array) names.push(name)
      }
      const entries = await Promise.all(names.map(async (name) => {
        try {
          return { name, attributes: this.attributer.of(await lstat(entryPath(this.fd, name), { bigint: true })) }
        } catch {
          return null // it went meanwhile
        }
      }))
      const there = entries.filter((entry) => entry !== null)
      if (there.length > 0 || names.length === 0) return there
    }
  }
}
