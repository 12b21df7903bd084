/** A column of a table of text. */
export interface Column<Row> {
  readonly title: string
  readonly text: (row: Row) => string
  /** Numbers stand at the right. */
  readonly right?: boolean
  /** In narrow terminals, columns with the highest number are left out first; those without one stay. */
  readonly rank?: number
  /** Letters that it has at least, so that it stays in its place. */
  readonly least?: number
}

const GAP = '  '

/** Letters as a terminal shows them side by side: no control characters, and none that have no place of their own. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Mn}]/gu, '\ufffd')
}

/** The columns that there is room for, and how wide each is. */
function fitting<Row>(columns: readonly Column<Row>[], cells: readonly (readonly string[])[], width: number): readonly { readonly index: number; readonly width: number }[] {
  let kept = columns.map((column, index) => ({ index, rank: column.rank ?? -1, width: Math.max(column.title.length, column.least ?? 0, ...cells.map((row) => row[index]?.length ?? 0)) }))
  const total = (): number => kept.reduce((sum, each) => sum + each.width + GAP.length, -GAP.length)
  while (total() > width) {
    const last = Math.max(...kept.map(({ rank }) => rank))
    if (last < 0) break
    const gone = kept.findLastIndex(({ rank }) => rank === last)
    kept = kept.filter((_, index) => index !== gone)
  }
  return kept
}

/**
 * Lines of a table, its head first.
 *
 * @param width - letters in a line, at most; as many as are needed unless given
 */
export function tableLines<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number = Infinity): readonly string[] {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => columns.map(({ text }) => plain(text(row))))]
  const kept = fitting(columns, cells, width)
  return cells.map((row) => {
    const line = kept.map(({ index, width: wide }) => columns[index]?.right === true ? (row[index] ?? '').padStart(wide) : (row[index] ?? '').padEnd(wide)).join(GAP).trimEnd()
    return line.length > width ? `${line.slice(0, Math.max(0, width - 1))}…` : line
  })
}
