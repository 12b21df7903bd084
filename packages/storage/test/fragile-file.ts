import type { RandomAccessFile } from '../src/index.ts'

/** A file in memory that dies after so many operations, and of what was not flushed keeps what chance lets it keep. */
export class FragileFile implements RandomAccessFile {
  readonly writable: boolean = true
  bytes: Uint8Array<ArrayBuffer>
  /** Operations until it dies. */
  left: number = Infinity
  /** The longest read so far. */
  longest: number = 0
  #stable: Uint8Array<ArrayBuffer>
  #unstable: { readonly offset: number, readonly bytes: Uint8Array }[] = []
  readonly #limit: number

  /** @param limit - bytes beyond which it is full */
  constructor(bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0), limit: number = 1 << 26) {
    this.bytes = bytes
    this.#stable = bytes.slice()
    this.#limit = limit
  }

  get size(): number {
    return this.bytes.length
  }

  async #step(): Promise<void> {
    await Promise.resolve()
    if (this.left <= 0) throw Object.assign(new Error('dead'), { code: 'EIO' })
    this.left -= 1
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    await this.#step()
    this.longest = Math.max(this.longest, into.length)
    if (!Number.isSafeInteger(offset) || offset < 0) throw new Error('not a place')
    const found = this.bytes.subarray(Math.min(offset, this.bytes.length), offset + into.length)
    into.set(found)
    return found.length
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    await this.#step()
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + from.length > this.#limit) throw Object.assign(new Error('full'), { code: 'EFBIG' })
    this.bytes = put(this.bytes, offset, from)
    this.#unstable.push({ offset, bytes: from.slice() })
  }

  async flush(): Promise<void> {
    await this.#step()
    for (const { offset, bytes } of this.#unstable.splice(0)) this.#stable = put(this.#stable, offset, bytes)
  }

  /** What is found after a loss of power: of writes that were not flushed some, whole or in sectors. */
  afterCrash(random: () => number): Uint8Array<ArrayBuffer> {
    let bytes = this.#stable.slice()
    for (const write of this.#unstable) {
      const chance = random()
      if (chance < 0.35) continue
      if (chance < 0.7) bytes = put(bytes, write.offset, write.bytes)
      else for (let at = 0; at < write.bytes.length; at += 512) if (random() < 0.5) bytes = put(bytes, write.offset + at, write.bytes.subarray(at, at + 512))
    }
    return bytes
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

function put(bytes: Uint8Array<ArrayBuffer>, offset: number, from: Uint8Array): Uint8Array<ArrayBuffer> {
  if (offset + from.length > bytes.length) {
    // In steps, since files grow by little and often; what is too much is cut off again.
    const longer = new Uint8Array(bytes.buffer.byteLength >= offset + from.length ? bytes.buffer : new ArrayBuffer(Math.ceil((offset + from.length) * 1.25)), 0, offset + from.length)
    if (longer.buffer !== bytes.buffer) longer.set(bytes)
    else longer.fill(0, bytes.length, offset)
    bytes = longer
  }
  bytes.set(from, offset)
  return bytes
}
