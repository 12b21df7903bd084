import type { RandomAccessFile } from '../src/index.ts'

/** A file in memory that refuses impossible places, and tells how much was read at once. */
export class FragileFile implements RandomAccessFile {
  readonly writable: boolean = true
  bytes: Uint8Array<ArrayBuffer>
  /** The longest read so far. */
  longest: number = 0
  readonly #limit: number

  /** @param limit - bytes beyond which it is full */
  constructor(bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0), limit: number = 1 << 26) {
    this.bytes = bytes
    this.#limit = limit
  }

  get size(): number {
    return this.bytes.length
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    await Promise.resolve()
    this.longest = Math.max(this.longest, into.length)
    if (!Number.isSafeInteger(offset) || offset < 0) throw new Error('not a place')
    const found = this.bytes.subarray(Math.min(offset, this.bytes.length), offset + into.length)
    into.set(found)
    return found.length
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    await Promise.resolve()
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + from.length > this.#limit) throw Object.assign(new Error('full'), { code: 'EFBIG' })
    this.bytes = put(this.bytes, offset, from)
  }

  async flush(): Promise<void> {
    await Promise.resolve()
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
