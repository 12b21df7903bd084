import { call, type Expr, type Func, type FuncRef, type Global, i32, i64, type ModuleBuilder, select } from '@machinist/wasm'
import type { RamFunctions } from './ram.ts'

/** What an access wants to do. */
export const Access = { read: 0, write: 1, fetch: 2 } as const

/** How a translation looks at memory; bits of the walker's `view` argument. */
export const View = {
  /** From U-mode. */
  user: 1,
  /** `sstatus.SUM`: S-mode may touch user pages. */
  sum: 2,
  /** `sstatus.MXR`: executable pages are readable. */
  mxr: 4,
  /** `menvcfg.ADUE` (Svadu): the walker sets A and D; otherwise it faults. */
  update: 8,
} as const

/** Results of the walker that are not addresses. */
export const WalkFault = { page: -1, access: -2 } as const

const PTE_V = 1
const PTE_R = 2
const PTE_W = 4
const PTE_X = 8
const PTE_U = 16
const PTE_G = 32
const PTE_A = 64
const PTE_D = 128

export interface SvWalker {
  /**
   * `(va, satp, access, view)` → guest-physical address, or a {@link WalkFault} as a negative number. Bare mode
   * returns `va`. Privileged specification 20240411, 10.3.2.
   */
  readonly walk: FuncRef<readonly ['i64', 'i64', 'i32', 'i32'], 'i64'>
  /** After a successful walk: the leaf's level (0: 4 KiB). */
  readonly level: Global<'i32'>
  /** After a successful walk: whether the mapping is global. */
  readonly global: Global<'i32'>
}

/** What the walker needs of its surroundings. */
export interface WalkerEnvironment {
  readonly ram: RamFunctions
  /** Not zero when physical memory protection lets S-mode do anything anywhere: then `allowed` is not asked. */
  readonly open: Expr<'i32'>
  /** `(pa, access)` → 1 when physical memory protection lets S-mode read or write 8 bytes of page table there. */
  readonly allowed: FuncRef<readonly ['i64', 'i32'], 'i32'>
}

/** Emits the page-table walker for Bare, Sv39, Sv48 and Sv57, as `satp.MODE` says. */
export function emitSvWalker(m: ModuleBuilder, env: WalkerEnvironment): SvWalker {
  const level = m.global('i32', 0)
  const global = m.global('i32', 0)
  const walk = m.func('walk', ['i64', 'i64', 'i32', 'i32'], 'i64', (f, va, satp, access, view) => {
    const mode = f.let(i32.wrap(i64.shrU(satp, 60)))
    f.setGlobal(level, 0)
    f.setGlobal(global, 0)
    f.if(i32.eqz(mode), () => f.return(va))
    // MODE 8, 9, 10: three, four, five levels.
    const i = f.let(i32.sub(mode, 6))
    const unused = f.let(i64.extendU(i32.sub(64 - 12, i32.mul(i32.add(i, 1), 9))))
    f.if(i64.ne(i64.shrS(i64.shl(va, unused), unused), va), () => f.return(WalkFault.page))
    const table = f.let(i64.shl(i64.and(satp, 0xfff_ffff_ffffn), 12))
    const pte = f.local('i64')
    const at = f.local('i64')
    const host = f.local('i32')
    const shift = f.local('i64')
    f.loop((next) => {
      f.set(shift, i64.extendU(i32.add(12, i32.mul(i, 9))))
      f.set(at, i64.add(table, i64.shl(i64.and(i64.shrU(va, shift), 511), 3)))
      f.if(i32.eqz(env.open), () => f.if(i32.eqz(call(env.allowed, at, Access.read)), () => f.return(WalkFault.access)))
      const found = env.ram.hostInline(f, at)
      f.set(host, found)
      f.free(found)
      f.if(i32.eqz(host), () => f.return(WalkFault.access))
      f.set(pte, i64.load(host))
      const has = (bits: number): Expr<'i32'> => i64.ne(i64.and(pte, bits), 0)
      const fault = (condition: Expr<'i32'>): void => f.if(condition, () => f.return(WalkFault.page))
      // Not valid, writable but not readable, or with bits set that this implementation reserves (Svnapot, Svpbmt).
      fault(i64.eqz(i64.and(pte, PTE_V)))
      fault(i64.eq(i64.and(pte, PTE_R | PTE_W), PTE_W))
      fault(i64.ne(i64.shrU(pte, 54), 0))
      f.setGlobal(global, i32.or(global, has(PTE_G)))
      f.set(table, i64.shl(i64.and(i64.shrU(pte, 10), 0xfff_ffff_ffffn), 12))
      f.if(i64.eqz(i64.and(pte, PTE_R | PTE_X)), () => {
        fault(has(PTE_A | PTE_D | PTE_U))
        fault(i32.eqz(i))
        f.set(i, i32.sub(i, 1))
        f.br(next)
      })
    })
    leaf(f)

    function leaf(f: Func): void {
      const has = (bits: number): Expr<'i32'> => i64.ne(i64.and(pte, bits), 0)
      const fault = (condition: Expr<'i32'>): void => f.if(condition, () => f.return(WalkFault.page))
      const viewed = (bits: number): Expr<'i32'> => i32.ne(i32.and(view, bits), 0)
      f.if(
        viewed(View.user),
        () => fault(i32.eqz(has(PTE_U))),
        () => fault(i32.and(has(PTE_U), i32.or(i32.eq(access, Access.fetch), i32.eqz(viewed(View.sum))))),
      )
      const readable = i32.or(has(PTE_R), i32.and(viewed(View.mxr), has(PTE_X)))
      const permitted = select('i32', i32.eq(access, Access.read), readable, select('i32', i32.eq(access, Access.write), has(PTE_W), has(PTE_X)))
      fault(i32.eqz(permitted))
      // A superpage must be aligned to its size.
      const inside = f.let(i64.sub(i64.shl(i64.const(1), shift), 1))
      fault(i64.ne(i64.and(table, inside), 0))
      const wanted = f.let(i64.or(pte, select('i64', i32.eq(access, Access.write), PTE_A | PTE_D, PTE_A)))
      f.if(i64.ne(wanted, pte), () => {
        fault(i32.eqz(viewed(View.update)))
        f.if(i32.eqz(call(env.allowed, at, Access.write)), () => f.return(WalkFault.access))
        // The address that the entry was read at may not be written to.
        f.do(i64.store(call(env.ram.writable, call(env.ram.entry, at), at, 8), wanted))
      })
      f.setGlobal(level, i)
      f.return(i64.or(table, i64.and(va, inside)))
    }
  })
  return { walk, level, global }
}
