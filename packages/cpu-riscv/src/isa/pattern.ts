/**
 * Encodings as the manual draws them: a string of fields from the most significant bit down. A field is a run of
 * 0s and 1s, or the name of an operand field from {@link fieldWidths}.
 */
const fieldWidths: Readonly<Record<string, number>> = {
  rd: 5,
  rs1: 5,
  rs2: 5,
  rs3: 5,
  rm: 3,
  aqrl: 2,
  /** I-type immediate. */
  iimm: 12,
  /** Shift amounts. */
  shamt6: 6,
  shamt5: 5,
  /** S-type immediate, high and low part. */
  simm7: 7,
  simm5: 5,
  /** B-type immediate, high and low part. */
  bimm7: 7,
  bimm5: 5,
  /** U- and J-type immediates. */
  uimm20: 20,
  jimm20: 20,
  csr: 12,
  zimm: 5,
  /** fm, pred and succ of FENCE. */
  fence12: 12,
}

/** How the operands of an instruction lie in a pre-decoded op. */
export type Format = 'R' | 'I' | 'S' | 'B' | 'U' | 'J' | 'CSR'

export interface Pattern {
  readonly mask: number
  readonly match: number
  readonly format: Format
  readonly fields: ReadonlySet<string>
}

/** Parses a 32-bit encoding. Throws a RangeError when the fields do not add up to 32 bits. */
export function parsePattern(text: string): Pattern {
  let mask = 0
  let match = 0
  let bits = 0
  const fields = new Set<string>()
  for (const token of text.split(' ')) {
    if (/^[01]+$/.test(token)) {
      for (const digit of token) {
        mask = (mask << 1) | 1
        match = (match << 1) | (digit === '1' ? 1 : 0)
      }
      bits += token.length
    } else {
      const width = fieldWidths[token]
      if (width === undefined) throw new RangeError(`${text}: no field is called ${token}`)
      fields.add(token)
      mask <<= width
      match <<= width
      bits += width
    }
  }
  if (bits !== 32) throw new RangeError(`${text}: ${bits} bits`)
  return { mask: mask >>> 0, match: match >>> 0, format: formatOf(fields), fields }
}

function formatOf(fields: ReadonlySet<string>): Format {
  if (fields.has('csr')) return 'CSR'
  if (fields.has('simm7')) return 'S'
  if (fields.has('bimm7')) return 'B'
  if (fields.has('uimm20')) return 'U'
  if (fields.has('jimm20')) return 'J'
  if (fields.has('rs2')) return 'R'
  return 'I'
}
