import { type PlainData } from '@machinist/registers'
import { QUEUE } from './keyboard.ts'
import { Reply } from './registers.ts'

export interface MouseState {
  readonly queue: readonly number[]
  /** Enabled, remote, wrap, scaling 2:1: one bit each. */
  readonly flags: number
  readonly resolution: number
  readonly rates: readonly number[]
  readonly wheel: boolean
  readonly command: number
  readonly buttons: number
  readonly moved: readonly number[]
}

const Flag = { enabled: 0x20, remote: 0x40, wrap: 0x80, scaling: 0x10 } as const
const RATE = 100
/** Rates in a row that ask a mouse whether it has a wheel. */
const KNOCK = '200,100,80'
const MOST = 32767

/** A mouse of the PS/2 (technical reference, "Mouse"), which has a wheel when it is asked in the way of Microsoft's. */
export class Ps2Mouse {
  readonly queue: number[] = []
  #flags = 0
  #resolution = 2
  #rates = [RATE, RATE, RATE]
  #wheel = false
  #command = 0
  #buttons = 0
  readonly #moved = [0, 0, 0]

  get room(): boolean {
    return this.queue.length + 4 <= QUEUE
  }

  button(bit: number, down: boolean): void {
    this.#buttons = down ? this.#buttons | bit : this.#buttons & ~bit
  }

  /** Right, up, and the wheel towards the user. */
  move(axis: 0 | 1 | 2, by: number): void {
    this.#moved[axis] = Math.max(-MOST, Math.min(MOST, (this.#moved[axis] ?? 0) + by))
  }

  /** All that has happened was told. */
  report(): void {
    if ((this.#flags & (Flag.enabled | Flag.remote)) === Flag.enabled) this.#packet()
    else this.#moved.fill(0)
  }

  #packet(): void {
    const part = (axis: 0 | 1 | 2, most: number): number => {
      const by = Math.max(-most - 1, Math.min(most, this.#moved[axis] ?? 0))
      this.#moved[axis] = (this.#moved[axis] ?? 0) - by
      return by
    }
    const [x, y] = [part(0, 255), part(1, 255)]
    this.queue.push(this.#buttons | 8 | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0), x & 0xff, y & 0xff)
    if (this.#wheel) this.queue.push(part(2, 7) & 0xff)
    else this.#moved[2] = 0
  }

  take(): number {
    return this.queue.shift() ?? 0
  }

  write(value: number): void {
    const command = this.#command
    this.#command = 0
    if (command !== 0) {
      this.queue.push(Reply.acknowledge)
      if (command === 0xe8) this.#resolution = value & 3
      else {
        this.#rates = [...this.#rates.slice(1), value]
        if (this.#rates.join() === KNOCK) this.#wheel = true
      }
      return
    }
    if ((this.#flags & Flag.wrap) !== 0 && value !== 0xec && value !== 0xff) {
      this.queue.splice(0, this.queue.length, value)
      return
    }
    this.queue.splice(0, this.queue.length, Reply.acknowledge)
    const set = (flag: number, on: boolean): void => { this.#flags = on ? this.#flags | flag : this.#flags & ~flag }
    switch (value) {
      case 0xe6: case 0xe7: set(Flag.scaling, value === 0xe7); break
      case 0xe8: case 0xf3: this.#command = value; break
      case 0xe9: this.queue.push((this.#flags & (Flag.enabled | Flag.scaling | Flag.remote)) | statusButtons(this.#buttons), this.#resolution, this.#rates[2] ?? RATE); break
      case 0xea: set(Flag.remote, false); break
      case 0xeb: this.#packet(); break
      case 0xec: case 0xee: set(Flag.wrap, value === 0xee); break
      case 0xf0: set(Flag.remote, true); break
      case 0xf2: this.queue.push(this.#wheel ? 3 : 0); break
      case 0xf4: case 0xf5: set(Flag.enabled, value === 0xf4); break
      case 0xf6: this.#defaults(); break
      case 0xff:
        this.reset()
        this.queue.push(Reply.acknowledge, Reply.passed, 0)
        break
      default: this.queue.splice(0, this.queue.length, Reply.resend)
    }
  }

  #defaults(): void {
    this.#flags = 0
    this.#resolution = 2
    this.#rates = [RATE, RATE, RATE]
  }

  reset(): void {
    this.queue.length = 0
    this.#defaults()
    this.#wheel = false
    this.#command = this.#buttons = 0
    this.#moved.fill(0)
  }

  save(): MouseState {
    return { queue: [...this.queue], flags: this.#flags, resolution: this.#resolution, rates: [...this.#rates], wheel: this.#wheel, command: this.#command, buttons: this.#buttons, moved: [...this.#moved] }
  }

  static read(data: PlainData): MouseState {
    return {
      queue: data.bytes('queue', 2 * QUEUE), flags: data.integer('flags', 0, 0xff), resolution: data.integer('resolution', 0, 3), rates: data.integers('rates', 3, 0, 0xff), wheel: data.boolean('wheel'), command: data.integer('command', 0, 0xff),
      buttons: data.integer('buttons', 0, 7), moved: data.integers('moved', 3, -MOST, MOST),
    }
  }

  restore({ queue, flags, resolution, rates, wheel, command, buttons, moved }: MouseState): void {
    this.queue.splice(0, this.queue.length, ...queue)
    this.#flags = flags
    this.#resolution = resolution
    this.#rates = [...rates]
    this.#wheel = wheel
    this.#command = command
    this.#buttons = buttons
    this.#moved.splice(0, 3, ...moved)
  }
}

/** In its status, the left button is bit 2 and the right one bit 0. */
function statusButtons(buttons: number): number {
  return (buttons & 1) << 2 | (buttons & 2) >>> 1 | (buttons & 4) >>> 1
}
