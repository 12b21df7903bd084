import { Access, emitX86Walker, PageFault, Paging, type RamFunctions, X86View } from '@machinist/mmu'
import { call, type Expr, type FuncRef, i32, i64, memoryCopy, type ModuleBuilder, select } from '@machinist/wasm'
import { Flag } from '../flags.ts'
import { Vector } from '../vector.ts'
import { Cr0, Cr4, Efer } from './control-bits.ts'
import { type State } from './layout.ts'

/** The `view` of user mode alone: linear addresses are those of the memory, and everything outside is a page fault. */
export const USER_ONLY = 7

export { Cr0, Cr4, Efer }

export interface MemoryFunctions {
  /**
   * `(linear, bytes, access, system)` → where an access of up to 32 bytes finds them in linear memory; 0 after a fault. `system` is 1 for implicit accesses
   * to system structures, which are supervisor's at any CPL (SDM volume 3, 5.6). What was stored there is to be committed.
   */
  readonly place: FuncRef<readonly ['i64', 'i32', 'i32', 'i32'], 'i32'>
  /** `(linear)`: bytes from there on that `place` may be asked for at once. */
  readonly rest: FuncRef<readonly ['i64'], 'i32'>
  /** Ends a store at `bounce`. */
  readonly commit: FuncRef<readonly [], 'void'>
  /** `(linear)` → whether it is not canonical (SDM volume 1, 3.3.7.1). */
  readonly unusual: FuncRef<readonly ['i64'], 'i32'>
  /** After CR0, CR4 or EFER has changed. */
  readonly updateView: FuncRef<readonly [], 'void'>
  /** `(cr3)`: fills the PDPTE registers; 1 when one has reserved bits, and nothing has changed. */
  readonly loadPdptes: FuncRef<readonly ['i64'], 'i32'>
}

/** The one piece of physical memory, as the walker wants it. */
function windowOf(m: ModuleBuilder, state: State): RamFunctions {
  const host = m.func('physicalPlace', ['i64'], 'i32', (f, pa) => {
    const inside = f.let(i64.sub(i64.and(pa, state.get64('a20')), state.get64('memoryBase')))
    f.if(i64.ltU(inside, i64.extendU(state.get32('memorySize'))), () => f.return(i32.add(i32.wrap(inside), state.get32('memoryAt'))))
    f.return(0)
  })
  const touched = m.func('touched', ['i32'], 'i32', (f, at) => f.return(at))
  const writable = m.func('writable', ['i32', 'i64', 'i32'], 'i32', (f, at) => f.return(at))
  return { entry: host, host, touched, writable, hostInline: (f, pa) => f.let(call(host, pa)) }
}

/** The way from linear addresses to bytes. */
export function emitMemory(m: ModuleBuilder, state: State, { physicalBits }: { physicalBits: number }): MemoryFunctions {
  const ram = windowOf(m, state)
  const bounce = state.field('bounce')
  const pdptes = state.field('pdptes')
  const { walk, loadPdpte } = emitX86Walker(m, { ram, physicalBits, gigabytePages: true, pdpte: (n) => i64.load(i32.shl(n, 3), pdptes) })
  const bit = (value: Expr<'i64'>, mask: number): Expr<'i32'> => i64.ne(i64.and(value, mask), 0)

  const pageFault = (linear: Expr<'i64'>, error: Expr<'i32'>): Expr<'void'>[] => [
    state.set32('fault', Vector.pageFault + 1), state.set32('error', error), state.set64('faultAddress', linear),
  ]
  /** The physical address, or −1 after a fault. */
  const translate = m.func('translate', ['i64', 'i32', 'i32'], 'i64', (f, linear, access, system) => {
    const view = f.let(state.get32('view'))
    f.if(i32.eqz(i32.and(view, 7)), () => f.return(i64.and(linear, state.get64('a20'))))
    f.if(i32.eqz(system), () => {
      const lifted = i32.and(state.get32('system'), Flag.alignment)
      f.if(i32.eq(state.get32('cpl'), 3), () => f.set(view, i32.or(view, X86View.user)), () => f.if(lifted, () => f.set(view, i32.and(view, ~X86View.smap))))
    })
    const found = f.let(call(walk, linear, state.get64('cr3'), access, view))
    f.if(i64.ltS(found, 0), () => {
      for (const part of pageFault(linear, i32.wrap(i64.sub(-1, found)))) f.do(part)
      f.return(-1)
    })
    f.return(i64.and(found, state.get64('a20')))
  })
  /** Bytes between `bounce` and physical memory; what is not there reads as ones, and is not written. */
  const transfer = m.func('transfer', ['i32'], 'void', (f, writes) => {
    const i = f.local('i32')
    f.set(i, 0)
    f.loop((again) => {
      const second = i32.geU(i, state.get32('bounceFirst'))
      const pa = select('i64', second, i64.add(state.get64('bounceNext'), i64.extendU(i32.sub(i, state.get32('bounceFirst')))), i64.add(state.get64('bounceAt'), i64.extendU(i)))
      const at = f.let(call(ram.host, pa))
      f.if(writes, () => f.if(at, () => f.do(i32.store8(at, i32.load8U(i, bounce)))), () => {
        const value = f.let(i32.const(255))
        f.if(at, () => f.set(value, i32.load8U(at)))
        f.do(i32.store8(i, value, bounce))
      })
      f.set(i, i32.add(i, 1))
      f.brIf(again, i32.ltU(i, state.get32('bounceBytes')))
    })
  })

  const unusual = m.func('unusual', ['i64'], 'i32', (f, linear) => {
    const shift = f.let(select('i64', bit(state.get64('cr4'), Cr4.la57), 7, 16))
    f.return(i64.ne(i64.shrS(i64.shl(linear, shift), shift), linear))
  })

  const place = m.func('place', ['i64', 'i32', 'i32', 'i32'], 'i32', (f, linear, bytes, access, system) => {
    f.if(i32.eq(state.get32('view'), USER_ONLY), () => {
      const inside = f.let(i64.sub(linear, state.get64('memoryBase')))
      f.if(i64.leU(inside, i64.sub(i64.extendU(state.get32('memorySize')), i64.extendU(bytes))), () => f.return(i32.add(i32.wrap(inside), state.get32('memoryAt'))))
      const how = i32.or(i32.shl(i32.eq(access, Access.write), 1), i32.shl(i32.eq(access, Access.fetch), 4))
      for (const part of pageFault(linear, i32.or(how, PageFault.user))) f.do(part)
      f.return(0)
    })
    const long = f.let(bit(state.get64('efer'), Efer.lma))
    // Bases and offsets of system structures are added where no operand is checked. In long mode they have 64 bits in every mode of code.
    f.if(system, () => f.if(long, () => {
      f.if(i32.or(call(unusual, linear), call(unusual, i64.add(linear, i64.extendU(i32.sub(bytes, 1))))), () => {
        f.do(state.set32('fault', Vector.generalProtection + 1))
        f.do(state.set32('error', state.get32('external')))
        f.return(0)
      })
    }, () => f.set(linear, i64.and(linear, 0xffff_ffff))))
    const first = f.let(i32.sub(4096, i32.and(i32.wrap(linear), 4095)))
    const physical = f.let(call(translate, linear, access, system))
    f.if(i64.eq(physical, -1), () => f.return(0))
    const next = f.local('i64')
    f.if(i32.geU(first, bytes), () => {
      const at = f.let(call(ram.host, physical))
      f.if(at, () => f.return(at))
    }, () => {
      f.set(next, i64.add(i64.or(linear, 4095), 1))
      f.if(select('i32', system, i32.eqz(long), i32.ne(state.get32('mode'), 64)), () => f.set(next, i64.and(next, 0xffff_ffff)))
      f.set(next, call(translate, next, access, system))
      f.if(i64.eq(next, -1), () => f.return(0))
    })
    f.do(state.set64('bounceAt', physical))
    f.do(state.set64('bounceNext', next))
    f.do(state.set32('bounceFirst', first))
    f.do(state.set32('bounceBytes', bytes))
    f.if(i32.ne(access, Access.write), () => f.do(call(transfer, 0)))
    f.return(bounce)
  })
  const rest = m.func('rest', ['i64'], 'i32', (f, linear) => {
    f.if(i32.eq(state.get32('view'), USER_ONLY), () => {
      const left = f.let(i64.sub(i64.extendU(state.get32('memorySize')), i64.sub(linear, state.get64('memoryBase'))))
      f.return(select('i32', i64.gtS(left, 4096), 4096, select('i32', i64.leS(left, 0), 1, i32.wrap(left))))
    })
    f.return(i32.sub(4096, i32.and(i32.wrap(linear), 4095)))
  })
  const commit = m.func('commit', [], 'void', (f) => f.do(call(transfer, 1)))

  const updateView = m.func('updateView', [], 'void', (f) => {
    const [cr0, cr4, efer] = [f.let(state.get64('cr0')), f.let(state.get64('cr4')), f.let(state.get64('efer'))]
    const long = select('i32', bit(cr4, Cr4.la57), Paging.fiveLevel, Paging.fourLevel)
    const kind = select('i32', bit(efer, Efer.lma), long, select('i32', bit(cr4, Cr4.pae), Paging.pae, Paging.twoLevel))
    const view = f.let(select('i32', i64.eqz(i64.and(cr0, Cr0.pg >>> 0)), Paging.none, kind))
    for (const [value, mask, flag] of [[cr0, Cr0.wp, X86View.wp], [cr4, Cr4.pse, X86View.pse], [efer, Efer.nxe, X86View.nxe], [cr4, Cr4.smep, X86View.smep], [cr4, Cr4.smap, X86View.smap]] as const) {
      f.if(bit(value, mask), () => f.set(view, i32.or(view, flag)))
    }
    f.do(state.set32('view', view))
  })
  const loadPdptes = m.func('loadPdptes', ['i64'], 'i32', (f, cr3) => {
    for (let n = 0; n < 4; n++) {
      const entry = f.let(call(loadPdpte, cr3, n))
      f.if(i64.eq(entry, -1), () => f.return(1))
      f.do(i64.store(bounce, entry, 8 * n))
    }
    f.do(memoryCopy(pdptes, bounce, 32))
    f.return(0)
  })
  return { place, rest, commit, unusual, updateView, loadPdptes }
}
