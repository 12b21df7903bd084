import { call, i32, i64, type Expr, type Local } from '@machinist/wasm'
import { Vector } from '../vector.ts'
import type { Stage } from '../emit/stage.ts'
import { Flag } from '../flags.ts'
import { group, type Instruction } from '../isa/form.ts'

/** Multiplication and division (SDM volume 2, MUL, IMUL, DIV, IDIV). Of products SF, ZF and PF, which are undefined, follow from the low half, and AF is clear; quotients leave all flags as they were. */
const { instructions, define } = group('multiply')
export const multiply: readonly Instruction[] = instructions

const RAX = 0
const RDX = 2

/** Writes a double-width number: AX when the operands have a byte, rDX:rAX otherwise. */
function setDouble(s: Stage, low: Expr<'i64'>, high: Expr<'i64'>): void {
  const size = s.size(0)
  if (size === 1) s.setRegister(RAX, i64.or(i64.shl(high, 8), low), 2)
  else {
    s.setRegister(RAX, low, size)
    s.setRegister(RDX, high, size)
  }
}
const overflowing = (s: Stage, condition: Expr<'i32'>, low: Expr<'i64'>): void => s.setGiven(i32.mul(condition, Flag.carry | Flag.overflow), low, s.size(0))

const wide = (signed: boolean) => (s: Stage): void => {
  const size = s.size(0)
  const take = (value: Expr<'i64'>): Local<'i64'> => s.let(signed ? s.signed(value, size) : value)
  const a = take(s.read(0))
  const b = take(s.register(RAX, size))
  const product = s.let(i64.mul(a, b))
  const low = s.let(s.truncate(product, size))
  const high = s.let(size === 8 ? call(signed ? s.helpers.mulhs : s.helpers.mulhu, a, b) : s.truncate(i64.shrU(product, size * 8), size))
  setDouble(s, low, high)
  overflowing(s, signed ? i64.ne(s.signed(high, size), i64.shrS(s.signed(low, size), 63)) : i64.ne(high, 0), low)
}
define('mul', ['F6/4 Eb', 'F7/4 Ev'], wide(false), { undefinedFlags: 'szap' })
define('imul', ['F6/5 Eb', 'F7/5 Ev'], wide(true), { undefinedFlags: 'szap' })

/** One product of the operand's width, into the first operand. */
const narrow = (first: number, second: number) => (s: Stage): void => {
  const size = s.size(0)
  const a = s.let(s.signed(s.read(first), size))
  const b = s.let(s.signed(s.read(second, size), size))
  const product = s.let(i64.mul(a, b))
  const low = s.let(size === 4 ? i64.extendU(i32.mul(i32.wrap(a), i32.wrap(b))) : s.truncate(product, size))
  s.write(0, low)
  overflowing(s, size === 8 ? call(s.helpers.overflows, a, b) : i64.ne(s.signed(product, size), product), low)
}
define('imul', ['0F.AF Gv Ev'], narrow(0, 1), { undefinedFlags: 'szap' })
define('imul', ['69 Gv Ev Iz', '6B Gv Ev Ib'], narrow(1, 2), { undefinedFlags: 'szap' })

/** The dividend of 2, 4 or 8 bytes: AX or rDX:rAX. */
const dividend = (s: Stage): Expr<'i64'> => {
  const size = s.size(0)
  return size === 1 ? s.register(RAX, 2) : i64.or(i64.shl(s.register(RDX, size), size * 8), s.register(RAX, size))
}
define('div', ['F6/6 Eb', 'F7/6 Ev'], (s) => {
  const size = s.size(0)
  const divisor = s.let(s.read(0))
  s.faultIf(i64.eqz(divisor), Vector.divideError)
  if (size === 8) {
    const high = s.let(s.register(RDX, 8))
    const low = s.let(s.register(RAX, 8))
    s.faultIf(i64.geU(high, divisor), Vector.divideError)
    const quotient = s.let(call(s.helpers.divu, high, low, divisor))
    setDouble(s, quotient, i64.sub(low, i64.mul(quotient, divisor)))
    return
  }
  const number = s.let(dividend(s))
  const quotient = s.let(i64.divU(number, divisor))
  s.faultIf(i64.ne(i64.shrU(quotient, size * 8), 0), Vector.divideError)
  setDouble(s, quotient, s.let(i64.remU(number, divisor)))
}, { undefinedFlags: 'oszapc' })
define('idiv', ['F6/7 Eb', 'F7/7 Ev'], (s) => {
  const size = s.size(0)
  const divisor = s.let(s.signed(s.read(0), size))
  s.faultIf(i64.eqz(divisor), Vector.divideError)
  if (size === 8) {
    divideSigned(s, divisor)
    return
  }
  const number = s.let(size === 4 ? dividend(s) : s.signed(dividend(s), size * 2 as 2 | 4))
  // The one quotient that 64 bits do not hold.
  s.faultIf(i32.and(i64.eq(divisor, -1), i64.eq(number, -(2n ** 63n))), Vector.divideError)
  const quotient = s.let(i64.divS(number, divisor))
  s.faultIf(i64.ne(s.signed(quotient, size), quotient), Vector.divideError)
  const remainder = s.let(i64.remS(number, divisor))
  setDouble(s, s.let(s.truncate(quotient, size)), s.let(s.truncate(remainder, size)))
}, { undefinedFlags: 'oszapc' })

/** 128 by 64 bits: of the magnitudes, with signs put on afterwards. */
function divideSigned(s: Stage, divisor: Local<'i64'>): void {
  const high = s.let(s.register(RDX, 8))
  const low = s.let(s.register(RAX, 8))
  const sign = s.let(i64.shrS(high, 63))
  const sign2 = s.let(i64.shrS(divisor, 63))
  const negate = (value: Expr<'i64'>, mask: Expr<'i64'>): Expr<'i64'> => i64.sub(i64.xor(value, mask), mask)
  const magnitude = s.let(negate(divisor, sign2))
  // -(high:low) is ~high:-low, and one more above when low is zero.
  const magnitudeHigh = s.let(i64.add(i64.xor(high, sign), i64.and(i64.extendU(i64.eqz(low)), sign)))
  const magnitudeLow = s.let(negate(low, sign))
  s.faultIf(i64.geU(magnitudeHigh, magnitude), Vector.divideError)
  const quotient = s.let(call(s.helpers.divu, magnitudeHigh, magnitudeLow, magnitude))
  const negative = s.let(i64.xor(sign, sign2))
  // The magnitude of a negative quotient may be 2^63, that of a positive one may not.
  s.faultIf(i64.gtU(quotient, i64.sub(2n ** 63n - 1n, negative)), Vector.divideError)
  const remainder = s.let(negate(i64.sub(magnitudeLow, i64.mul(quotient, magnitude)), sign))
  setDouble(s, s.let(negate(quotient, negative)), remainder)
}
