import { Csr, Status } from './csr.ts'
import type { Random } from '../random.ts'
import { integerValue } from './values.ts'

/**
 * What a sequence may write to a CSR: only values for which the specification leaves no choice (WARL, WLRL), or for
 * which both sides chose alike. Absent `value`: not written.
 */
export interface CsrRule {
  readonly number: number
  /** Leaves the operand in `random.lo`, `random.hi`. `write`: CSRRW, which replaces all bits. */
  readonly value?: (random: Random, write: boolean) => void
  /** Whether CSRRS and CSRRC may be used, whose results are mixtures of two values. */
  readonly mix: boolean
  /** False: what is read may differ, so it goes to x0. */
  readonly compare: boolean
  /** Followed by SFENCE.VMA, as the specification demands of software. */
  readonly fence?: boolean
}

const bits = (mask: number, high: number = 0) => (random: Random): void => random.set(random.u32() & mask, random.u32() & high)
const subset = (random: Random, ...masks: number[]): number => masks.reduce((sum, mask) => (random.chance(0.5) ? sum | mask : sum), 0)

/**
 * Fields of two bits are set as wholes: FS off or dirty, since Clean and Initial may turn Dirty at different times
 * (3.1.6.6), and MPP never 2, which is reserved.
 */
function status(supervisor: boolean) {
  return (random: Random, write: boolean): void => {
    const common = subset(random, Status.sie, Status.spie, Status.spp, Status.fs, Status.fs, Status.sum, Status.mxr)
    if (supervisor) return random.set(common, 0)
    const mpp = write ? random.pick([0, 1, 3]) << 11 : subset(random, Status.mpp)
    const rare = random.chance(0.2) ? subset(random, Status.tvm, Status.tw, Status.tsr) : 0
    random.set(common | mpp | rare | subset(random, Status.mie, Status.mpie, Status.mprv), 0)
  }
}

const any: Omit<CsrRule, 'number'> = { value: (random) => integerValue(random), mix: true, compare: true }
const readOnly: Omit<CsrRule, 'number'> = { mix: false, compare: true }

/** Bits of medeleg that may be given: neither the calls from S and M, nor faults of fetches (see `initial-state.ts`). */
export const DELEGABLE = 0xa1fc

/** Readable at any privilege. */
export const userCsrs: readonly CsrRule[] = [
  { number: Csr.fflags, ...any },
  { number: Csr.frm, value: (random) => random.set(random.chance(0.9) ? random.below(5) : random.u32(), 0), mix: true, compare: true },
  { number: Csr.fcsr, value: (random) => random.set(random.chance(0.8) ? random.below(5) << 5 | random.below(32) : random.u32(), 0), mix: true, compare: true },
  { number: Csr.cycle, mix: false, compare: false },
  { number: Csr.time, mix: false, compare: false },
  { number: Csr.instret, mix: false, compare: false },
]

/**
 * @param handler - what stvec may be, but for its mode
 * @param roots - of the page tables
 * @param interrupt - bit of the one supervisor interrupt that is ever enabled: QEMU 7.2 takes several that are due in
 * the order of their numbers, not of their priorities (privileged specification 3.1.9)
 */
export function supervisorCsrs(handler: number, roots: readonly number[], interrupt: number): readonly CsrRule[] {
  return [
    { number: Csr.sstatus, value: status(true), mix: true, compare: true },
    { number: Csr.sie, value: bits(interrupt), mix: true, compare: true },
    { number: Csr.sip, value: bits(0x2), mix: true, compare: true },
    { number: Csr.stvec, value: (random) => random.set(handler | random.below(2), 0), mix: false, compare: true },
    { number: Csr.scounteren, value: bits(7), mix: true, compare: true },
    { number: Csr.senvcfg, value: bits(1), mix: true, compare: true },
    { number: Csr.sscratch, ...any },
    { number: Csr.sepc, value: farAddress, mix: true, compare: true },
    { number: Csr.scause, value: causeValue, mix: false, compare: true },
    { number: Csr.stval, ...any },
    { number: Csr.stimecmp, value: (random) => (random.chance(0.5) ? random.set(0, 0) : random.set(0xffff_ffff, 0xffff_ffff)), mix: false, compare: true },
    { number: Csr.satp, value: (random) => satpValue(random, roots), mix: false, compare: true, fence: true },
  ]
}

/** @param timer - whether Sstc is on, which stays as it is */
export const machineCsrs = (interrupt: number, timer: boolean): readonly CsrRule[] => [
  { number: Csr.mstatus, value: status(false), mix: true, compare: true },
  { number: Csr.mstatus, value: status(false), mix: true, compare: true },
  { number: Csr.mstatus, value: status(false), mix: true, compare: true },
  { number: Csr.medeleg, value: bits(DELEGABLE), mix: true, compare: true },
  { number: Csr.mideleg, value: bits(0x222), mix: true, compare: true },
  { number: Csr.mie, value: bits(0x888 | interrupt), mix: true, compare: true },
  { number: Csr.mip, value: bits(0x222), mix: true, compare: true },
  { number: Csr.mcounteren, value: bits(7), mix: true, compare: true },
  // Bit 61 is ADUE, which QEMU 7.2 does not have and always does.
  { number: Csr.menvcfg, value: (random) => random.set(random.below(2), 0x2000_0000 | (timer ? 0x8000_0000 : 0)), mix: false, compare: false },
  { number: Csr.mepc, value: farAddress, mix: true, compare: true },
  { number: Csr.mcause, value: causeValue, mix: false, compare: true },
  { number: Csr.mtval, ...any },
  { number: Csr.mtvec, ...readOnly },
  { number: Csr.mscratch, ...readOnly },
  { number: Csr.mhartid, ...readOnly },
  { number: Csr.mconfigptr, ...readOnly },
  { number: Csr.mvendorid, mix: false, compare: false },
  { number: Csr.misa, mix: false, compare: false },
  { number: Csr.mcycle, value: (random) => integerValue(random), mix: false, compare: false },
  { number: Csr.minstret, value: (random) => integerValue(random), mix: false, compare: false },
  ...Array.from({ length: 8 }, (_, i) => ({ number: Csr.pmpaddr0 + i, value: (random: Random): void => pmpAddress(random), mix: false, compare: true, fence: true })),
  { number: Csr.pmpcfg0, value: (random) => pmpConfigs(random, 0.5), mix: false, compare: true, fence: true },
]

/** A return address far from everything. */
export function farAddress(random: Random): void {
  integerValue(random)
  random.set(random.lo & ~1, random.hi | 0x1000_0000)
}

function causeValue(random: Random): void {
  random.set(random.below(16), random.chance(0.2) ? 0x8000_0000 : 0)
}

/** Mostly one of the tables that are there; sometimes a mode that does not exist, which must change nothing. */
export function satpValue(random: Random, roots: readonly number[]): void {
  const mode = random.chance(0.85) ? random.pick([0, 8, 9, 10]) : random.below(16)
  const root = roots[Math.max(0, mode - 8)] ?? roots[0] ?? 0
  const ppn = root / 4096
  if (mode === 0) random.set(0, 0)
  else random.set(ppn, mode << 28 | random.pick([0, 1, 2, random.below(0x1_0000)]) << 12)
}

/** An address register for a range that has to do with the scratch pages, and not with page tables or code. */
export function pmpAddress(random: Random): void {
  const scratch = 0x8020_0000
  const size = random.pick([1, 1, 1, 2, 3, 6, 9, 10, 11])
  const offset = random.pick([0, 4096, 8192, 12288]) + 2048 + 4 * random.between(-20, 20)
  const word = (scratch + offset) / 4
  // NAPOT: low bits say how large. All are odd, so that none covers just 4 bytes: QEMU 7.2 looks at the first and the
  // last byte of an access alone, and misses what lies between.
  random.set((word & ~((1 << size) - 1)) | ((1 << (size - 1)) - 1) | 1, 0)
}

/** Eight entries: never of 4 bytes (NA4, see above), never locked (only a reset would unlock them), never writable without readable, which is reserved. */
export function pmpConfigs(random: Random, on: number): void {
  const one = (): number => {
    if (!random.chance(on)) return 0
    return random.pick([0, 1, 3, 4, 5, 7, 7, 3]) | random.pick([0, 1, 3, 3]) << 3
  }
  const four = (): number => one() | one() << 8 | one() << 16 | one() << 24
  // QEMU 7.2 sets A and D without asking whether page tables are writable: so the first must not reach down to them
  // (TOR, from address 0), and the last, which is of all memory, must not make them read-only.
  const low = four()
  random.set((low & 0x18) === 0x08 ? low | 0x10 : low, four() & 0xff_ffff | random.pick([0x1f, 0x1f, 0x1b, 0]) << 24)
}
