import { emitExits, type ExitPlace, type RegionExits } from '@machinist/translator'
import { call, type Expr, type Func, type FuncRef, i32, i64, type ModuleBuilder } from '@machinist/wasm'
import { STATUS } from '../flags.ts'
import { FlagKind, type FlagFunctions } from './flags.ts'
import type { State } from './layout.ts'

/** Above the flags that something has replaced since they were last written as a whole: which ones. */
export const REPLACED_SHIFT = 16

/** Kind and, in the upper half, shift of the last writer, its source and its result; and what was replaced since: flags in bits 0 to 15, and their mask above. */
type Written = readonly ['i64', 'i64', 'i64', 'i32']

/** What regions call of the core besides what all code shares. */
export interface RegionFunctions {
  readonly exits: RegionExits
  /** `(pc, budget)`: executes the instruction there, which changes nothing but numbers and memory; 1 when control went on behind it, and nothing else wants to be looked at. */
  readonly outside: FuncRef<readonly ['i64', 'i32'], 'i32'>
  /** The status flags, as a region has them. */
  readonly flagsIn: FuncRef<Written, 'i32'>
  /** Puts them into the state. */
  readonly storeFlags: FuncRef<Written, 'void'>
}

/** Defines them, once for all regions. `chain` is how one goes on to another. */
export function emitRegionFunctions(m: ModuleBuilder, state: State, { statusOf }: Pick<FlagFunctions, 'statusOf'>, chain?: ExitPlace['chain']): Omit<RegionFunctions, 'outside'> {
  const place = { pc: state.field('pc'), va: state.field('exitVa'), exit: state.field('exitKind'), access: state.field('exitAccess'), budget: state.field('budget') }
  const exits = emitExits(m, chain ? { ...place, chain } : place)
  const flagsIn = m.func('flagsIn', ['i64', 'i64', 'i64', 'i32'], 'i32', (f, how, source, result, replaced) => {
    const kept = i32.and(call(statusOf, kindOf(how), shiftOf(how), source, result), i32.xor(i32.shrU(replaced, REPLACED_SHIFT), STATUS))
    f.return(i32.or(kept, i32.and(replaced, STATUS)))
  })
  const storeFlags = m.func('storeFlags', ['i64', 'i64', 'i64', 'i32'], 'void', (f, how, source, result, replaced) => {
    f.if(replaced, () => {
      f.set(result, i64.extendU(call(flagsIn, how, source, result, replaced)))
      f.set(how, i64.const(FlagKind.plain))
    })
    storeWriter(f, state, how, source, result)
  })
  return { exits, flagsIn, storeFlags }
}

export const kindOf = (how: Expr<'i64'>): Expr<'i32'> => i32.wrap(how)
export const shiftOf = (how: Expr<'i64'>): Expr<'i32'> => i32.wrap(i64.shrU(how, 32))

/** Puts what a last writer did into the state, kind and shift at once. */
export function storeWriter(f: Func, state: State, how: Expr<'i64'>, source: Expr<'i64'>, result: Expr<'i64'>): void {
  f.do(state.set64('flagKind', how))
  f.do(state.set64('flagSource', source))
  f.do(state.set64('flagResult', result))
}
