const KEY = { ctrlC: 0x03, backspace: 0x08, tab: 0x09, lineFeed: 0x0a, return: 0x0d, ctrlU: 0x15, ctrlW: 0x17, escape: 0x1b, delete: 0x7f } as const
/** Letters of a line at most. */
const LONGEST = 200
const HISTORY = 50

/** A line that somebody types, with its history. It understands what terminals send for keys, and leaves the rest out. */
export class LineEditor {
  readonly #prompt: string
  readonly #write: (text: string) => void
  readonly #entered: (line: string) => void
  #line = ''
  readonly #history: string[] = []
  /** Where in the history; its end is the new line. */
  #at = 0
  /** Bytes of a key that is not complete: `ESC [ A`. */
  #sequence = ''
  #afterReturn = false

  constructor(prompt: string, write: (text: string) => void, entered: (line: string) => void) {
    this.#prompt = prompt
    this.#write = write
    this.#entered = entered
  }

  /** Shows the prompt, and what is typed so far. */
  show(): void {
    this.#write(`\r\u001b[K${this.#prompt}${this.#line}`)
  }

  key(byte: number): void {
    // Return and line feed together are one.
    const paired = byte === KEY.lineFeed && this.#afterReturn
    this.#afterReturn = byte === KEY.return
    if (paired) return
    if (this.#sequence !== '') return this.#continue(byte)
    if (byte === KEY.escape) this.#sequence = '\u001b'
    else if (byte === KEY.return || byte === KEY.lineFeed) this.#enter()
    else if (byte === KEY.backspace || byte === KEY.delete) this.#become(this.#line.slice(0, -1))
    else if (byte === KEY.ctrlU) this.#become('')
    else if (byte === KEY.ctrlW) this.#become(this.#line.replace(/\S*\s*$/, ''))
    else if (byte === KEY.ctrlC) {
      this.#line = ''
      this.#write('^C\n')
      this.show()
    } else if (byte >= 0x20 && byte < 0x7f && this.#line.length < LONGEST) {
      this.#line += String.fromCharCode(byte)
      this.#write(String.fromCharCode(byte))
    }
  }

  #continue(byte: number): void {
    const begins = this.#sequence === '\u001b' && (byte === 0x5b || byte === 0x4f)
    if (begins) {
      this.#sequence += '['
      return
    }
    if (this.#sequence.length > 1 && byte >= 0x20 && byte < 0x40 && this.#sequence.length < 16) {
      this.#sequence += String.fromCharCode(byte)
      return
    }
    if (this.#sequence === '\u001b[' && byte === 0x41) this.#recall(-1)
    else if (this.#sequence === '\u001b[' && byte === 0x42) this.#recall(1)
    this.#sequence = ''
  }

  #recall(step: number): void {
    const to = this.#at + step
    if (to < 0 || to > this.#history.length) return
    this.#at = to
    this.#become(this.#history[to] ?? '')
  }

  #become(line: string): void {
    this.#line = line
    this.show()
  }

  #enter(): void {
    const line = this.#line.trim()
    this.#line = ''
    this.#write('\n')
    if (line !== '' && this.#history.at(-1) !== line) this.#history.push(line)
    if (this.#history.length > HISTORY) this.#history.shift()
    this.#at = this.#history.length
    this.#entered(line)
  }
}
