import { i32, i64, type Expr, type Local } from '@machinist/wasm'
import type { Stage } from '../emit/stage.ts'
import { Flag } from '../flags.ts'
import { group, type Instruction } from '../isa/form.ts'

/**
 * Shifts and rotates (SDM volume 1, 7.3.6). A count of zero leaves the flags as they are. OF is defined for a count of
 * one; for others it is what the same formula gives. AF of shifts is clear.
 */
const { instructions, define } = group('shifts')
export const shifts: readonly Instruction[] = instructions

type Value = Expr<'i64'>
const bit = (value: Value, place: Value | number): Expr<'i32'> => i32.wrap(i64.and(i64.shrU(value, place), 1))
const top = (s: Stage, value: Value): Expr<'i32'> => bit(value, s.size(0) * 8 - 1)
const topTwo = (s: Stage, value: Value): Expr<'i32'> => i32.xor(top(s, value), bit(value, s.size(0) * 8 - 2))

/** What a shift gives: its result, CF, and OF from both. */
interface Shifted {
  /** Zero above its size. */
  readonly result: Value
  readonly carry: Expr<'i32'>
  readonly overflow: (result: Local<'i64'>, carry: Local<'i32'>) => Expr<'i32'>
}

function shift(operand: number, rotates: boolean, by: (s: Stage, a: Local<'i64'>, count: Local<'i64'>) => Shifted): (s: Stage) => void {
  return (s) => {
    const size = s.size(0)
    const a = s.let(s.read(0))
    const mask = size === 8 ? 63 : 31
    const known = s.known(operand)
    const count = s.let(known === null ? i64.and(s.read(operand, 1), mask) : i64.const(known & mask))
    const shifted = (): void => {
      const { result: value, carry: cf, overflow } = by(s, a, count)
      const carry = s.let(cf)
      const result = s.let(value)
      s.write(0, result)
      const bits = i32.or(carry, i32.shl(overflow(result, carry), 11))
      if (rotates) s.setFlags(Flag.carry | Flag.overflow, bits)
      else s.setGiven(bits, result, size)
    }
    if (known === null) s.when(i64.eqz(count), () => s.write(0, a), shifted)
    else if ((known & mask) === 0) s.write(0, a)
    else shifted()
  }
}
const shapes = (digit: number): string[] => [`C0/${digit} Eb Ib`, `C1/${digit} Ev Ib`, `D0/${digit} Eb 1`, `D1/${digit} Ev 1`, `D2/${digit} Eb CL`, `D3/${digit} Ev CL`]
const bits = (s: Stage): number => s.size(0) * 8

/** What WebAssembly has an instruction for. */
const turned = (s: Stage, how: 'rotl' | 'rotr', a: Value, count: Value): Value | null =>
  s.size(0) === 8 ? i64[how](a, count) : s.size(0) === 4 ? i64.extendU(i32[how](i32.wrap(a), i32.wrap(count))) : null
/** A shift to the left, or of a signed number. */
const moved = (s: Stage, how: 'shl' | 'shrS', a: Value, count: Value): Value =>
  s.size(0) === 4 ? i64.extendU(i32[how](i32.wrap(a), i32.wrap(count))) : s.truncate(i64[how](how === 'shl' ? a : s.signed(a, s.size(0)), count), s.size(0))

define('rol', shapes(0), shift(1, true, (s, a, count) => {
  const turn = s.let(i64.and(count, bits(s) - 1))
  const result = s.let(turned(s, 'rotl', a, count) ?? s.truncate(i64.or(i64.shl(a, turn), i64.shrU(i64.shrU(a, 1), i64.sub(bits(s) - 1, turn))), s.size(0)))
  return { result, carry: bit(result, 0), overflow: (r, c) => i32.xor(c, top(s, r)) }
}), { undefinedFlags: 'o' })
define('ror', shapes(1), shift(1, true, (s, a, count) => {
  const turn = s.let(i64.and(count, bits(s) - 1))
  const result = s.let(turned(s, 'rotr', a, count) ?? s.truncate(i64.or(i64.shrU(a, turn), i64.shl(i64.shl(a, 1), i64.sub(bits(s) - 1, turn))), s.size(0)))
  return { result, carry: top(s, result), overflow: (r) => topTwo(s, r) }
}), { undefinedFlags: 'o' })

/** The count of a rotation through CF, and what to do when it comes to nothing. */
const through = (by: (s: Stage, a: Local<'i64'>, count: Local<'i64'>, cf: Local<'i64'>) => Shifted): ((s: Stage) => void) => (s) => {
  const size = s.size(0)
  const a = s.let(s.read(0))
  const masked = i64.and(s.read(1, 1), size === 8 ? 63 : 31)
  const count = s.let(size < 4 ? i64.remU(masked, size * 8 + 1) : masked)
  const cf = s.let(i64.extendU(s.carry()))
  s.when(i64.eqz(count), () => s.write(0, a), () => {
    const { result: value, carry: out, overflow } = by(s, a, count, cf)
    const carry = s.let(out)
    const result = s.let(s.truncate(value, size))
    s.write(0, result)
    s.setFlags(Flag.carry | Flag.overflow, i32.or(carry, i32.shl(overflow(result, carry), 11)))
  })
}
define('rcl', shapes(2), through((s, a, count, cf) => ({
  result: i64.or(i64.or(i64.shl(a, count), i64.shl(cf, i64.sub(count, 1))), i64.shrU(i64.shrU(a, 1), i64.sub(bits(s), count))),
  carry: bit(a, i64.sub(bits(s), count)),
  overflow: (r, c) => i32.xor(c, top(s, r)),
})), { undefinedFlags: 'o' })
define('rcr', shapes(3), through((s, a, count, cf) => ({
  result: i64.or(i64.or(i64.shrU(a, count), i64.shl(cf, i64.sub(bits(s), count))), i64.shl(i64.shl(a, 1), i64.sub(bits(s), count))),
  carry: bit(a, i64.sub(count, 1)),
  overflow: (r) => topTwo(s, r),
})), { undefinedFlags: 'o' })

const left = shift(1, false, (s, a, count) => ({
  result: moved(s, 'shl', a, count),
  // A count beyond the width leaves nothing to carry.
  carry: s.size(0) === 8 ? bit(a, i64.sub(64, count)) : bit(i64.shl(a, count), bits(s)),
  overflow: (r, c) => i32.xor(c, top(s, r)),
}))
define('shl', [...shapes(4), ...shapes(6)], left, { undefinedFlags: 'oa' })
define('shr', shapes(5), shift(1, false, (s, a, count) => ({
  result: i64.shrU(a, count), carry: bit(a, i64.sub(count, 1)), overflow: (r) => topTwo(s, r),
})), { undefinedFlags: 'oa' })
define('sar', shapes(7), shift(1, false, (s, a, count) => {
  const wide = s.let(s.signed(a, s.size(0)))
  return { result: moved(s, 'shrS', a, count), carry: bit(i64.shrS(wide, i64.sub(count, 1)), 0), overflow: () => i32.const(0) }
}), { undefinedFlags: 'oa' })

/**
 * A double shift's operands in one row. Counts beyond 16 of 16 bits are undefined: Intel's processors have the first operand once
 * more after the second, which is what is done here, and AMD's have the second.
 */
const row = (s: Stage, high: Value, low: Value, first: Value): Local<'i64'> => s.let(
  s.size(0) === 2 ? i64.or(i64.shl(high, 32), i64.or(i64.shl(low, 16), first)) : i64.or(i64.shl(high, 32), low),
)
define('shld', ['0F.A4 Ev Gv Ib', '0F.A5 Ev Gv CL'], shift(2, false, (s, a, count) => {
  const b = s.let(s.read(1))
  const overflow = (r: Value, c: Expr<'i32'>): Expr<'i32'> => i32.xor(c, top(s, r))
  if (s.size(0) === 8) {
    return { result: i64.or(i64.shl(a, count), i64.shrU(i64.shrU(b, 1), i64.sub(63, count))), carry: bit(a, i64.sub(64, count)), overflow }
  }
  const wide = row(s, a, b, a)
  return { result: s.truncate(i64.shrU(i64.shl(wide, count), 32), s.size(0)), carry: bit(wide, i64.sub(s.size(0) === 2 ? 48 : 64, count)), overflow }
}), { undefinedFlags: 'oa' })
define('shrd', ['0F.AC Ev Gv Ib', '0F.AD Ev Gv CL'], shift(2, false, (s, a, count) => {
  const b = s.let(s.read(1))
  const overflow = (r: Value): Expr<'i32'> => topTwo(s, r)
  if (s.size(0) === 8) {
    return { result: i64.or(i64.shrU(a, count), i64.shl(i64.shl(b, 1), i64.sub(63, count))), carry: bit(a, i64.sub(count, 1)), overflow }
  }
  const wide = s.size(0) === 2 ? row(s, a, b, a) : row(s, b, a, a)
  return { result: s.truncate(i64.shrU(wide, count), s.size(0)), carry: bit(wide, i64.sub(count, 1)), overflow }
}), { undefinedFlags: 'oa' })
