import type { TextScreen } from '@machinist/api'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { characterOf } from './text.ts'
import { TextPainter } from './index.ts'

const room = { columns: 80, rows: 25 }
const colors = Array.from({ length: 16 }, (_, index) => index * 0x10203)

/** A terminal that knows what the painter says: each place has a character and how it is selected. */
function terminal() {
  const places = new Map<string, string>()
  let [row, column, attribute] = [1, 1, '0']
  const cursor = { seen: true, at: '1;1' }
  return {
    places, cursor,
    write(text: string): void {
      for (const [piece, parameters = '', final] of text.matchAll(/\x1b\[(\??[\d;]*)([A-Za-z])|[^\x1b]/gu)) {
        if (final === 'H') [row = 1, column = 1] = parameters.split(';').map(Number)
        else if (final === 'm') attribute = parameters
        else if (final === 'J') places.clear()
        else if (final === 'h' || final === 'l') cursor.seen = final === 'h'
        else places.set(`${row};${column++}`, `${attribute} ${piece}`)
        cursor.at = `${row};${column}`
      }
    },
  }
}

it('a terminal shows the last of some screens, whatever it showed before', () => {
  const screen = fc.record({
    cells: fc.uint8Array({ minLength: 24, maxLength: 24 }).map((bytes) => Uint16Array.from({ length: 12 }, (_, index) => (bytes[2 * index] ?? 0) % 4 | (bytes[2 * index + 1] ?? 0) % 3 << 12 | 0x4100)),
    cursor: fc.option(fc.record({ column: fc.nat(5), row: fc.nat(3) })),
    wide: fc.boolean(), blinks: fc.boolean(),
  }).map(({ cells, cursor, wide, blinks }): TextScreen => ({ columns: wide ? 6 : 4, rows: wide ? 2 : 3, cells, cursor, colors, blinks }))
  fc.assert(fc.property(fc.array(screen, { minLength: 1, maxLength: 5 }), (screens) => {
    const [painter, one, other] = [new TextPainter(), terminal(), terminal()]
    for (const each of screens) one.write(painter.paint(each, room))
    const last = screens.at(-1) ?? null
    other.write(new TextPainter().paint(last, room))
    expect([...one.places].sort()).toEqual([...other.places].sort())
    expect(one.cursor.seen).toBe(other.cursor.seen)
    if (one.cursor.seen) expect(one.cursor.at).toBe(other.cursor.at)
    for (let place = 0; place < 12; place++) {
      const columns = last?.columns ?? 1
      expect(one.places.get(`${Math.floor(place / columns) + 1};${place % columns + 1}`)).toMatch(new RegExp(` ${characterOf((last?.cells[place] ?? 0) & 0xff)}$`, 'u'))
    }
  }), { numRuns: 40 })
})

it('says colours, blinking and what does not fit', () => {
  const painter = new TextPainter()
  const text: TextScreen = { columns: 3, rows: 2, cells: Uint16Array.of(0x9ec9, 0x9ecd, 0x07bb, 0, 0, 0), cursor: { column: 2, row: 1 }, colors, blinks: true }
  const c = (index: number): string => `2;${index};${2 * index};${3 * index}`
  expect(painter.paint(text, { columns: 2, rows: 1 })).toBe(`\x1b[0m\x1b[2J\x1b[1;1H\x1b[0;5;38;${c(14)};48;${c(1)}m╔═\x1b[0m\x1b[?25l`)
  expect(painter.paint({ ...text, cells: Uint16Array.of(0x9ec9, 0x1ecd, 0x07bb, 0, 0, 0) }, { columns: 2, rows: 1 })).toBe(`\x1b[1;2H\x1b[0;38;${c(14)};48;${c(1)}m═\x1b[0m\x1b[?25l`)
  // A terminal that has grown has room for what was left out.
  expect(painter.paint({ ...text, cells: Uint16Array.of(0x9ec9, 0x1ecd, 0x07bb, 0, 0, 0) }, room)).toContain('╗')
  expect([painter.paint(null, room), painter.paint(null, room)]).toEqual(['\x1b[0m\x1b[2J\x1b[?25h', ''])
})
