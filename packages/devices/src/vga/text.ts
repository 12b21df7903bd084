import type { TextScreen } from '@machinist/api'
import { dacColors, paletteIndices } from './colors.ts'
import { Attr, AttrMode, Clocking, Crtc, CursorStart, Seq } from './registers.ts'
import { type Frame, startAddress, verticalEnd } from './geometry.ts'
import type { VgaRegisters } from './state.ts'

/** Where the eight fonts begin in plane 2, in order of their numbers. */
const FONTS: readonly number[] = [0x0000, 0x4000, 0x8000, 0xc000, 0x2000, 0x6000, 0xa000, 0xe000]
/** Characters of lines and boxes, whose last column goes on. */
const LINES = { first: 0xc0, last: 0xdf } as const
const MOST_COLUMNS = 256
const MOST_ROWS = 128

/** What text there is: characters in the even bytes, attributes in the odd ones. Null when the registers say nothing that could be shown. */
export function textScreen(registers: VgaRegisters, memory: Uint8Array): TextScreen | null {
  const { crtc } = registers
  const height = ((crtc[Crtc.maximumScan] ?? 0) & 0x1f) + 1
  const columns = Math.min((crtc[Crtc.horizontalEnd] ?? 0) + 1, MOST_COLUMNS)
  const rows = Math.min(Math.floor(verticalEnd(crtc) / height), MOST_ROWS)
  if (rows === 0) return null
  const [start, pitch] = [startAddress(crtc), (crtc[Crtc.offset] ?? 0) * 2]
  const cells = new Uint16Array(columns * rows)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = ((start + row * pitch + column) & 0x7fff) * 8
      cells[row * columns + column] = (memory[at] ?? 0) | (memory[at + 1] ?? 0) << 8
    }
  }
  const cursor = (((crtc[Crtc.cursorHigh] ?? 0) << 8 | (crtc[Crtc.cursorLow] ?? 0)) - start) & 0xffff
  const [x, y] = pitch === 0 ? [0, rows] : [cursor % pitch, Math.floor(cursor / pitch)]
  const begin = crtc[Crtc.cursorStart] ?? 0
  const seen = (begin & CursorStart.off) === 0 && (begin & CursorStart.row) <= ((crtc[Crtc.cursorEnd] ?? 0) & 0x1f) && x < columns && y < rows
  const colors = dacColors(registers)
  return {
    columns, rows, cells, cursor: seen ? { column: x, row: y } : null, colors: Array.from(paletteIndices(registers), (index) => colors[index] ?? 0),
    blinks: ((registers.attr[Attr.mode] ?? 0) & AttrMode.blink) !== 0,
  }
}

/** Draws it with the guest's fonts. */
export function drawText(registers: VgaRegisters, memory: Uint8Array, screen: TextScreen): Frame {
  const { crtc, seq, attr } = registers
  const wide = ((seq[Seq.clocking] ?? 0) & Clocking.eightDots) === 0 ? 9 : 8
  const tall = ((crtc[Crtc.maximumScan] ?? 0) & 0x1f) + 1
  const { columns, rows, cells, cursor, colors, blinks } = screen
  const frame: Frame = { width: columns * wide, height: rows * tall, words: new Uint32Array(columns * wide * rows * tall) }
  const select = seq[Seq.fontSelect] ?? 0
  // Bit 3 of an attribute has the first font, else the second.
  const fonts = [FONTS[(select & 3) | (select >>> 2 & 4)] ?? 0, FONTS[(select >>> 2 & 3) | (select >>> 3 & 4)] ?? 0] as const
  const extend = ((attr[Attr.mode] ?? 0) & AttrMode.lineGraphics) !== 0
  const [first, last] = [(crtc[Crtc.cursorStart] ?? 0) & 0x1f, (crtc[Crtc.cursorEnd] ?? 0) & 0x1f]
  for (let cell = 0; cell < cells.length; cell++) {
    const value = cells[cell] ?? 0
    const [character, attribute] = [value & 0xff, value >>> 8]
    const [row, column] = [Math.floor(cell / columns), cell % columns]
    const fore = colors[attribute & 15] ?? 0
    const back = colors[attribute >>> 4 & (blinks ? 7 : 15)] ?? 0
    const font = (attribute & 8) !== 0 ? fonts[1] : fonts[0]
    const here = cursor?.row === row && cursor.column === column
    for (let line = 0; line < tall; line++) {
      let bits = (memory[(font + character * 32 + line) * 4 + 2] ?? 0) << 1
      if (extend && character >= LINES.first && character <= LINES.last) bits |= bits >>> 1 & 1
      if (here && line >= first && line <= last) bits = 0x1ff
      const at = (row * tall + line) * frame.width + column * wide
      for (let dot = 0; dot < wide; dot++) frame.words[at + dot] = (bits >>> (8 - dot) & 1) !== 0 ? fore : back
    }
  }
  return frame
}
