import { type CharStream, charStream } from '@machinist/display'
import type { HostLoop } from '@machinist/machine'
import type { TerminalSize } from '../protocol.ts'

/** Bytes that may be on their way to the page; beyond that the guest waits, so that a page which is busy holds no more. */
const WINDOW = 256 * 1024

/** The worker's ends of a machine's consoles. */
export class Consoles {
  readonly #say: (part: string, bytes: Uint8Array) => void
  readonly #all = new Map<string, { readonly stream: CharStream; underWay: number }>()
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
        this.#say(part, bytes)
        return console.underWay < WINDOW
      },
      size: () => this.size ?? undefined,
      onResize: (listener) => {
        this.#resized.add(listener)
        return () => { this.#resized.delete(listener) }
      },
    })
    const console = { stream, underWay: 0 }
    this.#all.set(part, console)
    return input ? stream : { ...stream, type() {} }
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
