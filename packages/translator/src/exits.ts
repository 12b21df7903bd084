import { type Expr, type Func, type FuncRef, i32, i64, type Local, type ModuleBuilder } from '@machinist/wasm'
import { Exit } from './code.ts'

/** Where a region's code finds things in linear memory. */
export interface ExitPlace {
  /** Addresses of the 64-bit `pc` and `va`, and of the 32-bit exit kind and access. */
  readonly pc: number
  readonly va: number
  readonly exit: number
  readonly access: number
  /** Address of the 32-bit budget, where a function outside leaves it when control does not come back. */
  readonly budget: number
  /**
   * Writes a tail call of the region that may be entered at `pc`, if there is one: otherwise control falls through,
   * and leaves. There is budget left.
   */
  readonly chain?: (f: Func, pc: Local<'i64'>, budget: Local<'i32'>) => void
}

/**
 * The ways out of a region: each stores where to go on and returns the budget. A call and a
 * return in a branch that is rarely taken cost the optimising compiler far less than a common epilogue, at which
 * every local would have to be merged from every exit.
 */
export interface RegionExits {
  /** `(pc, budget)` */
  readonly jump: FuncRef<readonly ['i64', 'i32'], 'i32'>
  /** `(where, va, access, unit, budget)`; `where` is an offset and, above bit 16, the instructions to give back. */
  readonly miss: FuncRef<readonly ['i32', 'i64', 'i32', 'i64', 'i32'], 'i32'>
  /** `(where, unit, budget)` */
  readonly escape: FuncRef<readonly ['i32', 'i64', 'i32'], 'i32'>
  /** `()`: a function outside has set pc and budget. */
  readonly moved: FuncRef<readonly [], 'i32'>
  /** `(where, unit, budget)`: as `moved`, to there; the instruction before has been executed. */
  readonly behind: FuncRef<readonly ['i32', 'i64', 'i32'], 'i32'>
}

/** Defines the ways out, once for all regions. */
export function emitExits(m: ModuleBuilder, place: ExitPlace): RegionExits {
  const leave = (f: Func, kind: number, pc: Expr<'i64'>, budget: Expr<'i32'>): void => {
    f.do(i64.store(0, pc, place.pc))
    f.do(i32.store(0, kind, place.exit))
    f.return(budget)
  }
  const address = (where: Expr<'i32'>, unit: Expr<'i64'>): Expr<'i64'> => i64.add(unit, i64.extendU(i32.and(where, 0xffff)))
  return {
    jump: m.func('exit.jump', ['i64', 'i32'], 'i32', (f, pc, budget) => {
      f.if(i32.gtS(budget, 0), () => place.chain?.(f, pc, budget))
      leave(f, Exit.jump, pc, budget)
    }),
    miss: m.func('exit.miss', ['i32', 'i64', 'i32', 'i64', 'i32'], 'i32', (f, where, va, access, unit, budget) => {
      f.do(i64.store(0, va, place.va))
      f.do(i32.store(0, access, place.access))
      leave(f, Exit.miss, address(where, unit), i32.add(budget, i32.shrU(where, 16)))
    }),
    escape: m.func('exit.escape', ['i32', 'i64', 'i32'], 'i32', (f, where, unit, budget) =>
      leave(f, Exit.escape, address(where, unit), i32.add(budget, i32.shrU(where, 16))),
    ),
    moved: m.func('exit.moved', [], 'i32', (f) => {
      f.do(i32.store(0, Exit.moved, place.exit))
      f.return(i32.load(0, place.budget))
    }),
    behind: m.func('exit.behind', ['i32', 'i64', 'i32'], 'i32', (f, where, unit, budget) =>
      leave(f, Exit.moved, address(where, unit), i32.add(budget, i32.shrU(where, 16))),
    ),
  }
}
