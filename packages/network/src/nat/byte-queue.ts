/** Pieces up to this size are gathered, so that bytes which come one by one do not each cost an object. */
const SMALL = 1024
const BLOCK = 8192

/** Bytes in order, in pieces that are kept as they came. What is held is at most a few times {@link length}, and a block. */
export class ByteQueue {
  readonly #pieces: Uint8Array[] = []
  /** Bytes of the first piece that are gone. */
  #skip = 0
  #length = 0
  /** Bytes of the last piece's buffer that may be added to; 0 when the piece is not ours. */
  #room = 0

  get length(): number {
    return this.#length
  }

  /** Appends bytes, which belong to the queue from then on. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#length += bytes.length
    const last = this.#pieces.at(-1)
    if (bytes.length <= SMALL) {
      if (last !== undefined && bytes.length <= this.#room) {
        const whole = new Uint8Array(last.buffer, last.byteOffset, last.length + bytes.length)
        whole.set(bytes, last.length)
        this.#pieces[this.#pieces.length - 1] = whole
        this.#room -= bytes.length
      } else {
        // The first small piece of a quiet connection does not deserve a block.
        const block = new Uint8Array(last === undefined ? bytes.length * 2 : BLOCK)
        block.set(bytes)
        this.#pieces.push(block.subarray(0, bytes.length))
        this.#room = block.length - bytes.length
      }
      return
    }
    // A small part of a large buffer would hold all of it.
    this.#pieces.push(bytes.buffer.byteLength > 2 * bytes.length + BLOCK ? bytes.slice() : bytes)
    this.#room = 0
  }

  /** Takes out the first piece; null when there is none. */
  shift(): Uint8Array | null {
    const first = this.#pieces.shift()
    if (first === undefined) return null
    const piece = first.subarray(this.#skip)
    this.#skip = 0
    this.#length -= piece.length
    if (this.#pieces.length === 0) this.#room = 0
    return piece
  }

  /** Size of the first piece, 0 when there is none. */
  get first(): number {
    return (this.#pieces[0]?.length ?? this.#skip) - this.#skip
  }

  /** Copies `length` bytes that begin `from` bytes behind the front. They must be there. */
  copy(from: number, length: number, into: Uint8Array, at: number): void {
    let skip = this.#skip + from
    let done = 0
    for (const piece of this.#pieces) {
      if (skip >= piece.length) {
        skip -= piece.length
        continue
      }
      const part = piece.subarray(skip, skip + length - done)
      into.set(part, at + done)
      done += part.length
      skip = 0
      if (done === length) return
    }
  }

  /** Forgets the first `count` bytes. */
  drop(count: number): void {
    this.#skip += Math.min(count, this.#length)
    this.#length -= Math.min(count, this.#length)
    let gone = 0
    for (const piece of this.#pieces) {
      if (this.#skip < piece.length) break
      this.#skip -= piece.length
      gone++
    }
    if (gone > 0) this.#pieces.splice(0, gone)
    if (this.#pieces.length === 0) this.#room = 0
  }

  clear(): void {
    this.drop(this.#length)
  }
}
