import type { CharLine, CharPort } from '@machinist/api'

/** A line that can be saved. */
interface SavedLine {
  /** Bytes that it keeps; null when the host has taken all output. */
  save(): Uint8Array | null
  restore(kept: Uint8Array): void
}

/** The line of the part that has it, which others may share. */
export interface OwnLine extends CharLine {
  /** Somebody who shares it has written. */
  shared(): void
}

/** A machine's streams as its parts have them: they know what output the host has yet to take. */
export class CharLines {
  /** Lines that keep bytes of `send`. */
  #stalled = 0
  /** Lines with output that the host has not taken, in the line or still in the device. */
  #sending = 0
  readonly #waiters: (() => void)[] = []
  /** Lines by the part and port that have them. */
  readonly #lines = new Map<string, SavedLine>()
  readonly #onStall: () => void
  readonly #later: (work: () => void) => void

  /**
   * @param onStall - told when no hart must run any more, before {@link stalled} ends
   * @param later - does something when no part is in the middle of anything
   */
  constructor(onStall: () => void, later: (work: () => void) => void) {
    this.#onStall = onStall
    this.#later = later
  }

  /** Output without a place to wait: no hart must run. */
  get stalled(): boolean {
    return this.#stalled > 0
  }

  /** Some output has not reached the host. */
  get sending(): boolean {
    return this.#sending > 0
  }

  /** Calls back, once, when all output has reached the host. */
  whenSent(callback: () => void): void {
    this.#waiters.push(callback)
  }

  /** Output that the host has yet to take, by part and port: what lines keep. It is empty where only the part has some. */
  save(): Record<string, Uint8Array> {
    const kept = [...this.#lines].map(([part, line]) => [part, line.save()] as const)
    return Object.fromEntries(kept.filter((each): each is [string, Uint8Array] => each[1] !== null))
  }

  /** Takes back what {@link CharLines.save} gave: it goes to the host, and parts are asked for theirs, when the machine is next looked after. */
  restore(output: Readonly<Record<string, Uint8Array>>): void {
    for (const [part, kept] of Object.entries(output)) this.#lines.get(part)?.restore(kept)
  }

  /**
   * A stream for a part. Whoever shares it uses the same line, so that bytes keep their order.
   *
   * @param part - and port, by which its output is saved
   */
  line(part: string, port: CharPort): OwnLine {
    let kept: Uint8Array = new Uint8Array(0)
    let short = false
    let more = false
    let sending = false
    const listeners: Parameters<CharPort['listen']>[0][] = []
    const sharers: (() => void)[] = []
    const note = (isShort: boolean): void => {
      short = isShort
      if (sending === (short || more)) return
      sending = !sending
      this.#sending += sending ? 1 : -1
      // The part may have more to say before that.
      if (!this.sending && this.#waiters.length > 0) this.#later(() => { this.#release() })
    }
    const writable = (): void => {
      if (kept.length > 0) {
        kept = kept.subarray(Math.min(kept.length, port.write(kept)))
        if (kept.length > 0) return
        this.#stalled--
      }
      note(false)
      for (const listener of listeners) listener.writable()
    }
    this.#lines.set(part, {
      save: () => sending ? kept.slice() : null,
      restore: (bytes) => {
        kept = bytes.slice()
        if (kept.length > 0) this.#stalled++
        note(true)
        this.#later(writable)
      },
    })
    port.listen({ readable() { for (const listener of listeners) listener.readable() }, writable })
    return {
      write(bytes) {
        const taken = kept.length > 0 ? 0 : port.write(bytes)
        note(taken < bytes.length)
        return taken
      },
      send: (bytes) => {
        const waiting = kept
        const rest = bytes.subarray(waiting.length > 0 ? 0 : port.write(bytes))
        note(waiting.length + rest.length > 0)
        if (rest.length === 0) return
        kept = new Uint8Array(waiting.length + rest.length)
        kept.set(waiting)
        kept.set(rest, waiting.length)
        if (waiting.length > 0) return
        this.#stalled++
        this.#onStall()
      },
      more(is) {
        more = is
        note(short)
      },
      read: (into) => port.read(into),
      listen(to) { listeners.push(to) },
      get ended() { return port.ended === true },
      get room() { return kept.length > 0 ? 0 : port.room ?? 0 },
      onShare(listener) { sharers.push(listener) },
      shared() { for (const sharer of sharers) sharer() },
      get size() { return port.size },
      ...(port.onResize && { onResize: (to: () => void) => { port.onResize?.(to) } }),
    }
  }

  #release(): void {
    if (!this.sending) for (const waiter of this.#waiters.splice(0)) waiter()
  }
}
