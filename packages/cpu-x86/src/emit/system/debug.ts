import { Access } from '@machinist/mmu'
import { call, type Expr, type Func, type FuncRef, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import { Vector } from '../../vector.ts'
import { Cr4 } from '../memory.ts'
import { Register, segmentLayout, type State } from '../layout.ts'
import { bit, has } from './code.ts'

/** Bits of DR6, besides B0 to B3 for the four addresses (SDM volume 3, 18.2.3). */
export const DebugStatus = { access: 0x2000, step: 0x4000, task: 0x8000 } as const
/** Bits of IA32_DEBUGCTL (SDM volume 3, 18.4.1): nothing records branches, but LBR can be set; with BTF single step goes from one taken branch to the next. */
export const DebugControl = { lbr: 1, btf: 2 } as const
/** DR7.GD. */
export const GENERAL_DETECT = 0x2000
/** What breakpoints are there for: bits of the state's `watching`. */
export const BreakpointKind = { execute: 1, data: 2, port: 4 } as const

/** DR6 and DR7 as reset leaves them: bits that read as one. */
export const DR6_RESET = 0xffff_0ff0
export const DR7_RESET = 0x400
const DR6_BITS = 0xe00f
const DR7_BITS = 0xffff_2bff
/** Of DR7's R/W fields: what a breakpoint is for. */
const [EXECUTE, WRITE, PORT] = [0, 1, 2]

export interface DebugFunctions {
  readonly readDebug: FuncRef<readonly ['i32'], 'i64'>
  /** `(number, value)`: MOV to DR0 to DR3, DR6 and DR7 (SDM volume 3, 18.2). */
  readonly writeDebug: FuncRef<readonly ['i32', 'i64'], 'i32'>
  /** With DR7.GD, an access to a debug register is #DB instead (SDM volume 3, 18.2.4). */
  readonly guardDebug: FuncRef<readonly [], 'i32'>
  /** After DR7 or CR4.DE has changed. */
  readonly updateWatching: FuncRef<readonly [], 'void'>
  /** B0 to B3 of the breakpoints at the next instruction. */
  readonly executes: FuncRef<readonly [], 'i32'>
  /** `(linear, bytes, access)`: an instruction's access to data, while `watching` has `data`: what it hits is a trap. */
  readonly accesses: FuncRef<readonly ['i64', 'i32', 'i32'], 'void'>
  /** `(port, bytes)`: the same of ports. */
  readonly reaches: FuncRef<readonly ['i32', 'i32'], 'void'>
}

/** Debug registers and what they watch. */
export function emitDebug(m: ModuleBuilder, state: State): DebugFunctions {
  const at = (number: number): number => state.field('dr') + 8 * number
  const control = (): Expr<'i32'> => i32.wrap(i64.load(at(7)))
  const enabled = (n: number): Expr<'i32'> => has(control(), 3 << 2 * n)
  const kindOf = (n: number): Expr<'i32'> => i32.and(i32.shrU(control(), 16 + 4 * n), 3)
  /** Bytes less one: 1, 2, 8 and 4. */
  const lengthOf = (n: number): Expr<'i32'> => {
    const field = i32.and(i32.shrU(control(), 18 + 4 * n), 3)
    return select('i32', i32.eq(field, 2), 7, field)
  }
  const raise = (f: Func, vector: number): void => {
    f.do(state.set32('fault', vector + 1))
    f.do(state.set32('error', 0))
    f.return(1)
  }

  const updateWatching = m.func('updateWatching', [], 'void', (f) => {
    const kinds = f.let(i32.const(0))
    // R/W of 2 is for ports with CR4.DE, and undefined without: then as data, as the 386 has it.
    const ports = f.let(bit(state.get64('cr4'), Cr4.de))
    for (let n = 0; n < 4; n++) {
      f.if(enabled(n), () => {
        const kind = f.let(kindOf(n))
        const data = select('i32', i32.and(i32.eq(kind, PORT), ports), BreakpointKind.port, BreakpointKind.data)
        f.set(kinds, i32.or(kinds, select('i32', i32.eq(kind, EXECUTE), BreakpointKind.execute, data)))
      })
    }
    f.do(state.set32('watching', kinds))
    f.do(state.set32('attention', 1))
  })
  const readDebug = m.func('readDebug', ['i32'], 'i64', (f, number) => f.return(i64.load(i32.add(i32.shl(number, 3), at(0)))))
  const writeDebug = m.func('writeDebug', ['i32', 'i64'], 'i32', (f, number, value) => {
    // The upper halves of DR6 and DR7 must be zero.
    f.if(i32.and(i32.geU(number, 6), i64.ne(i64.shrU(value, 32), 0)), () => raise(f, Vector.generalProtection))
    f.if(i32.eq(number, 6), () => f.set(value, i64.or(i64.and(value, DR6_BITS), DR6_RESET)))
    f.if(i32.eq(number, 7), () => f.set(value, i64.or(i64.and(value, DR7_BITS), DR7_RESET)))
    f.do(i64.store(i32.add(i32.shl(number, 3), at(0)), value))
    f.if(i32.eq(number, 7), () => f.do(call(updateWatching)))
    f.return(0)
  })
  const guardDebug = m.func('guardDebug', [], 'i32', (f) => {
    f.if(i32.eqz(has(control(), GENERAL_DETECT)), () => f.return(0))
    f.do(i64.store(at(6), i64.or(i64.load(at(6)), DebugStatus.access)))
    raise(f, Vector.debug)
  })

  /** Adds the bit of a breakpoint to `hits` when it is enabled and something holds. */
  const collect = (f: Func, hits: Local<'i32'>, holds: (n: number, kind: Local<'i32'>) => Expr<'i32'>): void => {
    for (let n = 0; n < 4; n++) {
      f.if(enabled(n), () => {
        const kind = f.let(kindOf(n))
        f.if(holds(n, kind), () => f.set(hits, i32.or(hits, 1 << n)))
      })
    }
  }
  const overlaps = (n: number, first: Expr<'i64'>, bytes: Expr<'i64'>): Expr<'i32'> => {
    const rest = i64.extendU(lengthOf(n))
    const start = i64.and(i64.load(at(n)), i64.xor(rest, -1))
    // Both differences as unsigned: one of the two begins within the other.
    return i32.or(i64.leU(i64.sub(first, start), rest), i64.ltU(i64.sub(start, first), bytes))
  }
  const executes = m.func('executes', [], 'i32', (f) => {
    const hits = f.let(i32.const(0))
    const linear = f.let(state.get64('pc'))
    f.if(i32.ne(state.get32('mode'), 64), () => f.set(linear, i64.and(i64.add(linear, i64.load(state.segment(Register.cs) + segmentLayout.base)), 0xffff_ffff)))
    collect(f, hits, (n, kind) => i32.and(i32.eq(kind, EXECUTE), i64.eq(i64.load(at(n)), linear)))
    f.return(hits)
  })
  const tell = (f: Func, hits: Local<'i32'>): void => {
    f.do(state.set32('debugPending', i32.or(state.get32('debugPending'), hits)))
    f.do(state.set32('attention', i32.or(state.get32('attention'), i32.ne(hits, 0))))
  }
  const accesses = m.func('watchData', ['i64', 'i32', 'i32'], 'void', (f, linear, bytes, access) => {
    const hits = f.let(i32.const(0))
    const ports = f.let(bit(state.get64('cr4'), Cr4.de))
    collect(f, hits, (n, kind) => {
      const forData = i32.and(i32.ne(kind, EXECUTE), i32.eqz(i32.and(i32.eq(kind, PORT), ports)))
      const forAccess = i32.or(i32.ne(kind, WRITE), i32.eq(access, Access.write))
      return i32.and(i32.and(forData, forAccess), overlaps(n, linear, i64.extendU(bytes)))
    })
    tell(f, hits)
  })
  const reaches = m.func('watchPort', ['i32', 'i32'], 'void', (f, port, bytes) => {
    const hits = f.let(i32.const(0))
    f.if(has(state.get32('watching'), BreakpointKind.port), () => collect(f, hits, (n, kind) => i32.and(i32.eq(kind, PORT), overlaps(n, i64.extendU(port), i64.extendU(bytes)))))
    tell(f, hits)
  })
  return { readDebug, writeDebug, guardDebug, updateWatching, executes, accesses, reaches }
}
