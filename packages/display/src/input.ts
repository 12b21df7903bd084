import type { Backend, BackendState, Deliver, InputEvent, InputPort } from '@machinist/api'
import { badBackendState, backendStateFields, machinistError, maximumInputPacket } from '@machinist/api'
import { buttonCode, ev, keysOf, rel } from './codes.ts'
import type { ButtonName } from './codes.ts'

/** What an {@link inputSource} may be told. */
export interface InputOptions {
  /** For errors. */
  readonly name?: string
  /** Events that may wait for the guest, 64 to 65536. Packets that come then are dropped as a whole. Default: 1024. */
  readonly queueEvents?: number
  /** Positions that {@link InputSource.move} takes are 0 to this: what the device says of its axes. Default: 32767. */
  readonly range?: number
}

/**
 * A keyboard or pointer for one input device of a machine, worked by the program: hand it to the machine as that device's backend. Snapshots of the
 * machine have the packets that wait for the guest, keys that are down, and lights.
 */
export interface InputSource extends Backend<InputPort> {
  readonly kind: 'input'
  /**
   * One packet, without its SYN_REPORT. False: it was dropped, because the guest does not keep up. Keys that go up are never dropped, so
   * none stays pressed.
   *
   * @throws a typed error `'input-event'` when an event is not one, or there are more than 63
   */
  send(...events: readonly InputEvent[]): boolean
  /** A key goes down or up; by its number in evdev. */
  key(code: number, down: boolean): boolean
  /** Presses and releases keys so that, on a keyboard of the US, `text` comes out. @throws a typed error `'input-text'` at other characters */
  type(text: string): boolean
  /** A pointer with absolute positions goes there: 0 to 1 of the width and height of its screen. */
  move(x: number, y: number): boolean
  /** A mouse is moved so far, to the right and downwards. */
  moveBy(dx: number, dy: number): boolean
  button(name: ButtonName, down: boolean): boolean
  /** The wheel is turned so far, away from the user. */
  scroll(clicks: number): boolean
  /** Numbers of the lights (LED_NUML and so on) that the guest has turned on. */
  readonly lights: ReadonlySet<number>
  /** Packets that were dropped. */
  readonly dropped: number
  /** Packets that the guest has not taken yet. */
  readonly waiting: number
  /** Tells when the guest turns a light on or off. */
  onLight?: ((code: number, on: boolean) => void) | undefined
}

/** Most events that wait, whatever a source is told. */
const mostEvents = 65536
/** Most keys and lights: codes have 16 bits, and evdev's need fewer. */
const mostCodes = 1024
const synReport: InputEvent = { type: ev.syn, code: 0, value: 0 }

/** Makes an {@link InputSource}. @throws a typed error `'input-option'` */
export function inputSource(options: InputOptions = {}): InputSource {
  return new Source(options)
}

class Source implements InputSource {
  readonly kind = 'input' as const
  readonly lights: Set<number> = new Set()
  onLight?: ((code: number, on: boolean) => void) | undefined
  readonly #name: string
  readonly #limit: number
  readonly #range: number
  readonly #packets: (readonly InputEvent[])[] = []
  #events = 0
  #dropped = 0
  /** Keys that are down once the guest has taken all that waits. */
  readonly #down = new Set<number>()
  #deliver: Deliver | null = null
  #readable: (() => void) | null = null
  /** `readable` is on its way. */
  #told = false

  constructor({ name = 'input', queueEvents = 1024, range = 32767 }: InputOptions) {
    this.#name = name
    this.#limit = integer(`${name}.queueEvents`, queueEvents, maximumInputPacket, mostEvents)
    this.#range = integer(`${name}.range`, range, 1, 2 ** 31 - 1)
  }

  get dropped(): number {
    return this.#dropped
  }

  get waiting(): number {
    return this.#packets.length
  }

  connect(deliver: Deliver): InputPort {
    if (this.#deliver !== null) throw machinistError({ code: 'input-in-use', part: this.#name, remedy: 'Make one for each device.' }, 'already belongs to a device')
    this.#deliver = deliver
    const here = (): boolean => this.#deliver === deliver
    return {
      receive: () => here() ? this.#next() : null,
      status: ({ type, code, value }) => {
        if (!here() || type !== ev.led || (value !== 0) === this.lights.has(code)) return
        if (value === 0) this.lights.delete(code)
        else this.lights.add(code)
        this.onLight?.(code, value !== 0)
      },
      listen: ({ readable }) => {
        if (!here()) return
        this.#readable = readable
        if (this.#packets.length > 0) this.#tell()
      },
    }
  }

  close(): void {
    this.#deliver = null
    this.#readable = null
    this.#told = false
  }

  save(): readonly BackendState[] {
    const packets = this.#packets.map((packet) => packet.slice(0, -1).map(({ type, code, value }) => [type, code, value]))
    return [{ kind: 'input', version: 1, state: { packets, down: [...this.#down], lights: [...this.lights] } }]
  }

  restore(saved: BackendState, part: string): boolean {
    if (saved.kind !== 'input') return false
    const fields = backendStateFields(saved, 1, part)
    const bad = (): Error => badBackendState(part, 'the saved input is none')
    const codes = (value: unknown): readonly number[] => {
      if (!Array.isArray(value) || value.length > mostCodes || !value.every((code: unknown) => typeof code === 'number' && fits(code, 0, 0xffff))) throw bad()
      return value as readonly number[]
    }
    const eventOf = (value: unknown): InputEvent => {
      const [type, code, what] = Array.isArray(value) && value.length === 3 ? value as readonly unknown[] : []
      if (typeof type !== 'number' || typeof code !== 'number' || typeof what !== 'number' || !valid({ type, code, value: what })) throw bad()
      return { type, code, value: what }
    }
    const { packets } = fields
    if (!Array.isArray(packets) || packets.length > mostEvents) throw bad()
    let events = 0
    const waiting = packets.map((packet: unknown) => {
      if (!Array.isArray(packet) || packet.length === 0 || packet.length >= maximumInputPacket || (events += packet.length + 1) > mostEvents) throw bad()
      return [...packet.map(eventOf), synReport]
    })
    const [down, lights] = [codes(fields['down']), codes(fields['lights'])]
    this.#packets.unshift(...waiting)
    this.#events += events
    for (const code of down) this.#down.add(code)
    for (const code of lights) this.lights.add(code)
    return true
  }

  send(...events: readonly InputEvent[]): boolean {
    const wrong = events.find((event) => !valid(event))
    if (wrong !== undefined || events.length === 0 || events.length >= maximumInputPacket) {
      throw machinistError({
        code: 'input-event', part: this.#name, value: JSON.stringify(wrong ?? events.length), remedy: `Give 1 to ${String(maximumInputPacket - 1)} events: type and code of 16 bits, a signed value of 32.`,
      }, 'not what evdev carries')
    }
    const releases = events.every(({ type, code, value }) => type === ev.key && value === 0 && this.#down.has(code))
    if (!releases && this.#events + events.length >= this.#limit) {
      this.#dropped += 1
      return false
    }
    for (const { type, code, value } of events) {
      if (type === ev.key && value === 0) this.#down.delete(code)
      else if (type === ev.key) this.#down.add(code)
    }
    this.#packets.push([...events, synReport])
    this.#events += events.length + 1
    this.#tell()
    return true
  }

  key(code: number, down: boolean): boolean {
    return this.send({ type: ev.key, code, value: down ? 1 : 0 })
  }

  type(text: string): boolean {
    // All are known before the first goes down.
    const strokes = [...text].map((character) => {
      const keys = keysOf(character)
      if (keys === null) throw machinistError({ code: 'input-text', part: this.#name, value: character, remedy: 'Use the characters of a keyboard of the US, or send keys.' }, 'no key for it')
      return keys
    })
    return strokes.map((keys) => {
      const taken = keys.filter((code) => this.key(code, true))
      for (const code of taken.toReversed()) this.key(code, false)
      return taken.length === keys.length
    }).every((each) => each)
  }

  move(x: number, y: number): boolean {
    const at = (part: number): number => Math.round(Math.min(1, Math.max(0, part)) * this.#range)
    return this.send({ type: ev.abs, code: rel.x, value: at(x) }, { type: ev.abs, code: rel.y, value: at(y) })
  }

  moveBy(dx: number, dy: number): boolean {
    return this.send({ type: ev.rel, code: rel.x, value: dx }, { type: ev.rel, code: rel.y, value: dy })
  }

  button(name: ButtonName, down: boolean): boolean {
    return this.key(buttonCode[name], down)
  }

  scroll(clicks: number): boolean {
    return this.send({ type: ev.rel, code: rel.wheel, value: clicks })
  }

  #next(): readonly InputEvent[] | null {
    const packet = this.#packets.shift() ?? null
    this.#events -= packet?.length ?? 0
    return packet
  }

  /** Once for all that comes until the machine looks. */
  #tell(): void {
    const deliver = this.#deliver
    if (deliver === null || this.#told || this.#readable === null) return
    this.#told = true
    deliver(() => {
      if (this.#deliver !== deliver) return
      this.#told = false
      this.#readable?.()
    })
  }
}

function valid({ type, code, value }: InputEvent): boolean {
  return fits(type, 0, 0xffff) && fits(code, 0, 0xffff) && fits(value, -(2 ** 31), 2 ** 31 - 1)
}

function fits(value: number, from: number, to: number): boolean {
  return Number.isInteger(value) && value >= from && value <= to
}

function integer(part: string, value: number, from: number, to: number): number {
  if (fits(value, from, to)) return value
  throw machinistError({ code: 'input-option', part, value, remedy: `Give an integer from ${String(from)} to ${String(to)}.` }, 'out of range')
}
