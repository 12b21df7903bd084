import { call, type Expr, type Func, type FuncRef, i32, i64, type Local, type ModuleBuilder } from '@machinist/wasm'
import { Vector } from '../../vector.ts'
import { Register, segmentLayout, type State } from '../layout.ts'
import { has, SystemFlag } from './code.ts'
import { BreakpointKind, DebugControl, type DebugFunctions, DebugStatus, GENERAL_DETECT } from './debug.ts'
import { EventKind } from './interrupts.ts'
import type { OutsideFunctions } from './outside.ts'

/** What comes from outside: bits of the state's `lines`. INTR is as its line is; the others stay until they are taken. */
export const Line = { interrupt: 1, nonMaskable: 2, init: 4, startUp: 8, systemManagement: 16 } as const

/** What a processor does: the state's `waiting` (SDM volume 3, 10.4, 25.6.2). */
export const Activity = { running: 0, halted: 1, shutdown: 2, waitingForStartUp: 3 } as const

/** What puts events off until the next instruction has ended: the state's `shadow`. After STI it is interrupts, after MOV SS and POP SS debug exceptions and NMI as well (SDM volume 3, 7.8.3). */
export const Shadow = { interrupts: 1, stack: 2 } as const

/** What `poll` says: the next instruction is to be executed, something was raised in its place, or the processor waits. */
export const Polled = { clear: 0, raised: 1, waits: 2 } as const

export interface EventFunctions {
  /**
   * Looks for what comes before the next instruction, by the priorities of SDM volume 3, table 7-2; see `Polled`. To be called when `attention` is not zero,
   * before an instruction that is executed then: what lasts for one instruction, shadow and RF, ends with it.
   */
  readonly poll: FuncRef<readonly [], 'i32'>
  /** Goes to the handler of what was raised, or of the fault or double fault that came on the way; 1 when that ended in shutdown. */
  readonly take: FuncRef<readonly [], 'i32'>
}

const bits = (...numbers: number[]): number => numbers.reduce((mask, number) => mask | 1 << number, 0)
const CONTRIBUTORY = bits(Vector.divideError, Vector.invalidTss, Vector.segmentNotPresent, Vector.stackSegment, Vector.generalProtection)
const WITH_ERROR = bits(Vector.doubleFault, Vector.invalidTss, Vector.segmentNotPresent, Vector.stackSegment, Vector.generalProtection, Vector.pageFault, Vector.alignmentCheck)
const NONE = -1

const inMask = (mask: number, vector: Expr<'i32'>): Expr<'i32'> => i32.and(i32.leU(vector, 31), i32.shrU(i32.const(mask), vector))

/** Events between instructions, and the way to their handlers. */
export function emitEvents(m: ModuleBuilder, state: State, deliver: FuncRef<readonly ['i32', 'i32', 'i32'], 'i32'>, debug: DebugFunctions, updateView: FuncRef<readonly [], 'void'>, given: Pick<OutsideFunctions, 'acknowledge' | 'initialise' | 'enterManagement'>): EventFunctions {
  const flag = (mask: number): Expr<'i32'> => has(state.get32('system'), mask)
  const raise = (f: Func, vector: Expr<'i32'> | number, kind: Expr<'i32'> | number): void => {
    f.do(state.set32('attention', 1))
    f.do(state.set32('fault', i32.add(vector, 1)))
    f.do(state.set32('error', 0))
    f.do(state.set32('event', kind))
    f.return(Polled.raised)
  }
  /** Kinds of what comes after an instruction, or within one. */
  const between = (kind: number): Expr<'i32'> => i32.or(i32.mul(state.get32('repeating'), EventKind.resume), kind)
  /** #DB for what DR6 tells then. */
  const raiseDebug = (f: Func, status: Expr<'i32'>): void => {
    f.do(i64.store(state.field('dr') + 8 * 6, i64.or(i64.load(state.field('dr') + 8 * 6), i64.extendU(status))))
    raise(f, Vector.debug, between(0))
  }
  const idle = (f: Func): void => {
    f.do(state.set32('attention', 0))
    f.return(Polled.waits)
  }

  /** SIPI: CS:IP is VV00:0000 (SDM volume 3, 10.4.4). */
  const startUp = (f: Func): void => {
    const cs = state.segment(Register.cs)
    const vector = f.let(i32.and(state.get32('sipi'), 0xff))
    f.do(i32.store(cs + segmentLayout.selector, i32.shl(vector, 8)))
    f.do(i64.store(cs + segmentLayout.base, i64.extendU(i32.shl(vector, 12))))
    f.do(state.set64('pc', 0))
    f.do(state.set32('waiting', Activity.running))
  }

  const poll = m.func('poll', [], 'i32', (f) => {
    const take = (line: number): void => f.do(state.set32('lines', i32.and(state.get32('lines'), ~line)))
    const line = (mask: number): Expr<'i32'> => has(state.get32('lines'), mask)
    // INIT is lost while it waits for SIPI, and SIPI while it does not. SMI comes before INIT, which it keeps until it has ended (SDM volume 3, 32.2 and 32.3.1).
    f.if(line(Line.init), () => {
      const waits = f.let(i32.eq(state.get32('waiting'), Activity.waitingForStartUp))
      f.if(i32.or(waits, i32.eqz(i32.or(state.get32('managed'), line(Line.systemManagement)))), () => {
        f.if(i32.eqz(waits), () => {
          f.do(call(given.initialise))
          f.do(call(updateView))
        })
        take(Line.init)
      })
    })
    f.if(i32.eq(state.get32('waiting'), Activity.waitingForStartUp), () => {
      f.if(i32.eqz(line(Line.startUp)), () => idle(f))
      startUp(f)
    })
    take(Line.startUp)

    const shadow = f.let(state.get32('shadow'))
    f.do(state.set32('shadow', 0))
    const stack = i32.eq(shadow, Shadow.stack)
    const pending = f.let(state.get32('debugPending'))
    f.if(i32.and(state.get32('single'), i32.eqz(stack)), () => {
      const byBranch = i64.ne(i64.and(state.get64('debugCtl'), DebugControl.btf), 0)
      const branched = i32.and(i64.ne(state.get64('pc'), state.get64('next')), i32.eqz(state.get32('repeating')))
      f.if(i32.or(i32.eqz(byBranch), branched), () => f.set(pending, i32.or(pending, DebugStatus.step)))
    })
    f.do(state.set32('single', 0))
    const shutdown = f.let(i32.eq(state.get32('waiting'), Activity.shutdown))
    f.if(i32.and(i32.and(line(Line.systemManagement), i32.eqz(state.get32('managed'))), i32.eqz(i32.or(shadow, shutdown))), () => {
      take(Line.systemManagement)
      f.do(state.set32('managedDebug', pending))
      f.do(state.set32('debugPending', 0))
      f.set(pending, 0)
      f.do(call(given.enterManagement))
      f.do(call(updateView))
    })
    f.if(i32.and(i32.and(i32.ne(pending, 0), i32.eqz(stack)), i32.eqz(shutdown)), () => {
      f.do(state.set32('debugPending', 0))
      raiseDebug(f, pending)
    })
    f.if(i32.and(i32.and(line(Line.nonMaskable), i32.eqz(state.get32('nmiBlocked'))), i32.eqz(stack)), () => {
      take(Line.nonMaskable)
      f.do(state.set32('nmiBlocked', 1))
      raise(f, Vector.nonMaskable, between(EventKind.external))
    })
    f.if(shutdown, () => idle(f))
    f.if(i32.and(i32.and(line(Line.interrupt), flag(SystemFlag.interrupt)), i32.eqz(shadow)), () => {
      raise(f, i32.and(call(given.acknowledge), 0xff), between(EventKind.external))
    })
    f.if(state.get32('waiting'), () => idle(f))

    const breakpoints = f.let(i32.and(state.get32('watching'), BreakpointKind.execute))
    f.if(breakpoints, () => f.if(i32.eqz(i32.or(i32.or(flag(SystemFlag.resume), stack), state.get32('repeating'))), () => {
      const hit = f.let(call(debug.executes))
      f.if(hit, () => raiseDebug(f, hit))
    }))
    f.do(state.set32('system', i32.and(state.get32('system'), ~SystemFlag.resume)))
    f.do(state.set32('single', flag(SystemFlag.trap)))
    const waits = i32.and(i32.ne(shadow, 0), line(Line.interrupt | Line.nonMaskable | Line.systemManagement))
    f.do(state.set32('attention', i32.or(i32.or(state.get32('single'), breakpoints), i32.or(waits, i32.ne(pending, 0)))))
    f.return(Polled.clear)
  })

  /** What comes when a fault follows a first exception, or nothing (SDM volume 3, table 7-5). −1 is shutdown. */
  const second = (f: Func, first: Local<'i32'>, vector: Local<'i32'>): void => {
    f.if(i32.eq(first, Vector.doubleFault), () => f.set(vector, NONE), () => {
      const contributory = f.let(inMask(CONTRIBUTORY, vector))
      const both = i32.and(inMask(CONTRIBUTORY, first), contributory)
      const page = i32.and(i32.eq(first, Vector.pageFault), i32.or(contributory, i32.eq(vector, Vector.pageFault)))
      f.if(i32.and(i32.or(both, page), 1), () => f.set(vector, Vector.doubleFault))
    })
  }

  const take = m.func('take', [], 'i32', (f) => {
    const vector = f.let(i32.sub(state.get32('fault'), 1))
    const kind = f.let(state.get32('event'))
    const error = f.let(state.get32('error'))
    // What the instruction hit that has not happened is not told.
    f.if(has(kind, EventKind.fault), () => f.do(state.set32('debugPending', 0)))
    f.if(i32.and(i32.eq(vector, Vector.debug), i32.eqz(has(kind, EventKind.software | EventKind.external))), () => {
      f.do(i64.store(state.field('dr') + 8 * 7, i64.and(i64.load(state.field('dr') + 8 * 7), ~BigInt(GENERAL_DETECT))))
      f.do(state.set64('debugCtl', 0))
    })
    f.do(state.set32('single', 0))
    f.do(state.set32('repeating', 0))
    f.do(state.set32('waiting', Activity.running))
    f.do(state.set32('attention', 1))
    const first = f.let(i32.const(NONE))
    const software = f.let(has(kind, EventKind.software))
    f.do(state.set32('event', EventKind.fault))
    const result = f.local('i32')
    f.set(result, 0)
    f.loop((again) => {
      f.if(has(kind, EventKind.fault), () => {
        f.set(first, vector)
        f.if(i32.eq(vector, Vector.pageFault), () => f.do(state.set64('cr2', state.get64('faultAddress'))))
        f.if(i32.and(inMask(WITH_ERROR, vector), 1), () => f.set(kind, i32.or(kind, EventKind.error)))
      })
      f.do(state.set32('fault', 0))
      f.if(call(deliver, vector, kind, error), () => {
        // The instruction that raised it has not happened; but a task that was entered has its own rIP.
        f.if(i32.and(software, i32.ne(state.get32('saved'), 0)), () => f.do(state.set64('pc', state.get64('from'))))
        f.set(vector, i32.sub(state.get32('fault'), 1))
        f.set(error, state.get32('error'))
        second(f, first, vector)
        f.if(i32.eq(vector, NONE), () => {
          f.do(state.set32('fault', 0))
          f.do(state.set32('waiting', Activity.shutdown))
          f.set(result, 1)
        }, () => {
          f.if(i32.eq(vector, Vector.doubleFault), () => f.set(error, 0))
          f.set(kind, EventKind.fault)
          f.br(again)
        })
      })
    })
    f.do(state.set32('external', 0))
    f.return(result)
  })
  return { poll, take }
}
