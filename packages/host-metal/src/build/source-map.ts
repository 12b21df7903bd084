/** A place in generated code and where it comes from; lines and columns from 0. */
export interface Position {
  readonly line: number
  readonly column: number
  readonly source: number
  readonly sourceLine: number
  readonly sourceColumn: number
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** The numbers of a segment: base 64, the lowest 5 bits first, bit 5 says that more follow, the lowest bit of all is the sign (ECMA-426, section 6.2). */
function numbers(segment: string): number[] {
  const values: number[] = []
  let value = 0
  let shift = 0
  for (const digit of segment) {
    const bits = DIGITS.indexOf(digit)
    value += (bits & 31) * 2 ** shift
    shift += 5
    if ((bits & 32) !== 0) continue
    values.push(value % 2 === 1 ? -Math.floor(value / 2) : value / 2)
    value = 0
    shift = 0
  }
  return values
}

/** All positions of a source map, in order. */
export function positions(mappings: string): Position[] {
  const list: Position[] = []
  let [source, sourceLine, sourceColumn] = [0, 0, 0]
  for (const [line, segments] of mappings.split(';').entries()) {
    let column = 0
    for (const segment of segments.split(',')) {
      const [toColumn, toSource, toLine, toSourceColumn] = numbers(segment)
      if (toColumn === undefined) continue
      column += toColumn
      if (toSource === undefined || toLine === undefined || toSourceColumn === undefined) continue
      source += toSource
      sourceLine += toLine
      sourceColumn += toSourceColumn
      list.push({ line, column, source, sourceLine, sourceColumn })
    }
  }
  return list
}
