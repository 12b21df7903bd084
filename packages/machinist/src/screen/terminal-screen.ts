import type { CharPort } from '@machinist/api'
import { encodeUtf8 } from '@machinist/boot'
import { type CharBackend, terminalKeys, TextPainter, textOf } from '@machinist/display'
import type { Desk } from './backends.ts'

/** What terminals are for whose size nobody knows. */
const USUAL = { columns: 80, rows: 25 } as const
/** Milliseconds from a change to its being drawn: more may come. */
const DRAW = 20
/** Milliseconds after which an Escape that nothing follows is that key. */
const ESCAPE = 50
/** The alternate screen of a terminal, and back to what was there before. */
const [BEGIN, END] = ['\x1b[?1049h', '\x1b[0m\x1b[?25h\x1b[?1049l']
const HOME = '\x1b[0m\x1b[2J\x1b[1;1H'

/** Draws a screen of text at a terminal, and has its keys pressed at the keyboard. */
export class TerminalScreen {
  readonly #desk: Desk
  readonly #shell: CharBackend
  #painter = new TextPainter()
  readonly #keys = terminalKeys()
  #port: CharPort | null = null
  #drawing: NodeJS.Timeout | undefined
  #escape: NodeJS.Timeout | undefined
  /** What the terminal does not take yet. */
  #waiting: Uint8Array = new Uint8Array(0)
  #begun = false
  /** Something else is on the terminal, until a key is pressed. */
  #covered = false

  constructor(shell: CharBackend, desk: Desk) {
    this.#shell = shell
    this.#desk = desk
  }

  begin(): void {
    const port = this.#shell.connect((callback) => { callback() })
    this.#port = port
    port.listen({ readable: () => { this.#read(port) }, writable: () => { this.#write(new Uint8Array(0)) } })
    port.onResize?.(() => { this.#change() })
    this.#begun = true
    this.#write(encodeUtf8(BEGIN))
    this.#desk.display.onChange = () => { this.#change() }
    this.#change()
  }

  /** Shows something else until a key is pressed. */
  cover(text: string): void {
    this.#covered = true
    this.#write(encodeUtf8(`${HOME}\x1b[?25h${text}\r\nAny key goes back to the screen.\r\n`))
  }

  /** Presses keys together. */
  press(keys: readonly number[]): void {
    const { keyboard } = this.#desk
    const taken = keys.filter((code) => keyboard.key(code, true))
    for (const code of taken.toReversed()) keyboard.key(code, false)
  }

  /** What gives the terminal back, once: it has what it had before, and below that the last lines of the screen. */
  farewell(): string {
    if (!this.#begun) return ''
    this.#begun = false
    clearTimeout(this.#drawing)
    clearTimeout(this.#escape)
    const text = this.#desk.display.screens[0]?.text ?? null
    const lines = text === null ? [] : textOf(text)
    while (lines.at(-1) === '') lines.pop()
    return `${END}${lines.map((line) => `${line}\r\n`).join('')}`
  }

  end(): void {
    this.#desk.display.onChange = undefined
    const text = this.farewell()
    this.#port = null
    this.#shell.close()
    if (text !== '') process.stdout.write(text)
  }

  #read(port: CharPort): void {
    const bytes = new Uint8Array(256)
    for (let count = port.read(bytes); count > 0; count = port.read(bytes)) {
      if (this.#covered) {
        this.#covered = false
        this.#painter = new TextPainter()
        this.#change()
        continue
      }
      for (const stroke of this.#keys.feed(bytes.subarray(0, count))) this.press(stroke)
    }
    clearTimeout(this.#escape)
    if (this.#keys.waiting) this.#escape = setTimeout(() => { for (const stroke of this.#keys.flush()) this.press(stroke) }, ESCAPE)
  }

  #change(): void {
    this.#drawing ??= setTimeout(() => {
      this.#drawing = undefined
      this.#draw()
    }, DRAW)
  }

  #draw(): void {
    if (this.#covered || !this.#begun) return
    // The terminal is to take what was drawn before.
    if (this.#waiting.length > 0) {
      this.#change()
      return
    }
    const [screen] = this.#desk.display.screens
    const text = screen?.text ?? null
    const out = this.#painter.paint(text, this.#port?.size ?? USUAL)
    this.#write(encodeUtf8(out))
    const picture = screen?.picture ?? null
    if (text === null && picture !== null && out !== '') this.#write(encodeUtf8(`\x1b[1;1HThe machine shows a picture of ${picture.width} × ${picture.height} pixels.`))
  }

  #write(bytes: Uint8Array): void {
    const port = this.#port
    if (port === null) return
    const all = this.#waiting.length === 0 ? bytes : Buffer.concat([this.#waiting, bytes])
    this.#waiting = all.subarray(port.write(all))
  }
}
