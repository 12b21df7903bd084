import { machinistError } from '@machinist/api'
import { type CharBackend, stream } from '@machinist/host-node'
import { screenText } from './screen.ts'

/** Milliseconds. */
const DEFAULT_PATIENCE = 60_000
/** Letters that are kept, the last ones. */
const MOST_TEXT = 2 ** 20
/** Lines of the screen, and of that in an error. */
const SCREEN_ROWS = 24
const ERROR_ROWS = 12

/** The console of a guest, where its shell is and the kernel says what is wrong. */
export interface GuestConsole {
  /** Everything that the guest wrote since it was booted or copied; of more than a million letters the last ones. */
  readonly text: string
  /** The last 24 lines as a terminal shows them, of what came before it was copied, too. */
  readonly screen: string
  /** Types; a line ends with `'\n'`. */
  type(text: string | Uint8Array): void
  /**
   * Waits until the guest writes something, after what was waited for before; resolves to it.
   *
   * @param what - a text, or a pattern that is searched for whenever something came
   * @param options - `timeout`: milliseconds, 60 000 unless given
   * @throws a typed error `'console-timeout'` that shows the screen, and `'guest-off'` when the guest is switched off
   */
  expect(what: string | RegExp, options?: { readonly timeout?: number }): Promise<string>
}

/** {@link GuestConsole}, and the stream that feeds it. */
export class ConsoleView implements GuestConsole {
  readonly backend: CharBackend = stream({ output: (bytes) => { this.#take(bytes) } })
  readonly #part: string
  readonly #history: string
  readonly #decoder = new TextDecoder()
  readonly #listeners = new Set<() => void>()
  #text = ''
  /** What was waited for ends here. */
  #seen = 0
  #ended: Error | null = null

  /** @param history - what was on the screen before */
  constructor(part: string, history: string) {
    this.#part = part
    this.#history = history
  }

  get text(): string {
    this.backend.flush()
    return this.#text
  }

  get screen(): string {
    return screenText(`${this.#history}${this.text}`, SCREEN_ROWS)
  }

  /** What a copy begins with. */
  get history(): string {
    return `${this.#history}${this.text}`.slice(-SCREEN_ROWS * 200)
  }

  type(text: string | Uint8Array): void {
    this.backend.type(text)
  }

  expect(what: string | RegExp, options: { readonly timeout?: number } = {}): Promise<string> {
    const { timeout = DEFAULT_PATIENCE } = options
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#listeners.delete(look)
      }
      const look = (): void => {
        const rest = this.#text.slice(this.#seen)
        // A pattern may be global, and would go on from its last place.
        const match = typeof what === 'string' ? rest.indexOf(what) : rest.search(what)
        if (match < 0) {
          if (this.#ended === null) return
          done()
          reject(this.#ended)
          return
        }
        const found = typeof what === 'string' ? what : new RegExp(what.source, what.flags.replace(/[gy]/g, '')).exec(rest)?.[0] ?? ''
        this.#seen += match + found.length
        done()
        resolve(found)
      }
      const timer = setTimeout(() => {
        done()
        reject(machinistError(
          { code: 'console-timeout', part: this.#part, value: String(what), remedy: `Its screen:\n${screenText(`${this.#history}${this.#text}`, ERROR_ROWS)}` },
          `the console did not show it within ${String(timeout)} ms`))
      }, timeout)
      this.#listeners.add(look)
      this.backend.flush()
      look()
    })
  }

  /** Nothing more will come. */
  end(error: Error): void {
    this.backend.flush()
    this.#ended ??= error
    for (const listener of [...this.#listeners]) listener()
  }

  #take(bytes: Uint8Array): void {
    this.#text += this.#decoder.decode(bytes, { stream: true })
    const over = this.#text.length - MOST_TEXT
    if (over > 0) {
      this.#text = this.#text.slice(over)
      this.#seen = Math.max(0, this.#seen - over)
    }
    for (const listener of [...this.#listeners]) listener()
  }
}
