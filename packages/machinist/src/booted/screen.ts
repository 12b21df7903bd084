/** Columns of a line beyond which a cursor cannot go: a guest says where it wants to be. */
const MOST_COLUMNS = 1000

/**
 * What a terminal that shows `text` would show last: carriage returns, backspaces and the commonest of the ECMA-48 sequences are obeyed, and the others
 * left out. It is for people who read what a guest said, not for programs that draw on the whole screen.
 *
 * @param rows - lines at most; the last ones
 */
export function screenText(text: string, rows: number): string {
  let lines: string[] = ['']
  let column = 0
  const put = (letter: string): void => {
    const line = lines.at(-1) ?? ''
    lines[lines.length - 1] = line.padEnd(column).slice(0, column) + letter + line.slice(column + letter.length)
    column = Math.min(MOST_COLUMNS, column + letter.length)
  }
  const control = (final: string, amount: number): void => {
    const line = lines.at(-1) ?? ''
    if (final === 'K' && amount === 0) lines[lines.length - 1] = line.slice(0, column)
    else if (final === 'K' && amount === 2) lines[lines.length - 1] = ''
    else if (final === 'J' && amount >= 2) {
      lines = ['']
      column = 0
    } else if (final === 'C') column = Math.min(MOST_COLUMNS, column + Math.max(1, amount))
    else if (final === 'D') column = Math.max(0, column - Math.max(1, amount))
  }
  // CSI, OSC and other escapes (ECMA-48, 5.3 to 5.6), control characters, and what is between.
  for (const [piece, amount, final] of text.matchAll(/\x1b\[[0-?]*?(\d*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x1f\x7f]|[^\x00-\x1f\x7f]+/g)) {
    if (final !== undefined) control(final, Number(amount))
    else if (piece === '\n') {
      lines.push('')
      // Of a serial line, where CR comes before it; kernels and programs say LF alone, and mean both.
      column = 0
    } else if (piece === '\r') column = 0
    else if (piece === '\b') column = Math.max(0, column - 1)
    else if (piece === '\t') column = Math.min(MOST_COLUMNS, (Math.floor(column / 8) + 1) * 8)
    else if (piece >= ' ' && !piece.startsWith('\x7f')) put(piece)
  }
  while (lines.length > 1 && lines.at(-1)?.trim() === '') lines.pop()
  return lines.slice(-rows).map((line) => line.trimEnd()).join('\n')
}
