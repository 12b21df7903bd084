import { Access } from '@machinist/mmu'
import { call, type Expr, type Func, type FuncRef, type Global, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import { Vector } from '../../vector.ts'
import { Cr0, Efer, type MemoryFunctions } from '../memory.ts'
import { Register, SAVE_AT, segmentLayout, SegmentRight, type State, x86Layout } from '../layout.ts'

type I32 = Expr<'i32'>
type I64 = Expr<'i64'>

/** Flags of the system, besides those of `Flag` (SDM volume 3, 2.3). */
export const SystemFlag = { trap: 0x100, interrupt: 0x200, iopl: 0x3000, nested: 0x4000, resume: 0x1_0000, vm: 0x2_0000, alignment: 0x4_0000, virtualInterrupt: 0x8_0000, virtualPending: 0x10_0000, id: 0x20_0000 } as const

const RSP = 4

/** What system functions share: they read and push with sizes that are numbers when they run, and return 1 after a fault. */
export interface Basics {
  /** `(linear, size)`: reads a system structure; the value is in `value`. */
  readonly readSystem: FuncRef<readonly ['i64', 'i32'], 'i32'>
  readonly writeSystem: FuncRef<readonly ['i64', 'i64', 'i32'], 'i32'>
  /** `(value, size)` onto the stack that SS and rSP say, at CPL. */
  readonly push: FuncRef<readonly ['i64', 'i32'], 'i32'>
  /** `(size)`; the value is in `value`. */
  readonly pop: FuncRef<readonly ['i32'], 'i32'>
  /** `(offset, size)`: of the stack that the instruction began with, as its level reads it; the value is in `value`. */
  readonly readLeft: FuncRef<readonly ['i64', 'i32'], 'i32'>
  /** `(value)`: rSP, as much of it as the stack has. */
  readonly setStack: FuncRef<readonly ['i64'], 'void'>
  readonly value: Global<'i64'>
}

/** Writes the body of a system function. */
export class SystemCode {
  readonly f: Func
  readonly state: State
  readonly basics: Basics

  constructor(f: Func, state: State, basics: Basics) {
    this.f = f
    this.state = state
    this.basics = basics
  }

  raise(vector: I32 | number, error: I32 | number): void {
    this.f.do(this.state.set32('fault', i32.add(vector, 1)))
    this.f.do(this.state.set32('error', error))
    this.f.return(1)
  }

  raiseIf(condition: I32, vector: I32 | number, error: I32 | number = 0): void {
    this.f.if(condition, () => this.raise(vector, error))
  }

  /** Calls a function, and returns when it has faulted. */
  try(result: I32): void {
    this.f.if(result, () => this.f.return(1))
  }

  read(linear: I64, size: number): Local<'i64'> {
    this.try(call(this.basics.readSystem, linear, size))
    return this.f.let(this.basics.value)
  }

  write(linear: I64, value: I64 | number, size: number): void {
    this.try(call(this.basics.writeSystem, linear, value, size))
  }

  push(value: I64, size: I32 | number): void {
    this.try(call(this.basics.push, value, size))
  }

  pop(size: I32 | number): Local<'i64'> {
    this.try(call(this.basics.pop, size))
    return this.f.let(this.basics.value)
  }

  /** A selector as error codes have it (SDM volume 3, 7.13). */
  errorOf(selector: I32): I32 {
    return i32.or(i32.and(selector, 0xfffc), this.state.get32('external'))
  }

  isNull(selector: I32): I32 {
    return i32.eqz(i32.and(selector, 0xfffc))
  }

  get cpl(): I32 {
    return this.state.get32('cpl')
  }

  get long(): I32 {
    return bit(this.state.get64('efer'), Efer.lma)
  }

  flag(mask: number): I32 {
    return i32.ne(i32.and(this.state.get32('system'), mask), 0)
  }

  /** Real-address or virtual-8086 mode: selectors are paragraphs. */
  get paragraphs(): I32 {
    return i32.or(i32.eqz(bit(this.state.get64('cr0'), Cr0.pe)), this.flag(SystemFlag.vm))
  }

  get iopl(): I32 {
    return i32.and(i32.shrU(this.state.get32('system'), 12), 3)
  }

  segment(number: number, field: 'low' | 'high' | 'rights' | 'selector'): I32 {
    return i32.load(this.state.segment(number) + segmentLayout[field])
  }

  base(number: number): I64 {
    return i64.load(this.state.segment(number) + segmentLayout.base)
  }

  register(number: number): I64 {
    return i64.load(this.state.register(number))
  }
}

/** Whether one of the low 32 bits that `mask` has is set. */
export function bit(value: I64, mask: number): I32 {
  if (mask > 0xffff_ffff) throw new RangeError(`${mask} has more than 32 bits`)
  return i64.ne(i64.and(value, mask >>> 0), 0)
}

export function has(value: I32, mask: number): I32 {
  return i32.ne(i32.and(value, mask), 0)
}

/** DPL of a descriptor's second half. */
export function levelOf(half: I32): I32 {
  return i32.and(i32.shrU(half, 13), 3)
}

export function emitBasics(m: ModuleBuilder, state: State, memory: MemoryFunctions): Basics {
  const value = m.global('i64', 0)
  const bounce = state.field('bounce')
  const fetch = (f: Func, at: Local<'i32'>, size: Local<'i32'>): void => {
    f.if(i32.eq(size, 1), () => f.setGlobal(value, i64.load8U(at)))
    f.if(i32.eq(size, 2), () => f.setGlobal(value, i64.load16U(at)))
    f.if(i32.eq(size, 4), () => f.setGlobal(value, i64.load32U(at)))
    f.if(i32.eq(size, 8), () => f.setGlobal(value, i64.load(at)))
  }
  const put = (f: Func, at: Local<'i32'>, what: Local<'i64'>, size: Local<'i32'>): void => {
    f.if(i32.eq(size, 1), () => f.do(i64.store8(at, what)))
    f.if(i32.eq(size, 2), () => f.do(i64.store16(at, what)))
    f.if(i32.eq(size, 4), () => f.do(i64.store32(at, what)))
    f.if(i32.eq(size, 8), () => f.do(i64.store(at, what)))
    f.if(i32.eq(at, bounce), () => f.do(call(memory.commit)))
  }
  const readSystem = m.func('readSystem', ['i64', 'i32'], 'i32', (f, linear, size) => {
    const at = f.let(call(memory.place, linear, size, Access.read, 1))
    f.if(i32.eqz(at), () => f.return(1))
    fetch(f, at, size)
    f.return(0)
  })
  const writeSystem = m.func('writeSystem', ['i64', 'i64', 'i32'], 'i32', (f, linear, what, size) => {
    const at = f.let(call(memory.place, linear, size, Access.write, 1))
    f.if(i32.eqz(at), () => f.return(1))
    put(f, at, what, size)
    f.return(0)
  })

  const ss = state.segment(Register.ss)
  /** Of rSP, by the mode and SS.B. */
  const mask = (): I64 => {
    const big = i64.extendU(i32.sub(0, has(i32.load(ss + segmentLayout.rights), 1 << 22)))
    return select('i64', i32.eq(state.get32('mode'), 64), -1n, i64.or(i64.and(big, 0xffff_ffffn), 0xffff))
  }
  const setStack = m.func('setStack', ['i64'], 'void', (f, sp) => {
    const of = f.let(mask())
    f.if(i64.eq(of, 0xffff), () => f.do(i64.store16(state.register(RSP), sp)), () => f.do(i64.store(state.register(RSP), i64.and(sp, of))))
  })
  /** Where the bytes on the stack at an offset lie; returns from the function after a fault. */
  const locate = (f: Func, sp: Local<'i64'>, size: Local<'i32'>, access: 'read' | 'write', ss: number): Local<'i32'> => {
    const code = new SystemCode(f, state, { value } as Basics)
    const linear = f.let(sp)
    const last = f.let(i64.add(sp, i64.extendU(i32.sub(size, 1))))
    f.if(i32.eq(state.get32('mode'), 64), () => {
      code.raiseIf(i32.or(call(memory.unusual, sp), call(memory.unusual, last)), Vector.stackSegment)
    }, () => {
      const outside = i32.or(i64.ltU(sp, i64.load32U(ss + segmentLayout.low)), i64.gtU(last, i64.load32U(ss + segmentLayout.high)))
      code.raiseIf(i32.or(outside, i32.eqz(has(i32.load(ss + segmentLayout.rights), SegmentRight[access]))), Vector.stackSegment, state.get32('external'))
      f.set(linear, i64.and(i64.add(sp, i64.load(ss + segmentLayout.base)), 0xffff_ffff))
    })
    const at = f.let(call(memory.place, linear, size, Access[access], 0))
    f.if(i32.eqz(at), () => f.return(1))
    return at
  }
  const push = m.func('push', ['i64', 'i32'], 'i32', (f, what, size) => {
    const sp = f.let(i64.and(i64.sub(i64.load(state.register(RSP)), i64.extendU(size)), mask()))
    put(f, locate(f, sp, size, 'write', ss), what, size)
    f.do(call(setStack, sp))
    f.return(0)
  })
  const pop = m.func('pop', ['i32'], 'i32', (f, size) => {
    const sp = f.let(i64.and(i64.load(state.register(RSP)), mask()))
    fetch(f, locate(f, sp, size, 'read', ss), size)
    f.do(call(setStack, i64.add(sp, i64.extendU(size))))
    f.return(0)
  })
  const readLeft = m.func('readLeft', ['i64', 'i32'], 'i32', (f, offset, size) => {
    const saved = state.at + SAVE_AT
    const cpl = f.let(state.get32('cpl'))
    f.do(state.set32('cpl', i32.load(saved + x86Layout.offset.cpl)))
    fetch(f, locate(f, offset, size, 'read', saved + x86Layout.offset.segments + Register.ss * segmentLayout.size), size)
    f.do(state.set32('cpl', cpl))
    f.return(0)
  })
  return { readSystem, writeSystem, push, pop, readLeft, setStack, value }
}
