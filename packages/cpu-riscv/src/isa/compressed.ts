/**
 * The C extension (unprivileged specification, chapter 26; Zca and Zcd): each 16-bit instruction stands for one of
 * the others, whose semantics it therefore shares.
 */
export interface Expansion {
  /** Name of the instruction it stands for. */
  readonly name: string
  readonly rd?: number
  readonly rs1?: number
  readonly rs2?: number
  readonly imm?: number
}

export interface Compressed {
  readonly name: string
  readonly mask: number
  readonly match: number
  /** The instruction it stands for, or null when this encoding is reserved. */
  readonly expand: (word: number) => Expansion | null
}

const SP = 2

/** Bits `high`…`low` of a word, moved so that the lowest lands at bit `to`. */
const bits = (word: number, high: number, low: number, to: number = 0): number => ((word >> low) & ((1 << (high - low + 1)) - 1)) << to
const signed = (value: number, width: number): number => (value << (32 - width)) >> (32 - width)

const rdFull = (w: number): number => bits(w, 11, 7)
const rs2Full = (w: number): number => bits(w, 6, 2)
/** Three-bit register numbers name x8 to x15. */
const lowReg = (w: number): number => 8 + bits(w, 4, 2)
const highReg = (w: number): number => 8 + bits(w, 9, 7)
const imm6 = (w: number): number => signed(bits(w, 12, 12, 5) | bits(w, 6, 2), 6)
const shamt = (w: number): number => bits(w, 12, 12, 5) | bits(w, 6, 2)
const wordOffset = (w: number): number => bits(w, 12, 10, 3) | bits(w, 6, 6, 2) | bits(w, 5, 5, 6)
const doubleOffset = (w: number): number => bits(w, 12, 10, 3) | bits(w, 6, 5, 6)
const wordFromSp = (w: number): number => bits(w, 12, 12, 5) | bits(w, 6, 4, 2) | bits(w, 3, 2, 6)
const doubleFromSp = (w: number): number => bits(w, 12, 12, 5) | bits(w, 6, 5, 3) | bits(w, 4, 2, 6)
const wordToSp = (w: number): number => bits(w, 12, 9, 2) | bits(w, 8, 7, 6)
const doubleToSp = (w: number): number => bits(w, 12, 10, 3) | bits(w, 9, 7, 6)
const jumpOffset = (w: number): number =>
  signed(
    bits(w, 12, 12, 11) | bits(w, 11, 11, 4) | bits(w, 10, 9, 8) | bits(w, 8, 8, 10) | bits(w, 7, 7, 6) | bits(w, 6, 6, 7) | bits(w, 5, 3, 1) | bits(w, 2, 2, 5),
    12,
  )
const branchOffset = (w: number): number =>
  signed(bits(w, 12, 12, 8) | bits(w, 11, 10, 3) | bits(w, 6, 5, 6) | bits(w, 4, 3, 1) | bits(w, 2, 2, 5), 9)

/** `pattern`: 16 characters of 0, 1 and x. */
function c(name: string, pattern: string, expand: Compressed['expand']): Compressed {
  const text = pattern.replaceAll(' ', '')
  if (text.length !== 16) throw new RangeError(`${name}: ${text.length} bits`)
  const toBits = (one: string): number => Number.parseInt([...text].map((digit) => (one.includes(digit) ? '1' : '0')).join(''), 2)
  return { name, mask: toBits('01'), match: toBits('1'), expand }
}

/** More particular patterns stand before more general ones. */
export const compressed: readonly Compressed[] = [
  c('c.addi4spn', '000 xxxxxxxx xxx 00', (w) => {
    const imm = bits(w, 12, 11, 4) | bits(w, 10, 7, 6) | bits(w, 6, 6, 2) | bits(w, 5, 5, 3)
    return imm === 0 ? null : { name: 'addi', rd: lowReg(w), rs1: SP, imm }
  }),
  c('c.fld', '001 xxxxxxxxxxx 00', (w) => ({ name: 'fld', rd: lowReg(w), rs1: highReg(w), imm: doubleOffset(w) })),
  c('c.lw', '010 xxxxxxxxxxx 00', (w) => ({ name: 'lw', rd: lowReg(w), rs1: highReg(w), imm: wordOffset(w) })),
  c('c.ld', '011 xxxxxxxxxxx 00', (w) => ({ name: 'ld', rd: lowReg(w), rs1: highReg(w), imm: doubleOffset(w) })),
  c('c.fsd', '101 xxxxxxxxxxx 00', (w) => ({ name: 'fsd', rs2: lowReg(w), rs1: highReg(w), imm: doubleOffset(w) })),
  c('c.sw', '110 xxxxxxxxxxx 00', (w) => ({ name: 'sw', rs2: lowReg(w), rs1: highReg(w), imm: wordOffset(w) })),
  c('c.sd', '111 xxxxxxxxxxx 00', (w) => ({ name: 'sd', rs2: lowReg(w), rs1: highReg(w), imm: doubleOffset(w) })),

  c('c.addi', '000 xxxxxxxxxxx 01', (w) => ({ name: 'addi', rd: rdFull(w), rs1: rdFull(w), imm: imm6(w) })),
  c('c.addiw', '001 xxxxxxxxxxx 01', (w) => (rdFull(w) === 0 ? null : { name: 'addiw', rd: rdFull(w), rs1: rdFull(w), imm: imm6(w) })),
  c('c.li', '010 xxxxxxxxxxx 01', (w) => ({ name: 'addi', rd: rdFull(w), rs1: 0, imm: imm6(w) })),
  c('c.addi16sp', '011 x 00010 xxxxx 01', (w) => {
    const imm = signed(bits(w, 12, 12, 9) | bits(w, 6, 6, 4) | bits(w, 5, 5, 6) | bits(w, 4, 3, 7) | bits(w, 2, 2, 5), 10)
    return imm === 0 ? null : { name: 'addi', rd: SP, rs1: SP, imm }
  }),
  c('c.lui', '011 xxxxxxxxxxx 01', (w) => (imm6(w) === 0 ? null : { name: 'lui', rd: rdFull(w), imm: imm6(w) << 12 })),
  c('c.srli', '100 x 00 xxxxxxxx 01', (w) => ({ name: 'srli', rd: highReg(w), rs1: highReg(w), imm: shamt(w) })),
  c('c.srai', '100 x 01 xxxxxxxx 01', (w) => ({ name: 'srai', rd: highReg(w), rs1: highReg(w), imm: shamt(w) })),
  c('c.andi', '100 x 10 xxxxxxxx 01', (w) => ({ name: 'andi', rd: highReg(w), rs1: highReg(w), imm: imm6(w) })),
  ...(
    [
      ['c.sub', 'sub', '0', '00'],
      ['c.xor', 'xor', '0', '01'],
      ['c.or', 'or', '0', '10'],
      ['c.and', 'and', '0', '11'],
      ['c.subw', 'subw', '1', '00'],
      ['c.addw', 'addw', '1', '01'],
    ] as const
  ).map(([name, full, wide, code]) =>
    c(name, `100 ${wide} 11 xxx ${code} xxx 01`, (w) => ({ name: full, rd: highReg(w), rs1: highReg(w), rs2: lowReg(w) })),
  ),
  c('c.j', '101 xxxxxxxxxxx 01', (w) => ({ name: 'jal', rd: 0, imm: jumpOffset(w) })),
  c('c.beqz', '110 xxxxxxxxxxx 01', (w) => ({ name: 'beq', rs1: highReg(w), rs2: 0, imm: branchOffset(w) })),
  c('c.bnez', '111 xxxxxxxxxxx 01', (w) => ({ name: 'bne', rs1: highReg(w), rs2: 0, imm: branchOffset(w) })),

  c('c.slli', '000 xxxxxxxxxxx 10', (w) => ({ name: 'slli', rd: rdFull(w), rs1: rdFull(w), imm: shamt(w) })),
  c('c.fldsp', '001 xxxxxxxxxxx 10', (w) => ({ name: 'fld', rd: rdFull(w), rs1: SP, imm: doubleFromSp(w) })),
  c('c.lwsp', '010 xxxxxxxxxxx 10', (w) => (rdFull(w) === 0 ? null : { name: 'lw', rd: rdFull(w), rs1: SP, imm: wordFromSp(w) })),
  c('c.ldsp', '011 xxxxxxxxxxx 10', (w) => (rdFull(w) === 0 ? null : { name: 'ld', rd: rdFull(w), rs1: SP, imm: doubleFromSp(w) })),
  c('c.jr', '100 0 xxxxx 00000 10', (w) => (rdFull(w) === 0 ? null : { name: 'jalr', rd: 0, rs1: rdFull(w), imm: 0 })),
  c('c.mv', '100 0 xxxxx xxxxx 10', (w) => ({ name: 'add', rd: rdFull(w), rs1: 0, rs2: rs2Full(w) })),
  c('c.ebreak', '100 1 00000 00000 10', () => ({ name: 'ebreak' })),
  c('c.jalr', '100 1 xxxxx 00000 10', (w) => ({ name: 'jalr', rd: 1, rs1: rdFull(w), imm: 0 })),
  c('c.add', '100 1 xxxxx xxxxx 10', (w) => ({ name: 'add', rd: rdFull(w), rs1: rdFull(w), rs2: rs2Full(w) })),
  c('c.fsdsp', '101 xxxxxxxxxxx 10', (w) => ({ name: 'fsd', rs2: rs2Full(w), rs1: SP, imm: doubleToSp(w) })),
  c('c.swsp', '110 xxxxxxxxxxx 10', (w) => ({ name: 'sw', rs2: rs2Full(w), rs1: SP, imm: wordToSp(w) })),
  c('c.sdsp', '111 xxxxxxxxxxx 10', (w) => ({ name: 'sd', rs2: rs2Full(w), rs1: SP, imm: doubleToSp(w) })),
]

/** Names of the instructions that have a 16-bit form. */
export const compressible: ReadonlySet<string> = new Set([
  ...['addi', 'addiw', 'lui', 'slli', 'srli', 'srai', 'andi', 'add', 'sub', 'xor', 'or', 'and', 'addw', 'subw'],
  ...['lw', 'ld', 'sw', 'sd', 'fld', 'fsd', 'jal', 'jalr', 'beq', 'bne', 'ebreak'],
])
