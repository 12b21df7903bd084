import { emitTlb, type TlbFunctions, tlbLayout, X86View, type X86Walker } from '@machinist/mmu'
import { call, type Expr, type Func, type FuncRef, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import { Flag } from '../flags.ts'
import { Cr0, Cr4 } from './control-bits.ts'
import { PCID_SLOTS, type State } from './layout.ts'

const BANK = tlbLayout.size
/** The supervisor's bank; for each slot that of user mode and that of the supervisor while EFLAGS.AC lifts SMAP; and that of user mode while alignment is checked, which has no data, so that `slowPlace` sees each access. */
export const BANKS_PER_HART: number = 1 + 2 * PCID_SLOTS + 1
const CHECKING_AT = (BANKS_PER_HART - 1) * BANK

const PGE_SHIFT = Math.log2(Cr4.pge)
/** Of CR3, while CR4.PCIDE is set. */
const PCID_BITS = 0xfff
/** No PCID: of a slot that nothing has. */
const NONE = -1

/** Which banks of the TLB are in use, and what empties them (SDM volume 3, 5.10). Large pages are in it in pieces of 4 KiB. */
export interface BankFunctions extends TlbFunctions {
  /** After the slot, or the view, has changed. */
  readonly updateBanks: FuncRef<readonly [], 'void'>
  /** Everything, of all PCIDs, global pages as well. */
  readonly flushAll: FuncRef<readonly [], 'void'>
  /** Everything but global pages. */
  readonly flushPrivate: FuncRef<readonly [], 'void'>
  /** `(pcid)`: all of one, but for global pages. */
  readonly flushContext: FuncRef<readonly ['i32'], 'void'>
  /** `(linear, pcid)`: one page, of that PCID or of all when it is −1; of a large page at least that. */
  readonly flushAddress: FuncRef<readonly ['i64', 'i32'], 'void'>
  /** `(keep)`: after CR3 has got a value: its PCID is the current one, with what is known of it or without. */
  readonly enterContext: FuncRef<readonly ['i32'], 'void'>
  /** `(first)`: a hart begins, whose banks lie there, with everything forgotten. */
  readonly startBanks: FuncRef<readonly ['i32'], 'void'>
  /** Notes what a walk has found, for the bank that gets it. */
  readonly remember: (f: Func, bank: Local<'i32'>, linear: Local<'i64'>) => void
}

/** The bank of explicit accesses, by CPL and AC; of those to system structures it is the first. */
export function currentBank(state: State): Expr<'i32'> {
  const lifted = i32.shrU(i32.and(state.get32('system'), Flag.alignment), 16)
  return i32.load(i32.shl(i32.or(state.get32('cpl'), lifted), 2), state.field('banks'))
}

/** The bank of user mode while alignment is checked. */
export function checkingBank(state: State): Expr<'i32'> {
  return i32.add(state.get32('firstBank'), CHECKING_AT)
}

/** The bit of `largeRegions` for the gigabyte of an address. Several share one. */
function regionOf(linear: Expr<'i64'>): Expr<'i64'> {
  return i64.shl(1, i64.xor(i64.shrU(linear, 30), i64.shrU(linear, 36)))
}

export function emitBanks(m: ModuleBuilder, state: State, walker: X86Walker): BankFunctions {
  const tlb = emitTlb(m)
  const supervisor = (): Expr<'i32'> => state.get32('firstBank')
  const pairOf = (slot: Expr<'i32'>): Expr<'i32'> => i32.add(i32.add(supervisor(), BANK), i32.mul(slot, 2 * BANK))
  const element = (field: 'slotPcid' | 'slotUsed', slot: Expr<'i32'>): Expr<'i32'> => i32.load(i32.shl(slot, 2), state.field(field))
  const setElement = (field: 'slotPcid' | 'slotUsed', slot: Expr<'i32'>, value: Expr<'i32'> | number): Expr<'void'> => i32.store(i32.shl(slot, 2), value, state.field(field))

  /** Of CR3, and 0 without CR4.PCIDE. */
  const currentPcid = (): Expr<'i32'> => select('i32', i64.ne(i64.and(state.get64('cr4'), Cr4.pcide), 0), i32.and(i32.wrap(state.get64('cr3')), PCID_BITS), 0)

  const updateBanks = m.func('updateBanks', [], 'void', (f) => {
    const pair = f.let(pairOf(state.get32('slot')))
    const lifted = f.let(select('i32', i32.and(state.get32('view'), X86View.smap), i32.add(pair, BANK), supervisor()))
    for (let index = 0; index < 7; index++) f.do(i32.store(state.field('banks') + 4 * index, index === 3 ? pair : index < 4 ? supervisor() : lifted))
    f.do(i32.store(state.field('banks') + 4 * 7, select('i32', i64.ne(i64.and(state.get64('cr0'), Cr0.am), 0), checkingBank(state), pair)))
  })
  /** It is of the current slot, whichever that is. */
  const leaveChecking = (f: Func): void => f.do(call(tlb.flushBank, checkingBank(state)))
  const flushSlot = m.func('flushSlot', ['i32'], 'void', (f, slot) => {
    const pair = f.let(pairOf(slot))
    f.do(call(tlb.flushBank, pair))
    f.do(call(tlb.flushBank, i32.add(pair, BANK)))
    leaveChecking(f)
  })
  const flushSupervisor = m.func('flushSupervisor', [], 'void', (f) => {
    f.do(call(tlb.flushBank, supervisor()))
    f.do(state.set32('privatePages', 0))
  })
  /** All slots; those that nobody is in any more have no PCID then. */
  const flushSlots = m.func('flushSlots', [], 'void', (f) => {
    const slot = f.local('i32')
    f.set(slot, 0)
    f.loop((next) => {
      const current = i32.eq(slot, state.get32('slot'))
      f.if(i32.or(current, i32.ne(element('slotPcid', slot), NONE)), () => f.do(call(flushSlot, slot)))
      f.if(i32.ne(slot, state.get32('slot')), () => f.do(setElement('slotPcid', slot, NONE)))
      f.set(slot, i32.add(slot, 1))
      f.brIf(next, i32.ltU(slot, PCID_SLOTS))
    })
  })
  const flushAll = m.func('flushAll', [], 'void', (f) => {
    f.do(call(flushSupervisor))
    f.do(call(flushSlots))
    f.do(setElement('slotPcid', state.get32('slot'), currentPcid()))
    f.do(state.set64('largeRegions', 0))
  })
  const leavePrivate = (f: Func): void => f.if(state.get32('privatePages'), () => f.do(call(flushSupervisor)))
  const flushPrivate = m.func('flushPrivate', [], 'void', (f) => {
    leavePrivate(f)
    f.do(call(flushSlots))
  })

  const findSlot = m.func('findSlot', ['i32'], 'i32', (f, pcid) => {
    const slot = f.local('i32')
    f.set(slot, 0)
    f.loop((next) => {
      f.if(i32.eq(element('slotPcid', slot), pcid), () => f.return(slot))
      f.set(slot, i32.add(slot, 1))
      f.brIf(next, i32.ltU(slot, PCID_SLOTS))
    })
    f.return(NONE)
  })
  const flushContext = m.func('flushContext', ['i32'], 'void', (f, pcid) => {
    const slot = f.let(call(findSlot, pcid))
    f.if(i32.eq(slot, NONE), () => f.return())
    f.do(call(flushSlot, slot))
    f.if(i32.eq(slot, state.get32('slot')), () => leavePrivate(f))
  })
  const flushAddress = m.func('flushAddress', ['i64', 'i32'], 'void', (f, linear, pcid) => {
    f.if(i64.ne(i64.and(state.get64('largeRegions'), regionOf(linear)), 0), () => {
      f.if(i32.eq(pcid, NONE), () => f.do(call(flushAll)), () => f.do(call(flushContext, pcid)))
      f.return()
    })
    f.do(call(tlb.flushPage, supervisor(), linear))
    f.do(call(tlb.flushPage, checkingBank(state), linear))
    const slot = f.local('i32')
    f.set(slot, 0)
    f.loop((next) => {
      const owner = f.let(element('slotPcid', slot))
      f.if(i32.and(i32.ne(owner, NONE), i32.or(i32.eq(pcid, NONE), i32.eq(pcid, owner))), () => {
        const pair = f.let(pairOf(slot))
        f.do(call(tlb.flushPage, pair, linear))
        f.do(call(tlb.flushPage, i32.add(pair, BANK), linear))
      })
      f.set(slot, i32.add(slot, 1))
      f.brIf(next, i32.ltU(slot, PCID_SLOTS))
    })
  })

  const enterContext = m.func('enterContext', ['i32'], 'void', (f, keep) => {
    const pcid = f.let(currentPcid())
    const slot = f.let(call(findSlot, pcid))
    // What the supervisor's bank has besides global pages is of the current PCID.
    f.if(i32.or(i32.eqz(keep), i32.ne(slot, state.get32('slot'))), () => leavePrivate(f))
    f.if(i32.eq(slot, NONE), () => {
      // The slot that was left longest ago.
      f.set(slot, 0)
      const other = f.local('i32')
      f.set(other, 1)
      f.loop((next) => {
        f.if(i32.ltU(element('slotUsed', other), element('slotUsed', slot)), () => f.set(slot, other))
        f.set(other, i32.add(other, 1))
        f.brIf(next, i32.ltU(other, PCID_SLOTS))
      })
      f.set(keep, 0)
    })
    f.if(i32.eqz(keep), () => f.do(call(flushSlot, slot)), () => f.if(i32.ne(slot, state.get32('slot')), () => leaveChecking(f)))
    f.do(state.set32('slotClock', i32.add(state.get32('slotClock'), 1)))
    f.do(setElement('slotPcid', slot, pcid))
    f.do(setElement('slotUsed', slot, state.get32('slotClock')))
    f.do(state.set32('slot', slot))
    f.do(call(updateBanks))
  })

  const startBanks = m.func('startBanks', ['i32'], 'void', (f, first) => {
    f.do(state.set32('firstBank', first))
    f.do(state.set32('slot', 0))
    f.do(state.set32('slotClock', 0))
    for (let slot = 0; slot < PCID_SLOTS; slot++) {
      f.do(setElement('slotPcid', i32.const(slot), slot))
      f.do(setElement('slotUsed', i32.const(slot), 0))
    }
    // As if they had been used.
    f.do(call(flushAll))
    f.do(call(updateBanks))
  })

  const remember = (f: Func, bank: Local<'i32'>, linear: Local<'i64'>): void => {
    f.if(i32.gtU(walker.pageShift, 12), () => f.do(state.set64('largeRegions', i64.or(state.get64('largeRegions'), regionOf(linear)))))
    const global = i32.and(walker.global, i32.wrap(i64.shrU(state.get64('cr4'), PGE_SHIFT)))
    f.if(i32.and(i32.eqz(global), i32.eq(bank, supervisor())), () => f.do(state.set32('privatePages', 1)))
  }
  return { ...tlb, updateBanks, flushAll, flushPrivate, flushContext, flushAddress, enterContext, startBanks, remember }
}
