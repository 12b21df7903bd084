import type { CharPort, Timer } from '@machinist/api'
import { Fifo } from './fifo.ts'
import { fifoSize } from './registers.ts'

/**
 * The receiving half: a FIFO that is filled from the host only while it has room, so that what the guest does not read
 * stays with the host, and the character timeout.
 *
 * A driver that sets a UART up throws away what it finds there: stray bytes on hardware, but here what somebody typed or piped
 * before the guest was ready. Such bytes go back to the head of the input: while the receiver interrupt is off, and when the
 * FIFOs are turned on or off.
 */
export class Receiver {
  /** FIFO mode; otherwise there is room for one byte. */
  fifos = false
  /** The interrupt that says that bytes below the trigger level have been left lying. */
  timedOut = false
  readonly #fifo = new Fifo(fifoSize)
  /** Input that went back, which comes before the host's. */
  readonly #back = new Fifo(fifoSize)
  /** The byte that the last access took, while it can go back. */
  #taken = -1
  readonly #port: CharPort
  readonly #timer: Timer
  /** Views of one buffer, by length, so that reading from the host allocates nothing. */
  readonly #room: readonly Uint8Array[]
  /** The host may have more input. */
  #more = true
  #timeoutAt = Infinity

  constructor(port: CharPort, timer: Timer) {
    const buffer = new Uint8Array(fifoSize)
    this.#port = port
    this.#timer = timer
    this.#room = Array.from({ length: fifoSize + 1 }, (_, length) => buffer.subarray(0, length))
  }

  get length(): number {
    return this.#fifo.length
  }

  /** The host has input again. */
  readable(): void {
    this.#more = true
  }

  /** Takes what the host has and there is room for, until there are `most` bytes. Returns whether anything came. */
  pull(most: number): boolean {
    const limit = Math.min(most, this.fifos ? fifoSize : 1)
    const before = this.#fifo.length
    while (this.#back.length > 0 && this.#fifo.length < limit) this.#fifo.push(this.#back.shift())
    const room = this.#room[limit - this.#fifo.length]
    if (this.#more && room !== undefined && room.length > 0) {
      const taken = Math.min(this.#port.read(room), room.length)
      for (let i = 0; i < taken; i++) this.#fifo.push(room[i] ?? 0)
      this.#more = taken > 0
    }
    return this.#fifo.length > before
  }

  /** Nothing that the last access took can go back. */
  get settled(): boolean {
    return this.#taken < 0
  }

  /** Whether {@link pull} would not even look. */
  full(most: number): boolean {
    return this.#fifo.length >= Math.min(most, this.fifos ? fifoSize : 1) || (this.#back.length === 0 && !this.#more)
  }

  /** A byte from the transmitter, in loopback. Returns false on an overrun: a full FIFO keeps what it has, a full RBR does not. */
  loop(byte: number): boolean {
    const full = this.#fifo.length >= (this.fifos ? fifoSize : 1)
    if (full && this.fifos) return false
    if (full) this.#fifo.truncate(0)
    this.#fifo.push(byte)
    return !full
  }

  /**
   * The guest reads RBR.
   *
   * @param polled - it may not mean it: {@link untake} can follow
   */
  take(polled: boolean): number {
    this.timedOut = false
    this.#taken = polled && this.#fifo.length > 0 ? this.#fifo.peek() : -1
    return this.#fifo.shift()
  }

  /** The byte of the last access goes back: it was not meant. */
  untake(): void {
    if (this.#taken >= 0) this.#fifo.fill([this.#taken, ...this.#fifo.toArray()])
    this.#taken = -1
  }

  /** The byte of the last access was meant. */
  settle(): void {
    this.#taken = -1
  }

  /** Empties the FIFO; with `back` what is in it will come again. */
  clear(back = false): void {
    // What went back earlier came after it; and while there is any, nothing new comes, so that there is room.
    if (back) this.#back.fill([...this.#fifo.toArray(), ...this.#back.toArray()])
    this.#fifo.truncate(0)
    this.timedOut = false
    this.#arm(Infinity)
  }

  /** Starts the character timeout again, for `at`; only FIFOs with something in them have one. */
  watch(at: number): void {
    this.#arm(this.fifos && this.#fifo.length > 0 ? at : Infinity)
  }

  /** The timeout is over. */
  expire(): void {
    this.#timeoutAt = Infinity
    this.timedOut = this.fifos && this.#fifo.length > 0
  }

  save(): { bytes: number[]; back: number[]; taken: number; timedOut: boolean; timeoutAt: number } {
    return { bytes: this.#fifo.toArray(), back: this.#back.toArray(), taken: this.#taken, timedOut: this.timedOut, timeoutAt: this.#timeoutAt === Infinity ? -1 : this.#timeoutAt }
  }

  restore(bytes: readonly number[], back: readonly number[], taken: number, timedOut: boolean, timeoutAt: number): void {
    this.#fifo.fill(bytes)
    this.#back.fill(back)
    this.#taken = taken
    this.timedOut = timedOut
    this.#more = true
    this.#arm(timeoutAt < 0 ? Infinity : timeoutAt)
  }

  #arm(at: number): void {
    if (at === Infinity && this.#timeoutAt === Infinity) return
    this.#timeoutAt = at
    if (at === Infinity) this.#timer.cancel()
    else this.#timer.arm(at)
  }
}
