import { call, i32, i64, select, type Expr, type FuncRef, type ModuleBuilder } from '@machinist/wasm'
import { Flag } from '../flags.ts'
import type { State } from './layout.ts'

/**
 * What the last writer of the status flags did. Its source and its result are kept instead of the flags, both shifted to
 * the top of 64 bits, so that all sizes share one formula; the destination follows from them.
 * `plain`: the result is the flags themselves. `addCarry` and `subtractBorrow` are additions whose carry-in was one, and
 * logic is an addition of zero. `increment` and `decrement` have the CF from before as their source; `given` has CF and OF there, in their places, and AF is clear.
 */
export const FlagKind = { plain: 0, add: 1, addCarry: 2, subtract: 3, subtractBorrow: 4, increment: 5, decrement: 6, given: 7 } as const

/** Kind, shift, source and result. */
type Written = readonly ['i32', 'i32', 'i64', 'i64']

export interface FlagFunctions {
  /** The six status flags, where RFLAGS has them. */
  readonly status: FuncRef<readonly [], 'i32'>
  /** CF alone, as 0 or 1. */
  readonly carry: FuncRef<readonly [], 'i32'>
  /** The same of a writer that is not in the state. */
  readonly statusOf: FuncRef<Written, 'i32'>
  readonly carryOf: FuncRef<Written, 'i32'>
  /** SF, ZF and PF of a result that is shifted to the top, by so much. */
  readonly signZeroParity: FuncRef<readonly ['i64', 'i32'], 'i32'>
}

/** SDM volume 1, 3.4.3.1, and appendix A of the same volume. */
export function emitFlags(m: ModuleBuilder, state: State): FlagFunctions {
  const signZeroParity = m.func('signZeroParity', ['i64', 'i32'], 'i32', (f, result, shift) => {
    const ones = i64.popcnt(i64.and(i64.shrU(result, i64.extendU(shift)), 0xff))
    const parity = i32.shl(i32.and(i32.xor(i32.wrap(ones), 1), 1), 2)
    f.return(i32.or(i32.or(i32.shl(i64.eqz(result), 6), i32.shl(i64.ltS(result, 0), 7)), parity))
  })

  const kindIs = (kind: Expr<'i32'>, value: number): Expr<'i32'> => i32.eq(kind, value)
  const written = (): [Expr<'i32'>, Expr<'i32'>, Expr<'i64'>, Expr<'i64'>] => [state.get32('flagKind'), state.get32('flagShift'), state.get64('flagSource'), state.get64('flagResult')]
  const carryOf = m.func('carryOf', ['i32', 'i32', 'i64', 'i64'], 'i32', (f, kind, shift, source, result) => {
    f.if(kindIs(kind, FlagKind.plain), () => f.return(i32.and(i32.wrap(result), Flag.carry)))
    f.if(kindIs(kind, FlagKind.add), () => f.return(i64.ltU(result, source)))
    f.if(kindIs(kind, FlagKind.addCarry), () => f.return(i64.leU(result, source)))
    // The destination was less than the source when adding the source back carries.
    f.if(kindIs(kind, FlagKind.subtract), () => f.return(i64.ltU(i64.add(result, source), source)))
    const unit = i64.shl(1, i64.extendU(shift))
    f.if(kindIs(kind, FlagKind.subtractBorrow), () => f.return(i64.leU(i64.add(i64.add(result, source), unit), source)))
    f.return(i32.and(i32.wrap(source), Flag.carry))
  })

  const statusOf = m.func('statusOf', ['i32', 'i32', 'i64', 'i64'], 'i32', (f, kind, shift, source, result) => {
    f.if(kindIs(kind, FlagKind.plain), () => f.return(i32.wrap(result)))
    f.if(kindIs(kind, FlagKind.given), () => f.return(i32.or(i32.wrap(source), call(signZeroParity, result, shift))))
    const cf = f.let(call(carryOf, kind, shift, source, result))
    const unit = f.let(i64.shl(1, i64.extendU(shift)))
    f.if(i32.geU(kind, FlagKind.increment), () => f.set(source, unit))
    const adds = f.let(i32.or(i32.or(kindIs(kind, FlagKind.add), kindIs(kind, FlagKind.addCarry)), kindIs(kind, FlagKind.increment)))
    const extra = f.let(select('i64', i32.or(kindIs(kind, FlagKind.addCarry), kindIs(kind, FlagKind.subtractBorrow)), unit, 0))
    const change = f.let(i64.add(source, extra))
    const destination = f.let(select('i64', adds, i64.sub(result, change), i64.add(result, change)))
    const adjust = i32.and(i32.wrap(i64.shrU(i64.xor(i64.xor(result, source), destination), i64.extendU(shift))), Flag.adjust)
    // Overflow: an addition of equal signs, or a subtraction of different ones, whose result has another sign than the destination.
    const signs = i64.xor(i64.xor(destination, source), i64.extendS(i32.sub(0, adds)))
    const overflow = i32.shl(i64.ltS(i64.and(signs, i64.xor(destination, result)), 0), 11)
    f.return(i32.or(i32.or(i32.or(cf, adjust), overflow), call(signZeroParity, result, shift)))
  })
  const carry = m.func('carry', [], 'i32', (f) => f.return(call(carryOf, ...written())))
  const status = m.func('status', [], 'i32', (f) => f.return(call(statusOf, ...written())))
  return { status, carry, statusOf, carryOf, signZeroParity }
}
