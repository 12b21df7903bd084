import type { Backend, CharPort } from '@machinist/api'
import type { HostLoop } from '@machinist/machine'

/** Output that may be on its way to the control, and input that may wait for the guest. What is more has to wait, or is lost. */
const OUTPUT_LIMIT = 65_536
const INPUT_LIMIT = 1 << 20

/** The console of a machine: what its guest says goes to the control, and what comes from there is typed. Several parts of a machine may be connected; the first one has the input. */
export class Console implements Backend<CharPort> {
  readonly kind = 'char'
  readonly #loop: HostLoop
  readonly #send: (bytes: Uint8Array) => void
  #pending: Uint8Array[] = []
  /** Bytes of output that wait here, or that the control has not taken. */
  #under = 0
  readonly #input: Uint8Array[] = []
  #waiting = 0
  readonly #writable: (() => void)[] = []
  #readable: (() => void) | null = null
  #starved = false
  #connections = 0

  /** @param send - gives output to the control, which says how much of it was {@link Console.taken} */
  constructor(loop: HostLoop, send: (bytes: Uint8Array) => void) {
    this.#loop = loop
    this.#send = send
  }

  connect(deliver: (callback: () => void) => void): CharPort {
    const first = this.#connections++ === 0
    const room = (): number => this.#connections > 1 ? 0 : OUTPUT_LIMIT - this.#under
    return {
      get room() { return room() },
      write: (bytes) => this.#write(bytes),
      read: (into) => (first ? this.#read(into) : 0),
      listen: (listener) => {
        this.#writable.push(() => { deliver(() => { listener.writable() }) })
        if (!first) return
        this.#readable = () => { deliver(() => { listener.readable() }) }
        if (this.#waiting > 0) this.#readable()
      },
    }
  }

  /** The control has taken output. */
  taken(count: number): void {
    this.#under = Math.max(0, this.#under - count)
    if (!this.#starved) return
    this.#starved = false
    for (const writable of this.#writable) writable()
  }

  /** Somebody typed. What nobody reads is lost beyond a megabyte. */
  type(bytes: Uint8Array): void {
    const some = bytes.subarray(0, INPUT_LIMIT - this.#waiting)
    if (some.length === 0) return
    this.#input.push(some)
    this.#waiting += some.length
    this.#readable?.()
  }

  /** Takes back what was typed and not read. */
  untype(): Uint8Array {
    const all = new Uint8Array(this.#waiting)
    this.#read(all)
    return all
  }

  /** Sends what waits, now. */
  flush(): void {
    const parts = this.#pending
    if (parts.length === 0) return
    this.#pending = []
    const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const part of parts) {
      bytes.set(part, at)
      at += part.length
    }
    this.#send(bytes)
  }

  #write(bytes: Uint8Array): number {
    const room = OUTPUT_LIMIT - this.#under
    const taken = Math.min(bytes.length, room)
    if (taken < bytes.length) this.#starved = true
    if (taken === 0) return 0
    this.#under += taken
    // Guests write byte by byte: what they say in a turn goes at once.
    if (this.#pending.push(bytes.slice(0, taken)) === 1) this.#loop.soon(() => { this.flush() })
    return taken
  }

  #read(into: Uint8Array): number {
    let done = 0
    for (let chunk = this.#input[0]; chunk !== undefined && done < into.length; chunk = this.#input[0]) {
      const some = chunk.subarray(0, into.length - done)
      into.set(some, done)
      done += some.length
      if (some.length === chunk.length) this.#input.shift()
      else this.#input[0] = chunk.subarray(some.length)
    }
    this.#waiting -= done
    return done
  }
}
