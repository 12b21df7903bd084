import type { TextScreen } from '@machinist/api'

/** Code page 437: what the characters of a PC's screen are. Those below 32 have pictures, too. */
const LOW = '\u0000☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼'
const HIGH = '⌂ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0'

/** The character of Unicode for one of code page 437; a space for those that show nothing. */
export function characterOf(code: number): string {
  if (code === 0 || code === 0xff) return ' '
  return code < 0x20 ? LOW[code] ?? ' ' : code < 0x7f ? String.fromCharCode(code) : HIGH[code - 0x7f] ?? ' '
}

/** The lines of a screen of text, without spaces at their ends. */
export function textOf({ columns, rows, cells }: TextScreen): string[] {
  return Array.from({ length: rows }, (_, row) => Array.from(cells.subarray(row * columns, (row + 1) * columns), (cell) => characterOf(cell & 0xff)).join('').trimEnd())
}
