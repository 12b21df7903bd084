import { Access, dataEntry, emitRam, emitX86Walker, fetchEntry, Paging, type RamFunctions, tagOf, tlbLayout, X86View } from '@machinist/mmu'
import { call, type Expr, type FuncRef, i32, i64, memoryCopy, type ModuleBuilder, select } from '@machinist/wasm'
import { Cr0, Cr4, Efer } from './control-bits.ts'
import type { MemoryCalls } from './devices.ts'
import type { State } from './layout.ts'
import { emitSlowPlace, type SlowPlace } from './slow-place.ts'
import type { DebugFunctions } from './system/debug.ts'
import { type BankFunctions, currentBank, emitBanks } from './tlb.ts'

export { Cr0, Cr4, Efer } from './control-bits.ts'
export { USER_ONLY } from './slow-place.ts'

export interface MemoryFunctions extends Pick<SlowPlace, 'codeOps' | 'commit' | 'unusual'>, BankFunctions {
  /**
   * `(linear, bytes, access, system)` → where an access of up to 32 bytes finds them in linear memory; 0 after a fault. `system` is 1 for implicit accesses
   * to system structures, which are supervisor's at any CPL (SDM volume 3, 5.6). The place is good until the next call, and what is stored at `bounce` is to be committed.
   */
  readonly place: FuncRef<readonly ['i64', 'i32', 'i32', 'i32'], 'i32'>
  /** `(linear)`: bytes from there on that `place` may be asked for at once, and finds in one page. */
  readonly rest: FuncRef<readonly ['i64'], 'i32'>
  /** After CR0, CR4 or EFER has changed. */
  readonly updateView: FuncRef<readonly [], 'void'>
  /** `(cr3)`: fills the PDPTE registers; 1 when one has reserved bits, and nothing has changed. */
  readonly loadPdptes: FuncRef<readonly ['i64'], 'i32'>
  /** `(value)`: CR3, and what is known of the address space before goes; of its PCID it stays when bit 63 says so. */
  readonly setCr3: FuncRef<readonly ['i64'], 'void'>
}

/** RAM with bit 20 of addresses as A20 lets it be. */
function behindA20(m: ModuleBuilder, state: State, ram: RamFunctions): RamFunctions {
  const cut = (pa: Expr<'i64'>): Expr<'i64'> => i64.and(pa, state.get64('a20'))
  return {
    ...ram,
    entry: m.func('ramEntryA20', ['i64'], 'i32', (f, pa) => f.return(call(ram.entry, cut(pa)))),
    host: m.func('ramHostA20', ['i64'], 'i32', (f, pa) => f.return(call(ram.host, cut(pa)))),
    hostInline: (f, pa) => ram.hostInline(f, f.let(cut(pa))),
  }
}

/** The way from linear addresses to bytes. */
export function emitMemory(m: ModuleBuilder, state: State, host: MemoryCalls, debug: Pick<DebugFunctions, 'accesses'>, { physicalBits }: { physicalBits: number }): MemoryFunctions {
  const ram = behindA20(m, state, emitRam(m, state.field('ramTable'), { read: host.readFault, write: host.writeFault }))
  const pdptes = state.field('pdptes')
  const walker = emitX86Walker(m, { ram, physicalBits, gigabytePages: true, pdpte: (n) => i64.load(i32.shl(n, 3), pdptes) })
  const banks = emitBanks(m, state, walker)
  const { slowPlace, codeOps, commit, unusual } = emitSlowPlace(m, state, ram, walker, banks, host, debug)
  const bit = (value: Expr<'i64'>, mask: number): Expr<'i32'> => i64.ne(i64.and(value, mask), 0)

  const place = m.func('place', ['i64', 'i32', 'i32', 'i32'], 'i32', (f, linear, bytes, access, system) => {
    const bank = f.choose('i32', system, () => {
      // Bases and offsets of system structures are added where no operand is checked.
      f.if(i32.eqz(bit(state.get64('efer'), Efer.lma)), () => f.set(linear, i64.and(linear, 0xffff_ffff)))
      return i32.load(state.field('banks'))
    }, () => currentBank(state))
    const tag = f.let(tagOf(i64.add(linear, i64.extendU(i32.sub(bytes, 1)))))
    f.if(i32.eq(access, Access.fetch), () => {
      const slot = f.let(fetchEntry(bank, linear))
      f.if(i64.eq(i64.load(slot, tlbLayout.fetch), tag), () => f.return(i32.or(i32.load(slot, tlbLayout.fetch + tlbLayout.frameOffset), i32.and(i32.wrap(linear), 4095))))
    }, () => {
      const slot = f.let(i32.add(dataEntry(bank, linear), i32.mul(access, tlbLayout.write)))
      f.if(i64.eq(i64.load(slot), tag), () => f.return(i32.add(i32.wrap(linear), i32.load(slot, tlbLayout.dataOffset))))
    })
    f.return(call(slowPlace, linear, bytes, access, system, bank))
  })

  const rest = m.func('rest', ['i64'], 'i32', (f, linear) => f.return(i32.sub(4096, i32.and(i32.wrap(linear), 4095))))

  const updateView = m.func('updateView', [], 'void', (f) => {
    const [cr0, cr4, efer] = [f.let(state.get64('cr0')), f.let(state.get64('cr4')), f.let(state.get64('efer'))]
    const long = select('i32', bit(cr4, Cr4.la57), Paging.fiveLevel, Paging.fourLevel)
    const kind = select('i32', bit(efer, Efer.lma), long, select('i32', bit(cr4, Cr4.pae), Paging.pae, Paging.twoLevel))
    const view = f.let(select('i32', i64.eqz(i64.and(cr0, Cr0.pg >>> 0)), Paging.none, kind))
    for (const [value, mask, flag] of [[cr0, Cr0.wp, X86View.wp], [cr4, Cr4.pse, X86View.pse], [efer, Efer.nxe, X86View.nxe], [cr4, Cr4.smep, X86View.smep], [cr4, Cr4.smap, X86View.smap]] as const) {
      f.if(bit(value, mask), () => f.set(view, i32.or(view, flag)))
    }
    f.do(state.set32('view', view))
    f.do(call(banks.updateBanks))
  })
  const loadPdptes = m.func('loadPdptes', ['i64'], 'i32', (f, cr3) => {
    const bounce = state.field('bounce')
    for (let n = 0; n < 4; n++) {
      const entry = f.let(call(walker.loadPdpte, cr3, n))
      f.if(i64.eq(entry, -1), () => f.return(1))
      f.do(i64.store(bounce, entry, 8 * n))
    }
    f.do(memoryCopy(pdptes, bounce, 32))
    f.return(0)
  })
  const setCr3 = m.func('setCr3', ['i64'], 'void', (f, value) => {
    const keep = i32.and(bit(state.get64('cr4'), Cr4.pcide), i64.ltS(value, 0))
    const kept = f.let(keep)
    f.do(state.set64('cr3', i64.and(value, (1n << 63n) - 1n)))
    f.do(call(banks.enterContext, kept))
  })
  return { ...banks, place, rest, codeOps, commit, unusual, updateView, loadPdptes, setCr3 }
}
