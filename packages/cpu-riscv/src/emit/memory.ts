import { Debug, GROUP_SHIFT, PAGE_GROUP, PAGE_IN_GROUPS, PAGE_IN_TLB } from '@machinist/cpu-core'
import { PAGE_CODE, PAGE_DIRTY, PAGE_PRESENT, PAGE_SHARED } from '@machinist/memory'
import { Access, dataEntry, emitSvWalker, fetchEntry, noteFilled, type SvWalker, tagOf, tlbLayout, View } from '@machinist/mmu'
import { call, type Expr, f64, type Func, type FuncRef, i32, i64, type Local, select } from '@machinist/wasm'
import { Cause, Mode } from '../cause.ts'
import { Envcfg } from '../status.ts'
import { bit, type Emit, increment } from './context.ts'
import type { PmpCheck } from './protection.ts'
import { GIGAPAGE, superpageRegion, VIEW_MACHINE } from './translation.ts'

/**
 * Memory as the precise stepper sees it. Each function sets the pending exception when the access faults; its
 * result then means nothing.
 */
export interface MemoryFunctions {
  /** `(va, bytes)` → the value, zero-extended. */
  readonly load: FuncRef<readonly ['i64', 'i32'], 'i64'>
  readonly store: FuncRef<readonly ['i64', 'i32', 'i64'], 'void'>
  /** `(va, bytes, access, misaligned cause)` → arena address for an atomic, or 0 with the exception pending. */
  readonly atomic: FuncRef<readonly ['i64', 'i32', 'i32', 'i32'], 'i32'>
  /** `(va, bytes, value)`: the store of an atomic that `atomic` gave an address. */
  readonly atomicStore: FuncRef<readonly ['i64', 'i32', 'i64'], 'void'>
  /** `(pc)` → the 16 bits there. */
  readonly fetchHalf: FuncRef<readonly ['i64'], 'i32'>
  /** `(va, access, bytes)` → 0 when the TLB now has the page, 1 when the access must be made one step at a time. */
  readonly dataMiss: FuncRef<readonly ['i64', 'i32', 'i32'], 'i32'>
  /** `(pc)` → 0 when the TLB now has the page, 1 when it must be fetched one step at a time, 2 on an exception. */
  readonly fetchMiss: FuncRef<readonly ['i64'], 'i32'>
  /** `(va, access)` → guest-physical address. */
  readonly translate: FuncRef<readonly ['i64', 'i32'], 'i64'>
  readonly walker: SvWalker
}

export function raise(e: Emit, f: Func, cause: Expr<'i32'> | number, value: Expr<'i64'>): void {
  f.setGlobal(e.pendingValue, value)
  f.setGlobal(e.pendingCause, i32.add(typeof cause === 'number' ? i32.const(cause) : cause, 1))
}

export function emitMemory(e: Emit, pmp: PmpCheck): MemoryFunctions {
  const { m, s, host, ram } = e
  const allowed = m.func('pteAllowed', ['i64', 'i32'], 'i32', (f, pa, access) => f.return(call(pmp, pa, 8, access, 0)))
  const walker = emitSvWalker(m, { ram, open: s.get('pmpOpen'), allowed })

  /** View of an access: fetches ignore MPRV and SUM. */
  const viewOf = (f: Func, access: Local<'i32'>): Local<'i32'> =>
    f.choose(
      'i32',
      i32.eq(access, Access.fetch),
      () => {
        const mode = s.get('mode')
        const update = select('i32', bit(s.get('menvcfg'), Envcfg.ADUE), View.update, 0)
        return select('i32', i32.eq(mode, Mode.machine), VIEW_MACHINE, i32.or(update, i32.eqz(mode)))
      },
      () => s.get('dataView'),
    )
  /** Access-fault and page-fault causes for read, write, fetch: 5, 7, 1 and 13, 15, 12. */
  const faultCause = (access: Local<'i32'>, page: Expr<'i32'>): Expr<'i32'> =>
    select(
      'i32',
      i32.eq(access, Access.fetch),
      select('i32', page, Cause.instructionPageFault, Cause.instructionAccess),
      i32.add(i32.add(Cause.loadAccess, i32.shl(access, 1)), select('i32', page, 8, 0)),
    )

  const translate = m.func('translate', ['i64', 'i32'], 'i64', (f, va, access) => {
    const view = viewOf(f, access)
    f.if(i32.and(view, VIEW_MACHINE), () => {
      f.setGlobal(walker.level, 0)
      f.setGlobal(walker.global, 0)
      f.return(va)
    })
    const pa = f.let(call(walker.walk, va, s.get('satp'), access, view))
    f.if(i64.ltS(pa, 0), () => {
      // In Bare mode the result is the address itself, which may look negative: physical addresses have 56 bits.
      const bare = i64.eqz(i64.shrU(s.get('satp'), 60))
      raise(e, f, faultCause(access, i32.and(i64.eq(pa, -1), i32.eqz(bare))), va)
    })
    f.return(pa)
  })

  /** Whether M-mode rules of PMP apply. */
  const machineView = (f: Func, access: Local<'i32'>): Expr<'i32'> => i32.ne(i32.and(viewOf(f, access), VIEW_MACHINE), 0)

  const debugAccess = (va: Local<'i64'>, bytes: Expr<'i32'>, access: Local<'i32'>): Expr<'i32'> =>
    call(host.debugAccess, i32.wrap(va), i32.wrap(i64.shrU(va, 32)), bytes, access)

  /** `(va, bytes, access)` → guest-physical address that PMP lets through. */
  const physical = m.func('physical', ['i64', 'i32', 'i32'], 'i64', (f, va, bytes, access) => {
    const pa = f.let(call(translate, va, access))
    f.if(e.pendingCause, () => f.return(0))
    f.if(i32.eqz(call(pmp, pa, bytes, access, machineView(f, access))), () => raise(e, f, faultCause(access, i32.const(0)), va))
    f.if(i32.and(s.get('debug'), Debug.accesses), () => f.drop(debugAccess(va, bytes, access)))
    f.return(pa)
  })

  const loadBytes = (f: Func, host: Expr<'i32'>, bytes: Local<'i32'>): void => {
    f.if(i32.eq(bytes, 1), () => f.return(i64.load8U(host)))
    f.if(i32.eq(bytes, 2), () => f.return(i64.load16U(host)))
    f.if(i32.eq(bytes, 4), () => f.return(i64.load32U(host)))
    f.return(i64.load(host))
  }
  const storeBytes = (f: Func, host: Expr<'i32'>, bytes: Local<'i32'>, value: Expr<'i64'>): void => {
    f.if(i32.eq(bytes, 1), () => {
      f.do(i64.store8(host, value))
      f.return()
    })
    f.if(i32.eq(bytes, 2), () => {
      f.do(i64.store16(host, value))
      f.return()
    })
    f.if(i32.eq(bytes, 4), () => {
      f.do(i64.store32(host, value))
      f.return()
    })
    f.do(i64.store(host, value))
    f.return()
  }
  const crosses = (va: Local<'i64'>, bytes: Local<'i32'>): Expr<'i32'> =>
    i32.gtU(i32.add(i32.and(i32.wrap(va), 4095), bytes), 4096)
  const misaligned = (va: Local<'i64'>, bytes: Local<'i32'>): Expr<'i32'> => i32.and(i32.wrap(va), i32.sub(bytes, 1))

  const load = m.declare('load', ['i64', 'i32'], 'i64')
  m.define(load, (f, va, bytes) => {
    f.if(crosses(va, bytes), () => {
      const value = f.local('i64')
      const done = f.local('i32')
      f.loop((next) => {
        f.set(value, i64.or(value, i64.shl(call(load, i64.add(va, i64.extendU(done)), 1), i64.extendU(i32.shl(done, 3)))))
        f.if(e.pendingCause, () => f.return(0))
        f.set(done, i32.add(done, 1))
        f.brIf(next, i32.ltU(done, bytes))
      })
      f.return(value)
    })
    const access = f.let(i32.const(Access.read))
    const pa = f.let(call(physical, va, bytes, access))
    f.if(e.pendingCause, () => f.return(0))
    const entry = f.let(call(ram.entry, pa))
    f.if(entry, () => loadBytes(f, i32.or(i32.and(call(ram.touched, entry), -4096), i32.and(i32.wrap(pa), 4095)), bytes))
    f.if(i32.or(misaligned(va, bytes), call(host.mmioRead, f64.convertI64U(pa), bytes)), () => {
      raise(e, f, Cause.loadAccess, va)
      f.return(0)
    })
    f.return(s.get('mailbox'))
  })

  /** `(pa, bytes, value)`: a store to RAM at `entry`, inside one page. */
  const storeRam = m.func('storeRam', ['i64', 'i32', 'i32', 'i64'], 'void', (f, pa, entry, bytes, value) => {
    const at = f.let(call(ram.writable, entry, pa, bytes))
    storeBytes(f, at, bytes, value)
  })

  const store = m.declare('store', ['i64', 'i32', 'i64'], 'void')
  m.define(store, (f, va, bytes, value) => {
    const access = f.let(i32.const(Access.write))
    f.if(crosses(va, bytes), () => {
      // Both pages must let the store through before either changes.
      const first = f.let(i32.sub(4096, i32.and(i32.wrap(va), 4095)))
      const second = f.let(i64.add(va, i64.extendU(first)))
      f.drop(call(physical, va, first, access))
      f.if(e.pendingCause, () => f.return())
      f.drop(call(physical, second, i32.sub(bytes, first), access))
      f.if(e.pendingCause, () => f.return())
      const done = f.local('i32')
      f.loop((next) => {
        f.do(call(store, i64.add(va, i64.extendU(done)), 1, i64.shrU(value, i64.extendU(i32.shl(done, 3)))))
        f.if(e.pendingCause, () => f.return())
        f.set(done, i32.add(done, 1))
        f.brIf(next, i32.ltU(done, bytes))
      })
      f.return()
    })
    const pa = f.let(call(physical, va, bytes, access))
    f.if(e.pendingCause, () => f.return())
    const entry = f.let(call(ram.entry, pa))
    f.if(entry, () => {
      f.do(call(storeRam, pa, entry, bytes, value))
      f.return()
    })
    f.do(s.set('mailbox', value))
    f.if(misaligned(va, bytes), () => {
      raise(e, f, Cause.storeAccess, va)
      f.return()
    })
    f.if(call(host.mmioWrite, f64.convertI64U(pa), bytes), () => raise(e, f, Cause.storeAccess, va))
  })

  const atomic = m.func('atomic', ['i64', 'i32', 'i32', 'i32'], 'i32', (f, va, bytes, access, cause) => {
    f.if(misaligned(va, bytes), () => {
      raise(e, f, cause, va)
      f.return(0)
    })
    const pa = f.let(call(physical, va, bytes, access))
    f.if(e.pendingCause, () => f.return(0))
    const at = f.let(call(ram.host, pa))
    f.if(i32.eqz(at), () => raise(e, f, faultCause(access, i32.const(0)), va))
    f.return(at)
  })

  const atomicStore = m.func('atomicStore', ['i64', 'i32', 'i64'], 'void', (f, va, bytes, value) => {
    // The page map is reached again by address; only pages that writers must ask for come here.
    const access = f.let(i32.const(Access.write))
    const pa = f.let(call(physical, va, bytes, access))
    f.do(call(storeRam, pa, f.let(call(ram.entry, pa)), bytes, value))
  })

  const fetchHalf = m.func('fetchHalf', ['i64'], 'i32', (f, va) => {
    const slot = f.let(fetchEntry(s.get('fetchBank'), va))
    f.if(i64.eq(i64.load(slot, tlbLayout.fetch), tagOf(va)), () =>
      f.return(i32.load16U(i32.or(i32.load(slot, tlbLayout.fetch + tlbLayout.frameOffset), i32.and(i32.wrap(va), 4095)))),
    )
    const access = f.let(i32.const(Access.fetch))
    const pa = f.let(call(physical, va, 2, access))
    f.if(e.pendingCause, () => f.return(0))
    const at = f.let(call(ram.host, pa))
    f.if(i32.eqz(at), () => {
      raise(e, f, Cause.instructionAccess, va)
      f.return(0)
    })
    f.return(i32.load16U(at))
  })

  const remember = (f: Func, bank: Local<'i32'>, va: Local<'i64'>): void => {
    f.if(walker.level, () => {
      const region = select('i64', i32.gtU(walker.level, GIGAPAGE), -1, superpageRegion(va))
      f.do(s.set('superpageRegions', i64.or(s.get('superpageRegions'), region)))
    })
    f.if(i32.and(i32.eqz(walker.global), i32.eq(bank, s.get('supervisorBank'))), () => f.do(s.set('supervisorPrivatePages', 1)))
  }

  const dataMiss = m.func('dataMiss', ['i64', 'i32', 'i32'], 'i32', (f, va, access, bytes) => {
    f.if(crosses(va, bytes), () => f.return(1))
    f.if(i32.and(s.get('debug'), Debug.accesses), () => f.if(debugAccess(va, i32.const(0), access), () => f.return(1)))
    increment(e, f, 'tlbMisses')
    const pa = f.let(call(translate, va, access))
    f.if(e.pendingCause, () => {
      // The stepper will find the fault again, and take it.
      f.setGlobal(e.pendingCause, 0)
      f.return(1)
    })
    f.if(i32.eqz(call(pmp, i64.and(pa, -4096), 4096, access, machineView(f, access))), () => f.return(1))
    const entry = f.let(call(ram.entry, pa))
    f.if(i32.eqz(entry), () => f.return(1))
    const value = f.let(call(ram.touched, entry))
    const bank = f.let(s.get('dataBank'))
    const slot = f.let(dataEntry(bank, va))
    const writes = f.let(i32.eq(access, Access.write))
    f.if(writes, () => {
      f.if(i32.ne(i32.and(value, PAGE_PRESENT | PAGE_SHARED), PAGE_PRESENT), () => f.set(value, call(host.writeFault, entry, 0, 0)))
      f.if(i32.and(value, PAGE_CODE), () => f.return(1))
      f.set(value, i32.or(value, PAGE_DIRTY))
      f.set(slot, i32.add(slot, tlbLayout.write))
    })
    // Where writers are, so that they can be told when the page gets code; where readers are, so that they can when it gets another frame.
    f.if(i32.or(writes, i32.and(value, PAGE_SHARED)), () => {
      const group = f.let(i32.and(i32.shl(i32.wrap(i64.shrU(va, 18)), GROUP_SHIFT), PAGE_GROUP))
      const again = select('i32', i32.eq(i32.and(value, PAGE_GROUP), group), value, i32.or(value, PAGE_IN_GROUPS))
      const flags = select('i32', i32.and(value, PAGE_IN_TLB), again, i32.or(value, i32.or(group, PAGE_IN_TLB)))
      f.do(i32.store(entry, flags))
    })
    f.do(noteFilled(bank, va, select('i32', writes, tlbLayout.writeGroups, tlbLayout.readGroups)))
    remember(f, bank, va)
    f.do(i64.store(slot, tagOf(va)))
    f.do(i32.store(slot, i32.sub(i32.and(value, -4096), i32.and(i32.wrap(va), -4096)), tlbLayout.dataOffset))
    f.return(0)
  })

  const fetchMiss = m.func('fetchMiss', ['i64'], 'i32', (f, va) => {
    const access = f.let(i32.const(Access.fetch))
    const pa = f.let(call(translate, va, access))
    f.if(e.pendingCause, () => f.return(2))
    f.if(i32.eqz(call(pmp, i64.and(pa, -4096), 4096, access, machineView(f, access))), () => f.return(1))
    const entry = f.let(call(ram.entry, pa))
    f.if(i32.eqz(entry), () => f.return(1))
    const frame = f.let(i32.and(call(ram.touched, entry), -4096))
    const ops = f.let(call(host.codePage, frame, entry))
    const bank = f.let(s.get('fetchBank'))
    const slot = f.let(fetchEntry(bank, va))
    remember(f, bank, va)
    f.do(i32.store8(bank, 1, tlbLayout.fetched))
    f.do(i64.store(slot, tagOf(va), tlbLayout.fetch))
    f.do(i32.store(slot, ops, tlbLayout.fetch + tlbLayout.dataOffset))
    f.do(i32.store(slot, frame, tlbLayout.fetch + tlbLayout.frameOffset))
    f.return(0)
  })

  return { load, store, atomic, atomicStore, fetchHalf, dataMiss, fetchMiss, translate, walker }
}
