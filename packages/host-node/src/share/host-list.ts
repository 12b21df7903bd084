import type { Dir } from 'node:fs'
import type { FileAttributes, FolderEntry, FolderList } from '@machinist/api'

/** A folder of the host that is being read. */
export class HostList implements FolderList {
  readonly #dir: Dir
  readonly #attributes: (name: Uint8Array) => Promise<FileAttributes>
  readonly #onClose: () => void
  #reading: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(dir: Dir, attributes: (name: Uint8Array) => Promise<FileAttributes>, onClose: () => void) {
    this.#dir = dir
    this.#attributes = attributes
    this.#onClose = onClose
  }

  async next(count: number): Promise<readonly FolderEntry[]> {
    const work = this.#reading.then(() => this.#read(count))
    this.#reading = work.catch(() => undefined)
    return work
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#onClose()
    void this.#reading.then(() => this.#dir.close()).catch(() => undefined)
  }

  async #read(count: number): Promise<readonly FolderEntry[]> {
    for (;;) {
      const names: Uint8Array[] = []
      while (names.length < count) {
        const entry = await this.#dir.read()
        if (entry === null) break
        const name: unknown = entry.name
        if (name instanceof Uint8Array) names.push(name)
      }
      const entries = await Promise.all(names.map(async (name) => {
        try {
          return { name, attributes: await this.#attributes(name) }
        } catch {
          return null // it went meanwhile
        }
      }))
      const there = entries.filter((entry) => entry !== null)
      if (there.length > 0 || names.length === 0) return there
    }
  }
}
