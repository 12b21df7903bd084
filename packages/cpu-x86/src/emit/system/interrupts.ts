import { call, type Expr, type FuncRef, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import { Vector } from '../../vector.ts'
import type { FlagFunctions } from '../flags.ts'
import { Cr4 } from '../memory.ts'
import { Register, SegmentBit, segmentLayout, type State } from '../layout.ts'
import { type Basics, bit, has, levelOf, SystemCode, SystemFlag } from './code.ts'
import { allFlags, setAllFlags } from './flags.ts'
import type { SegmentFunctions } from './segments.ts'
import { TaskSwitch, type TaskFunctions } from './tasks.ts'
import { type EntryFunctions, returnTo } from './transfers.ts'

/** What an event is; bits of `deliver`'s `kind`. */
export const EventKind = {
  /** INT n, INT3, INTO: the gate's DPL counts. */
  software: 1,
  /** INT n: in virtual-8086 mode IOPL counts. */
  intN: 2,
  /** A fault: the pushed flags have RF (SDM volume 3, 18.3.1.1). */
  fault: 4,
  /** It has an error code. */
  error: 8,
  /** NMI and INTR. */
  external: 16,
  /** What comes within an instruction with REP: the pushed flags have RF as well. */
  resume: 32,
} as const

export interface InterruptFunctions {
  /** `(vector, kind, error)`: goes to the handler of an event (SDM volume 3, 7.12; volume 2, INT n). */
  readonly deliver: FuncRef<readonly ['i32', 'i32', 'i32'], 'i32'>
  /** `(size, next)` (SDM volume 2, IRET). */
  readonly interruptReturn: FuncRef<readonly ['i32', 'i64'], 'i32'>
}

const RSP = 4
const IO_MAP_AT = 102

export function emitInterrupts(m: ModuleBuilder, state: State, basics: Basics, segments: SegmentFunctions, entry: EntryFunctions, tasks: TaskFunctions, flags: FlagFunctions): InterruptFunctions {
  const { descriptor, at } = segments
  const high = (): Expr<'i32'> => i32.wrap(i64.shrU(descriptor, 32))
  const selectorOf = (number: number): Expr<'i64'> => i64.load16U(state.segment(number) + segmentLayout.selector)
  const clear = (mask: number): Expr<'void'> => state.set32('system', i32.and(state.get32('system'), ~mask))
  const idtr = state.segment(Register.idtr)

  /** To an 8086 handler, by a vector table at a linear address (SDM volume 3, 21.1.4 and 21.3.3). */
  const vectored = m.func('deliverVectored', ['i64', 'i32'], 'i32', (f, table, virtual) => {
    const code = new SystemCode(f, state, basics)
    const pointer = code.read(table, 4)
    const image = f.let(allFlags(state, flags))
    f.if(virtual, () => {
      // The program sees VIF as IF, and an IOPL of 3.
      f.set(image, i32.or(i32.and(image, ~SystemFlag.interrupt), SystemFlag.iopl))
      f.set(image, i32.or(image, i32.and(i32.shrU(image, 10), SystemFlag.interrupt)))
    })
    code.push(i64.extendU(image), 2)
    code.push(selectorOf(Register.cs), 2)
    code.push(state.get64('pc'), 2)
    const offset = f.let(i64.and(pointer, 0xffff))
    code.raiseIf(i64.gtU(offset, i64.load32U(state.segment(Register.cs) + segmentLayout.high)), Vector.generalProtection)
    f.if(virtual, () => f.do(clear(SystemFlag.trap | SystemFlag.virtualInterrupt)), () => f.do(clear(SystemFlag.trap | SystemFlag.interrupt)))
    f.if(i32.eqz(code.flag(SystemFlag.vm)), () => f.do(clear(SystemFlag.alignment)))
    f.do(call(segments.paragraph, Register.cs, i32.wrap(i64.shrU(pointer, 16))))
    f.do(state.set64('pc', offset))
    f.return(0)
  })

  const deliver = m.func('deliver', ['i32', 'i32', 'i32'], 'i32', (f, vector, kind, error) => {
    const code = new SystemCode(f, state, basics)
    const software = f.let(has(kind, EventKind.software))
    f.do(state.set32('external', i32.eqz(software)))
    f.if(i32.eqz(bit(state.get64('cr0'), 1)), () => {
      code.raiseIf(i32.gtU(i32.add(i32.shl(vector, 2), 3), i32.load(idtr + segmentLayout.high)), Vector.generalProtection)
      f.return(call(vectored, i64.add(i64.load(idtr), i64.extendU(i32.shl(vector, 2))), 0))
    })
    const virtual = f.let(code.flag(SystemFlag.vm))
    f.if(i32.and(virtual, has(kind, EventKind.intN)), () => {
      const below = f.let(i32.ltU(code.iopl, 3))
      f.if(bit(state.get64('cr4'), Cr4.vme), () => {
        const tr = state.segment(Register.tr)
        const map = f.let(i32.wrap(code.read(i64.add(i64.load(tr), IO_MAP_AT), 2)))
        const place = f.let(i32.add(i32.sub(map, 32), i32.shrU(vector, 3)))
        code.raiseIf(i32.gtU(place, i32.load(tr + segmentLayout.high)), Vector.generalProtection)
        const redirected = i32.wrap(code.read(i64.add(i64.load(tr), i64.extendU(place)), 1))
        f.if(i32.eqz(i32.and(i32.shrU(redirected, i32.and(vector, 7)), 1)), () => f.return(call(vectored, i64.extendU(i32.shl(vector, 2)), below)))
      })
      code.raiseIf(below, Vector.generalProtection)
    })
    const long = f.let(code.long)
    const slot = f.let(i32.shl(vector, select('i32', long, 4, 3)))
    const where = f.let(i32.or(i32.add(i32.shl(vector, 3), 2), state.get32('external')))
    code.raiseIf(i32.gtU(i32.or(slot, select('i32', long, 15, 7)), i32.load(idtr + segmentLayout.high)), Vector.generalProtection, where)
    f.setGlobal(at, i64.add(i64.load(idtr), i64.extendU(slot)))
    const gate = code.read(at, 8)
    f.setGlobal(descriptor, gate)
    const half = f.let(high())
    const upper = f.let(i64.const(0))
    f.if(long, () => {
      const more = code.read(i64.add(at, 8), 8)
      f.set(upper, i64.shl(more, 32))
    })
    const type = f.let(i32.and(i32.shrU(half, 8), 31))
    const is = (...types: number[]): Expr<'i32'> => types.map((one) => i32.eq(type, one)).reduce((a, b) => i32.or(a, b))
    code.raiseIf(i32.eqz(select('i32', long, is(14, 15), is(5, 6, 7, 14, 15))), Vector.generalProtection, where)
    code.raiseIf(i32.and(software, i32.ltU(levelOf(half), code.cpl)), Vector.generalProtection, where)
    code.raiseIf(i32.eqz(has(half, SegmentBit.present)), Vector.segmentNotPresent, where)
    f.if(is(5), () => {
      f.if(has(kind, EventKind.fault | EventKind.resume), () => f.do(state.set32('system', i32.or(state.get32('system'), SystemFlag.resume))))
      code.try(call(tasks.gate, TaskSwitch.event, state.get64('pc')))
      f.if(has(kind, EventKind.error), () => code.push(i64.extendU(error), select('i32', has(code.segment(Register.tr, 'rights'), 1 << 11), 4, 2)))
      f.return(0)
    })

    const size = f.let(select('i32', long, 8, select('i32', has(type, 8), 4, 2)))
    const target = f.let(i32.and(i32.wrap(i64.shrU(gate, 16)), 0xffff))
    const offset = f.let(i64.or(i64.and(gate, 0xffff), upper))
    f.if(i32.ne(size, 2), () => f.set(offset, i64.or(offset, i64.and(i64.shrU(gate, 32), 0xffff_0000))))
    code.try(call(entry.fetchCode, target))
    const bad = f.let(code.errorOf(target))
    const dpl = f.let(levelOf(high()))
    code.raiseIf(i32.gtU(dpl, code.cpl), Vector.generalProtection, bad)
    code.raiseIf(i32.and(long, i32.ne(i32.and(high(), SegmentBit.long | SegmentBit.big), SegmentBit.long)), Vector.generalProtection, bad)
    code.raiseIf(i32.eqz(has(high(), SegmentBit.present)), Vector.segmentNotPresent, bad)
    const conforming = f.let(has(high(), SegmentBit.conforming))
    code.raiseIf(i32.and(virtual, i32.or(conforming, i32.ne(dpl, 0))), Vector.generalProtection, bad)
    const inner = f.let(i32.and(i32.eqz(conforming), i32.ltU(dpl, code.cpl)))
    const level = f.let(select('i32', inner, dpl, code.cpl))
    const image = f.let(allFlags(state, flags))
    f.if(has(kind, EventKind.fault | EventKind.resume), () => f.set(image, i32.or(image, SystemFlag.resume)))
    const [oldCs, oldIp] = [f.let(selectorOf(Register.cs)), f.let(state.get64('pc'))]
    const [oldSs, oldSp] = [f.let(selectorOf(Register.ss)), f.let(code.register(RSP))]
    const ist = f.let(select('i32', long, i32.and(half, 7), 0))
    const [keptDescriptor, keptAt] = [f.let(descriptor), f.let(at)]
    const others = [Register.gs, Register.fs, Register.ds, Register.es]
    f.if(i32.or(inner, ist), () => {
      f.do(clear(SystemFlag.vm))
      code.try(call(entry.innerStack, level, ist))
    })
    f.if(long, () => {
      f.do(state.set32('mode', 64))
      f.do(i64.store(state.register(RSP), i64.and(code.register(RSP), -16)))
    })
    f.if(i32.or(long, inner), () => {
      f.if(virtual, () => others.forEach((number) => {
        code.push(selectorOf(number), size)
        f.do(i32.store(state.segment(number) + segmentLayout.selector, 0))
        f.do(i32.store(state.segment(number) + segmentLayout.rights, 0))
      }))
      code.push(oldSs, size)
      code.push(oldSp, size)
    })
    code.push(i64.extendU(image), size)
    code.push(oldCs, size)
    code.push(oldIp, size)
    f.if(has(kind, EventKind.error), () => code.push(i64.extendU(error), size))
    f.setGlobal(descriptor, keptDescriptor)
    f.setGlobal(at, keptAt)
    code.try(call(entry.enter, i32.or(i32.and(target, 0xfffc), level), offset))
    f.do(clear(SystemFlag.trap | SystemFlag.nested | SystemFlag.resume | SystemFlag.vm))
    f.if(i32.eqz(has(type, 1)), () => f.do(clear(SystemFlag.interrupt)))
    f.return(0)
  })

  /** IRET to virtual-8086 mode, once EIP, CS and EFLAGS were popped. */
  const toVirtual = (code: SystemCode, offset: Local<'i64'>, selector: Local<'i32'>, image: Local<'i32'>): void => {
    const { f } = code
    const sp = code.pop(4)
    const others = [Register.ss, Register.es, Register.ds, Register.fs, Register.gs].map((number) => [number, code.pop(4)] as const)
    setAllFlags(f, state, image, i32.const(0x3f_7300 | 0))
    f.do(state.set32('cpl', 3))
    f.do(call(segments.paragraph, Register.cs, selector))
    for (const [number, value] of others) f.do(call(segments.paragraph, number, i32.and(i32.wrap(value), 0xffff)))
    f.do(call(segments.updateMode))
    f.do(i64.store(state.register(RSP), sp))
    f.do(state.set64('pc', i64.and(offset, 0xffff)))
    f.return(0)
  }

  const interruptReturn = m.func('interruptReturn', ['i32', 'i64'], 'i32', (f, size, next) => {
    const code = new SystemCode(f, state, basics)
    const wideFlags = select('i32', i32.eq(size, 2), 0xffff, -1)
    const ordinary = SystemFlag.trap | SystemFlag.nested | SystemFlag.alignment | SystemFlag.id | SystemFlag.resume
    f.if(code.paragraphs, () => {
      const virtual = f.let(code.flag(SystemFlag.vm))
      const below = f.let(i32.and(virtual, i32.ltU(code.iopl, 3)))
      const vme = i32.and(bit(state.get64('cr4'), Cr4.vme), i32.eq(size, 2))
      code.raiseIf(i32.and(below, i32.eqz(vme)), Vector.generalProtection)
      const offset = code.pop(size)
      const selector = f.let(i32.wrap(code.pop(size)))
      const image = f.let(i32.wrap(code.pop(size)))
      const limit = i64.load32U(state.segment(Register.cs) + segmentLayout.high)
      code.raiseIf(i64.gtU(offset, limit), Vector.generalProtection)
      const changed = f.let(i32.and(wideFlags, select('i32', virtual, ordinary | SystemFlag.interrupt, ordinary | SystemFlag.interrupt | SystemFlag.iopl)))
      f.if(below, () => {
        // IF goes to VIF; TF, and IF while one is pending, are for the monitor (SDM volume 2, IRET).
        code.raiseIf(i32.or(has(image, SystemFlag.trap), i32.and(has(image, SystemFlag.interrupt), code.flag(SystemFlag.virtualPending))), Vector.generalProtection)
        f.set(image, i32.or(i32.and(image, ~SystemFlag.virtualInterrupt), i32.shl(i32.and(image, SystemFlag.interrupt), 10)))
        f.set(changed, i32.or(i32.and(changed, ~SystemFlag.interrupt), SystemFlag.virtualInterrupt))
      })
      f.do(call(segments.paragraph, Register.cs, i32.and(selector, 0xffff)))
      f.do(state.set64('pc', offset))
      setAllFlags(f, state, image, changed)
      f.return(0)
    })
    f.if(code.flag(SystemFlag.nested), () => {
      code.raiseIf(code.long, Vector.generalProtection)
      const link = f.let(i32.wrap(code.read(code.base(Register.tr), 2)))
      const error = f.let(code.errorOf(link))
      code.raiseIf(i32.or(code.isNull(link), has(link, 4)), Vector.invalidTss, error)
      code.try(call(segments.fetch, link, Vector.invalidTss))
      // A busy TSS of 16 or 32 bits.
      code.raiseIf(i32.ne(i32.and(high(), 0x1700), 0x0300), Vector.invalidTss, error)
      code.raiseIf(i32.eqz(has(high(), SegmentBit.present)), Vector.segmentNotPresent, error)
      f.return(call(tasks.change, link, TaskSwitch.return, next))
    })
    const offset = code.pop(size)
    const selector = f.let(i32.and(i32.wrap(code.pop(size)), 0xffff))
    const image = f.let(i32.wrap(code.pop(size)))
    const mayVirtual = i32.and(i32.and(i32.eqz(code.long), i32.ne(size, 2)), i32.and(has(image, SystemFlag.vm), i32.eqz(code.cpl)))
    f.if(mayVirtual, () => toVirtual(code, offset, selector, image))
    const [oldCpl, oldIopl] = [f.let(code.cpl), f.let(code.iopl)]
    code.try(call(entry.fetchCode, selector))
    returnTo(code, segments, entry, selector, offset, {
      before: () => undefined, after: () => undefined,
      stack: () => [code.pop(size), f.let(i32.wrap(code.pop(size)))], always: i32.eq(state.get32('mode'), 64),
    })
    const changed = f.let(i32.const(ordinary))
    f.if(i32.leU(oldCpl, oldIopl), () => f.set(changed, i32.or(changed, SystemFlag.interrupt)))
    f.if(i32.eqz(oldCpl), () => f.set(changed, i32.or(changed, SystemFlag.iopl | SystemFlag.virtualInterrupt | SystemFlag.virtualPending)))
    setAllFlags(f, state, image, i32.and(changed, wideFlags))
    f.return(0)
  })
  return { deliver, interruptReturn }
}
