import type { RandomAccessFile } from '../src/index.ts'

const SECTOR = 512

/** A file in memory that loses power: what was flushed stays, of the rest any sectors may arrive, in any order. */
export class CrashFile implements RandomAccessFile {
  readonly writable = true
  bytes: Uint8Array
  #stable: Uint8Array
  #unstable: { readonly offset: number, readonly bytes: Uint8Array }[] = []
  readonly #random: (below: number) => number
  /** Operations until the power goes; then none completes any more. */
  #left: number
  readonly crashed: Promise<void>
  #crash: () => void = () => {}

  constructor(bytes: Uint8Array, random: (below: number) => number, operations: number = Infinity) {
    this.bytes = bytes
    this.#stable = bytes.slice()
    this.#random = random
    this.#left = operations
    this.crashed = new Promise((resolve) => { this.#crash = resolve })
  }

  get size(): number {
    return this.bytes.length
  }

  /** At once, after some turns, or never. */
  #answer<T>(effect: () => T): T | Promise<T> {
    this.#left -= 1
    if (this.#left < 0) {
      this.#crash()
      return new Promise(() => {})
    }
    return this.#random(3) === 0 ? effect() : this.#turns().then(effect)
  }

  async #turns(): Promise<void> {
    for (let turns = this.#random(4); turns > 0; turns--) await Promise.resolve()
  }

  read(offset: number, into: Uint8Array): number | Promise<number> {
    return this.#answer(() => {
      const from = this.bytes.subarray(offset, offset + into.length)
      into.set(from)
      return from.length
    })
  }

  write(offset: number, from: Uint8Array): void | Promise<void> {
    const copy = from.slice()
    // It may arrive in part before anybody hears of it.
    this.#unstable.push({ offset, bytes: copy })
    return this.#answer(() => { this.bytes = patched(this.bytes, offset, copy) })
  }

  async flush(): Promise<void> {
    const stable = this.bytes.slice()
    const done = this.#unstable.length
    await this.#answer(() => {
      this.#stable = stable
      this.#unstable.splice(0, done)
    })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** What is found when the power is back. */
  afterCrash(): Uint8Array {
    let bytes: Uint8Array = this.#stable.slice()
    for (const write of this.#unstable) {
      const part = this.#random(3)
      if (part === 0) continue
      for (let at = 0; at < write.bytes.length;) {
        const step = SECTOR - (write.offset + at) % SECTOR
        if (part === 1 || this.#random(2) === 0) bytes = patched(bytes, write.offset + at, write.bytes.subarray(at, at + step))
        at += step
      }
    }
    return bytes
  }
}

function patched(bytes: Uint8Array, offset: number, from: Uint8Array): Uint8Array {
  let result = bytes
  if (offset + from.length > bytes.length) {
    result = new Uint8Array(offset + from.length)
    result.set(bytes)
  }
  result.set(from, offset)
  return result
}
