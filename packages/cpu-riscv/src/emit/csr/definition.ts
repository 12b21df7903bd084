import { type Expr, type Func, i64, type Local } from '@machinist/wasm'
import type { HartField } from '../../hart-layout.ts'
import type { HartState } from '../state.ts'

/** One control and status register: what a read gives, and what a write of `value` does. */
export interface CsrDefinition {
  readonly number: number
  readonly read: (f: Func) => Expr<'i64'>
  readonly write: (f: Func, value: Local<'i64'>) => void
  /** What CSRRS and CSRRC combine with, when that differs from what they return (`mip.SEIP`, 3.1.9). */
  readonly modify?: (f: Func) => Expr<'i64'>
  /** Conditions besides privilege under which an access is illegal: 1 when it is. */
  readonly denied?: (f: Func) => Expr<'i32'>
}

/** A register that is a field of the record and nothing else. `mask`: what a write keeps of a value. */
export function plain(s: HartState, number: number, name: string, mask: bigint = -1n): CsrDefinition {
  const field = name as HartField & 'mscratch'
  return {
    number,
    read: () => s.get(field),
    write: (f, value) => f.do(s.set(field, mask === -1n ? value : i64.and(value, mask))),
  }
}

/** A register that always reads the same, and takes no value. */
export function constant(number: number, value: bigint): CsrDefinition {
  return { number, read: () => i64.const(value), write: () => undefined }
}

/** `value` where `mask` has ones, else `old`. */
export function merged(old: Expr<'i64'>, value: Expr<'i64'>, mask: bigint): Expr<'i64'> {
  return i64.or(i64.and(old, ~mask), i64.and(value, mask))
}

/** The same, with a mask that is known only when it runs. */
export function mergedBy(old: Expr<'i64'>, value: Expr<'i64'>, mask: Local<'i64'>): Expr<'i64'> {
  return i64.or(i64.and(old, i64.xor(mask, -1)), i64.and(value, mask))
}

/** Has the hart look for interrupts before its next instruction. */
export function attend(s: HartState, f: Func): void {
  f.do(s.set('attention', 1))
}
