import { emitExits, type ExitPlace, type RegionExits } from '@machinist/translator'
import { call, type FuncRef, i32, i64, type ModuleBuilder } from '@machinist/wasm'
import { STATUS } from '../flags.ts'
import { FlagKind, type FlagFunctions } from './flags.ts'
import type { State } from './layout.ts'

/** Above the flags that something has replaced since they were last written as a whole: which ones. */
export const REPLACED_SHIFT = 16

/** Kind, shift, source and result of the last writer, and what was replaced since: flags in bits 0 to 15, and their mask above. */
type Written = readonly ['i32', 'i32', 'i64', 'i64', 'i32']

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
  const flagsIn = m.func('flagsIn', ['i32', 'i32', 'i64', 'i64', 'i32'], 'i32', (f, kind, shift, source, result, replaced) => {
    const kept = i32.and(call(statusOf, kind, shift, source, result), i32.xor(i32.shrU(replaced, REPLACED_SHIFT), STATUS))
    f.return(i32.or(kept, i32.and(replaced, STATUS)))
  })
  const storeFlags = m.func('storeFlags', ['i32', 'i32', 'i64', 'i64', 'i32'], 'void', (f, kind, shift, source, result, replaced) => {
    f.if(replaced, () => {
      f.set(result, i64.extendU(call(flagsIn, kind, shift, source, result, replaced)))
      f.set(kind, FlagKind.plain)
    })
    f.do(state.set32('flagKind', kind))
    f.do(state.set32('flagShift', shift))
    f.do(state.set64('flagSource', source))
    f.do(state.set64('flagResult', result))
  })
  return { exits, flagsIn, storeFlags }
}
