import { close, fstat, fsync, read, write, type BigIntStats } from 'node:fs'
import { promisify } from 'node:util'
import type { FileAttributes, OpenFile } from '@machinist/api'
import type { Attributer } from './attributes.ts'

const readLater = promisify(read)
const writeLater = promisify(write)
const syncLater = promisify(fsync)

/** The kernel's word on an open file. */
export function stat(fd: number): Promise<BigIntStats> {
  return new Promise((resolve, reject) => {
    fstat(fd, { bigint: true }, (error, stats) => {
      if (error === null) resolve(stats)
      else reject(error)
    })
  })
}

/** An open file of a shared folder. */
export class OpenHostFile implements OpenFile {
  readonly fd: number
  readonly #append: boolean
  readonly #attributer: Attributer
  readonly #closed: (file: OpenHostFile) => void
  #users = 1

  /** @param closed - called when it is closed by its owner */
  constructor(fd: number, append: boolean, attributer: Attributer, closed: (file: OpenHostFile) => void) {
    this.fd = fd
    this.#append = append
    this.#attributer = attributer
    this.#closed = closed
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    // Of a regular file less comes only at its end.
    return (await readLater(this.fd, into, 0, into.length, offset)).bytesRead
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    for (let done = 0; done < from.length;) {
      const { bytesWritten } = await writeLater(this.fd, from, done, from.length - done, this.#append ? null : offset + done)
      done += bytesWritten
    }
  }

  async attributes(): Promise<FileAttributes> {
    return this.#attributer.of(await stat(this.fd))
  }

  flush(): Promise<void> {
    return syncLater(this.fd)
  }

  /** Keeps it open while `work` runs, also if it is closed meanwhile. */
  async borrow<T>(work: (fd: number) => Promise<T>): Promise<T> {
    this.#users += 1
    try {
      return await work(this.fd)
    } finally {
      this.#drop()
    }
  }

  close(): void {
    this.#closed(this)
    this.#drop()
  }

  #drop(): void {
    this.#users -= 1
    if (this.#users === 0) close(this.fd, () => undefined)
  }
}
