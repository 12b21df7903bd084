import { call, type Expr, type Func, type FuncRef, type Global, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import type { RamFunctions } from './ram.ts'
import { Access } from './sv.ts'

/** How linear addresses are translated, by CR0.PG, CR4.PAE, EFER.LME and CR4.LA57 (SDM volume 3, table 5-1). */
export const Paging: { readonly none: 0; readonly twoLevel: 1; readonly pae: 2; readonly fourLevel: 3; readonly fiveLevel: 4 } = { none: 0, twoLevel: 1, pae: 2, fourLevel: 3, fiveLevel: 4 }

/** How an access looks at memory; bits of the walker's `view` argument, whose low three bits are a value of {@link Paging}. */
export const X86View: {
  /** A user-mode access: at CPL 3, and not an implicit access to a system structure. */
  readonly user: number
  /** CR0.WP: supervisor mode may not write what is read-only. */
  readonly wp: number
  /** CR4.PSE: two levels have pages of 4 MiB. */
  readonly pse: number
  /** EFER.NXE: bit 63 of an entry forbids fetches; without it, it is reserved. */
  readonly nxe: number
  /** CR4.SMEP: supervisor mode may not fetch from user pages. */
  readonly smep: number
  /** CR4.SMAP, and EFLAGS.AC does not lift it: supervisor mode may not touch user pages. */
  readonly smap: number
} = {
  user: 1 << 3,
  wp: 1 << 4,
  pse: 1 << 5,
  nxe: 1 << 6,
  smep: 1 << 7,
  smap: 1 << 8,
}

/** Bits of a page fault's error code (SDM volume 3, figure 5-12). */
export const PageFault: { readonly present: 1; readonly write: 2; readonly user: 4; readonly reserved: 8; readonly fetch: 16 } = { present: 1, write: 2, user: 4, reserved: 8, fetch: 16 }

const P = 1
const RW = 2
const US = 4
const A = 1 << 5
const D = 1 << 6
const PS = 1 << 7
const G = 1 << 8
const bits = (from: number, to: number): bigint => (1n << BigInt(to + 1)) - (1n << BigInt(from))

/** The emitted walker of every kind of x86 paging. */
export interface X86Walker {
  /**
   * `(linear, cr3, access, view)` → guest-physical address; or, of a page fault, −1 less its error code. `linear` is canonical, and
   * zero above 32 bits in the first two kinds. With PAE `cr3` is not read: see `pdpte` of the environment.
   */
  readonly walk: FuncRef<readonly ['i64', 'i64', 'i32', 'i32'], 'i64'>
  /** `(cr3, n)` → the nth PDPTE of PAE paging as MOV to CR3 loads it, or −1 when it has reserved bits, which is #GP (SDM volume 3, 5.4.1). */
  readonly loadPdpte: FuncRef<readonly ['i64', 'i32'], 'i64'>
  /** After a successful walk: the page's size as a power of two, 12 to 30. */
  readonly pageShift: Global<'i32'>
  /** After a successful walk: whether the page is global, if CR4.PGE lets it. */
  readonly global: Global<'i32'>
}

/** What the walker needs of its surroundings. */
export interface X86WalkerEnvironment {
  readonly ram: RamFunctions
  /** MAXPHYADDR: 32 to 52. */
  readonly physicalBits: number
  /** Whether four and five levels have pages of 1 GiB. */
  readonly gigabytePages: boolean
  /** The nth PDPTE register, of PAE paging. */
  readonly pdpte: (n: Expr<'i32'>) => Expr<'i64'>
}

/** What both walks have. */
interface Walk {
  readonly f: Func
  readonly access: Local<'i32'>
  readonly view: Local<'i32'>
  /** Ends with a page fault, with bits besides those of the access. */
  fault(condition: Expr<'i32'>, bits: number): void
}

/**
 * Emits the walker (SDM volume 3, 5.3 to 5.8). It sets A in each entry as it uses it, and D when a write is permitted. An
 * entry that is not in RAM reads as ones.
 */
export function emitX86Walker(m: ModuleBuilder, env: X86WalkerEnvironment): X86Walker {
  const { ram, physicalBits, gigabytePages } = env
  const pageShift = m.global('i32', 0)
  const global = m.global('i32', 0)
  const frame = bits(12, physicalBits - 1)
  const has = (value: Expr<'i32'>, mask: number): Expr<'i32'> => i32.ne(i32.and(value, mask), 0)
  const has64 = (value: Expr<'i64'>, mask: Expr<'i64'> | bigint | number): Expr<'i32'> => i64.ne(i64.and(value, mask), 0)

  const begin = (f: Func, access: Local<'i32'>, view: Local<'i32'>, fetchFlag: number): Walk => ({
    f, access, view,
    fault(condition, more) {
      f.if(condition, () => {
        const how = i32.or(i32.shl(i32.eq(access, Access.write), 1), i32.shl(has(view, X86View.user), 2))
        const fetch = i32.shl(i32.and(i32.eq(access, Access.fetch), has(view, fetchFlag)), 4)
        f.return(i64.sub(-1, i64.extendU(i32.or(i32.or(how, fetch), more))))
      })
    },
  })

  /** Access rights (5.6.1). `rights` has RW and US when all entries have. */
  const protect = ({ access, view, fault }: Walk, rights: Local<'i32'>, noFetch: Local<'i32'>): void => {
    const [write, fetch, user] = [i32.eq(access, Access.write), i32.eq(access, Access.fetch), has(view, X86View.user)]
    fault(i32.and(user, i32.eqz(has(rights, US))), PageFault.present)
    const barred = i32.or(i32.and(fetch, has(view, X86View.smep)), i32.and(i32.eqz(fetch), has(view, X86View.smap)))
    fault(i32.and(i32.eqz(user), i32.and(has(rights, US), barred)), PageFault.present)
    fault(i32.and(write, i32.and(i32.eqz(has(rights, RW)), has(view, X86View.user | X86View.wp))), PageFault.present)
    fault(i32.and(fetch, noFetch), PageFault.present)
  }
  const read = (f: Func, at: Local<'i64'>, size: 4 | 8): Local<'i64'> => {
    const host = ram.hostInline(f, at)
    const entry = f.let(i64.const(size === 4 ? 0xffff_ffff : -1))
    f.if(host, () => f.set(entry, size === 4 ? i64.load32U(host) : i64.load(host)))
    return entry
  }
  const mark = (f: Func, at: Local<'i64'>, entry: Local<'i64'>, size: 4 | 8, flags: Expr<'i64'> | number): void => {
    const wanted = f.let(i64.or(entry, flags))
    f.if(i64.ne(wanted, entry), () => {
      // The address that the entry was read at may not be written to.
      const host = call(ram.writable, call(ram.entry, at), at, size)
      f.do(size === 4 ? i64.store32(host, wanted) : i64.store(host, wanted))
    })
  }
  const leaf = (walk: Walk, at: Local<'i64'>, entry: Local<'i64'>, size: 4 | 8, shift: Expr<'i32'>): void => {
    const { f, access } = walk
    mark(f, at, entry, size, select('i64', i32.eq(access, Access.write), A | D, A))
    f.setGlobal(pageShift, shift)
    f.setGlobal(global, has64(entry, G))
  }

  // Two levels of 4-byte entries; a page of 4 MiB has address bits 32 to 39 in bits 13 to 20 (5.3, table 5-4).
  const wideBits = Math.min(40, physicalBits) - 32
  const twoLevel = m.func('walkTwoLevel', ['i64', 'i64', 'i32', 'i32'], 'i64', (f, va, cr3, access, view) => {
    const walk = begin(f, access, view, X86View.smep)
    const at = f.let(i64.add(i64.and(cr3, 0xffff_f000), i64.shl(i64.shrU(va, 22), 2)))
    const directory = read(f, at, 4)
    walk.fault(i64.eqz(i64.and(directory, P)), 0)
    const rights = f.let(i32.wrap(directory))
    const noFetch = f.let(i32.const(0))
    f.if(i32.and(has64(directory, PS), has(view, X86View.pse)), () => {
      walk.fault(has64(directory, bits(13 + wideBits, 21)), PageFault.present | PageFault.reserved)
      protect(walk, rights, noFetch)
      leaf(walk, at, directory, 4, i32.const(22))
      const high = i64.shl(i64.and(i64.shrU(directory, 13), (1 << wideBits) - 1), 32)
      f.return(i64.or(i64.or(high, i64.and(directory, 0xffc0_0000)), i64.and(va, 0x3f_ffff)))
    })
    mark(f, at, directory, 4, A)
    f.set(at, i64.add(i64.and(directory, 0xffff_f000), i64.shl(i64.and(i64.shrU(va, 12), 1023), 2)))
    const table = read(f, at, 4)
    walk.fault(i64.eqz(i64.and(table, P)), 0)
    f.set(rights, i32.and(rights, i32.wrap(table)))
    protect(walk, rights, noFetch)
    leaf(walk, at, table, 4, i32.const(12))
    f.return(i64.or(i64.and(table, 0xffff_f000), i64.and(va, 4095)))
  })

  /** What is reserved in an entry besides bits above the address (tables 5-9 to 5-20). */
  const reservedAt = (level: Local<'i32'>, large: Local<'i32'>): Expr<'i64'> => {
    const pages = select('i64', i32.eq(level, 1), bits(13, 20), select('i64', i32.eq(level, 2), bits(13, 29), 0n))
    const size = select('i64', i32.geU(level, gigabytePages ? 3 : 2), PS, 0)
    return i64.or(select('i64', large, pages, 0), size)
  }
  // Entries of 8 bytes: PAE's last two levels, and four or five (5.4 and 5.5).
  const walkWide = m.func('walkWide', ['i64', 'i64', 'i32', 'i32'], 'i64', (f, va, cr3, access, view) => {
    const walk = begin(f, access, view, X86View.smep | X86View.nxe)
    const mode = f.let(i32.and(view, 7))
    const level = f.let(mode)
    const table = f.let(i64.and(cr3, frame))
    const reserved = f.let(i64.const(bits(physicalBits, 51)))
    f.if(
      i32.eq(mode, Paging.pae),
      () => {
        f.set(table, env.pdpte(i32.and(i32.wrap(i64.shrU(va, 30)), 3)))
        walk.fault(i64.eqz(i64.and(table, P)), 0)
        f.set(table, i64.and(table, frame))
        f.set(level, 1)
        f.set(reserved, bits(physicalBits, 62))
      },
    )
    f.if(i32.eqz(has(view, X86View.nxe)), () => f.set(reserved, i64.or(reserved, -(1n << 63n))))
    const rights = f.let(i32.const(RW | US))
    const noFetch = f.let(i32.const(0))
    const [at, entry, shift, large] = [f.local('i64'), f.local('i64'), f.local('i32'), f.local('i32')]
    f.loop((next) => {
      f.set(shift, i32.add(12, i32.mul(level, 9)))
      f.set(at, i64.add(table, i64.shl(i64.and(i64.shrU(va, i64.extendU(shift)), 511), 3)))
      const found = read(f, at, 8)
      f.set(entry, found)
      walk.fault(i64.eqz(i64.and(entry, P)), 0)
      f.set(large, i32.or(i32.eqz(level), i32.and(has64(entry, PS), i32.leU(level, gigabytePages ? 2 : 1))))
      walk.fault(has64(entry, i64.or(reserved, reservedAt(level, large))), PageFault.present | PageFault.reserved)
      f.set(rights, i32.and(rights, i32.wrap(entry)))
      f.set(noFetch, i32.or(noFetch, i64.ltS(entry, 0)))
      f.if(i32.eqz(large), () => {
        mark(f, at, entry, 8, A)
        f.set(table, i64.and(entry, frame))
        f.set(level, i32.sub(level, 1))
        f.br(next)
      })
    })
    protect(walk, rights, noFetch)
    leaf(walk, at, entry, 8, shift)
    const inside = f.let(i64.sub(i64.shl(1, i64.extendU(shift)), 1))
    f.return(i64.or(i64.and(i64.and(entry, frame), i64.xor(inside, -1)), i64.and(va, inside)))
  })
  const walk = m.func('walkX86', ['i64', 'i64', 'i32', 'i32'], 'i64', (f, va, cr3, access, view) => {
    const mode = f.let(i32.and(view, 7))
    f.if(i32.eq(mode, Paging.twoLevel), () => f.return(call(twoLevel, va, cr3, access, view)))
    f.if(mode, () => f.return(call(walkWide, va, cr3, access, view)))
    f.setGlobal(pageShift, 12)
    f.setGlobal(global, 0)
    f.return(va)
  })
  const loadPdpte = m.func('loadPdpte', ['i64', 'i32'], 'i64', (f, cr3, n) => {
    const at = f.let(i64.add(i64.and(cr3, 0xffff_ffe0), i64.shl(i64.extendU(n), 3)))
    const entry = read(f, at, 8)
    f.if(i32.and(has64(entry, P), has64(entry, bits(physicalBits, 63) | bits(5, 8) | bits(1, 2))), () => f.return(-1))
    f.return(entry)
  })
  return { walk, loadPdpte, pageShift, global }
}
