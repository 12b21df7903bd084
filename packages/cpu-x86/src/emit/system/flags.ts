import { call, type Expr, type Func, i32, i64 } from '@machinist/wasm'
import { STATUS } from '../../flags.ts'
import { FlagKind, type FlagFunctions } from '../flags.ts'
import type { State } from '../layout.ts'
import { SystemFlag } from './code.ts'

const DIRECTION_BIT = 10
const RESERVED_ONE = 2

/** EFLAGS, all of them. */
export function allFlags(state: State, flags: Pick<FlagFunctions, 'status'>): Expr<'i32'> {
  return withStatus(state, call(flags.status))
}

/** EFLAGS with these status flags. */
export function withStatus(state: State, status: Expr<'i32'>): Expr<'i32'> {
  const rest = i32.or(state.get32('system'), i32.shl(state.get32('direction'), DIRECTION_BIT))
  return i32.or(i32.or(status, rest), RESERVED_ONE)
}

/** Flags that may let an event come that could not before. */
const AWAITED = SystemFlag.trap | SystemFlag.interrupt | SystemFlag.resume

/** Sets the status flags and DF, and those of the system that `changed` has. */
export function setAllFlags(f: Func, state: State, value: Expr<'i32'>, changed: Expr<'i32'>): void {
  const [bits, mask] = [f.let(value), f.let(changed)]
  f.do(state.set32('flagKind', FlagKind.plain))
  f.do(state.set64('flagResult', i64.extendU(i32.and(bits, STATUS))))
  f.do(state.set32('direction', i32.and(i32.shrU(bits, DIRECTION_BIT), 1)))
  const system = f.let(i32.or(i32.and(state.get32('system'), i32.xor(mask, -1)), i32.and(bits, mask)))
  f.do(state.set32('system', system))
  f.do(state.set32('attention', i32.or(state.get32('attention'), i32.ne(i32.and(system, AWAITED), 0))))
}
