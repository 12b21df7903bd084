import { type Expr, i64, type Local, select } from '@machinist/wasm'
import { extension, type Instruction } from './instruction.ts'

/** Atomics (unprivileged specification, chapter 14): Zalrsc and Zaamo. */
const { instructions, effect } = extension('a')
export const a: readonly Instruction[] = instructions

const operations: readonly (readonly [string, string, (old: Local<'i64'>, operand: Local<'i64'>) => Expr<'i64'>])[] = [
  ['amoadd', '00000', (old, operand) => i64.add(old, operand)],
  ['amoswap', '00001', (_old, operand) => operand],
  ['amoxor', '00100', (old, operand) => i64.xor(old, operand)],
  ['amoor', '01000', (old, operand) => i64.or(old, operand)],
  ['amoand', '01100', (old, operand) => i64.and(old, operand)],
  ['amomin', '10000', (old, operand) => select('i64', i64.ltS(old, operand), old, operand)],
  ['amomax', '10100', (old, operand) => select('i64', i64.gtS(old, operand), old, operand)],
  ['amominu', '11000', (old, operand) => select('i64', i64.ltU(old, operand), old, operand)],
  ['amomaxu', '11100', (old, operand) => select('i64', i64.gtU(old, operand), old, operand)],
]

for (const [suffix, funct, bytes] of [['w', '010', 4], ['d', '011', 8]] as const) {
  effect(`lr.${suffix}`, `00010 aqrl 00000 rs1 ${funct} rd 0101111`, 'rd, (rs1)', (s) => s.setRd(s.loadReserved(bytes, s.rs1)))
  effect(`sc.${suffix}`, `00011 aqrl rs2 rs1 ${funct} rd 0101111`, 'rd, rs2, (rs1)', (s) =>
    s.setRd(i64.extendU(s.storeConditional(bytes, s.rs1, s.rs2))),
  )
  for (const [name, funct5, combine] of operations) {
    // Both sides sign-extended compare as words do, signed and unsigned alike.
    effect(`${name}.${suffix}`, `${funct5} aqrl rs2 rs1 ${funct} rd 0101111`, 'rd, rs2, (rs1)', (s) => {
      const operand = s.f.let(bytes === 4 ? i64.extend32S(s.rs2) : s.rs2)
      s.setRd(s.readModifyWrite(bytes, s.rs1, (old) => combine(old, operand)))
      s.f.free(operand)
    })
  }
}
