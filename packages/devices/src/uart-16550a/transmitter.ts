import type { CharLine } from '@machinist/api'
import { Fifo } from './fifo.ts'
import { fifoSize } from './registers.ts'

/**
 * The sending half. The first byte of the queue is in the shift register, on its way to the host; the others are in
 * the FIFO, or one in the holding register. A host that takes nothing fills it up, and THRE tells the guest to wait. A
 * guest that has waited long enough for its taste (Linux's console: 10 ms) or never looks waits in its access.
 */
export class Transmitter {
  /** FIFO mode; otherwise there is only the holding register. */
  fifos = false
  readonly #queue = new Fifo(fifoSize + 1)
  readonly #port: CharLine
  readonly #byte = new Uint8Array(1)
  /** The host took nothing; wait until it says that it will. */
  #blocked = false

  constructor(port: CharLine) {
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

  /** How many bytes written to THR would all be with the host at once. */
  get room(): number {
    return this.empty && !this.#blocked ? this.#port.room ?? 0 : 0
  }

  /** The guest writes THR. */
  put(byte: number): void {
    if (this.#queue.length > (this.fifos ? fifoSize : 1)) this.#force()
    this.#queue.push(byte)
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

  /** Empties the FIFO (section 8.5). A guest that does so to set the UART up does not mean what it has printed: on a line as fast as this it had gone. */
  clear(): void {
    while (this.#queue.length > 1) this.#force()
  }

  reset(): void {
    this.#queue.truncate(0)
  }

  #force(): void {
    this.#byte[0] = this.#queue.shift()
    this.#port.send(this.#byte)
  }

  save(): number[] {
    return this.#queue.toArray()
  }

  restore(bytes: readonly number[]): void {
    this.#queue.fill(bytes)
    this.#blocked = false
  }
}
