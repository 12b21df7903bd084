import type { ByteDuplex, ByteListener } from '../src/index.ts'

/** Bytes that wait before a stream says no. */
const MOST_WAITING = 65536

/** One end of a stream within a process. What is sent comes in another turn, in pieces as they are cut. */
class End implements ByteDuplex {
  other: End | null = null
  #listener: ByteListener | null = null
  #waiting: Uint8Array[] = []
  #flows = true
  #scheduled = false
  #full = false
  #closing = false
  #closed = false
  readonly #cut: (length: number) => number

  constructor(cut: (length: number) => number) {
    this.#cut = cut
  }

  listen(listener: ByteListener): void {
    this.#listener = listener
    this.#run()
  }

  send(bytes: Uint8Array): boolean {
    const { other } = this
    if (other === null || this.#closed || this.#closing) return false
    other.#waiting.push(bytes)
    other.#run()
    return !(this.#full = other.#waiting.reduce((sum, { length }) => sum + length, 0) > MOST_WAITING)
  }

  flow(on: boolean): void {
    this.#flows = on
    this.#run()
  }

  close(): void {
    this.#closing = true
    if (this.other !== null) this.other.#run()
    this.#run()
  }

  #run(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#work()
    })
  }

  #work(): void {
    if (this.#closed) return
    while (this.#flows && this.#listener !== null && this.#waiting.length > 0 && !this.#closing) {
      const [first = new Uint8Array(0)] = this.#waiting
      const piece = first.subarray(0, this.#cut(first.length))
      if (piece.length < first.length) this.#waiting[0] = first.subarray(piece.length)
      else this.#waiting.shift()
      this.#listener.bytes(piece)
    }
    const { other } = this
    if (other === null) return
    if (other.#full && this.#waiting.length === 0) {
      other.#full = false
      other.#listener?.writable()
    }
    if (this.#closing || (other.#closing && this.#waiting.length === 0)) {
      this.#closed = true
      this.#listener?.closed()
      this.#closing = true
      other.#run()
    }
  }
}

/** Both ends of a stream within a process. @param cut how many bytes of so many come at once */
export function bytePair(cut: (length: number) => number = (length) => length): readonly [ByteDuplex, ByteDuplex] {
  const [one, two] = [new End(cut), new End(cut)]
  one.other = two
  two.other = one
  return [one, two]
}
