import { tlbLayout, View } from '@machinist/mmu'
import { call, type Expr, type FuncRef, i32, i64, select } from '@machinist/wasm'
import { Mode } from '../cause.ts'
import { ASID_SLOTS } from '../hart-layout.ts'
import { Envcfg, Status } from '../status.ts'
import { bit, type Emit } from './context.ts'

/** In `dataView`: addresses are physical (M-mode). */
export const VIEW_MACHINE = 64

/** Level of a leaf that maps 1 GiB. */
export const GIGAPAGE = 2

/**
 * The bit of `superpageRegions` for the gigabyte that `va` is in: whether anything there was mapped by a superpage,
 * whose pieces of 4 KiB the TLB may hold anywhere in it. Several gigabytes share a bit.
 */
export function superpageRegion(va: Expr<'i64'>): Expr<'i64'> {
  return i64.shl(1, i64.xor(i64.shrU(va, 30), i64.shrU(va, 36)))
}

/** Which banks of the TLB are in use, and what empties them. */
export interface TranslationFunctions {
  /** Works out banks and view from mode, `mstatus` and `menvcfg`. To be called whenever one of them changes. */
  readonly updateView: FuncRef<readonly [], 'void'>
  /** `(satp)`: changes address space. */
  readonly writeSatp: FuncRef<readonly ['i64'], 'void'>
  /** Empties every bank but that of M-mode. */
  readonly flushAll: FuncRef<readonly [], 'void'>
  /** `(address, by address, asid, by asid)`: SFENCE.VMA. */
  readonly fence: FuncRef<readonly ['i64', 'i32', 'i64', 'i32'], 'void'>
}

const BANK = tlbLayout.size

export function emitTranslation({ m, s, tlb }: Emit): TranslationFunctions {
  /** Slot banks lie in pairs: S-mode with SUM, then U-mode. */
  const updateView = m.func('updateView', [], 'void', (f) => {
    const mode = f.let(s.get('mode'))
    const status = f.let(s.get('mstatus'))
    const pair = f.let(i32.add(s.get('slotBanks'), i32.mul(s.get('slot'), 2 * BANK)))
    f.do(
      s.set(
        'fetchBank',
        select('i32', i32.eq(mode, Mode.machine), s.get('machineBank'), select('i32', i32.eqz(mode), i32.add(pair, BANK), s.get('supervisorBank'))),
      ),
    )
    const effective = f.let(
      select('i32', i32.and(i32.eq(mode, Mode.machine), bit(status, Status.MPRV)), i32.and(i32.wrap(i64.shrU(status, 11)), 3), mode),
    )
    const update = f.let(select('i32', bit(s.get('menvcfg'), Envcfg.ADUE), View.update, 0))
    f.if(i32.eq(effective, Mode.machine), () => {
      f.do(s.set('dataBank', s.get('machineBank')))
      f.do(s.set('dataView', VIEW_MACHINE))
      f.return()
    })
    const mxr = f.let(select('i32', bit(status, Status.MXR), View.mxr, 0))
    f.if(i32.eqz(effective), () => {
      f.do(s.set('dataBank', i32.add(pair, BANK)))
      f.do(s.set('dataView', i32.or(i32.or(update, mxr), View.user)))
      f.return()
    })
    f.if(
      bit(status, Status.SUM),
      () => {
        f.do(s.set('dataBank', pair))
        f.do(s.set('dataView', i32.or(i32.or(update, mxr), View.sum)))
      },
      () => {
        f.do(s.set('dataBank', s.get('supervisorBank')))
        f.do(s.set('dataView', i32.or(update, mxr)))
      },
    )
  })

  const flushSlot = m.func('flushSlot', ['i32'], 'void', (f, slot) => {
    const pair = f.let(i32.add(s.get('slotBanks'), i32.mul(slot, 2 * BANK)))
    f.do(call(tlb.flushBank, pair))
    f.do(call(tlb.flushBank, i32.add(pair, BANK)))
  })

  const flushSupervisor = m.func('flushSupervisor', [], 'void', (f) => {
    f.do(call(tlb.flushBank, s.get('supervisorBank')))
    f.do(s.set('supervisorPrivatePages', 0))
  })

  const flushAll = m.func('flushAll', [], 'void', (f) => {
    f.do(call(flushSupervisor))
    const slot = f.local('i32')
    f.loop((next) => {
      // A slot that no address space has is empty already; forgetting its owner keeps it from being flushed again.
      f.if(i32.or(i32.eq(slot, s.get('slot')), i32.ne(s.element('slotAsid', slot), -1)), () => f.do(call(flushSlot, slot)))
      f.if(i32.ne(slot, s.get('slot')), () => f.do(s.setElement('slotAsid', slot, -1)))
      f.set(slot, i32.add(slot, 1))
      f.brIf(next, i32.ltU(slot, ASID_SLOTS))
    })
    f.do(s.set('superpageRegions', 0))
  })

  const findSlot = m.func('findSlot', ['i32'], 'i32', (f, asid) => {
    const slot = f.local('i32')
    f.loop((next) => {
      f.if(i32.eq(s.element('slotAsid', slot), asid), () => f.return(slot))
      f.set(slot, i32.add(slot, 1))
      f.brIf(next, i32.ltU(slot, ASID_SLOTS))
    })
    f.return(-1)
  })

  const writeSatp = m.func('writeSatp', ['i64'], 'void', (f, value) => {
    const mode = f.let(i64.shrU(value, 60))
    // MODE is WARL in the sense that a write of an unsupported mode changes nothing at all (10.1.11).
    f.if(i32.and(i64.ne(mode, 0), i64.gtU(i64.sub(mode, 8), 2)), () => f.return())
    const old = f.let(s.get('satp'))
    f.if(i64.eq(old, value), () => f.return())
    f.do(s.set('satp', value))
    const asid = f.let(i32.and(i32.wrap(i64.shrU(value, 44)), 0xffff))
    f.if(i64.ne(i64.shrU(old, 60), mode), () => {
      // A change of mode takes effect without a fence.
      f.do(call(flushAll))
      f.do(s.setElement('slotAsid', s.get('slot'), asid))
      f.return()
    })
    f.if(i32.eq(asid, i32.and(i32.wrap(i64.shrU(old, 44)), 0xffff)), () => {
      f.do(call(flushSupervisor))
      f.do(call(flushSlot, s.get('slot')))
      f.return()
    })
    f.if(s.get('supervisorPrivatePages'), () => f.do(call(flushSupervisor)))
    const slot = f.let(call(findSlot, asid))
    f.if(i32.ltS(slot, 0), () => {
      // The slot that was left longest ago.
      f.set(slot, 0)
      const i = f.local('i32')
      f.loop((next) => {
        f.if(i32.ltU(s.element('slotUsed', i), s.element('slotUsed', slot)), () => f.set(slot, i))
        f.set(i, i32.add(i, 1))
        f.brIf(next, i32.ltU(i, ASID_SLOTS))
      })
      f.do(call(flushSlot, slot))
      f.do(s.setElement('slotAsid', slot, asid))
    })
    f.do(s.set('slotClock', i32.add(s.get('slotClock'), 1)))
    f.do(s.setElement('slotUsed', slot, s.get('slotClock')))
    f.do(s.set('slot', slot))
    f.do(call(updateView))
  })

  const fence = m.func('sfenceVma', ['i64', 'i32', 'i64', 'i32'], 'void', (f, address, byAddress, asid, byAsid) => {
    // After a superpage was cached as small pages, one address may stand for many of them.
    const whole = f.let(i32.or(i32.eqz(byAddress), i64.ne(i64.and(s.get('superpageRegions'), superpageRegion(address)), 0)))
    const slot = f.let(select('i32', byAsid, call(findSlot, i32.and(i32.wrap(asid), 0xffff)), -1))
    f.if(i32.and(byAsid, i32.ltS(slot, 0)), () => {
      // Nothing of that address space is cached, except perhaps in the supervisor's bank.
      f.do(call(flushSupervisor))
      f.return()
    })
    f.if(whole, () => {
      f.if(
        byAsid,
        () => {
          f.do(call(flushSlot, slot))
          f.if(s.get('supervisorPrivatePages'), () => f.do(call(flushSupervisor)))
        },
        () => f.do(call(flushAll)),
      )
      f.return()
    })
    f.do(call(tlb.flushPage, s.get('supervisorBank'), address))
    const i = f.local('i32')
    const pair = f.local('i32')
    f.loop((next) => {
      f.if(i32.and(i32.ne(s.element('slotAsid', i), -1), i32.or(i32.eqz(byAsid), i32.eq(i, slot))), () => {
        f.set(pair, i32.add(s.get('slotBanks'), i32.mul(i, 2 * BANK)))
        f.do(call(tlb.flushPage, pair, address))
        f.do(call(tlb.flushPage, i32.add(pair, BANK), address))
      })
      f.set(i, i32.add(i, 1))
      f.brIf(next, i32.ltU(i, ASID_SLOTS))
    })
  })

  return { updateView, writeSatp, flushAll, fence }
}
