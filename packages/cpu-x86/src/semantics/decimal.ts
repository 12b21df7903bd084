import { i32, i64, type Expr } from '@machinist/wasm'
import { Vector } from '../vector.ts'
import type { Stage } from '../emit/stage.ts'
import { Flag, STATUS } from '../flags.ts'
import { group, type Instruction } from '../isa/form.ts'

/** Decimal arithmetic, outside 64-bit mode (SDM volume 1, 7.3.5.2; volume 2: AAA to AAS, DAA, DAS). */
const { instructions, define } = group('decimal')
export const decimal: readonly Instruction[] = instructions

const RAX = 0
const isSet = (s: Stage, flag: number): Expr<'i32'> => i32.ne(i32.and(s.flags(), flag), 0)

const packed = (kind: 'add' | 'sub') => (s: Stage): void => {
  const old = s.let(s.register(RAX, 1))
  const adjust = s.let(i32.or(isSet(s, Flag.adjust), i64.gtU(i64.and(old, 15), 9)))
  const carry = s.let(i32.or(s.carry(), i64.gtU(old, 0x99)))
  const change = s.let(i64.add(i64.mul(i64.extendU(adjust), 6), i64.mul(i64.extendU(carry), 0x60)))
  const result = s.let(s.truncate(i64[kind](old, change), 1))
  // DAS keeps the borrow that taking 6 away gives.
  const out = kind === 'sub' ? i32.or(carry, i32.and(adjust, i64.ltU(old, 6))) : carry
  s.setRegister(RAX, result, 1)
  s.setFlags(STATUS, i32.or(i32.or(i32.shl(adjust, 4), out), s.signZeroParity(result, 1)))
}
define('daa', ['27; not64'], packed('add'), { undefinedFlags: 'o' })
define('das', ['2F; not64'], packed('sub'), { undefinedFlags: 'o' })

const unpacked = (kind: 'add' | 'sub') => (s: Stage): void => {
  const old = s.let(s.register(RAX, 2))
  const adjust = s.let(i32.or(isSet(s, Flag.adjust), i64.gtU(i64.and(old, 15), 9)))
  const result = i64.and(i64[kind](old, i64.mul(i64.extendU(adjust), 0x106)), 0xff0f)
  s.setRegister(RAX, result, 2)
  s.setFlags(Flag.carry | Flag.adjust, i32.mul(adjust, Flag.carry | Flag.adjust))
}
define('aaa', ['37; not64'], unpacked('add'), { undefinedFlags: 'oszp' })
define('aas', ['3F; not64'], unpacked('sub'), { undefinedFlags: 'oszp' })

define('aam', ['D4 Ib; not64'], (s) => {
  const base = s.let(s.read(0, 1))
  s.faultIf(i64.eqz(base), Vector.divideError)
  const old = s.let(s.register(RAX, 1))
  const low = s.let(i64.remU(old, base))
  s.setRegister(RAX, i64.or(i64.shl(i64.divU(old, base), 8), low), 2)
  s.setFlags(STATUS, s.signZeroParity(low, 1))
}, { undefinedFlags: 'oac' })
define('aad', ['D5 Ib; not64'], (s) => {
  const old = s.let(s.register(RAX, 2))
  const result = s.let(i64.and(i64.add(old, i64.mul(i64.shrU(old, 8), s.read(0, 1))), 0xff))
  s.setRegister(RAX, result, 2)
  s.setFlags(STATUS, s.signZeroParity(result, 1))
}, { undefinedFlags: 'oac' })
