import { Mode } from '../../src/cause.ts'
import { Csr } from '../../src/csr-numbers.ts'
import { type Guest, RAM } from './guest.ts'
import { Program, zero } from './program.ts'

/** Where the tests put things: boot code and the trap handler, page tables, the log of traps, and pages of their own. */
const BOOT = RAM
const HANDLER = RAM + 0x1000
const TABLES = RAM + 0x10000
const LOG = RAM + 0x10_0000

/** Page `n` of those that a test may use as it likes, for `n` up to 191. */
export const page = (n: number): number => RAM + 0x40000 + n * 4096

/** Bits of a page-table entry (privileged specification, 10.3.1). */
export const Pte = { V: 1, R: 2, W: 4, X: 8, U: 16, G: 32, A: 64, D: 128 } as const
const { V, R, W, X, A, D } = Pte
/** Usual rights, with A and D set. */
export const code: number = V | R | X | A | D
export const data: number = V | R | W | A | D
export const all: number = code | data

export function pte(pa: number, flags: number): bigint {
  return ((BigInt(pa) >> 12n) << 10n) | BigInt(flags)
}

/** Page tables for Sv39 in guest RAM. */
export class Paging {
  readonly #guest: Guest
  readonly #root: number
  /** Address of the table below the entry at an address. */
  readonly #tables = new Map<number, number>()

  constructor(guest: Guest) {
    this.#guest = guest
    this.#root = takeTable(guest)
  }

  satp(asid: number = 0): bigint {
    return (8n << 60n) | (BigInt(asid) << 44n) | (BigInt(this.#root) >> 12n)
  }

  /** Address of the entry for `va`, made if need be; `level` 1 is that of 2 MiB, 2 that of 1 GiB. */
  entry(va: number, level: number = 0): number {
    let table = this.#root
    for (let i = 2; ; i--) {
      const at = table + (Math.floor(va / 2 ** (12 + 9 * i)) % 512) * 8
      if (i === level) return at
      let next = this.#tables.get(at)
      if (next === undefined) {
        next = takeTable(this.#guest)
        this.#tables.set(at, next)
        this.#guest.write64(at, pte(next, V))
      }
      table = next
    }
  }

  map(va: number, pa: number, flags: number, level: number = 0): this {
    this.#guest.write64(this.entry(va, level), pte(pa, flags))
    return this
  }

  /** Maps all of RAM that the tests use at its own address, in pages of 4 KiB; or only `count` pages from `from`. */
  identity(flags: number = all, from: number = RAM, count: number = 512): this {
    for (let i = 0; i < count; i++) this.map(from + i * 4096, from + i * 4096, flags)
    return this
  }
}

const taken = new WeakMap<Guest, number>()
function takeTable(guest: Guest): number {
  const index = taken.get(guest) ?? 0
  if (index === 48) throw new RangeError('no room for more page tables')
  taken.set(guest, index + 1)
  return TABLES + index * 4096
}

/** Registers that the handler uses: scratch, where it goes on after a fault, a service for ECALL, its return, the log. */
export const trap = { a: 29, b: 30, resume: 28, service: 27, link: 26, log: 31 } as const

/**
 * In M-mode: writes cause, address and value of a trap to the log. After ECALL it calls the service, if there is one,
 * and goes on behind; after any other trap it goes on at `resume`, in the mode that trapped.
 */
function handler(): Program {
  const { a, b, resume, service, link, log } = trap
  const p = new Program(HANDLER)
  for (const [i, csr] of [Csr.mcause, Csr.mepc, Csr.mtval].entries()) p.op('csrrs', { rd: a, imm: csr }).op('sd', { rs1: log, rs2: a, imm: 8 * i })
  p.op('addi', { rd: log, rs1: log, imm: 24 }).op('csrrs', { rd: a, imm: Csr.mcause })
  p.op('addi', { rd: a, rs1: a, imm: -8 }).op('addi', { rd: b, imm: 4 }).op('bgeu', { rs1: a, rs2: b, to: 'fault' })
  p.op('csrrs', { rd: a, imm: Csr.mepc }).op('addi', { rd: a, rs1: a, imm: 4 }).op('csrrw', { rs1: a, imm: Csr.mepc })
  p.op('beq', { rs1: service, to: 'done' }).op('jalr', { rd: link, rs1: service })
  p.label('done').op('mret')
  p.label('fault').op('csrrw', { rs1: resume, imm: Csr.mepc }).op('mret')
  return p
}

export interface Start {
  readonly pc: number
  readonly mode?: number
  readonly satp?: bigint
  /** Bits of `mstatus` besides those that say where MRET goes. */
  readonly status?: bigint
  /** Other CSRs to write, and what. */
  readonly csrs?: readonly (readonly [number, bigint | number])[]
}

/**
 * Puts the trap handler in place and goes to `pc`, by executing the guest's own boot code. The last entry of PMP lets
 * everything through. Registers from x5 to x20 are zero afterwards.
 */
export function start(guest: Guest, { pc, mode = Mode.supervisor, satp = 0n, status = 0n, csrs: more = [] }: Start): void {
  guest.load(handler())
  const p = new Program(BOOT)
  const csrs: readonly (readonly [number, bigint])[] = [
    [Csr.pmpaddr0 + 15, (1n << 54n) - 1n],
    [Csr.pmpcfg0 + 2, 0x1fn << 56n],
    [Csr.mtvec, BigInt(HANDLER)],
    [Csr.satp, satp],
    [Csr.mstatus, status | (BigInt(mode) << 11n)],
    [Csr.mepc, BigInt(pc)],
    ...more.map(([csr, value]) => [csr, BigInt(value)] as const),
  ]
  csrs.forEach(([csr], i) => p.op('csrrw', { rd: zero, rs1: 5 + i, imm: csr }))
  p.op('mret')
  guest.load(p)
  csrs.forEach(([, value], i) => { guest.setX(5 + i, value) })
  guest.setPc(BOOT)
  guest.run(csrs.length + 1)
  csrs.forEach((_, i) => { guest.setX(5 + i, 0) })
  guest.setX(trap.log, LOG)
}

/** The traps since `start`. */
export function log(guest: Guest): { readonly cause: number; readonly epc: number; readonly value: number }[] {
  const traps = []
  for (let at = LOG; at < Number(guest.x(trap.log)); at += 24) {
    const [cause = 0, epc = 0, value = 0] = [0, 8, 16].map((i) => Number(guest.read64(at + i)))
    traps.push({ cause, epc, value })
  }
  return traps
}
