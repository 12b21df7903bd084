import { call, type Func, type FuncRef, i32, i64, type ModuleBuilder, select } from '@machinist/wasm'
import { Vector } from '../../vector.ts'
import type { FlagFunctions } from '../flags.ts'
import { Efer, type MemoryFunctions } from '../memory.ts'
import type { State } from '../layout.ts'
import { type Basics, bit, SystemCode, SystemFlag } from './code.ts'
import { allFlags, setAllFlags } from './flags.ts'
import type { TableFunctions } from './tables.ts'

export interface CallFunctions {
  /** `(next)`; and `(size)` for the ways back (SDM volume 3, 6.8.7 and 6.8.8). */
  readonly systemCall: FuncRef<readonly ['i64'], 'i32'>
  readonly systemReturn: FuncRef<readonly ['i32'], 'i32'>
  readonly sysenter: FuncRef<readonly [], 'i32'>
  readonly sysexit: FuncRef<readonly ['i32'], 'i32'>
}

const [RCX, RDX, RSP, R11] = [1, 2, 4, 11]

/** The quick ways into a kernel and back. */
export function emitCalls(m: ModuleBuilder, state: State, basics: Basics, memory: MemoryFunctions, tables: TableFunctions, flags: FlagFunctions): CallFunctions {
  const register = (number: number): number => state.register(number)
  const star = (shift: number): ReturnType<typeof i32.and> => i32.and(i32.wrap(i64.shrU(state.get64('star'), shift)), 0xffff)
  /** After these single step goes by TF as they leave it: the kernel's first instruction is not traced, and that which comes after SYSRET is no later than it was. */
  const traced = (f: Func): void => f.do(state.set32('single', i32.ne(i32.and(state.get32('system'), SystemFlag.trap), 0)))
  const systemCall = m.func('systemCall', ['i64'], 'i32', (f, next) => {
    const code = new SystemCode(f, state, basics)
    // Intel's processors have it in 64-bit mode alone.
    code.raiseIf(i32.or(i32.eqz(bit(state.get64('efer'), Efer.sce)), i32.ne(state.get32('mode'), 64)), Vector.invalidOpcode)
    const image = f.let(allFlags(state, flags))
    f.do(i64.store(register(RCX), next))
    f.do(i64.store(register(R11), i64.extendU(i32.and(image, ~SystemFlag.resume))))
    const mask = f.let(i32.or(i32.wrap(state.get64('fmask')), SystemFlag.resume))
    setAllFlags(f, state, i32.and(image, i32.xor(mask, -1)), i32.const(-1 & ~0xcd7))
    f.do(call(tables.flat, i32.and(star(32), 0xfffc), i32.add(star(32), 8), 0, 64))
    f.do(state.set64('pc', state.get64('lstar')))
    traced(f)
    f.return(0)
  })
  const systemReturn = m.func('systemReturn', ['i32'], 'i32', (f, size) => {
    const code = new SystemCode(f, state, basics)
    code.raiseIf(i32.or(i32.eqz(bit(state.get64('efer'), Efer.sce)), i32.ne(state.get32('mode'), 64)), Vector.invalidOpcode)
    code.raiseIf(code.cpl, Vector.generalProtection)
    const wide = f.let(i32.eq(size, 8))
    const target = f.let(i64.load(register(RCX)))
    f.if(wide, () => code.raiseIf(call(memory.unusual, target), Vector.generalProtection), () => f.set(target, i64.and(target, 0xffff_ffff)))
    const image = f.let(i32.wrap(i64.load(register(R11))))
    setAllFlags(f, state, image, i32.const(SystemFlag.trap | SystemFlag.interrupt | SystemFlag.iopl | SystemFlag.nested | SystemFlag.alignment | SystemFlag.virtualInterrupt | SystemFlag.virtualPending | SystemFlag.id | SystemFlag.resume | SystemFlag.vm))
    f.do(state.set32('system', i32.and(state.get32('system'), ~(SystemFlag.resume | SystemFlag.vm))))
    const cs = i32.or(i32.add(star(48), select('i32', wide, 16, 0)), 3)
    f.do(call(tables.flat, cs, i32.or(i32.add(star(48), 8), 3), 3, select('i32', wide, 64, 32)))
    f.do(state.set64('pc', target))
    traced(f)
    f.return(0)
  })
  const sysenter = m.func('sysenter', [], 'i32', (f) => {
    const code = new SystemCode(f, state, basics)
    const cs = f.let(i32.and(i32.wrap(state.get64('sysenterCs')), 0xffff))
    code.raiseIf(i32.or(i32.eqz(i32.and(i32.wrap(state.get64('cr0')), 1)), code.isNull(cs)), Vector.generalProtection)
    f.do(state.set32('system', i32.and(state.get32('system'), ~(SystemFlag.vm | SystemFlag.interrupt | SystemFlag.resume))))
    const wide = f.let(code.long)
    f.set(cs, i32.and(cs, 0xfffc))
    f.do(call(tables.flat, cs, i32.add(cs, 8), 0, select('i32', wide, 64, 32)))
    const cut = f.let(select('i64', wide, -1n, 0xffff_ffffn))
    f.do(i64.store(register(RSP), i64.and(state.get64('sysenterEsp'), cut)))
    f.do(state.set64('pc', i64.and(state.get64('sysenterEip'), cut)))
    f.return(0)
  })
  const sysexit = m.func('sysexit', ['i32'], 'i32', (f, size) => {
    const code = new SystemCode(f, state, basics)
    const cs = f.let(i32.and(i32.wrap(state.get64('sysenterCs')), 0xffff))
    const real = i32.eqz(i32.and(i32.wrap(state.get64('cr0')), 1))
    code.raiseIf(i32.or(i32.or(real, code.isNull(cs)), i32.ne(code.cpl, 0)), Vector.generalProtection)
    const wide = f.let(i32.eq(size, 8))
    const [target, sp] = [f.let(i64.load(register(RDX))), f.let(i64.load(register(RCX)))]
    f.if(wide, () => code.raiseIf(i32.or(call(memory.unusual, target), call(memory.unusual, sp)), Vector.generalProtection), () => {
      f.set(target, i64.and(target, 0xffff_ffff))
      f.set(sp, i64.and(sp, 0xffff_ffff))
    })
    const first = f.let(i32.or(i32.add(i32.and(cs, 0xfffc), select('i32', wide, 32, 16)), 3))
    f.do(call(tables.flat, first, i32.add(first, 8), 3, select('i32', wide, 64, 32)))
    f.do(i64.store(register(RSP), sp))
    f.do(state.set64('pc', target))
    f.return(0)
  })
  return { systemCall, systemReturn, sysenter, sysexit }
}
