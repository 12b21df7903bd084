import { type PlainData } from '@machinist/registers'
import { Reply } from './registers.ts'
import { scanCodes } from './scan-codes.ts'

/** Bytes that a keyboard keeps for a controller that does not take them; then it loses keys. */
export const QUEUE = 16
/** Set 2 is all there is. */
const SET = 2

export interface KeyboardState {
  readonly queue: readonly number[]
  readonly enabled: boolean
  /** A command whose parameter comes next; 0 for none. */
  readonly command: number
  readonly last: number
}

/** A keyboard of the PS/2 (technical reference, "Keyboards (101/102-Key)"): keys and commands become bytes for its controller. */
export class Ps2Keyboard {
  readonly queue: number[] = []
  #enabled = true
  #command = 0
  #last = 0
  readonly #leds: (bits: number) => void

  /** @param leds - is told which lights are on: scroll, num, caps */
  constructor(leds: (bits: number) => void) {
    this.#leds = leds
  }

  /** Whether another key's bytes have room: 8 are those of Pause. */
  get room(): boolean {
    return this.queue.length + 8 <= QUEUE
  }

  key(code: number, down: boolean): void {
    if (this.#enabled) this.queue.push(...scanCodes(code, down) ?? [])
  }

  take(): number {
    this.#last = this.queue.shift() ?? this.#last
    return this.#last
  }

  write(value: number): void {
    const command = this.#command
    this.#command = 0
    // What it says of a command comes in the place of keys.
    if (command !== 0 && value < 0xed) {
      this.queue.push(Reply.acknowledge)
      if (command === 0xed) this.#leds(value & 7)
      if (command === 0xf0 && value === 0) this.queue.push(SET)
      return
    }
    this.queue.length = 0
    switch (value) {
      case 0xed: case 0xf0: case 0xf3: case 0xfb: case 0xfc: case 0xfd:
        this.#command = value
        this.queue.push(Reply.acknowledge)
        break
      case 0xee: this.queue.push(Reply.echo); break
      case 0xf2: this.queue.push(Reply.acknowledge, ...Reply.keyboardId); break
      case 0xf4: case 0xf6:
        this.#enabled = true
        this.queue.push(Reply.acknowledge)
        break
      case 0xf5:
        this.#enabled = false
        this.queue.push(Reply.acknowledge)
        break
      case 0xf7: case 0xf8: case 0xf9: case 0xfa: this.queue.push(Reply.acknowledge); break
      case 0xfe: this.queue.push(this.#last); break
      case 0xff:
        this.reset()
        this.queue.push(Reply.acknowledge, Reply.passed)
        break
      default: this.queue.push(Reply.resend)
    }
  }

  reset(): void {
    this.queue.length = 0
    this.#enabled = true
    this.#command = this.#last = 0
    this.#leds(0)
  }

  save(): KeyboardState {
    return { queue: [...this.queue], enabled: this.#enabled, command: this.#command, last: this.#last }
  }

  static read(data: PlainData): KeyboardState {
    return { queue: data.bytes('queue', 2 * QUEUE), enabled: data.boolean('enabled'), command: data.integer('command', 0, 0xff), last: data.integer('last', 0, 0xff) }
  }

  restore({ queue, enabled, command, last }: KeyboardState): void {
    this.queue.splice(0, this.queue.length, ...queue)
    this.#enabled = enabled
    this.#command = command
    this.#last = last
  }
}
