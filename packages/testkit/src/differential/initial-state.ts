import { DELEGABLE, farAddress, machineCsrs, pmpAddress, pmpConfigs, satpValue, supervisorCsrs, userCsrs, type CsrRule } from './csr-rules.ts'
import { Csr, Pte, Status } from './csr.ts'
import {
  CODE, CODE_SIZE, CODE_VA, EDGE, FIRST_GIGAPAGE, GIGAPAGES, HANDLER_VA, type InitialCsr, MEGAPAGES, PAGE_TABLES, PETAPAGES, POOL, POOL_PAGES, PTE_SLOTS,
  SCRATCH, SCRATCH_PAGES, SUPERVISOR_HANDLER, TERAPAGES,
} from './memory-map.ts'
import { Random } from '../random.ts'
import { integerValue } from './values.ts'

/** Tables that Sv39, Sv48 and Sv57 start from. */
const roots = PAGE_TABLES.slice(2)

/** The world of one case. */
export interface World {
  readonly mode: 0 | 1 | 3
  /** satp.MODE at the start: 0, 8, 9 or 10. */
  readonly translation: number
  /** Loads and stores go through translation (S- and U-mode, or M-mode with MPRV). */
  readonly translated: boolean
  /** Where the code starts, as it is fetched and physically. */
  readonly pc: number
  readonly codeVa: number
  readonly codePa: number
  /** What can be written to stvec. */
  readonly handler: number
  readonly mstatus: number
  /**
   * Physical memory protection is on. Its borders, and all accesses, are then in the middle of pages: an access over
   * two pages may count as two (3.7.1.3), as here, or as one, as in QEMU.
   */
  readonly pmp: boolean
  readonly pmpAddresses: readonly number[]
  /** Sstc is on from the start. */
  readonly timer: boolean
  /** Some addresses are of nothing. */
  readonly nowhere: boolean
  /** Bit of the one supervisor interrupt that may be enabled. */
  readonly interrupt: number
  readonly wait: boolean
  readonly csrs: readonly CsrRule[]
}

/** Cases that share the addresses of memory protection: every write of one costs both sides a flush of their TLBs. */
const GROUP = 16

/**
 * @param place - number of the case in the image
 * @param key - number of the case in its batch: neighbours have some things in common
 */
export function makeWorld(random: Random, place: number, key: { readonly seed: number; readonly index: number }): World {
  const group = new Random(key.seed, 0x4000_0000 + Math.floor(key.index / GROUP))
  const pmp = group.chance(0.12)
  const pmpAddresses = Array.from({ length: 7 }, () => {
    if (!pmp) return 0
    pmpAddress(group)
    return group.lo
  })
  const mode = random.pick([0, 1, 3] as const)
  const translation = random.chance(mode === 3 ? 0.7 : 0.4) ? 0 : random.pick([8, 8, 9, 10])
  const offset = 2 * (random.chance(0.3) ? random.between(1900, 2047) : random.below(1024))
  const codeVa = CODE_VA + offset
  const codePa = CODE + place * CODE_SIZE + offset
  const mapped = translation !== 0 && mode !== 3
  const handler = mapped ? HANDLER_VA : SUPERVISOR_HANDLER
  let mstatus = mode << 11 | Status.mpie | Status.spie
  for (const bit of [Status.sie, Status.mpie, Status.spp, Status.sum, Status.mxr]) if (random.chance(0.5)) mstatus ^= bit
  if (random.chance(0.95)) mstatus |= Status.fs
  for (const bit of [Status.tvm, Status.tw, Status.tsr]) if (random.chance(0.08)) mstatus |= bit
  const mprv = mode === 3 && translation !== 0
  if (mprv) mstatus |= Status.mprv
  // Where MPRV may come and go, addresses of one kind are now and then taken for the other.
  const nowhere = random.chance(mprv ? 0.5 : 0.2)
  const interrupt = random.pick([0x2, 0x20, 0x200])
  const timer = random.chance(0.5)
  const supervisor = supervisorCsrs(handler, roots, interrupt)
    // With Sstc off QEMU 7.2 obeys stimecmp all the same.
    .filter(({ number }) => number !== Csr.stimecmp || timer || mode !== 3)
  const machine = machineCsrs(interrupt, timer).filter(({ number }) => (pmp || number >> 5 !== Csr.pmpcfg0 >> 5) && !(mprv && !nowhere && number === Csr.mstatus))
  const untranslated = supervisor.filter(({ number }) => number !== Csr.satp)
  return {
    mode, translation, translated: translation !== 0, codeVa, codePa, interrupt, nowhere, pmp, pmpAddresses, timer, pc: mapped ? codeVa : codePa, handler, mstatus,
    wait: mode === 0 || (mode === 1 && (mstatus & Status.tw) !== 0),
    csrs: mode === 0
      ? [...userCsrs, ...userCsrs, ...supervisor.slice(0, 3), ...machine.slice(0, 3)]
      : mode === 1 ? [...userCsrs, ...supervisor, ...supervisor, ...machine.slice(0, 5)] : [...userCsrs, ...(translation === 0 || !nowhere ? untranslated : supervisor), ...machine],
  }
}

/** Leaves an address near an end of a scratch page in `random`; returns whether it is a multiple of 8. */
export function address(random: Random, world: World): boolean {
  const step = random.pick([8, 8, 8, 4, 2, 1])
  const within = Math.floor(random.below(EDGE) / step) * step
  const offset = world.pmp ? 2048 - EDGE / 2 + within : random.chance(0.5) ? within : 4096 - EDGE + within
  const page = random.below(SCRATCH_PAGES)
  if (world.nowhere && random.chance(0.03)) {
    // Far away from everything, devices included.
    random.set(random.u32(), random.u32() | 0x4000_0000)
    return (random.lo & 7) === 0
  }
  const aligned = offset % 8 === 0
  if (!world.translated) {
    random.set((!world.nowhere || random.chance(0.9) ? SCRATCH : POOL) + page * 4096 + offset, 0)
    return aligned
  }
  const kind = random.below(100)
  const high = random.chance(0.15) ? 0xffff_ffff : 0
  if (kind < 75) random.set((POOL + random.below(POOL_PAGES) * 4096 + offset | (high ? 0xc000_0000 : 0)) >>> 0, high)
  else if (kind < 85) random.set((POOL + 0x20_0000 * random.between(1, MEGAPAGES) + page * 4096 + offset | (high ? 0xc000_0000 : 0)) >>> 0, high)
  else if (kind < 91) random.set(((FIRST_GIGAPAGE + random.below(GIGAPAGES)) * 2 ** 30 + 0x20_0000 + page * 4096 + offset) >>> 0, 0)
  else if (kind < 95) random.set(SCRATCH + page * 4096 + offset, random.between(1, TERAPAGES) << 7)
  else if (kind < 97) random.set(SCRATCH + page * 4096 + offset, random.between(1, PETAPAGES) << 16)
  else {
    // Not canonical, or not mapped at all.
    random.set(POOL + random.below(POOL_PAGES) * 4096 + offset, 1 << random.pick([0, 5, 6, 9, 12, 14, 15, 17, 20, 24, 30]))
  }
  return aligned
}

const leaf = Pte.v | Pte.r | Pte.w | Pte.x | Pte.a | Pte.d

/** Flags of a leaf for data: mostly of use to `world`, often not. */
function dataFlags(random: Random, world: World): number {
  const user = world.mode === 0 || (world.mode === 1 ? random.chance(0.25) : random.chance(0.6)) ? Pte.u : 0
  if (random.chance(0.5)) return leaf | user
  const flags = random.below(256) | (random.chance(0.92) ? Pte.v : 0)
  return random.chance(0.6) ? flags & ~Pte.u | user | Pte.r : flags
}

/** Sets `random` to an entry for physical address `target`, with bits that software may use, or rarely reserved ones. */
function entry(random: Random, target: number, flags: number): void {
  const ppn = target / 4096
  const high = random.chance(0.015) ? 1 << random.between(22, 31) : 0
  random.set((ppn * 1024 | random.below(4) << 8 | flags) >>> 0, (Math.floor(ppn / 2 ** 22) & 0x3f_ffff) | high)
}

const nowhere = [POOL, 0x9000_0000, 0x1_4000_0000, 2 ** 50]

/** Leaves the entry for place `slot` of `PTE_SLOTS` in `random`. */
export function pageTableEntry(random: Random, world: World, slot: number): void {
  const [level, index] = PTE_SLOTS[slot] ?? [0, 0]
  const link = (to: number): void => entry(random, PAGE_TABLES[to] ?? 0, random.chance(0.99) ? Pte.v : random.below(256) & ~(Pte.r | Pte.x))
  const codePage = Math.floor(world.codePa / 4096) * 4096
  const codeFlags = Pte.v | Pte.r | Pte.x | Pte.a | (random.chance(0.5) ? Pte.w | Pte.d : 0) | (world.mode === 0 ? Pte.u : 0)
  if (level === 0) {
    if (index === POOL_PAGES) return random.set(0, 0)
    if (index === POOL_PAGES + 3) return random.set(SUPERVISOR_HANDLER / 4 | Pte.v | Pte.r | Pte.x | Pte.a, 0)
    if (index > POOL_PAGES) return entry(random, codePage + (index - POOL_PAGES - 1) * 4096, random.chance(0.98) ? codeFlags & ~(random.chance(0.1) ? Pte.a : 0) : random.below(256))
    const target = !world.nowhere || random.chance(0.85) ? SCRATCH + random.below(SCRATCH_PAGES) * 4096 : random.pick(nowhere)
    return entry(random, target, dataFlags(random, world))
  }
  const first = level === 1 ? (POOL >> 21) & 511 : 0
  if (index === first || index === 511) return link(level - 1)
  const size = 4096 * 512 ** level
  const inside = level === 1 ? SCRATCH : level === 2 ? 0x8000_0000 : 0
  // Misaligned superpages fault, as do far ones; a link leads to the level below.
  if (random.chance(0.1)) return link(level - 1)
  const flags = dataFlags(random, world)
  const isLeaf = (flags & (Pte.r | Pte.x)) !== 0
  // An entry that is no leaf must lead to a table that is there.
  if (!isLeaf) return entry(random, PAGE_TABLES[level - 1] ?? 0, flags)
  entry(random, random.chance(0.85) ? inside : !world.nowhere || random.chance(0.5) ? inside + 4096 * random.between(1, 511) : inside + 2 ** 48 - (2 ** 48 % size), flags)
}

/** Leaves the initial value of a CSR in `random`. */
export function initialCsr(random: Random, world: World, name: InitialCsr): void {
  switch (name) {
    case 'menvcfg':
      return random.set(random.below(2), 0x2000_0000 | (world.timer ? 0x8000_0000 : 0))
    case 'stimecmp':
      return world.timer && random.chance(0.2) ? random.set(0, 0) : random.set(0xffff_ffff, 0xffff_ffff)
    case 'mcounteren':
    case 'scounteren':
      return random.set(random.below(8), 0)
    case 'senvcfg':
      return random.set(random.below(2), 0)
    case 'medeleg':
      return random.set(random.chance(0.5) ? 0 : random.u32() & DELEGABLE, 0)
    case 'mideleg':
      return random.set(random.chance(0.5) ? 0x222 : random.u32() & 0x222, 0)
    case 'mie':
      return random.set(random.chance(0.6) ? 0 : random.u32() & (0x888 | world.interrupt), 0)
    case 'mip':
      return random.set(random.chance(0.7) ? 0 : random.u32() & 0x222, 0)
    case 'stvec':
      return random.set(world.handler | random.below(2), 0)
    case 'sepc':
      return farAddress(random)
    case 'scause':
      return random.set(random.below(16), 0)
    case 'sscratch':
    case 'stval':
      return integerValue(random)
    case 'satp':
      if (world.translation === 0) return random.set(0, 0)
      satpValue(random, roots)
      return random.set((roots[world.translation - 8] ?? 0) / 4096, (random.hi & 0x0fff_f000) | world.translation << 28)
    case 'pmpaddr7':
      return random.set(0xffff_ffff, 0x3f_ffff)
    case 'pmpcfg0':
      if (!world.pmp) return random.set(0, 0x1f00_0000)
      pmpConfigs(random, 0.7)
      random.hi = (random.hi & 0xff_ffff | 0x1f00_0000) >>> 0
      return
    case 'fcsr':
      return random.set(random.below(5) << 5 | random.below(32), 0)
    case 'mepc':
      return random.set(world.pc, 0)
    case 'mstatus':
      return random.set(world.mstatus, 0)
    default:
      return random.set(world.pmpAddresses[Number(name.slice(-1))] ?? 0, 0)
  }
}
