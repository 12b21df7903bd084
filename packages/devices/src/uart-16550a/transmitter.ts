import type { CharPort } from '@machinist/api'
import { Fifo } from './fifo.ts'
import { fifoSize } from './registers.ts'

/**
 * The sending half. The first byte of the queue is in the shift register, on its way to the host; the others are in
 * the FIFO, or one in the holding register. A host that takes nothing fills it up, and THRE tells the guest to wait.
 */
export class Transmitter {
  /** FIFO mode; otherwise there is only the holding register. */
  fifos = false
  readonly #queue = new Fifo(fifoSize + 1)
  readonly #port: CharPort
  readonly #byte = new Uint8Array(1)
  /** The host took nothing; wait until it says that it will. */
  #blocked = false

  constructor(port: CharPort) {
    this.#port = port
  }

  /** LSR's THRE: holding register and FIFO are empty. */
  get holdingEmpty(): boolean {
    return this.#queue.length <= 1
  }

  /** LSR's TEMT: and so is the shift register. */
  get empty(): boolean {
    return this.#queue.length === 0
  }

  /** The guest writes THR. Returns false when a byte was lost because the guest did not wait for THRE. */
  put(byte: number): boolean {
    const full = this.#queue.length > (this.fifos ? fifoSize : 1)
    if (full && this.fifos) return false
    if (full) this.#queue.truncate(1)
    this.#queue.push(byte)
    return !full
  }

  /** The host takes output again. */
  writable(): void {
    this.#blocked = false
  }

  /** Sends what the host takes. */
  pump(): void {
    while (!this.#blocked && this.#queue.length > 0) {
      this.#byte[0] = this.#queue.peek()
      if (this.#port.write(this.#byte) === 1) this.#queue.shift()
      else this.#blocked = true
    }
  }

  /** Empties the FIFO; the shift register goes on (section 8.5). */
  clear(): void {
    this.#queue.truncate(1)
  }

  reset(): void {
    this.#queue.truncate(0)
  }

  save(): number[] {
    return this.#queue.toArray()
  }

  restore(bytes: readonly number[]): void {
    this.#queue.fill(bytes)
    this.#blocked = false
  }
}
