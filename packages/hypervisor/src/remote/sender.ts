import type { HypervisorEvent } from '../contract/hypervisor.ts'
import { frame } from './frames.ts'
import type { ServerMessage } from './protocol.ts'
import type { ByteDuplex } from './stream.ts'

/** Events that wait for a client that reads slowly; the oldest go first. */
const MOST_EVENTS = 1024
/** Bytes of a console that wait; the oldest go first. */
const MOST_OUTPUT: number = 64 << 10
/** Most bytes of a console in one message, so that consoles take turns. */
const TURN: number = 16 << 10

/** Output of a console that waits. */
class Waiting {
  #chunks: Uint8Array[] = []
  #length = 0
  /** Bytes that were left out before those that wait. */
  lost = 0
  ended = false

  get empty(): boolean {
    return this.#length === 0
  }

  push(bytes: Uint8Array): void {
    // Of more than may wait, the end.
    const last = bytes.slice(Math.max(0, bytes.length - MOST_OUTPUT))
    this.lost += bytes.length - last.length
    this.#chunks.push(last)
    this.#length += last.length
    while (this.#length > MOST_OUTPUT) this.lost += this.#drop(this.#length - MOST_OUTPUT)
  }

  #drop(most: number): number {
    const piece = this.#next(most)
    return piece.length
  }

  /** The oldest bytes, at most so many. */
  #next(most: number): Uint8Array {
    const [first = new Uint8Array(0)] = this.#chunks
    const piece = first.subarray(0, most)
    if (piece.length < first.length) this.#chunks[0] = first.subarray(most)
    else this.#chunks.shift()
    this.#length -= piece.length
    return piece
  }

  take(): { readonly bytes: Uint8Array; readonly lost?: number } {
    const pieces: Uint8Array[] = []
    let length = 0
    while (length < TURN && !this.empty) {
      const piece = this.#next(TURN - length)
      pieces.push(piece)
      length += piece.length
    }
    const bytes = new Uint8Array(length)
    let at = 0
    for (const piece of pieces) {
      bytes.set(piece, at)
      at += piece.length
    }
    const { lost } = this
    this.lost = 0
    return { bytes, ...(lost > 0 && { lost }) }
  }
}

/**
 * What a server has to say to a client, which may read slowly or not at all. Answers wait as long as they must, and their number is limited by that of the calls; of events and of each console's
 * output the oldest are left out, and it is told how many. So a client that does not read holds up nobody.
 */
export class Sender {
  readonly #stream: ByteDuplex
  #open = true
  #writable = true
  #answers: Uint8Array[] = []
  #events: HypervisorEvent[] = []
  #untold = 0
  readonly #consoles = new Map<number, Waiting>()

  constructor(stream: ByteDuplex) {
    this.#stream = stream
  }

  /** Whether answers wait. */
  get held(): boolean {
    return this.#answers.length > 0
  }

  /** @throws a typed error `'message'` for what cannot be sent */
  answer(message: ServerMessage): void {
    this.#answers.push(frame(message))
    this.pump()
  }

  event(event: HypervisorEvent): void {
    this.#events.push(event)
    if (this.#events.length > MOST_EVENTS) {
      this.#events.shift()
      this.#untold++
    }
    this.pump()
  }

  output(id: number, bytes: Uint8Array): void {
    if (!this.#open) return
    const waiting = this.#waiting(id)
    if (!waiting.ended) waiting.push(bytes)
    this.pump()
  }

  /** Says that a console has ended, behind its output. */
  end(id: number): void {
    if (!this.#open) return
    this.#waiting(id).ended = true
    this.pump()
  }

  /** Nobody listens any more. */
  forget(id: number): void {
    this.#consoles.delete(id)
  }

  #waiting(id: number): Waiting {
    const waiting = this.#consoles.get(id) ?? new Waiting()
    this.#consoles.set(id, waiting)
    return waiting
  }

  writable(): void {
    this.#writable = true
    this.pump()
  }

  /** Nothing is sent any more. */
  stop(): void {
    this.#open = false
    this.#answers = []
    this.#events = []
    this.#consoles.clear()
  }

  pump(): void {
    while (this.#open && this.#writable) {
      const bytes = this.#next()
      if (bytes === null) return
      this.#writable = this.#stream.send(bytes)
    }
  }

  #next(): Uint8Array | null {
    const answer = this.#answers.shift()
    if (answer !== undefined) return answer
    const [event] = this.#events
    if (event !== undefined) {
      if (this.#untold > 0) {
        const text = `${this.#untold} events were not told, because this client reads too slowly`
        this.#untold = 0
        return frame({ event: { at: event.at, kind: 'warning', name: '', text } } satisfies ServerMessage)
      }
      this.#events.shift()
      return frame({ event } satisfies ServerMessage)
    }
    for (const [id, waiting] of this.#consoles) {
      this.#consoles.delete(id)
      if (waiting.empty) {
        if (waiting.ended) return frame({ console: id, end: true } satisfies ServerMessage)
        continue
      }
      const message = frame({ console: id, ...waiting.take() } satisfies ServerMessage)
      // Behind the others.
      if (!waiting.empty || waiting.ended) this.#consoles.set(id, waiting)
      return message
    }
    return null
  }
}
