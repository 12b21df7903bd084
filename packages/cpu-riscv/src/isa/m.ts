import { call, i32, i64, select } from '@machinist/wasm'
import { extension, type Instruction } from './instruction.ts'

/** Integer multiplication and division (unprivileged specification, chapter 12). */
const { instructions, pure } = extension('m')
export const m: readonly Instruction[] = instructions

pure('mul', '0000001 rs2 rs1 000 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.mul(s.rs1, s.rs2)))
pure('mulh', '0000001 rs2 rs1 001 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(call(s.helpers.mulh, s.rs1, s.rs2)))
pure('mulhsu', '0000001 rs2 rs1 010 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(call(s.helpers.mulhsu, s.rs1, s.rs2)))
pure('mulhu', '0000001 rs2 rs1 011 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(call(s.helpers.mulhu, s.rs1, s.rs2)))
pure('mulw', '0000001 rs2 rs1 000 rd 0111011', 'rd, rs1, rs2', (s) => s.setRd32(i32.mul(s.rs1w, s.rs2w)))

// Division by zero gives all ones and the dividend; the most negative number by −1 gives itself and 0. WebAssembly
// traps on both, so the divisor is replaced: x / −1 is −x, which wraps as the specification wants.
pure('div', '0000001 rs2 rs1 100 rd 0110011', 'rd, rs1, rs2', (s) => {
  const a = s.f.let(s.rs1)
  const b = s.f.let(s.rs2)
  s.f.if(
    i64.leU(i64.add(b, 1), 1),
    () => s.setRd(select('i64', i64.eqz(b), -1, i64.sub(0, a))),
    () => s.setRd(i64.divS(a, b)),
  )
})
pure('divu', '0000001 rs2 rs1 101 rd 0110011', 'rd, rs1, rs2', (s) => {
  const b = s.f.let(s.rs2)
  s.f.if(i64.eqz(b), () => s.setRd(i64.const(-1)), () => s.setRd(i64.divU(s.rs1, b)))
})
pure('rem', '0000001 rs2 rs1 110 rd 0110011', 'rd, rs1, rs2', (s) => {
  const a = s.f.let(s.rs1)
  const b = s.f.let(s.rs2)
  s.f.if(
    i64.leU(i64.add(b, 1), 1),
    () => s.setRd(select('i64', i64.eqz(b), a, 0)),
    () => s.setRd(i64.remS(a, b)),
  )
})
pure('remu', '0000001 rs2 rs1 111 rd 0110011', 'rd, rs1, rs2', (s) => {
  const a = s.f.let(s.rs1)
  const b = s.f.let(s.rs2)
  s.f.if(i64.eqz(b), () => s.setRd(a), () => s.setRd(i64.remU(a, b)))
})
pure('divw', '0000001 rs2 rs1 100 rd 0111011', 'rd, rs1, rs2', (s) => {
  const a = s.f.let(s.rs1w)
  const b = s.f.let(s.rs2w)
  s.f.if(
    i32.leU(i32.add(b, 1), 1),
    () => s.setRd32(select('i32', i32.eqz(b), -1, i32.sub(0, a))),
    () => s.setRd32(i32.divS(a, b)),
  )
})
pure('divuw', '0000001 rs2 rs1 101 rd 0111011', 'rd, rs1, rs2', (s) => {
  const b = s.f.let(s.rs2w)
  s.f.if(i32.eqz(b), () => s.setRd32(i32.const(-1)), () => s.setRd32(i32.divU(s.rs1w, b)))
})
pure('remw', '0000001 rs2 rs1 110 rd 0111011', 'rd, rs1, rs2', (s) => {
  const a = s.f.let(s.rs1w)
  const b = s.f.let(s.rs2w)
  s.f.if(
    i32.leU(i32.add(b, 1), 1),
    () => s.setRd32(select('i32', i32.eqz(b), a, 0)),
    () => s.setRd32(i32.remS(a, b)),
  )
})
pure('remuw', '0000001 rs2 rs1 111 rd 0111011', 'rd, rs1, rs2', (s) => {
  const a = s.f.let(s.rs1w)
  const b = s.f.let(s.rs2w)
  s.f.if(i32.eqz(b), () => s.setRd32(a), () => s.setRd32(i32.remU(a, b)))
})
