import { read, write, type BigIntStats } from 'node:fs'
import { promisify } from 'node:util'
import type { OpenFile, OpenMode } from '@machinist/api'
import type { Attributer } from './attributes.ts'
import { HostHandle } from './host-handle.ts'
import type { OpenHandles } from './open-handles.ts'

const readLater = promisify(read)
const writeLater = promisify(write)

/** An open file of a shared folder. */
export class OpenHostFile extends HostHandle implements OpenFile {
  readonly #append: boolean

  constructor(fd: number, stats: BigIntStats, how: OpenMode, attributer: Attributer, open: OpenHandles) {
    super(fd, stats, how.write || how.truncate === true, attributer, open)
    this.#append = how.append === true
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    // Of a regular file less comes only at its end.
    return (await this.borrow((fd) => readLater(fd, into, 0, into.length, offset))).bytesRead
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    await this.borrow(async (fd) => {
      for (let done = 0; done < from.length;) {
        const { bytesWritten } = await writeLater(fd, from, done, from.length - done, this.#append ? null : offset + done)
        done += bytesWritten
      }
    })
  }
}
