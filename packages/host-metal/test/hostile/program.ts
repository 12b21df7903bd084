/** A guest that does what nobody should, and writes down what came of it. */
import { access, asm, atomic, csr, ecall, fence, hypervisor, jrA5, jump, NOP, reserved, wfi } from './encode.ts'
import { Random } from './random.ts'

export const RAM = 0x8000_0000
export const RAM_SIZE: number = 16 * 2 ** 20
/** Where a kernel that does not say where it wants to be is loaded. */
export const BASE: number = RAM + 0x20_0000
export const UART = 0x1000_0000
export const PLIC = 0xc00_0000
export const CLINT = 0x200_0000
export const TEST = 0x10_0000
/** IMSIC and APLIC, of machines that have them. */
export const FILES = 0x2800_0000
export const APLIC = 0xd00_0000
/** Nobody is there. */
const HOLE = 0x0300_0000
/** Parts of the image, from its beginning: page tables, pages that the guest reads and writes, what it learned, the program. */
const [TABLES, SCRATCH, PROGRAM, LOG] = [0x10_0000, 0x11_0000, 0x20_0000, 0x50_0000]
const SCRATCH_PAGES = 4
const PAGE = 4096
/** Where the page of page table entries `pages` is mapped: for S-mode, and for U-mode. */
const S_PAGES = 0x1_0000_0000
const U_PAGES = 0x2_0000_0000

/** What one thing came to: words of the log. */
const RESULT_WORDS = 5
/** Words of the program for one thing to do. */
const BLOCK = 64
const TRY = 37

/** Permissions of a page table entry. */
const [V, R, W, X, U, AD] = [1, 2, 4, 8, 16, 0xc0]
const ALL = V | R | W | X | AD

/** Pages that are next to each other though nothing about them is alike: physical address and rights, or a whole entry. */
const scratch = (page: number): number => BASE + SCRATCH + PAGE * page
const pages: readonly (readonly [address: number, rights: number])[] = [
  [scratch(0), ALL], [UART, ALL], [scratch(1), ALL], [HOLE, ALL], [scratch(2), ALL], [0, 0], [scratch(0), V | X | AD], [UART, V | X | AD], [scratch(1), V | R | AD], [PLIC, ALL],
  [scratch(2), ALL], [2 ** 41, ALL], [scratch(2), ALL], [2 ** 55, ALL], [scratch(3), V | X | AD], [scratch(3), V | X | AD], [HOLE, V | X | AD], [scratch(2), V | W | AD], [RAM + RAM_SIZE - PAGE, ALL], [RAM + RAM_SIZE, ALL],
  [CLINT + 0x4000, ALL],
]

/** Of the pages, the first of the two that are code; between them lies an instruction. */
const CODE = 14
/** Things to do to a3 in other words than those of the program, each with the way back behind it: `sd`, `fld`, `c.lw`, `c.sd`, `amoadd.w`, `lbu`, `lw`. */
const around: readonly number[] = [0x00c6_b023, 0x0006_b507, 0x8782_4288, 0x8782_e290, 0x00c6_a52f, 0x0006_c503, 0x0006_a503]
const [AROUND, AROUND_STEP] = [0x104, 0x100]

/** One thing that the guest does. */
export interface Deed {
  readonly what: string
  /** a0 to a7 before. */
  readonly arguments: readonly bigint[]
  readonly words: readonly number[]
}

/** Addresses worth a try. */
function address(random: Random): bigint {
  const page = random.below(pages.length)
  const within = random.pick([0, 0, 7, 3, 4, 8, 5, 16, random.below(PAGE), PAGE - 1 - random.below(8), PAGE - 1 - random.below(8), PAGE - 4, PAGE - 8])
  const mapped = S_PAGES + PAGE * page + within
  return BigInt.asUintN(64, random.pick([
    BigInt(mapped), BigInt(mapped), BigInt(mapped), BigInt(mapped), BigInt(mapped), BigInt(mapped - S_PAGES + U_PAGES),
    // Registers that nothing comes of: scratch, line and modem control of the UART, a priority of the PLIC, a comparison of the CLINT.
    BigInt(UART + random.pick([3, 4, 5, 7])), BigInt(UART + 7), BigInt(PLIC + 4 * random.below(8) + random.pick([0, 0, 0, 2])), BigInt(CLINT + 0x4000 + random.pick([0, 0, 4, 2])),
    BigInt(HOLE + random.below(PAGE)), BigInt(RAM + RAM_SIZE - 1 - random.below(9)), BigInt(RAM + RAM_SIZE + random.below(8)), BigInt(scratch(random.below(SCRATCH_PAGES - 1)) + random.below(PAGE)),
    // Page tables that are in a device, in a hole, beyond what G-stage translates; addresses that have no sign extension, or wrap.
    BigInt(0x1_4000_0000 + within), BigInt(0x1_8000_0000 + within), BigInt(0x1_c000_0000 + within), 1n << BigInt(39 + random.below(25)), BigInt(-1 - random.below(16)), 0x4000_0000n - 4n,
  ]))
}

const NUMBERS_OF_SBI = [0, 1, 2, 3, 4, 5, 6, 7, 9, 0x10, 0x5449_4d45, 0x73_5049, 0x5246_4e43, 0x4853_4d, 0x4442_434e, 0x5355_5350, 0x0900_0000, 0x7fff_ffff]

function call(random: Random): Deed {
  const extension = random.pick(NUMBERS_OF_SBI)
  const number = extension === 0x5355_5350 ? 1 : extension === 0x4853_4d ? random.pick([0, 2, 4, 7]) : random.below(9)
  const high = random.chance(0.1) ? BigInt(random.next()) << 32n : 0n
  const value = (): bigint => random.pick([random.wide(), address(random), BigInt(random.below(4))])
  const arguments_ = [value(), value(), value(), value(), value(), value(), BigInt(number) | (random.chance(0.1) ? BigInt(random.next()) << 32n : 0n), BigInt(extension) | high]
  // Base says which extensions there are, and the PMU is one of the software core only. What comes in at a console is not here.
  if (extension === 0x10) arguments_[0] = BigInt(random.pick([0, 8, 9, 0x10, 0x4853_4d, 0x5353_5352]))
  if (extension === 0x4442_434e && number === 0 && high === 0n) arguments_[0] = random.pick([BigInt(random.below(3)), arguments_[0] as bigint])
  if (extension === 0x5449_4d45 || extension === 0) arguments_[0] = random.pick([0n, 1n << 62n, 0xffff_ffff_ffff_ffffn])
  return { what: 'call', arguments: arguments_, words: [ecall] }
}

/** CSRs of S-mode that can be anything, and those that are another mode's. Counters count, and `satp` would take the floor away. */
const SUPERVISOR = [0x100, 0x104, 0x106, 0x10a, 0x140, 0x144, 1, 2, 3]
const readOnly = (words: readonly number[]): number[] => words.map((word) => (word & ~0xf_f000) >>> 0 | 0x2000)

function registerAccess(random: Random): Deed {
  const kind = random.below(3)
  const number = kind === 0 ? random.pick(SUPERVISOR) : kind === 1 ? random.pick([0x200, 0x300, 0x600, 0xa00, 0x700, 0xf00, 0xe00]) + random.below(256) : random.below(0x1000)
  const words = csr(random, number)
  // Those that decide where the program goes on are looked at.
  const looked = number >= 0x100 && number < 0x200 && number !== 0x140
  const skipped = (number >= 0xc00 && number < 0xca0) || (number >= 0x100 && number < 0x200 && !SUPERVISOR.includes(number) && number !== 0x180)
  return { what: `csr ${number.toString(16)}`, arguments: [random.wide(), 0n, random.wide()], words: skipped ? [NOP] : looked ? readOnly(words) : words }
}

/** Where a jump leads: code that comes back, perhaps after something, and places where no code is. */
function target(random: Random): bigint {
  const code = [...around.map((_, index) => AROUND + AROUND_STEP * index), 2, 4, PAGE - 4]
  const page = random.pick([CODE, CODE, CODE + 1, CODE + 1, 1, 3, 5, 7, 11, 13, CODE + 2, 19])
  const within = page === CODE || page === CODE + 1 ? random.pick([...code, PAGE - 2, PAGE - 2]) : random.pick([0, 2, 8, PAGE - 2])
  return random.pick([BigInt(S_PAGES + PAGE * page + within), BigInt(S_PAGES + PAGE * page + within), BigInt(S_PAGES + PAGE * page + within), BigInt(U_PAGES + PAGE * page + within), BigInt(UART), BigInt(HOLE), 0x1_4000_0000n, 0x1_8000_0000n, 0x1_c000_0000n, 1n << 39n, 0xffff_ffff_ffff_fffen, 0xffff_ffff_ffff_fff0n])
}

function deed(random: Random): Deed {
  const kind = random.below(16)
  const operands = (): bigint[] => [random.wide(), address(random), random.wide(), 0n, random.wide()]
  switch (kind) {
    case 0: case 1: case 2: case 3: case 4: return { what: 'access', arguments: operands(), words: access(random) }
    case 5: case 6: return { what: 'atomic', arguments: operands(), words: atomic(random) }
    case 7: case 8: return registerAccess(random)
    case 9: return { what: 'hypervisor', arguments: operands(), words: hypervisor(random) }
    case 10: return { what: 'fence', arguments: operands(), words: random.chance(0.2) ? wfi : fence(random) }
    case 11: return { what: 'reserved', arguments: operands(), words: reserved(random) }
    case 12: case 13: return call(random)
    case 14: {
      const words = random.pick([access, atomic, hypervisor, reserved])(random)
      return { what: 'user', arguments: operands(), words }
    }
    default: {
      const [a0, to, a2] = [random.wide(), target(random), random.wide()]
      return { what: 'jump', arguments: [a0, to, a2, address(random), random.wide()], words: jump }
    }
  }
}

/** Where a deed accesses memory. */
const accessed = ({ what, arguments: given }: Deed): bigint => given[what === 'jump' ? 3 : 1] ?? 0n

/** Whether a deed may access two pages. */
export const crosses = (deed: Deed): boolean => deed.what !== 'call' && (accessed(deed) & 4095n) > 4088n

/** What a seed leads to; what may have been done in part is undone, since harts may differ in that. */
export function deeds(seed: number, count: number): readonly Deed[] {
  const random = new Random(seed)
  const clean = (address: bigint): Deed => ({ what: 'clean', arguments: [0n, address], words: [asm.sd(0, 11, 0)] })
  return Array.from({ length: count }, () => deed(random)).flatMap((one) => crosses(one) ? [one, clean(accessed(one) & ~7n), clean((accessed(one) & ~7n) + 8n)] : [one])
}

const [S1, S3, S4, S5, S6, T1] = [9, 19, 20, 21, 22, 6]
const [SEPC, SCAUSE, STVAL, SSTATUS, STVEC, SATP, SIE, STIMECMP, SCOUNTEREN, SENVCFG] = [0x141, 0x142, 0x143, 0x100, 0x105, 0x180, 0x104, 0x14d, 0x106, 0x10a]
const SPP = 0x100

/** A page table entry. */
const entry = (address: number, rights: number): bigint => BigInt(address) / 4096n << 10n | BigInt(rights)

/** The image of the guest. */
export function program(list: readonly Deed[]): Uint8Array {
  const bytes = new Uint8Array(PROGRAM + 4 * BLOCK * (list.length + 1) + PAGE)
  const view = new DataView(bytes.buffer)
  const put = (at: number, words: readonly number[]): void => { words.forEach((word, index) => { view.setUint32(at + 4 * index, word, true) }) }
  const root = TABLES
  const [level1, level0, user1, user0] = [1, 2, 3, 4].map((page) => TABLES + PAGE * page) as [number, number, number, number]
  const table = (at: number, index: number, value: bigint): void => { view.setBigUint64(at + 8 * index, value, true) }
  table(root, 0, entry(0, ALL))
  table(root, 2, entry(RAM, ALL))
  table(root, S_PAGES / 2 ** 30, entry(BASE + level1, V))
  table(root, U_PAGES / 2 ** 30, entry(BASE + user1, V))
  ;[UART, HOLE, 2 ** 50].forEach((place, index) => { table(root, S_PAGES / 2 ** 30 + 1 + index, entry(place, V)) })
  table(level1, 0, entry(BASE + level0, V))
  table(user1, 0, entry(BASE + user0, V))
  pages.forEach(([place, rights], index) => {
    table(level0, index, entry(place, rights))
    table(user0, index, entry(place, rights === 0 ? 0 : rights | U))
  })
  // What runs in U-mode has a page of its own for each deed: the program, a second time.
  const programPages = Math.ceil(4 * BLOCK * (list.length + 1) / PAGE) + 1
  if (programPages > (LOG - PROGRAM) / PAGE) throw new RangeError('too many deeds')
  const [userProgram, userTables] = [U_PAGES + 0x4000_0000, TABLES + PAGE * 5]
  table(root, userProgram / 2 ** 30, entry(BASE + userTables, V))
  for (let megapage = 0; megapage * 512 < programPages; megapage++) table(userTables, megapage, entry(BASE + PROGRAM + megapage * 2 ** 21, ALL | U))

  // The last of the scratch pages is code.
  const code = SCRATCH + PAGE * (SCRATCH_PAGES - 1)
  for (let half = 0; half < PAGE; half += 2) view.setUint16(code + half, jrA5, true)
  around.forEach((word, index) => { view.setUint32(code + AROUND + AROUND_STEP * index, word, true) })
  // `lw a0, 0(a3)` across the end.
  view.setUint16(code + PAGE - 2, 0xa503, true)
  view.setUint16(code, 0x0006, true)

  const start: number[] = []
  const handlerAt = 4 * 48
  start.push(
    asm.auipc(T1, 0), asm.addi(T1, T1, handlerAt), asm.csrw(STVEC, T1),
    asm.auipc(T1, 0), asm.ld(T1, T1, 4 * 60 - 12), asm.csrw(SATP, T1), 0x1200_0073,
    asm.auipc(S1, LOG / PAGE), asm.addi(S1, S1, -28),
    asm.csrw(SIE, 0), asm.csrw(SENVCFG, 0), asm.csrw(STIMECMP, 0), asm.addi(T1, 0, 32), asm.csrw(SIE, T1), asm.csrw(SCOUNTEREN, 0),
    asm.auipc(T1, PROGRAM / PAGE), asm.addi(T1, T1, -4 * 15), asm.jalr(0, T1, 0),
  )
  put(0, start)
  view.setBigUint64(4 * 60, 8n << 60n | BigInt((BASE + root) / PAGE), true)
  // What went wrong is noted; all goes on behind the deed, in S-mode, without interrupts.
  put(handlerAt, [asm.csrr(S4, SCAUSE), asm.addi(S4, S4, 1), asm.csrr(S5, STVAL), asm.csrr(S6, SEPC), asm.csrw(SEPC, S3), asm.addi(asm.T0, 0, SPP), asm.csrs(SSTATUS, asm.T0), asm.addi(asm.T0, 0, 0x22), asm.csrc(SSTATUS, asm.T0), asm.sret])

  list.forEach(({ what, arguments: given, words }, index) => {
    const at = PROGRAM + 4 * BLOCK * index
    const [resume, user] = [TRY + 14, what === 'user']
    put(at, [
      asm.j(4 * 18), NOP, ...new Array<number>(16).fill(0),
      // SUM, FS dirty; the timer has expired.
      asm.lui(asm.T0, 0x46), asm.csrs(SSTATUS, asm.T0), asm.csrw(STIMECMP, 0), asm.addi(T1, 0, user ? 0 : 32), asm.csrw(SIE, T1),
      asm.auipc(asm.T0, 0), asm.addi(asm.T0, asm.T0, -4 * 21),
      ...[10, 11, 12, 13, 14, 15, 16, 17].map((register, slot) => asm.ld(register, asm.T0, 8 * slot)),
      ...new Array<number>(TRY - 33).fill(NOP),
    ])
    for (let slot = 0; slot < 8; slot++) view.setBigUint64(at + 8 + 8 * slot, given[slot] ?? 0n, true)
    const body = [asm.toF(10, 14), asm.auipc(S3, 0), asm.addi(S3, S3, 4 * (resume - TRY - 1)), asm.addi(S4, 0, 0), asm.addi(S5, 0, 0), asm.addi(S6, 0, 0), asm.addi(15, S3, 0)]
    if (user) {
      // To the same words by their addresses of U-mode; ECALL comes back.
      view.setBigUint64(at + 8 + 8 * 6, BigInt(userProgram + 4 * BLOCK * index + 4 * (TRY + 11)), true)
      body.push(asm.csrw(SEPC, 16), asm.addi(asm.T0, 0, SPP), asm.csrc(SSTATUS, asm.T0), asm.sret, ...words, ecall)
    } else body.push(...words)
    while (body.length < resume - TRY) body.push(NOP)
    put(at + 4 * TRY, body)
    put(at + 4 * resume, [asm.sd(10, S1, 0), asm.fromF(T1, 10), asm.sd(T1, S1, 8), asm.sd(S4, S1, 16), asm.sd(S5, S1, 24), asm.sd(S6, S1, 32), asm.addi(S1, S1, 8 * RESULT_WORDS), asm.j(4 * (BLOCK - resume - 7))])
  })
  // Off, by the switch.
  put(PROGRAM + 4 * BLOCK * list.length, [0x0010_02b7, 0x0000_5337, 0x5553_0313, 0x0062_a023, asm.j(0)])
  return bytes
}

/** What the guest found, a line for each deed, and one for its memory. */
export function findings(list: readonly Deed[], read: (address: number, into: Uint8Array) => boolean): readonly string[] {
  const log = new Uint8Array(8 * RESULT_WORDS * list.length)
  const memory = new Uint8Array(PAGE * SCRATCH_PAGES)
  if (!read(BASE + LOG, log) || !read(BASE + SCRATCH, memory)) return ['no memory']
  const view = new DataView(log.buffer)
  const word = (index: number, field: number): string => view.getBigUint64(8 * (RESULT_WORDS * index + field), true).toString(16)
  let hash = 0
  for (const byte of memory) hash = Math.imul(hash ^ byte, 0x0100_0193) >>> 0
  return [...list.map((_, index) => `a0=${word(index, 0)} fa0=${word(index, 1)} cause=${word(index, 2)} stval=${word(index, 3)} sepc=${word(index, 4)}`), `memory ${hash}`]
}

/** What a deed was, for people. */
export const describeDeed = ({ what, arguments: given, words }: Deed): string => `${what} ${words.map((word) => word.toString(16)).join(' ')} of ${given.map((value) => value.toString(16)).join(' ')}`
