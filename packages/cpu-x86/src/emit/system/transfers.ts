import { call, type Expr, type FuncRef, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import { Vector } from '../../vector.ts'
import type { MemoryFunctions } from '../memory.ts'
import { Register, SegmentBit, segmentLayout, type State } from '../layout.ts'
import { type Basics, has, levelOf, SystemCode } from './code.ts'
import type { SegmentFunctions } from './segments.ts'
import type { TaskFunctions } from './tasks.ts'

const RSP = 4

/** What the functions here and those of interrupts share. */
export interface EntryFunctions {
  /** `(selector, vector)`: a descriptor of code that there is, with whatever privilege; #GP or #NP otherwise. A null one is #GP(EXT). */
  readonly fetchCode: FuncRef<readonly ['i32'], 'i32'>
  /** `(selector, offset)`: goes to the code segment that was fetched, at the privilege that the selector says, and checks the offset. */
  readonly enter: FuncRef<readonly ['i32', 'i64'], 'i32'>
  /** `(level, ist)`: the stack of an inner level, by the TSS, whose SS and rSP were saved by the caller. Changes CPL. `ist` is one of long mode's, or 0. */
  readonly innerStack: FuncRef<readonly ['i32', 'i32'], 'i32'>
}

export interface TransferFunctions extends EntryFunctions {
  /** `(call, selector, offset, size, next)`: JMP and CALL to far (SDM volume 3, 6.8; volume 2, CALL). */
  readonly far: FuncRef<readonly ['i32', 'i32', 'i64', 'i32', 'i64'], 'i32'>
  /** `(size, release)`: RET from far. */
  readonly farReturn: FuncRef<readonly ['i32', 'i64'], 'i32'>
}

const isCode = (high: Expr<'i32'>): Expr<'i32'> => i32.eq(i32.and(high, SegmentBit.notSystem | SegmentBit.code), SegmentBit.notSystem | SegmentBit.code)

function emitEntry(m: ModuleBuilder, state: State, basics: Basics, memory: MemoryFunctions, segments: SegmentFunctions): EntryFunctions {
  const high = (): Expr<'i32'> => i32.wrap(i64.shrU(segments.descriptor, 32))
  const fetchCode = m.func('fetchCode', ['i32'], 'i32', (f, selector) => {
    const code = new SystemCode(f, state, basics)
    code.raiseIf(code.isNull(selector), Vector.generalProtection, state.get32('external'))
    code.try(call(segments.fetch, selector, Vector.generalProtection))
    code.raiseIf(i32.eqz(isCode(high())), Vector.generalProtection, code.errorOf(selector))
    f.return(0)
  })
  const enter = m.func('enterCode', ['i32', 'i64'], 'i32', (f, selector, offset) => {
    const code = new SystemCode(f, state, basics)
    code.raiseIf(i32.eqz(has(high(), SegmentBit.present)), Vector.segmentNotPresent, code.errorOf(selector))
    const both = i32.eq(i32.and(high(), SegmentBit.long | SegmentBit.big), SegmentBit.long | SegmentBit.big)
    code.raiseIf(i32.and(code.long, both), Vector.generalProtection, code.errorOf(selector))
    const wide = i32.and(code.long, has(high(), SegmentBit.long))
    const bad = f.local('i32')
    f.if(wide, () => f.set(bad, call(memory.unusual, offset)), () => f.set(bad, i64.gtU(offset, i64.extendU(call(segments.limit)))))
    code.raiseIf(bad, Vector.generalProtection, state.get32('external'))
    code.try(call(segments.cache, Register.cs, selector))
    f.do(state.set32('cpl', i32.and(selector, 3)))
    f.do(call(segments.updateMode))
    f.do(state.set64('pc', offset))
    f.return(0)
  })
  const innerStack = m.func('innerStack', ['i32', 'i32'], 'i32', (f, level, ist) => {
    const code = new SystemCode(f, state, basics)
    const tr = state.segment(Register.tr)
    const base = f.let(i64.load(tr))
    const limit = f.let(i32.load(tr + segmentLayout.high))
    const error = f.let(code.errorOf(i32.load(tr + segmentLayout.selector)))
    const offset = f.local('i32')
    f.if(code.long, () => {
      f.set(offset, select('i32', ist, i32.add(28, i32.shl(ist, 3)), i32.add(4, i32.shl(level, 3))))
      code.raiseIf(i32.gtU(i32.add(offset, 7), limit), Vector.invalidTss, error)
      const sp = code.read(i64.add(base, i64.extendU(offset)), 8)
      code.raiseIf(call(memory.unusual, sp), Vector.stackSegment, state.get32('external'))
      f.if(i32.ne(state.get32('cpl'), level), () => {
        const ss = state.segment(Register.ss)
        f.do(i32.store(ss + segmentLayout.selector, level))
        f.do(i32.store(ss + segmentLayout.rights, 0))
        f.do(i64.store(ss, 0))
        f.do(state.set32('cpl', level))
      })
      f.do(i64.store(state.register(RSP), sp))
      f.return(0)
    })
    const sp = f.local('i64')
    const selector = f.local('i32')
    f.if(has(i32.load(tr + segmentLayout.rights), 1 << 11), () => {
      f.set(offset, i32.add(4, i32.shl(level, 3)))
      code.raiseIf(i32.gtU(i32.add(offset, 5), limit), Vector.invalidTss, error)
      f.set(sp, code.read(i64.add(base, i64.extendU(offset)), 4))
      f.set(selector, i32.wrap(code.read(i64.add(base, i64.extendU(i32.add(offset, 4))), 2)))
    }, () => {
      f.set(offset, i32.add(2, i32.shl(level, 2)))
      code.raiseIf(i32.gtU(i32.add(offset, 3), limit), Vector.invalidTss, error)
      f.set(sp, code.read(i64.add(base, i64.extendU(offset)), 2))
      f.set(selector, i32.wrap(code.read(i64.add(base, i64.extendU(i32.add(offset, 2))), 2)))
    })
    // The stack is looked up as the inner level, and not as virtual-8086 mode.
    code.try(call(segments.load, Register.ss, selector, Vector.invalidTss, level))
    f.do(state.set32('cpl', level))
    f.do(call(basics.setStack, sp))
    f.return(0)
  })
  return { fetchCode, enter, innerStack }
}

/** Far jumps, calls and returns (SDM volume 3, 6.8 and 8.1). */
export function emitTransfers(m: ModuleBuilder, state: State, basics: Basics, memory: MemoryFunctions, segments: SegmentFunctions, tasks: TaskFunctions): TransferFunctions {
  const entry = emitEntry(m, state, basics, memory, segments)
  const high = (): Expr<'i32'> => i32.wrap(i64.shrU(segments.descriptor, 32))
  const selectorOf = (number: number): Expr<'i64'> => i64.load16U(state.segment(number) + segmentLayout.selector)
  const { descriptor, at } = segments

  /** In real-address and virtual-8086 mode: a paragraph and an offset. */
  const goParagraph = (code: SystemCode, selector: Local<'i32'>, offset: Local<'i64'>): void => {
    code.raiseIf(i64.gtU(offset, i64.load32U(state.segment(Register.cs) + segmentLayout.high)), Vector.generalProtection)
    code.f.do(call(segments.paragraph, Register.cs, selector))
    code.f.do(state.set64('pc', offset))
    code.f.return(0)
  }

  /** A call gate; its descriptor was fetched. */
  const gate = m.func('callGate', ['i32', 'i32', 'i64'], 'i32', (f, calls, selector, next) => {
    const code = new SystemCode(f, state, basics)
    const wide = f.let(code.long)
    const size = f.let(select('i32', wide, 8, select('i32', has(high(), 1 << 11), 4, 2)))
    const count = f.let(i32.and(high(), 31))
    const target = f.let(i32.and(i32.wrap(i64.shrU(descriptor, 16)), 0xffff))
    const offset = f.let(i64.and(descriptor, 0xffff))
    f.if(i32.ne(size, 2), () => f.set(offset, i64.or(offset, i64.and(i64.shrU(descriptor, 32), 0xffff_0000))))
    f.if(wide, () => {
      code.try(call(segments.fetchUpper, selector))
      f.set(offset, i64.or(offset, i64.shl(segments.upper, 32)))
    })
    code.try(call(entry.fetchCode, target))
    const error = f.let(code.errorOf(target))
    const dpl = f.let(levelOf(high()))
    code.raiseIf(i32.gtU(dpl, code.cpl), Vector.generalProtection, error)
    code.raiseIf(i32.and(wide, i32.ne(i32.and(high(), SegmentBit.long | SegmentBit.big), SegmentBit.long)), Vector.generalProtection, error)
    const inner = f.let(i32.and(i32.eqz(has(high(), SegmentBit.conforming)), i32.ltU(dpl, code.cpl)))
    // A jump does not go to an inner level, whether there is a segment or not (SDM volume 2, JMP).
    code.raiseIf(i32.and(inner, i32.eqz(calls)), Vector.generalProtection, error)
    code.raiseIf(i32.eqz(has(high(), SegmentBit.present)), Vector.segmentNotPresent, error)
    const level = f.let(select('i32', inner, dpl, code.cpl))
    f.if(calls, () => {
      const from = f.let(selectorOf(Register.cs))
      f.if(inner, () => {
        const [oldSs, oldSp] = [f.let(selectorOf(Register.ss)), f.let(code.register(RSP))]
        const mask = f.let(select('i64', has(code.segment(Register.ss, 'rights'), SegmentBit.big), 0xffff_ffff, 0xffff))
        const [keptDescriptor, keptAt] = [f.let(descriptor), f.let(at)]
        code.try(call(entry.innerStack, level, 0))
        f.setGlobal(descriptor, keptDescriptor)
        f.setGlobal(at, keptAt)
        f.if(wide, () => f.do(state.set32('mode', 64)))
        code.push(oldSs, size)
        code.push(oldSp, size)
        f.if(i32.and(i32.eqz(wide), i32.ne(count, 0)), () => f.loop((again) => {
          // The last one first.
          f.set(count, i32.sub(count, 1))
          code.try(call(basics.readLeft, i64.and(i64.add(oldSp, i64.extendU(i32.mul(count, size))), mask), size))
          code.push(basics.value, size)
          f.brIf(again, count)
        }))
      }, () => f.if(wide, () => f.do(state.set32('mode', 64))))
      code.push(from, size)
      code.push(next, size)
    })
    f.return(call(entry.enter, i32.or(i32.and(target, 0xfffc), level), offset))
  })

  const far = m.func('far', ['i32', 'i32', 'i64', 'i32', 'i64'], 'i32', (f, calls, selector, offset, size, next) => {
    const code = new SystemCode(f, state, basics)
    f.if(code.paragraphs, () => {
      f.if(calls, () => {
        code.push(selectorOf(Register.cs), size)
        code.push(next, size)
      })
      goParagraph(code, selector, offset)
    })
    code.raiseIf(code.isNull(selector), Vector.generalProtection)
    code.try(call(segments.fetch, selector, Vector.generalProtection))
    const error = f.let(code.errorOf(selector))
    const [rpl, dpl] = [f.let(i32.and(selector, 3)), f.let(levelOf(high()))]
    f.if(isCode(high()), () => {
      const conforming = f.let(has(high(), SegmentBit.conforming))
      const strict = i32.or(i32.gtU(rpl, code.cpl), i32.ne(dpl, code.cpl))
      code.raiseIf(select('i32', conforming, i32.gtU(dpl, code.cpl), strict), Vector.generalProtection, error)
      code.raiseIf(i32.eqz(has(high(), SegmentBit.present)), Vector.segmentNotPresent, error)
      f.if(calls, () => {
        code.push(selectorOf(Register.cs), size)
        code.push(next, size)
      })
      f.return(call(entry.enter, i32.or(i32.and(selector, 0xfffc), code.cpl), offset))
    })
    code.raiseIf(has(high(), SegmentBit.notSystem), Vector.generalProtection, error)
    const type = f.let(i32.and(i32.shrU(high(), 8), 15))
    const is = (...types: number[]): Expr<'i32'> => types.map((one) => i32.eq(type, one)).reduce((a, b) => i32.or(a, b))
    const known = select('i32', code.long, i32.eq(type, 12), is(1, 4, 5, 9, 12))
    code.raiseIf(i32.or(i32.eqz(known), i32.ltU(dpl, select('i32', i32.gtU(rpl, code.cpl), rpl, code.cpl))), Vector.generalProtection, error)
    const absent = f.let(i32.eqz(has(high(), SegmentBit.present)))
    f.if(is(1, 9), () => {
      code.raiseIf(has(selector, 4), Vector.generalProtection, error)
      code.raiseIf(absent, Vector.segmentNotPresent, error)
      f.return(call(tasks.change, selector, calls, next))
    })
    code.raiseIf(absent, Vector.segmentNotPresent, error)
    f.if(i32.eq(type, 5), () => f.return(call(tasks.gate, calls, next)))
    f.return(call(gate, calls, selector, next))
  })

  const farReturn = m.func('farReturn', ['i32', 'i64'], 'i32', (f, size, release) => {
    const code = new SystemCode(f, state, basics)
    const offset = code.pop(size)
    const selector = f.let(i32.and(i32.wrap(code.pop(size)), 0xffff))
    const drop = (): void => f.do(call(basics.setStack, i64.add(code.register(RSP), release)))
    f.if(code.paragraphs, () => {
      drop()
      goParagraph(code, selector, offset)
    })
    code.try(call(entry.fetchCode, selector))
    returnTo(code, segments, entry, selector, offset, { before: drop, after: drop, stack: () => [code.pop(size), f.let(i32.wrap(code.pop(size)))], always: i32.const(0) })
    f.return(0)
  })
  return { ...entry, far, farReturn }
}

/** What RET and IRET do once the code segment's descriptor was fetched: checks, the segment, and the stack of an outer level. */
export function returnTo(code: SystemCode, segments: SegmentFunctions, entry: EntryFunctions, selector: Local<'i32'>, offset: Local<'i64'>, how: {
  before(): void
  after(): void
  stack(): readonly [Local<'i64'>, Local<'i32'>]
  readonly always: Expr<'i32'>
}): void {
  const { f } = code
  const high = i32.wrap(i64.shrU(segments.descriptor, 32))
  const rpl = f.let(i32.and(selector, 3))
  const dpl = levelOf(high)
  const badLevel = select('i32', has(high, SegmentBit.conforming), i32.gtU(dpl, rpl), i32.ne(dpl, rpl))
  code.raiseIf(i32.or(i32.ltU(rpl, code.cpl), badLevel), Vector.generalProtection, code.errorOf(selector))
  const outer = f.let(i32.ne(rpl, code.cpl))
  const always = f.let(how.always)
  how.before()
  const sp = f.local('i64')
  const ss = f.local('i32')
  f.if(i32.or(outer, always), () => {
    const [newSp, newSs] = how.stack()
    f.set(sp, newSp)
    f.set(ss, newSs)
  })
  code.try(call(entry.enter, selector, offset))
  f.if(i32.or(outer, always), () => {
    code.try(call(segments.load, Register.ss, i32.and(ss, 0xffff), Vector.generalProtection, rpl))
    f.do(call(code.basics.setStack, sp))
  })
  f.if(outer, () => {
    how.after()
    f.do(call(segments.dropInner, rpl))
  })
}
