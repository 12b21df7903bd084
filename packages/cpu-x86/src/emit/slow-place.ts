import { Debug } from '@machinist/cpu-core'
import { PAGE_CODE, PAGE_DIRTY, PAGE_PRESENT, PAGE_SHARED } from '@machinist/memory'
import { Access, dataEntry, fetchEntry, noteFilled, PageFault, type RamFunctions, tagOf, tlbLayout, X86View, type X86Walker } from '@machinist/mmu'
import { call, type Expr, type Func, type FuncRef, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import { Flag } from '../flags.ts'
import { Vector } from '../vector.ts'
import { Cr4, Efer } from './control-bits.ts'
import { emitDevices, type MemoryCalls } from './devices.ts'
import type { State } from './layout.ts'
import { noteInTlb } from './page-hints.ts'
import { BreakpointKind, type DebugFunctions } from './system/debug.ts'
import { type BankFunctions, checkingBank, currentBank } from './tlb.ts'

/** The `view` of user mode alone: linear addresses are physical ones, and what is not RAM is a page fault. */
export const USER_ONLY = 7

export interface SlowPlace {
  /** `place` of MemoryFunctions for an access that its bank of the TLB does not have: `(linear, bytes, access, system, bank)`. */
  readonly slowPlace: FuncRef<readonly ['i64', 'i32', 'i32', 'i32', 'i32'], 'i32'>
  readonly commit: FuncRef<readonly [], 'void'>
  /**
   * `(linear)` → decoded code of the page that an instruction there is fetched from, which its entry in the TLB then has as well; 0 when it cannot be fetched from RAM, or nobody keeps such code.
   */
  readonly codeOps: FuncRef<readonly ['i64'], 'i32'>
  /** `(linear)` → whether it is not canonical (SDM volume 1, 3.3.7.1). */
  readonly unusual: FuncRef<readonly ['i64'], 'i32'>
}

/** Accesses that walk the page tables, and what fills the TLB. */
export function emitSlowPlace(m: ModuleBuilder, state: State, ram: RamFunctions, walker: X86Walker, banks: BankFunctions, host: MemoryCalls, debug: Pick<DebugFunctions, 'accesses'>): SlowPlace {
  const { ramEntry, transfer } = emitDevices(m, state, ram, host)
  const bounce = state.field('bounce')

  const pageFault = (f: Func, linear: Expr<'i64'>, error: Expr<'i32'>): void => {
    for (const part of [state.set32('fault', Vector.pageFault + 1), state.set32('error', error), state.set64('faultAddress', linear)]) f.do(part)
  }
  /** The physical address, or −1 after a fault. */
  const translate = m.func('translate', ['i64', 'i32', 'i32'], 'i64', (f, linear, access, system) => {
    const view = f.let(state.get32('view'))
    f.if(i32.eq(view, USER_ONLY), () => {
      f.if(call(ram.entry, linear), () => f.return(linear))
      const how = i32.or(i32.shl(i32.eq(access, Access.write), 1), i32.shl(i32.eq(access, Access.fetch), 4))
      pageFault(f, linear, i32.or(how, PageFault.user))
      f.return(-1)
    })
    f.if(i32.eqz(i32.and(view, 7)), () => f.return(i64.and(linear, state.get64('a20'))))
    f.if(i32.eqz(system), () => {
      const lifted = i32.and(state.get32('system'), Flag.alignment)
      f.if(i32.eq(state.get32('cpl'), 3), () => f.set(view, i32.or(view, X86View.user)), () => f.if(lifted, () => f.set(view, i32.and(view, ~X86View.smap))))
    })
    const found = f.let(call(walker.walk, linear, state.get64('cr3'), access, view))
    f.if(i64.ltS(found, 0), () => {
      pageFault(f, linear, i32.wrap(i64.sub(-1, found)))
      f.return(-1)
    })
    f.return(i64.and(found, state.get64('a20')))
  })

  const unusual = m.func('unusual', ['i64'], 'i32', (f, linear) => {
    const shift = f.let(select('i64', i64.ne(i64.and(state.get64('cr4'), Cr4.la57), 0), 7, 16))
    f.return(i64.ne(i64.shrS(i64.shl(linear, shift), shift), linear))
  })

  const note = (f: Func, bank: Local<'i32'>, linear: Local<'i64'>): void => f.if(i32.and(state.get32('view'), 7), () => banks.remember(f, bank, linear))
  const fillFetch = (f: Func, linear: Local<'i64'>, frame: Expr<'i32'>, ops: Expr<'i32'>, bank: Local<'i32'>): void => {
    note(f, bank, linear)
    const slot = f.let(fetchEntry(bank, linear))
    f.do(i32.store8(bank, 1, tlbLayout.fetched))
    f.do(i64.store(slot, tagOf(linear), tlbLayout.fetch))
    f.do(i32.store(slot, ops, tlbLayout.fetch + tlbLayout.dataOffset))
    f.do(i32.store(slot, frame, tlbLayout.fetch + tlbLayout.frameOffset))
  }

  /** Enters a page of RAM whose entry is at an address, unless its writers must be seen; returns where its byte is. */
  const fill = (f: Func, entry: Local<'i32'>, linear: Local<'i64'>, pa: Local<'i64'>, bytes: Local<'i32'>, access: Local<'i32'>, bank: Local<'i32'>): void => {
    const low = i32.and(i32.wrap(pa), 4095)
    const value = f.let(call(ram.touched, entry))
    const place = (): Expr<'i32'> => i32.or(i32.and(value, -4096), low)
    f.if(i32.eq(access, Access.fetch), () => {
      fillFetch(f, linear, i32.and(value, -4096), i32.const(0), bank)
      f.return(place())
    })
    const slot = f.let(dataEntry(bank, linear))
    const writes = f.let(i32.eq(access, Access.write))
    f.if(writes, () => {
      f.if(i32.ne(i32.and(value, PAGE_PRESENT | PAGE_SHARED), PAGE_PRESENT), () => f.set(value, call(host.writeFault, entry, 0, 0)))
      f.if(i32.and(value, PAGE_CODE), () => f.return(call(ram.writable, entry, pa, bytes)))
      f.set(value, i32.or(value, PAGE_DIRTY))
      f.set(slot, i32.add(slot, tlbLayout.write))
    })
    f.if(i32.eq(bank, checkingBank(state)), () => {
      f.if(writes, () => f.do(i32.store(entry, value)))
      f.return(place())
    })
    f.if(i32.or(writes, i32.and(value, PAGE_SHARED)), () => noteInTlb(f, entry, value, linear))
    f.do(noteFilled(bank, linear, select('i32', writes, tlbLayout.writeGroups, tlbLayout.readGroups)))
    note(f, bank, linear)
    f.do(i64.store(slot, tagOf(linear)))
    f.do(i32.store(slot, i32.sub(i32.and(value, -4096), i32.and(i32.wrap(linear), -4096)), tlbLayout.dataOffset))
    f.return(place())
  }

  const slowPlace = m.func('slowPlace', ['i64', 'i32', 'i32', 'i32', 'i32'], 'i32', (f, linear, bytes, access, system, bank) => {
    const long = f.let(i64.ne(i64.and(state.get64('efer'), Efer.lma), 0))
    f.if(i32.and(system, long), () => {
      f.if(i32.or(call(unusual, linear), call(unusual, i64.add(linear, i64.extendU(i32.sub(bytes, 1))))), () => {
        f.do(state.set32('fault', Vector.generalProtection + 1))
        f.do(state.set32('error', state.get32('external')))
        f.return(0)
      })
    })
    // CR0.AM and EFLAGS.AC at CPL 3 (SDM volume 3, 7.15, #AC). Numbers of 80 bits are aligned as those of 64; and as in AMD's processors, those of 256 as their halves, and it comes before a page fault.
    f.if(i32.and(i32.and(i32.eq(bank, checkingBank(state)), i32.ne(access, Access.fetch)), i32.eqz(state.get32('unaligned'))), () => {
      const natural = select('i32', i32.and(bytes, i32.sub(bytes, 1)), 8, select('i32', i32.eq(bytes, 32), 16, bytes))
      f.if(i32.and(i32.wrap(linear), i32.sub(natural, 1)), () => {
        f.do(state.set32('fault', Vector.alignmentCheck + 1))
        f.do(state.set32('error', 0))
        f.return(0)
      })
    })
    const first = f.let(i32.sub(4096, i32.and(i32.wrap(linear), 4095)))
    const physical = f.let(call(translate, linear, access, system))
    f.if(i64.eq(physical, -1), () => f.return(0))
    const watched = f.let(i32.ne(i32.and(state.get32('watching'), BreakpointKind.data), 0))
    f.if(i32.and(i32.and(watched, i32.ne(access, Access.fetch)), i32.eqz(system)), () => f.do(call(debug.accesses, linear, bytes, access)))
    /** Asks a debugger about the bytes of one page. */
    const ask = (at: Local<'i64'>, count: Expr<'i32'>): void => f.if(i32.and(i32.ne(access, Access.fetch), i32.ne(i32.and(state.get32('debug'), Debug.accesses), 0)), () => {
      f.set(watched, i32.or(watched, call(host.debugAccess, i32.wrap(at), i32.wrap(i64.shrU(at, 32)), select('i32', system, 0, count), access)))
    })
    f.do(state.set64('tlbMisses', i64.add(state.get64('tlbMisses'), 1)))
    const next = f.local('i64')
    f.if(i32.geU(first, bytes), () => {
      ask(linear, bytes)
      const entry = f.let(call(ramEntry, physical))
      f.if(i32.and(i32.ne(entry, 0), watched), () => {
        f.if(i32.eq(access, Access.write), () => f.return(call(ram.writable, entry, physical, bytes)))
        f.return(i32.or(i32.and(call(ram.touched, entry), -4096), i32.and(i32.wrap(physical), 4095)))
      })
      f.if(entry, () => fill(f, entry, linear, physical, bytes, access, bank))
    }, () => {
      f.set(next, i64.add(i64.or(linear, 4095), 1))
      // System structures have 64 bits of address in long mode, whatever the mode of the code.
      f.if(select('i32', system, i32.eqz(long), i32.ne(state.get32('mode'), 64)), () => f.set(next, i64.and(next, 0xffff_ffff)))
      const second = f.let(next)
      f.set(next, call(translate, next, access, system))
      f.if(i64.eq(next, -1), () => f.return(0))
      ask(linear, first)
      ask(second, i32.sub(bytes, first))
    })
    f.do(state.set64('bounceAt', physical))
    f.do(state.set64('bounceNext', next))
    f.do(state.set32('bounceFirst', first))
    f.do(state.set32('bounceBytes', bytes))
    f.if(i32.ne(access, Access.write), () => f.do(call(transfer, 0)))
    f.return(bounce)
  })
  const codeOps = m.func('codeOps', ['i64'], 'i32', (f, linear) => {
    f.if(call(unusual, linear), () => f.return(0))
    f.if(i32.and(state.get32('debug'), Debug.fetches), () => f.if(call(host.debugPage, i32.wrap(linear), i32.wrap(i64.shrU(linear, 32))), () => f.return(0)))
    const access = f.let(i32.const(Access.fetch))
    const physical = f.let(call(translate, linear, access, 0))
    f.if(i64.eq(physical, -1), () => {
      // Whoever executes it finds the fault again.
      f.do(state.set32('fault', 0))
      f.return(0)
    })
    const entry = f.let(call(ramEntry, physical))
    f.if(i32.eqz(entry), () => f.return(0))
    const frame = f.let(i32.and(call(ram.touched, entry), -4096))
    const ops = f.let(call(host.codePage, frame, entry))
    fillFetch(f, linear, frame, ops, f.let(currentBank(state)))
    f.return(ops)
  })
  const commit = m.func('commit', [], 'void', (f) => f.do(call(transfer, 1)))
  return { slowPlace, codeOps, commit, unusual }
}
