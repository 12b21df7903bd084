import { machinistError } from '@machinist/api'
import { encodeCbor } from './cbor.ts'

/** Bytes of the length before each message, the most significant first. */
const LENGTH = 4
/** Bytes of the longest message. */
export const MOST_MESSAGE: number = 16 << 20
/** Bytes of the longest first message, of whoever may be anybody. */
export const MOST_GREETING = 4096
/** Bytes of memory that a reader keeps. */
const KEPT = 1 << 18

/**
 * A message as it goes over a stream: its length in 4 bytes, then CBOR.
 *
 * @throws a typed error `'message'` for what is no plain data, or too long
 */
export function frame(message: unknown): Uint8Array {
  const body = encodeCbor(message)
  if (body.length > MOST_MESSAGE) {
    throw machinistError({ code: 'message', part: 'message', value: body.length, remedy: 'Name images as files ({ file }) in the place of their bytes.' }, `it has more than ${MOST_MESSAGE} bytes`)
  }
  const bytes = new Uint8Array(LENGTH + body.length)
  new DataView(bytes.buffer).setUint32(0, body.length)
  bytes.set(body, LENGTH)
  return bytes
}

/** Cuts a stream into messages. Memory is taken for what came, never for what is promised. */
export class FrameReader {
  #bytes = new Uint8Array(MOST_GREETING)
  /** What came and was not taken. */
  #from = 0
  #to = 0
  /** Bytes of the longest message that is taken. */
  most: number = MOST_GREETING

  push(bytes: Uint8Array): void {
    const waiting = this.#to - this.#from
    if (this.#to + bytes.length > this.#bytes.length) {
      const room = waiting + bytes.length > this.#bytes.length ? new Uint8Array(2 * (waiting + bytes.length)) : this.#bytes
      room.set(this.#bytes.subarray(this.#from, this.#to))
      this.#bytes = room
      this.#from = 0
      this.#to = waiting
    }
    this.#bytes.set(bytes, this.#to)
    this.#to += bytes.length
  }

  /**
   * The bytes of the next message, which stand until the next call of {@link push}; null until all of them are there.
   *
   * @throws a typed error `'message'` for one that is too long
   */
  next(): Uint8Array | null {
    const waiting = this.#to - this.#from
    if (waiting < LENGTH) return null
    const length = new DataView(this.#bytes.buffer, this.#from, LENGTH).getUint32(0)
    if (length > this.most) {
      throw machinistError({ code: 'message', part: 'message', value: length, remedy: 'Use a client of the same version of machinist.' }, `a message has more than ${this.most} bytes, or is none`)
    }
    if (waiting < LENGTH + length) return null
    const start = this.#from + LENGTH
    this.#from = start + length
    return this.#bytes.subarray(start, this.#from)
  }

  /** Gives memory back that a long message took. */
  rest(): void {
    if (this.#from < this.#to || this.#bytes.length <= KEPT) return
    this.#bytes = new Uint8Array(MOST_GREETING)
    this.#from = this.#to = 0
  }
}
