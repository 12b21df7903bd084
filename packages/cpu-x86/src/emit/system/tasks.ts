import { call, type Expr, type FuncRef, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import { Vector } from '../../vector.ts'
import { Cr0, type MemoryFunctions } from '../memory.ts'
import { Register, SegmentBit, segmentLayout, type State } from '../layout.ts'
import { type Basics, bit, has, levelOf, SystemCode, SystemFlag } from './code.ts'
import { type DebugFunctions, DebugStatus } from './debug.ts'
import type { FlagFunctions } from '../flags.ts'
import type { SegmentFunctions } from './segments.ts'
import { allFlags, setAllFlags } from './flags.ts'

/** How a task is entered: by JMP, CALL, IRET, or an event (SDM volume 3, table 8-2). */
export const TaskSwitch = { jump: 0, call: 1, return: 2, event: 3 } as const

export interface TaskFunctions {
  /** `(selector, how, next)`: to the task whose TSS descriptor was fetched, is in the GDT and present. What faults after the switch faults in the new task. */
  readonly change: FuncRef<readonly ['i32', 'i32', 'i64'], 'i32'>
  /** `(how, next)`: by the task gate that was fetched. */
  readonly gate: FuncRef<readonly ['i32', 'i64'], 'i32'>
}

/** Where a TSS has what (SDM volume 3, figures 8-2 and 8-10). ES to DS, or to GS. */
const wide = { size: 4, ip: 32, flags: 36, registers: 40, segments: 72, count: 6, ldt: 96, limit: 103 } as const
const narrow = { size: 2, ip: 14, flags: 16, registers: 18, segments: 34, count: 4, ldt: 42, limit: 43 } as const
const BUSY = 1 << 9
const CR3_AT = 28
const TRAP_AT = 100
/** DR7.L0 to L3 and LE. */
const LOCAL_BREAKPOINTS = 0x155

export function emitTasks(m: ModuleBuilder, state: State, basics: Basics, memory: MemoryFunctions, segments: SegmentFunctions, flags: FlagFunctions, debug: DebugFunctions): TaskFunctions {
  const high = (): Expr<'i32'> => i32.wrap(i64.shrU(segments.descriptor, 32))
  const tr = state.segment(Register.tr)
  const isWide = (half: Expr<'i32'>): Expr<'i32'> => has(half, 1 << 11)

  /** Sets or clears the busy bit of a TSS descriptor that is at an address. */
  const setBusy = (code: SystemCode, descriptorAt: Expr<'i64'>, busy: boolean): void => {
    const at = code.f.let(i64.add(descriptorAt, 4))
    const half = code.read(at, 4)
    code.write(at, busy ? i64.or(half, BUSY) : i64.and(half, ~BUSY >>> 0), 4)
  }

  const saveAs = (code: SystemCode, base: Local<'i64'>, layout: typeof wide | typeof narrow, next: Expr<'i64'>, image: Expr<'i32'>): void => {
    const { size } = layout
    code.write(i64.add(base, layout.ip), next, size)
    code.write(i64.add(base, layout.flags), i64.extendU(image), size)
    for (let i = 0; i < 8; i++) code.write(i64.add(base, layout.registers + size * i), code.register(i), size)
    for (let i = 0; i < layout.count; i++) code.write(i64.add(base, layout.segments + size * i), i64.extendU(code.segment(i, 'selector')), 2)
  }

  const change = m.func('changeTask', ['i32', 'i32', 'i64'], 'i32', (f, selector, how, next) => {
    const code = new SystemCode(f, state, basics)
    const error = f.let(code.errorOf(selector))
    const newAt = f.let(segments.at)
    const half = f.let(high())
    const newWide = f.let(isWide(half))
    const base = f.let(i64.or(i64.and(i64.shrU(segments.descriptor, 16), 0xff_ffff), i64.extendU(i32.and(half, 0xff00_0000 | 0))))
    const limit = f.let(call(segments.limit))
    code.raiseIf(i32.ltU(limit, select('i32', newWide, wide.limit, narrow.limit)), Vector.invalidTss, error)

    // The new state is read before anything is written, so that a page that is not there is a fault of the old task.
    const [ip, image, cr3, ldt, trap] = [f.local('i64'), f.local('i64'), f.local('i64'), f.local('i64'), f.local('i64')]
    const registers = Array.from({ length: 8 }, () => f.local('i64'))
    const selectors = Array.from({ length: 6 }, () => f.local('i64'))
    const readFrom = (layout: typeof wide | typeof narrow): void => {
      const { size } = layout
      const take = (target: Local<'i64'>, offset: number, bytes: number): void => f.set(target, code.read(i64.add(base, offset), bytes))
      take(ip, layout.ip, size)
      take(image, layout.flags, size)
      registers.forEach((target, i) => {
        take(target, layout.registers + size * i, size)
        // A task of 16 bits has the upper halves full of ones.
        if (size === 2) f.set(target, i64.or(target, 0xffff_0000))
      })
      selectors.slice(0, layout.count).forEach((target, i) => take(target, layout.segments + size * i, 2))
      take(ldt, layout.ldt, 2)
    }
    f.if(newWide, () => {
      readFrom(wide)
      f.set(cr3, code.read(i64.add(base, CR3_AT), 4))
      f.set(trap, code.read(i64.add(base, TRAP_AT), 1))
    }, () => readFrom(narrow))

    const leaves = f.let(i32.or(i32.eq(how, TaskSwitch.jump), i32.eq(how, TaskSwitch.return)))
    const nests = f.let(i32.eqz(leaves))
    const oldSelector = f.let(i32.load(tr + segmentLayout.selector))
    // After reset there is no old task, and GDTR may have changed since TR was loaded.
    const described = i32.and(i32.eqz(code.isNull(oldSelector)), i32.leU(i32.or(oldSelector, 7), code.segment(Register.gdtr, 'high')))
    f.if(i32.and(leaves, described), () => setBusy(code, i64.add(code.base(Register.gdtr), i64.extendU(i32.and(oldSelector, 0xfff8))), false))
    const saved = f.let(allFlags(state, flags))
    f.if(i32.eq(how, TaskSwitch.return), () => f.set(saved, i32.and(saved, ~SystemFlag.nested)))
    const oldBase = f.let(code.base(Register.tr))
    f.if(isWide(i32.load(tr + segmentLayout.rights)), () => saveAs(code, oldBase, wide, next, saved), () => saveAs(code, oldBase, narrow, next, saved))
    f.if(nests, () => {
      code.write(base, i64.extendU(oldSelector), 2)
      f.set(image, i64.or(image, SystemFlag.nested))
    })
    f.if(i32.ne(how, TaskSwitch.return), () => setBusy(code, newAt, true))

    // The switch is made: from here on faults are the new task's.
    f.do(state.set32('saved', 0))
    // Breakpoints of the old task alone go with it (SDM volume 3, 18.2.4).
    f.do(i64.store(state.field('dr') + 8 * 7, i64.and(i64.load(state.field('dr') + 8 * 7), ~LOCAL_BREAKPOINTS)))
    f.do(call(debug.updateWatching))
    f.do(i32.store(tr + segmentLayout.selector, i32.and(selector, 0xffff)))
    f.do(i64.store(tr, base))
    f.do(i32.store(tr + segmentLayout.high, limit))
    f.do(i32.store(tr + segmentLayout.rights, i32.or(i32.and(half, 0x00f0_ff00), BUSY)))
    f.do(state.set64('cr0', i64.or(state.get64('cr0'), Cr0.ts)))
    f.if(i32.and(newWide, bit(state.get64('cr0'), Cr0.pg)), () => {
      // Reserved bits of a PDPTE are not looked for: it is not told where that fault would be.
      f.do(call(memory.setCr3, cr3))
      f.if(i32.eq(i32.and(state.get32('view'), 7), 2), () => f.drop(call(memory.loadPdptes, cr3)))
    })
    f.do(state.set64('pc', ip))
    const kept = select('i32', newWide, -1, 0xffff)
    setAllFlags(f, state, i32.wrap(image), i32.and(kept, SystemFlag.trap | SystemFlag.interrupt | SystemFlag.iopl | SystemFlag.nested | SystemFlag.resume | SystemFlag.vm | SystemFlag.alignment | SystemFlag.virtualInterrupt | SystemFlag.virtualPending | SystemFlag.id))
    f.if(i32.eqz(newWide), () => f.do(state.set32('system', i32.and(state.get32('system'), 0xffff))))
    registers.forEach((value, i) => f.do(i64.store(state.register(i), value)))

    // Selectors first, without descriptors: a fault has the new task's in all of them.
    const places = [Register.es, Register.cs, Register.ss, Register.ds, Register.fs, Register.gs]
    places.forEach((number, i) => {
      const value = selectors[i]
      if (!value) return
      f.do(i32.store(state.segment(number) + segmentLayout.selector, i32.wrap(value)))
      f.do(i32.store(state.segment(number) + segmentLayout.rights, 0))
    })
    const ldtr = state.segment(Register.ldtr)
    f.do(i32.store(ldtr + segmentLayout.selector, i32.wrap(ldt)))
    f.do(i32.store(ldtr + segmentLayout.rights, 0))
    const cs = f.let(i32.wrap(selectors[1] ?? i64.const(0)))
    f.if(code.flag(SystemFlag.vm), () => f.do(state.set32('cpl', 3)), () => f.do(state.set32('cpl', i32.and(cs, 3))))
    const ldtSelector = f.let(i32.wrap(ldt))
    f.if(i32.eqz(code.isNull(ldtSelector)), () => {
      const bad = f.let(code.errorOf(ldtSelector))
      code.raiseIf(has(ldtSelector, 4), Vector.invalidTss, bad)
      code.try(call(segments.fetch, ldtSelector, Vector.invalidTss))
      code.raiseIf(i32.ne(i32.and(high(), 0x9f00), 0x8200), Vector.invalidTss, bad)
      code.try(call(segments.cacheSystem, Register.ldtr, ldtSelector))
    })
    f.if(code.flag(SystemFlag.vm), () => places.forEach((number, i) => f.do(call(segments.paragraph, number, i32.wrap(selectors[i] ?? i64.const(0))))), () => {
      const bad = f.let(code.errorOf(cs))
      code.raiseIf(code.isNull(cs), Vector.invalidTss, bad)
      code.try(call(segments.fetch, cs, Vector.invalidTss))
      const [rpl, dpl] = [f.let(i32.and(cs, 3)), f.let(levelOf(high()))]
      const isCode = i32.eq(i32.and(high(), SegmentBit.notSystem | SegmentBit.code), SegmentBit.notSystem | SegmentBit.code)
      const level = select('i32', has(high(), SegmentBit.conforming), i32.leU(dpl, rpl), i32.eq(dpl, rpl))
      code.raiseIf(i32.eqz(i32.and(isCode, level)), Vector.invalidTss, bad)
      code.raiseIf(i32.eqz(has(high(), SegmentBit.present)), Vector.segmentNotPresent, bad)
      code.try(call(segments.cache, Register.cs, cs))
      f.do(call(segments.updateMode))
      for (const i of [2, 0, 3, 4, 5]) code.try(call(segments.load, places[i] ?? 0, i32.wrap(selectors[i] ?? i64.const(0)), Vector.invalidTss, state.get32('cpl')))
    })
    f.do(call(segments.updateMode))
    code.raiseIf(i64.gtU(state.get64('pc'), i64.load32U(state.segment(Register.cs) + segmentLayout.high)), Vector.generalProtection)
    f.if(i64.ne(i64.and(trap, 1), 0), () => f.do(state.set32('debugPending', i32.or(state.get32('debugPending'), DebugStatus.task))))
    f.return(0)
  })

  const gate = m.func('taskGate', ['i32', 'i64'], 'i32', (f, how, next) => {
    const code = new SystemCode(f, state, basics)
    const selector = f.let(i32.and(i32.wrap(i64.shrU(segments.descriptor, 16)), 0xffff))
    const error = f.let(code.errorOf(selector))
    code.raiseIf(i32.or(code.isNull(selector), has(selector, 4)), Vector.generalProtection, error)
    code.try(call(segments.fetch, selector, Vector.generalProtection))
    // An available TSS of 16 or 32 bits.
    code.raiseIf(i32.ne(i32.and(high(), 0x1700), 0x0100), Vector.generalProtection, error)
    code.raiseIf(i32.eqz(has(high(), SegmentBit.present)), Vector.segmentNotPresent, error)
    f.return(call(change, selector, how, next))
  })
  return { change, gate }
}
