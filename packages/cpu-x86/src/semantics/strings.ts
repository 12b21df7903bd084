import { i32, i64 } from '@machinist/wasm'
import type { Stage } from '../emit/stage.ts'
import { group, type Instruction } from '../isa/form.ts'

/**
 * String instructions (SDM volume 1, 7.3.9). With REP one step is one iteration, after which the instruction stands there
 * again until rCX is zero: so it can be interrupted, and restarts exactly.
 */
const { instructions, define } = group('strings')
export const strings: readonly Instruction[] = instructions

const [RAX, RSI, RDI] = [0, 6, 7]

define('movs', ['A4 Yb Xb', 'A5 Yv Xv'], (s) => s.iterate(() => {
  s.write(0, s.read(1))
  s.advance(RSI, s.size(0))
  s.advance(RDI, s.size(0))
}, { chunk: 'move' }), { repeat: 'rep' })
define('stos', ['AA Yb', 'AB Yv'], (s) => s.iterate(() => {
  s.write(0, s.register(RAX, s.size(0)))
  s.advance(RDI, s.size(0))
}, { chunk: 'fill' }), { repeat: 'rep' })
define('lods', ['AC Xb', 'AD Xv'], (s) => s.iterate(() => {
  s.setRegister(RAX, s.let(s.read(0)), s.size(0))
  s.advance(RSI, s.size(0))
}), { repeat: 'rep' })

const compare = (s: Stage, left: 'accumulator' | 'source'): void => s.iterate(() => {
  const size = s.size(0)
  // CMPS has its source first: DS:rSI less ES:rDI.
  const a = s.let(left === 'source' ? s.read(0) : s.register(RAX, size))
  const b = s.let(s.read(left === 'source' ? 1 : 0))
  if (left === 'source') s.advance(RSI, size)
  s.advance(RDI, size)
  s.setArithmetic('sub', [a, b], s.let(s.truncate(i64.sub(a, b), size)), size, null)
}, { goesOn: (equal) => equal ? s.condition(4) : i32.eqz(s.condition(4)) })
define('cmps', ['A6 Xb Yb', 'A7 Xv Yv'], (s) => compare(s, 'source'), { repeat: 'repe' })
define('scas', ['AE Yb', 'AF Yv'], (s) => compare(s, 'accumulator'), { repeat: 'repe' })
