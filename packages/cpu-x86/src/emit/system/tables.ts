import { call, type Expr, type FuncRef, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import { Vector } from '../../vector.ts'
import { Register, SegmentBit, segmentLayout, SegmentRight, type State } from '../layout.ts'
import { type Basics, has, levelOf, SystemCode } from './code.ts'
import type { SegmentFunctions } from './segments.ts'

export interface TableFunctions {
  readonly loadLocalTable: FuncRef<readonly ['i32'], 'i32'>
  readonly loadTask: FuncRef<readonly ['i32'], 'i32'>
  /** `(selector, what)`: 1 when a program may see the descriptor so, and then the result of LAR or LSL is in `answer`; see Look. 2 after a fault. */
  readonly look: FuncRef<readonly ['i32', 'i32'], 'i32'>
  /** `(port, size)`: whether a program may use a port: #GP (SDM volume 1, 19.5). */
  readonly checkPort: FuncRef<readonly ['i32', 'i32'], 'i32'>
  /** `(cs, ss, cpl, mode)`: flat code and stack segments that no table was asked for. */
  readonly flat: FuncRef<readonly ['i32', 'i32', 'i32', 'i32'], 'void'>
}

/** What `look` looks for: LAR, LSL, VERR, VERW. */
export const Look = { rights: 0, limit: 1, readable: 2, writable: 3 } as const

const IO_MAP_AT = 102

/** LLDT, LTR, LAR, LSL, VERR, VERW, and ports. */
export function emitTables(m: ModuleBuilder, state: State, basics: Basics, segments: SegmentFunctions): TableFunctions {
  const high = (): Expr<'i32'> => i32.wrap(i64.shrU(segments.descriptor, 32))
  const gp = Vector.generalProtection
  const fetchGlobal = (code: SystemCode, selector: Local<'i32'>, type: number, mask: number): void => {
    const error = code.f.let(code.errorOf(selector))
    code.raiseIf(has(selector, 4), gp, error)
    code.try(call(segments.fetch, selector, gp))
    code.raiseIf(i32.ne(i32.and(high(), mask), type), gp, error)
    code.raiseIf(i32.eqz(has(high(), SegmentBit.present)), Vector.segmentNotPresent, error)
  }
  const loadLocalTable = m.func('loadLocalTable', ['i32'], 'i32', (f, selector) => {
    const code = new SystemCode(f, state, basics)
    f.if(code.isNull(selector), () => {
      f.do(i32.store(state.segment(Register.ldtr) + segmentLayout.rights, 0))
      f.do(i32.store(state.segment(Register.ldtr) + segmentLayout.selector, i32.and(selector, 0xffff)))
      f.return(0)
    })
    fetchGlobal(code, selector, 0x200, 0x1f00)
    f.return(call(segments.cacheSystem, Register.ldtr, selector))
  })
  const loadTask = m.func('loadTask', ['i32'], 'i32', (f, selector) => {
    const code = new SystemCode(f, state, basics)
    code.raiseIf(code.isNull(selector), gp)
    // Available: of 16 or 32 bits, and in long mode of 64.
    fetchGlobal(code, selector, 0x100, 0x1700)
    code.raiseIf(i32.and(code.long, i32.eqz(has(high(), 0x800))), gp, code.errorOf(selector))
    f.return(call(segments.cacheSystem, Register.tr, selector))
  })

  const look = m.func('lookAtDescriptor', ['i32', 'i32'], 'i32', (f, selector, what) => {
    const code = new SystemCode(f, state, basics)
    f.if(code.isNull(selector), () => f.return(0))
    // A descriptor beyond the table is no fault here.
    f.if(call(segments.fetch, selector, 255), () => {
      f.if(i32.eq(state.get32('fault'), 256), () => {
        f.do(state.set32('fault', 0))
        f.return(0)
      })
      f.return(2)
    })
    const [rpl, dpl] = [f.let(i32.and(selector, 3)), f.let(levelOf(high()))]
    const type = f.let(i32.and(i32.shrU(high(), 8), 31))
    const isCode = i32.eq(i32.and(high(), SegmentBit.notSystem | SegmentBit.code), SegmentBit.notSystem | SegmentBit.code)
    const conforming = i32.and(isCode, has(high(), SegmentBit.conforming))
    f.if(i32.and(i32.eqz(conforming), i32.or(i32.ltU(dpl, code.cpl), i32.ltU(dpl, rpl))), () => f.return(0))
    const system = f.let(i32.eqz(has(high(), SegmentBit.notSystem)))
    const oneOf = (...types: number[]): Expr<'i32'> => types.map((one) => i32.eq(type, one)).reduce((a, b) => i32.or(a, b))
    // SDM volume 2, tables of LAR and LSL: gates have rights, and no limit.
    f.if(i32.leU(what, Look.limit), () => {
      const limited = select('i32', code.long, oneOf(2, 9, 11), oneOf(1, 2, 3, 9, 11))
      const gates = select('i32', code.long, oneOf(12), oneOf(4, 5, 12))
      const valid = i32.or(limited, i32.and(i32.eq(what, Look.rights), gates))
      f.if(i32.and(system, i32.eqz(valid)), () => f.return(0))
      f.if(i32.eq(what, Look.rights), () => {
        f.setGlobal(basics.value, i64.extendU(i32.and(high(), 0x00ff_ff00)))
        f.return(1)
      })
      const limit = call(segments.limit)
      f.setGlobal(basics.value, i64.extendU(limit))
      f.return(1)
    })
    f.if(system, () => f.return(0))
    f.if(i32.eq(what, Look.readable), () => f.return(i32.or(i32.eqz(isCode), has(high(), SegmentBit.readable))))
    f.return(i32.and(i32.eqz(isCode), has(high(), SegmentBit.writable)))
  })

  const checkPort = m.func('mayUsePort', ['i32', 'i32'], 'i32', (f, port, size) => {
    const code = new SystemCode(f, state, basics)
    const real = i32.eqz(i32.and(i32.wrap(state.get64('cr0')), 1))
    const inside = i32.and(i32.leU(code.cpl, code.iopl), i32.eqz(code.flag(1 << 17)))
    f.if(i32.or(real, inside), () => f.return(0))
    const tr = state.segment(Register.tr)
    const limit = f.let(i32.load(tr + segmentLayout.high))
    // A TSS of 32 bits, or 64.
    code.raiseIf(i32.or(i32.eqz(has(i32.load(tr + segmentLayout.rights), 0x800)), i32.ltU(limit, IO_MAP_AT + 1)), gp)
    const map = code.read(i64.add(i64.load(tr), IO_MAP_AT), 2)
    const at = f.let(i32.add(i32.wrap(map), i32.shrU(port, 3)))
    code.raiseIf(i32.gtU(i32.add(at, 1), limit), gp)
    const bits = code.read(i64.add(i64.load(tr), i64.extendU(at)), 2)
    const wanted = i32.shl(i32.sub(i32.shl(1, size), 1), i32.and(port, 7))
    code.raiseIf(i32.ne(i32.and(i32.wrap(bits), wanted), 0), gp)
    f.return(0)
  })

  const flat = m.func('flatSegments', ['i32', 'i32', 'i32', 'i32'], 'void', (f, cs, ss, cpl, mode) => {
    f.do(state.set32('cpl', cpl))
    const level = f.let(i32.shl(cpl, 13))
    const size = f.let(select('i32', i32.eq(mode, 64), SegmentBit.long, SegmentBit.big))
    const set = (number: number, selector: Local<'i32'>, attributes: Expr<'i32'>): void => {
      const at = state.segment(number)
      f.do(i32.store(at + segmentLayout.selector, selector))
      f.do(i64.store(at, 0))
      f.do(i32.store(at + segmentLayout.low, 0))
      f.do(i32.store(at + segmentLayout.high, -1))
      f.do(i32.store(at + segmentLayout.rights, attributes))
    }
    set(Register.cs, cs, i32.or(i32.or(level, size), 0x80_9b00 | SegmentRight.read))
    set(Register.ss, ss, i32.or(level, 0xc0_9300 | SegmentRight.read | SegmentRight.write))
    f.do(call(segments.updateMode))
  })
  return { loadLocalTable, loadTask, look, checkPort, flat }
}
