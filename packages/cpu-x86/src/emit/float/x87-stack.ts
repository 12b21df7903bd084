import { call, type Expr, type Func, type FuncRef, i32, i64, type ModuleBuilder, select } from '@machinist/wasm'
import type { FloatState } from '../float-state.ts'
import { C1, type Extended, raise, scratch } from './extended.ts'
import { Exception } from './sse.ts'

export const STACK_FAULT: number = 1 << 6
export const SUMMARY: number = 1 << 7
const BUSY = 1 << 15
const TOP = 11
/** Condition codes in the status word. */
export const Condition: Readonly<Record<'c0' | 'c1' | 'c2' | 'c3', number>> = { c0: 1 << 8, c1: C1, c2: 1 << 10, c3: 1 << 14 }
const ALL = 63
/** Exceptions that come before a computation. */
export const BEFORE: number = Exception.invalid | Exception.denormal | Exception.divide
/** What instructions of the x87 FPU are made of. */
export interface X87Stack {
  /** The physical number of a register. */
  readonly physical: (number: Expr<'i32'> | number) => Expr<'i32'>
  readonly register: FuncRef<readonly ['i32'], 'i32'>
  /** Where ST(number) lies. */
  readonly at: (number: Expr<'i32'> | number) => Expr<'i32'>
  readonly empty: FuncRef<readonly ['i32'], 'i32'>
  /** Which of these exceptions were raised and are not masked. */
  readonly raised: (f: Func, exceptions: number) => Expr<'i32'>
  readonly copyNumber: (f: Func, to: Expr<'i32'> | number, from: Expr<'i32'> | number) => void
  readonly setTag: (f: Func, number: Expr<'i32'> | number, valid: boolean) => void
  readonly moveTop: (f: Func, by: number) => void
  readonly pop: FuncRef<readonly [], 'void'>
  readonly summarize: FuncRef<readonly [], 'void'>
  readonly filter: FuncRef<readonly [], 'void'>
  readonly settle: FuncRef<readonly [], 'void'>
  readonly finish: FuncRef<readonly [], 'void'>
  /** Ends an instruction whose result is in the first scratch number: it goes to ST(to), unless what was raised keeps it. */
  readonly conclude: (f: Func, to: Expr<'i32'> | number, pops?: Expr<'i32'> | number) => void
  /** Ends with a number in ST(0), and a second one pushed in front of it. */
  readonly concludeTwo: (f: Func, first: number, second: number) => void
  /** An operand is missing: IE and a stack fault, C1 clear. */
  readonly underflow: (f: Func) => void
  /** Ends an instruction that pushes its result. */
  readonly pushResult: (f: Func) => void
}

/** The stack of the x87 FPU, and how instructions end. */
export function emitStack(m: ModuleBuilder, state: FloatState, x: Extended): X87Stack {
  const RESULT = scratch(state, 0)
  const top = (): Expr<'i32'> => i32.and(i32.shrU(state.get32('status'), TOP), 7)
  const physical = (number: Expr<'i32'> | number): Expr<'i32'> => i32.and(i32.add(top(), number), 7)
  const register = m.func('x87.register', ['i32'], 'i32', (f, number) => f.return(i32.add(state.register(0), i32.shl(physical(number), 4))))
  const at = (number: Expr<'i32'> | number): Expr<'i32'> => call(register, number)
  const empty = m.func('x87.empty', ['i32'], 'i32', (f, number) => f.return(i32.eqz(i32.and(i32.shrU(state.get32('tags'), physical(number)), 1))))
  const raised = (f: Func, exceptions: number): Expr<'i32'> => i32.and(i32.and(f.let(state.get32('exceptions')), i32.xor(state.get32('control'), -1)), exceptions)
  const copyNumber = (f: Func, to: Expr<'i32'> | number, from: Expr<'i32'> | number): void => {
    const [target, source] = [f.let(typeof to === 'number' ? i32.const(to) : to), f.let(typeof from === 'number' ? i32.const(from) : from)]
    const value = f.let(i64.load(source))
    f.do(i32.store16(target, i32.load16U(source, 8), 8))
    f.do(i64.store(target, value))
  }
  const setTag = (f: Func, number: Expr<'i32'> | number, valid: boolean): void => {
    const bit = i32.shl(1, physical(number))
    f.do(state.set32('tags', valid ? i32.or(state.get32('tags'), bit) : i32.and(state.get32('tags'), i32.xor(bit, -1))))
  }
  const moveTop = (f: Func, by: number): void => f.do(state.set32('status', i32.or(i32.and(state.get32('status'), ~(7 << TOP)), i32.shl(physical(by), TOP))))
  const pop = m.func('x87.pop', [], 'void', (f) => {
    setTag(f, 0, false)
    moveTop(f, 1)
  })
  const summarize = m.func('x87.summarize', [], 'void', (f) => {
    const pending = f.let(i32.and(i32.and(state.get32('status'), i32.xor(state.get32('control'), -1)), ALL))
    f.do(state.set32('status', i32.or(i32.and(state.get32('status'), ~(SUMMARY | BUSY)), i32.mul(i32.ne(pending, 0), SUMMARY | BUSY))))
  })
  const filter = m.func('x87.filter', [], 'void', (f) => {
    // What comes before the computation keeps the rest from happening.
    f.if(raised(f, BEFORE), () => {
      const kept = select('i32', i32.and(state.get32('exceptions'), STACK_FAULT), BEFORE | STACK_FAULT | C1, BEFORE)
      f.do(state.set32('exceptions', i32.and(state.get32('exceptions'), kept)))
    })
  })
  const settle = m.func('x87.settle', [], 'void', (f) => {
    f.do(state.set32('status', i32.or(i32.and(state.get32('status'), ~C1), state.get32('exceptions'))))
    f.do(call(summarize))
  })
  const finish = m.func('x87.finish', [], 'void', (f) => {
    f.do(call(filter))
    f.do(call(settle))
  })
  const conclude = (f: Func, to: Expr<'i32'> | number, pops: Expr<'i32'> | number = 0): void => {
    f.if(i32.eqz(raised(f, BEFORE)), () => {
      copyNumber(f, at(to), RESULT)
      setTag(f, to, true)
      f.if(pops, () => f.do(call(pop)))
    })
    f.do(call(finish))
    f.return()
  }
  const concludeTwo = (f: Func, first: number, second: number): void => {
    f.if(i32.eqz(raised(f, BEFORE)), () => {
      copyNumber(f, at(0), first)
      setTag(f, 0, true)
      moveTop(f, -1)
      copyNumber(f, at(0), second)
      setTag(f, 0, true)
    })
    f.do(call(finish))
    f.return()
  }
  const underflow = (f: Func): void => {
    raise(f, state, STACK_FAULT)
    f.do(call(x.invalid, RESULT))
  }
  const pushResult = (f: Func): void => {
    // A missing operand comes before a stack that is full.
    f.if(i32.and(i32.eqz(call(empty, 7)), i32.eqz(i32.and(state.get32('exceptions'), STACK_FAULT))), () => {
      f.do(state.set32('exceptions', STACK_FAULT | C1))
      f.do(call(x.invalid, RESULT))
    })
    // A denormal is loaded even when that is not masked (SDM volume 1, 8.5.2).
    f.if(i32.eqz(raised(f, Exception.invalid)), () => {
      moveTop(f, -1)
      copyNumber(f, at(0), RESULT)
      setTag(f, 0, true)
    })
    f.do(call(finish))
    f.return()
  }
  return { physical, register, at, empty, raised, copyNumber, setTag, moveTop, pop, summarize, filter, settle, finish, conclude, concludeTwo, underflow, pushResult }
}
