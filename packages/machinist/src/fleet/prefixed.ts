import { styled } from '../command-line/style.ts'

/** A longer line is shown in pieces, in bytes. */
const MOST_LINE = 4096
const LF = 0x0a

/** Sequences of a terminal (ECMA-48): CSI, OSC and the like, and single functions. Colours (SGR) are told apart from the others. */
const SEQUENCE = /\u001b(?:\[([0-?]*)[ -/]*([@-~])|[\]P_^X][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -/]*[0-~])/g
const RESET = '\u001b[0m'

/**
 * One line of a guest as it may stand among those of others: with its colours, but without what would move the cursor or change the
 * terminal. What is typed over by a carriage return is left out.
 */
export function calmLine(line: string, colour: boolean): string {
  let coloured = false
  const kept = line.replaceAll('\0', '').replace(SEQUENCE, (_, parameters: string | undefined, final: string | undefined) => {
    if (final !== 'm' || !colour || !/^[0-9;:]*$/.test(parameters ?? '')) return ''
    coloured = true
    return `\0[${parameters ?? ''}m`
  })
  const visible = kept.replace(/\r+$/, '').replace(/^.*\r/s, '').replaceAll('\t', '        ').replace(/[^\P{Cc}\0]/gu, '').replaceAll('\0', '\u001b')
  return coloured ? `${visible}${RESET}` : visible
}

/** Consoles of several machines in one stream of lines, each behind the name of its machine. */
export class PrefixedLines {
  readonly #write: (text: string) => void
  readonly #colour: boolean
  readonly #width: number

  /** @param names - all that there will be, which decides the width */
  constructor(names: readonly string[], write: (text: string) => void, colour: boolean) {
    this.#write = write
    this.#colour = colour
    this.#width = Math.max(0, ...names.map((name) => name.length))
  }

  /** Writes a line for a machine. */
  line(name: string, text: string): void {
    const prefix = `${name.padEnd(this.#width)} |`
    this.#write(`${styled({ isTTY: this.#colour }, 'bold', prefix)} ${text}\n`)
  }

  /** Takes what a machine's console says, in pieces of any size; `end` shows what has no end of line yet. */
  of(name: string): { push(bytes: Uint8Array): void; end(): void } {
    let rest = Buffer.alloc(0)
    const show = (bytes: Buffer): void => { this.line(name, calmLine(bytes.toString(), this.#colour)) }
    return {
      push(bytes) {
        rest = Buffer.concat([rest, bytes])
        let from = 0
        for (let at = rest.indexOf(LF); at >= 0; at = rest.indexOf(LF, from)) {
          show(rest.subarray(from, at))
          from = at + 1
        }
        for (; rest.length - from > MOST_LINE; from += MOST_LINE) show(rest.subarray(from, from + MOST_LINE))
        rest = rest.subarray(from)
      },
      end() {
        if (rest.length > 0) show(rest)
        rest = Buffer.alloc(0)
      },
    }
  }
}
