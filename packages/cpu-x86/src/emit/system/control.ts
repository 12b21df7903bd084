import { call, type Expr, type Func, type FuncRef, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import { Vector } from '../../vector.ts'
import { Cr0, CR0_BITS, Cr4, Efer } from '../control-bits.ts'
import type { MemoryFunctions } from '../memory.ts'
import { Register, SegmentBit, type State } from '../layout.ts'
import { type Basics, bit, has, SystemCode } from './code.ts'
import type { DebugFunctions } from './debug.ts'
import type { OutsideFunctions } from './outside.ts'
import type { SegmentFunctions } from './segments.ts'

export interface ControlFunctions {
  /** `(number, value)`: MOV to CR0, 2, 3, 4 or 8 (SDM volume 2, MOV; volume 3, 2.5). */
  readonly writeControl: FuncRef<readonly ['i32', 'i64'], 'i32'>
  /** `(number)`: 1 when there is no such register. */
  readonly hasControl: FuncRef<readonly ['i32'], 'i32'>
  readonly readControl: FuncRef<readonly ['i32'], 'i64'>
}

/** Control registers. */
export function emitControl(m: ModuleBuilder, state: State, basics: Basics, memory: MemoryFunctions, segments: SegmentFunctions, debug: DebugFunctions, outside: OutsideFunctions, { physicalBits }: { physicalBits: number }): ControlFunctions {
  const gp = Vector.generalProtection
  const reload = (code: SystemCode, cr3: Expr<'i64'>): void => code.raiseIf(call(memory.loadPdptes, cr3), gp)
  const paging = (): Expr<'i32'> => bit(state.get64('cr0'), Cr0.pg)
  const isPae = (code: SystemCode): Expr<'i32'> => i32.and(i32.and(paging(), bit(state.get64('cr4'), Cr4.pae)), i32.eqz(code.long))

  const writeCr0 = m.func('writeCr0', ['i64'], 'i32', (f, value) => {
    const code = new SystemCode(f, state, basics)
    const now = f.let(state.get64('cr0'))
    const efer = f.let(state.get64('efer'))
    const [pg, was] = [f.let(bit(value, Cr0.pg)), f.let(bit(now, Cr0.pg))]
    code.raiseIf(i64.ne(i64.shrU(value, 32), 0), gp)
    code.raiseIf(i32.and(pg, i32.eqz(bit(value, Cr0.pe))), gp)
    code.raiseIf(i32.and(bit(value, Cr0.nw), i32.eqz(bit(value, Cr0.cd))), gp)
    const lme = bit(efer, Efer.lme)
    f.if(i32.and(pg, i32.eqz(was)), () => {
      const compatible = i32.and(bit(state.get64('cr4'), Cr4.pae), i32.eqz(has(code.segment(Register.cs, 'rights'), SegmentBit.long)))
      f.if(lme, () => {
        code.raiseIf(i32.eqz(compatible), gp)
        // A busy TSS of 16 bits there is not in long mode.
        code.raiseIf(i32.eq(i32.and(code.segment(Register.tr, 'rights'), 0xf00), 0x300), gp)
        f.do(state.set64('efer', i64.or(efer, Efer.lma)))
      }, () => f.if(bit(state.get64('cr4'), Cr4.pae), () => reload(code, state.get64('cr3'))))
    })
    f.if(i32.and(was, i32.eqz(pg)), () => {
      code.raiseIf(i32.or(i32.eq(state.get32('mode'), 64), bit(state.get64('cr4'), Cr4.pcide)), gp)
      f.do(state.set64('efer', i64.and(efer, ~Efer.lma)))
    })
    f.do(state.set64('cr0', i64.or(i64.and(value, CR0_BITS), Cr0.et)))
    f.if(bit(i64.xor(now, value), Cr0.pg | Cr0.wp | Cr0.pe), () => f.do(call(memory.flushAll)))
    f.return(0)
  })
  const writeCr3 = m.func('writeCr3', ['i64'], 'i32', (f, value) => {
    const code = new SystemCode(f, state, basics)
    f.if(code.long, () => {
      const address = select('i64', bit(state.get64('cr4'), Cr4.pcide), i64.and(value, (1n << 63n) - 1n), value)
      code.raiseIf(i64.ne(i64.shrU(address, physicalBits), 0), gp)
    })
    f.if(isPae(code), () => reload(code, value))
    f.do(call(memory.setCr3, value))
    f.return(0)
  })
  const writeCr4 = m.func('writeCr4', ['i64'], 'i32', (f, value) => {
    const code = new SystemCode(f, state, basics)
    const now = f.let(state.get64('cr4'))
    const changed = f.let(i64.xor(now, value))
    code.raiseIf(i64.ne(i64.and(value, i64.xor(state.get64('cr4Bits'), -1)), 0), gp)
    f.if(code.long, () => code.raiseIf(i32.or(i32.eqz(bit(value, Cr4.pae)), bit(changed, Cr4.la57)), gp))
    const tagged = i32.or(i32.eqz(code.long), i64.ne(i64.and(state.get64('cr3'), 0xfff), 0))
    code.raiseIf(i32.and(i32.and(bit(changed, Cr4.pcide), bit(value, Cr4.pcide)), tagged), gp)
    f.do(state.set64('cr4', value))
    f.if(i32.and(isPae(code), bit(changed, Cr4.pae | Cr4.pge | Cr4.pse | Cr4.smep)), () => {
      f.if(call(memory.loadPdptes, state.get64('cr3')), () => {
        f.do(state.set64('cr4', now))
        code.raise(gp, 0)
      })
    })
    f.if(bit(changed, Cr4.de | Cr4.pse | Cr4.pae | Cr4.pge | Cr4.la57 | Cr4.pcide | Cr4.smep | Cr4.smap), () => f.do(call(memory.flushAll)))
    f.return(0)
  })
  const is = (number: Local<'i32'>, value: number, then: (f: Func) => void, f: Func): void => f.if(i32.eq(number, value), () => then(f))
  const writeControl = m.func('writeControl', ['i32', 'i64'], 'i32', (f, number, value) => {
    const code = new SystemCode(f, state, basics)
    is(number, 2, () => f.do(state.set64('cr2', value)), f)
    is(number, 8, () => {
      code.raiseIf(i64.gtU(value, 15), gp)
      f.do(call(outside.writePriority, i32.wrap(value)))
    }, f)
    is(number, 0, () => code.try(call(writeCr0, value)), f)
    is(number, 3, () => code.try(call(writeCr3, value)), f)
    is(number, 4, () => {
      code.try(call(writeCr4, value))
      f.do(call(debug.updateWatching))
    }, f)
    f.do(call(memory.updateView))
    f.do(call(segments.updateMode))
    f.return(0)
  })
  const hasControl = m.func('hasControl', ['i32'], 'i32', (f, number) => {
    f.return([0, 2, 3, 4, 8].map((one) => i32.eq(number, one)).reduce((a, b) => i32.or(a, b)))
  })
  const readControl = m.func('readControl', ['i32'], 'i64', (f, number) => {
    for (const [which, field] of [[0, 'cr0'], [2, 'cr2'], [3, 'cr3'], [4, 'cr4']] as const) is(number, which, () => f.return(state.get64(field)), f)
    f.return(i64.extendU(call(outside.readPriority)))
  })

  return { writeControl, hasControl, readControl }
}
