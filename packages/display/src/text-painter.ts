import type { TextScreen } from '@machinist/api'
import { characterOf } from './text.ts'

const ESCAPE = '\x1b['
/** Number of an attribute that no cell has. */
const NONE = -1
const BLINK = 0x80

/**
 * Draws screens of text at a terminal that knows ECMA-48, UTF-8 and colours of 24 bits: colours, boxes, the cursor. Each is drawn over the one before, and only what differs is written.
 */
export class TextPainter {
  #before: TextScreen | null = null
  #room = { columns: 0, rows: 0 }
  #attribute = NONE

  /** What to write so that a terminal shows this text, from its upper left corner on; of null, nothing is shown. Rows and columns beyond `room` are left out. */
  paint(text: TextScreen | null, room: { readonly columns: number; readonly rows: number }): string {
    const before = this.#before
    this.#before = text === null ? null : { ...text, cells: text.cells.slice() }
    // Another attribute may have been set meanwhile.
    this.#attribute = NONE
    if (text === null) return before === null ? '' : `${ESCAPE}0m${ESCAPE}2J${ESCAPE}?25h`
    const fresh = before === null || room.columns !== this.#room.columns || room.rows !== this.#room.rows || before.columns !== text.columns || before.rows !== text.rows || before.colors.join() !== text.colors.join() || before.blinks !== text.blinks
    this.#room = { columns: room.columns, rows: room.rows }
    let out = fresh ? `${ESCAPE}0m${ESCAPE}2J` : ''
    const [columns, rows] = [Math.min(text.columns, room.columns), Math.min(text.rows, room.rows)]
    for (let row = 0; row < rows; row++) {
      // Where the terminal's cursor is.
      let at = NONE
      for (let column = 0; column < columns; column++) {
        const place = row * text.columns + column
        const cell = text.cells[place] ?? 0
        if (!fresh && before.cells[place] === cell) continue
        if (at !== column) out += `${ESCAPE}${row + 1};${column + 1}H`
        out += this.#select(cell >>> 8, text) + characterOf(cell & 0xff)
        at = column + 1
      }
    }
    const { cursor } = text
    const seen = cursor !== null && cursor.column < columns && cursor.row < rows
    return `${out}${ESCAPE}0m${seen ? `${ESCAPE}${cursor.row + 1};${cursor.column + 1}H${ESCAPE}?25h` : `${ESCAPE}?25l`}`
  }

  #select(attribute: number, { colors, blinks }: TextScreen): string {
    if (attribute === this.#attribute) return ''
    this.#attribute = attribute
    const color = (index: number): string => {
      const value = colors[index] ?? 0
      return `2;${value >>> 16 & 0xff};${value >>> 8 & 0xff};${value & 0xff}`
    }
    const back = attribute >>> 4 & (blinks ? 7 : 15)
    return `${ESCAPE}0;${blinks && (attribute & BLINK) !== 0 ? '5;' : ''}38;${color(attribute & 15)};48;${color(back)}m`
  }
}
