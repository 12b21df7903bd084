import { closeSync, fstatSync, openSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { machinistError } from '@machinist/api'
import type { RandomAccessFile } from '@machinist/storage'
import { isHole } from '../files/holes.ts'
import { allocated, BLOCK, endLease, lease } from './space.ts'

/** Milliseconds between two times that room is given back. */
const GIVE_BACK = 1000
/** Bytes that a file may be ahead of what it takes before room is given back. */
const SLACK: number = 64 * 2 ** 20

/** What a file in a datastore takes, and may take. */
export interface FileSpace {
  /** Bytes that it takes. */
  readonly used: number
  /** Bytes that it may take without asking. */
  readonly taken: number
  /** Asked before it takes more: bytes that it may take besides. Null: as the datastore has it. */
  room: (() => number) | null
}

/**
 * An image in a datastore. A write that needs room first has it promised; when it cannot, it is refused and nothing has changed. What has room already, may always be written over.
 * What a file takes is known by `stat`; between two looks it is taken to be what was written.
 */
export class QuotaFile implements RandomAccessFile, FileSpace {
  readonly writable = true
  room: (() => number) | null = null
  readonly readAtOnce?: NonNullable<RandomAccessFile['readAtOnce']>
  readonly truncate?: NonNullable<RandomAccessFile['truncate']>
  readonly discard?: NonNullable<RandomAccessFile['discard']>
  readonly #file: RandomAccessFile
  readonly #folder: string
  readonly #name: string
  readonly #fd: number
  /** Bytes that it takes at most, and may take. */
  #account: number
  #lease: number
  /** Bytes of writes under way: `stat` may not have them. */
  #underWay = 0
  /** Writes for which it is to be found out whether there is room, one after the other. */
  #asking: Promise<unknown> = Promise.resolve()
  #gaveBack = -Infinity

  /** @param path - of the file, which is open for writing */
  constructor(file: RandomAccessFile, path: string) {
    this.#file = file
    this.#folder = dirname(path)
    this.#name = basename(path)
    this.#fd = openSync(path, 'r')
    this.#account = this.#lease = allocated(path)
    const { readAtOnce, truncate, discard } = file
    if (readAtOnce) this.readAtOnce = (offset, into) => readAtOnce.call(file, offset, into)
    if (truncate) this.truncate = (size) => truncate.call(file, size)
    if (discard) {
      this.discard = async (offset, length) => {
        await discard.call(file, offset, length)
        this.#giveBack()
      }
    }
  }

  get size(): number {
    return this.#file.size
  }

  get used(): number {
    return this.#now
  }

  get taken(): number {
    return Math.max(this.#lease, this.#account)
  }

  read(offset: number, into: Uint8Array): ReturnType<RandomAccessFile['read']> {
    return this.#file.read(offset, into)
  }

  write(offset: number, from: Uint8Array): ReturnType<RandomAccessFile['write']> {
    const bytes = Math.ceil((offset + from.length) / BLOCK) * BLOCK - Math.floor(offset / BLOCK) * BLOCK
    if (this.#account + bytes > this.#lease) {
      const asked = this.#asking.then(() => this.#ask(offset, from.length, bytes))
      this.#asking = asked.catch(() => undefined)
      return asked.then(() => this.#file.write(offset, from)).finally(() => { this.#underWay -= bytes })
    }
    this.#account += bytes
    const written = this.#file.write(offset, from)
    if (written === undefined) return undefined
    this.#underWay += bytes
    const ended = (): void => { this.#underWay -= bytes }
    return written.then(ended, (error: unknown) => {
      ended()
      throw error
    })
  }

  flush(): Promise<void> {
    return this.#file.flush()
  }

  async close(): Promise<void> {
    await this.#asking
    closeSync(this.#fd)
    await this.#file.close()
    // The datastore may be gone.
    await endLease(this.#folder, this.#name).catch(() => undefined)
  }

  get #now(): number {
    return fstatSync(this.#fd).blocks * 512
  }

  /** Takes the room that a write needs. @throws a typed error, `'file-edquot'`; the write must not be made then */
  async #ask(offset: number, length: number, bytes: number): Promise<void> {
    this.#account = this.#now + this.#underWay
    this.#underWay += bytes
    if (this.#account + bytes <= this.#lease) {
      this.#account += bytes
      return
    }
    const need = isHole(this.#fd, offset, length) ? bytes : 0
    if (this.#account + need > this.#lease) {
      const room = this.room?.() ?? Infinity
      const missing = this.#account + need - this.taken
      const most = this.taken + room
      const granted = missing <= room ? await lease(this.#folder, this.#name, this.#account + need, most) : null
      if (granted === null) {
        throw machinistError({ code: 'file-edquot', part: this.#name, value: this.#folder, remedy: 'Make room on the datastore, or raise its quota or the limit of the machine.' }, 'there is no room for it')
      }
      this.#lease = granted
    }
    this.#account += need
  }

  /** Gives back what it may take and does not need, now and then. */
  #giveBack(): void {
    const now = performance.now()
    if (now < this.#gaveBack + GIVE_BACK) return
    this.#asking = this.#asking.then(async () => {
      this.#gaveBack = performance.now()
      this.#account = this.#now + this.#underWay
      if (this.#lease - this.#account < SLACK) return
      this.#lease = await lease(this.#folder, this.#name, this.#account, Infinity) ?? this.#lease
    }).catch(() => undefined)
  }
}
