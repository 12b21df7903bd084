import { type CharStream, charStream } from '@machinist/display'
import type { HostLoop } from '@machinist/machine'
import type { TerminalSize } from '../protocol.ts'

/** Bytes that may be on their way to the page; beyond that the guest waits, so that a page which is busy holds no more. */
const WINDOW = 256 * 1024

/** Bytes of output that go into a snapshot, so that a terminal shows again what it showed. */
const SHOWN = 16 * 1024

/** The worker's ends of a machine's consoles. */
export class Consoles {
  readonly #say: (part: string, bytes: Uint8Array) => void
  readonly #all = new Map<string, { readonly stream: CharStream; underWay: number; shown: Uint8Array }>()
  /** What terminals show of a machine that goes on, until they are there. */
  readonly #before = new Map<string, Uint8Array>()
  readonly #resized = new Set<() => void>()
  size: TerminalSize | null = null

  constructor(say: (part: string, bytes: Uint8Array) => void) {
    this.#say = say
  }

  /** What they are called, by part and port. */
  get names(): readonly string[] {
    return [...this.#all.keys()]
  }

  /** @param input - whether it takes what is typed */
  make(part: string, loop: HostLoop, input: boolean): CharStream {
    const stream = charStream({
      soon: (callback) => { loop.soon(callback) },
      output: (bytes) => {
        console.underWay += bytes.length
        console.shown = lastOf(console.shown, bytes)
        this.#say(part, bytes)
        return console.underWay < WINDOW
      },
      size: () => this.size ?? undefined,
      onResize: (listener) => {
        this.#resized.add(listener)
        return () => { this.#resized.delete(listener) }
      },
    })
    const console = { stream, underWay: 0, shown: new Uint8Array() as Uint8Array }
    this.#all.set(part, console)
    return input ? stream : { ...stream, type() {} }
  }

  /** The last that each has shown, by name. */
  get shown(): Readonly<Record<string, Uint8Array>> {
    return Object.fromEntries([...this.#all].map(([part, { shown }]) => [part, shown]))
  }

  /** What they have shown before: from a file, so it may be anything. */
  recall(shown: unknown): void {
    for (const [part, bytes] of Object.entries(typeof shown === 'object' && shown !== null ? shown : {})) if (bytes instanceof Uint8Array && this.#all.has(part)) this.#before.set(part, lastOf(new Uint8Array(), bytes))
  }

  /** Has terminals show what they have shown before, if anything. */
  show(): void {
    for (const [part, bytes] of this.#before) {
      const console = this.#all.get(part)
      if (console === undefined) continue
      console.underWay += bytes.length
      console.shown = bytes
      this.#say(part, bytes.slice())
    }
    this.#before.clear()
  }

  type(part: string, bytes: Uint8Array): void {
    this.#all.get(part)?.stream.type(bytes)
  }

  taken(part: string, count: number): void {
    const console = this.#all.get(part)
    if (console === undefined) return
    const full = console.underWay >= WINDOW
    console.underWay -= count
    if (full && console.underWay < WINDOW) console.stream.drain()
  }

  resize(size: TerminalSize): void {
    this.size = size
    for (const listener of this.#resized) listener()
  }
}

function lastOf(before: Uint8Array, bytes: Uint8Array): Uint8Array {
  const kept = before.subarray(Math.max(0, before.length + bytes.length - SHOWN))
  const all = new Uint8Array(Math.min(SHOWN, kept.length + bytes.length))
  all.set(kept)
  all.set(bytes.subarray(Math.max(0, bytes.length - SHOWN)), Math.max(0, all.length - bytes.length))
  return all
}
