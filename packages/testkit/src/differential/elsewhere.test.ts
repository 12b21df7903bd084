import { describe, expect, it } from 'vitest'
import { Assembler } from './assembler.ts'
import { Core } from './core.ts'
import { Csr, Pte, Status } from './csr.ts'
import { FINISHER, FINISHER_PASS } from './harness.ts'
import { PAGE_TABLES, POOL, RAM_BASE, SCRATCH } from './memory-map.ts'
import { Random } from '../random.ts'
import { integerValue } from './values.ts'

// What QEMU 7.2 lacks or gets wrong, against small models and the letter of the specification.

const core = new Core()
/** x28 is where the next result goes; x29 to x31 are the handler's. */
const out = 28, t = 31, u = 30

/** Runs what `body` assembles. Each trap stores its cause and value, and goes on in M-mode after the instruction. */
function run(body: (a: Assembler) => void): DataView {
  const a = new Assembler(RAM_BASE)
  a.to('start')
  a.label('trap')
  for (const csr of [Csr.mcause, Csr.mtval]) {
    a.op('csrrs', { rd: t, imm: csr })
    result(a, t)
  }
  a.op('csrrs', { rd: t, imm: Csr.mepc })
  a.op('addi', { rd: t, rs1: t, imm: 4 })
  a.op('csrrw', { imm: Csr.mepc, rs1: t })
  a.li(t, BigInt(Status.mpp))
  a.op('csrrs', { imm: Csr.mstatus, rs1: t })
  a.op('mret')
  a.label('start')
  a.li(t, BigInt(RAM_BASE + 4))
  a.op('csrrw', { imm: Csr.mtvec, rs1: t })
  a.li(out, BigInt(SCRATCH))
  body(a)
  a.li(t, BigInt(FINISHER))
  a.li(u, BigInt(FINISHER_PASS))
  a.op('sw', { rs1: t, rs2: u })
  a.label('end')
  a.to('end')
  return core.program(a.finish())
}

function result(a: Assembler, register: number): void {
  a.op('sd', { rs1: out, rs2: register })
  a.op('addi', { rd: out, rs1: out, imm: 8 })
}

/** CSR := value. */
function set(a: Assembler, csr: number, value: bigint): void {
  a.li(t, value)
  a.op('csrrw', { imm: csr, rs1: t })
}

/** Goes on in U-mode, everything being allowed. */
function enterUser(a: Assembler): void {
  set(a, Csr.pmpaddr0, (1n << 54n) - 1n)
  set(a, Csr.pmpcfg0, 0x1fn)
  a.li(t, BigInt(Status.mpp))
  a.op('csrrc', { imm: Csr.mstatus, rs1: t })
  a.op('auipc', { rd: t })
  a.op('addi', { rd: t, rs1: t, imm: 16 })
  a.op('csrrw', { imm: Csr.mepc, rs1: t })
  a.op('mret')
}

/** Sv39 with one 4 KiB page at POOL that leads to the second scratch page; S-mode accesses through MPRV. */
function translate(a: Assembler, flags: number): void {
  const [leaf = 0, middle = 0, root = 0] = PAGE_TABLES
  const entries: readonly (readonly [number, number])[] = [
    [root + 8 * (POOL >> 30), middle / 4 | Pte.v],
    [middle + 8 * ((POOL >> 21) & 511), leaf / 4 | Pte.v],
    [leaf, (SCRATCH + 4096) / 4 | flags],
  ]
  for (const [at, entry] of entries) {
    a.li(t, BigInt(at))
    a.li(u, BigInt(entry))
    a.op('sd', { rs1: t, rs2: u })
  }
  set(a, Csr.pmpaddr0, (1n << 54n) - 1n)
  set(a, Csr.pmpcfg0, 0x1fn)
  set(a, Csr.satp, 8n << 60n | BigInt(root / 4096))
  a.op('sfence.vma')
}

/** `access` as S-mode sees memory. */
function asSupervisor(a: Assembler, access: () => void): void {
  a.li(t, BigInt(Status.mpp))
  a.op('csrrc', { imm: Csr.mstatus, rs1: t })
  a.li(t, BigInt(Status.mprv | 0x800))
  a.li(5, BigInt(POOL))
  a.op('csrrs', { imm: Csr.mstatus, rs1: t })
  access()
  a.li(t, BigInt(Status.mprv))
  a.op('csrrc', { imm: Csr.mstatus, rs1: t })
}

describe('instructions that QEMU 7.2 lacks', () => {
  it('CZERO.EQZ, CZERO.NEZ (Zicond) and CTZW agree with a model', () => {
    const random = new Random(3)
    const value = (): bigint => {
      integerValue(random)
      return BigInt(random.hi) << 32n | BigInt(random.lo)
    }
    const ctzw = (x: bigint): bigint => {
      const low = BigInt.asUintN(32, x)
      for (let n = 0n; n < 32n; n++) if (low >> n & 1n) return n
      return 32n
    }
    for (let round = 0; round < 20; round++) {
      const pairs = Array.from({ length: 40 }, (_, i) => [value(), i % 3 === 0 ? 0n : value()] as const)
      const view = run((a) => {
        for (const [x, y] of pairs) {
          a.li(5, x)
          a.li(6, y)
          for (const name of ['czero.eqz', 'czero.nez']) {
            a.op(name, { rd: 7, rs1: 5, rs2: 6 })
            result(a, 7)
          }
          a.op('ctzw', { rd: 7, rs1: 5 })
          result(a, 7)
        }
      })
      pairs.forEach(([x, y], i) => {
        expect([0, 1, 2].map((n) => view.getBigUint64(24 * i + 8 * n, true)), `${x} ${y}`).toEqual([y === 0n ? 0n : x, y === 0n ? x : 0n, ctzw(x)])
      })
    }
  })

  it('CBO.ZERO clears the block of 64 bytes around its address, where it may', () => {
    const view = run((a) => {
      a.li(5, BigInt(SCRATCH + 1024))
      a.li(6, -1n)
      for (let i = -1; i < 9; i++) a.op('sd', { rs1: 5, rs2: 6, imm: 8 * i })
      a.op('addi', { rd: 5, rs1: 5, imm: 37 })
      a.op('cbo.zero', { rs1: 5 })
      a.op('csrrw', { imm: Csr.menvcfg, rs1: 0 })
      enterUser(a)
      a.op('cbo.zero', { rs1: 5 })
      a.op('cbo.clean', { rs1: 5 })
      a.op('cbo.inval', { rs1: 5 })
    })
    expect(Array.from({ length: 10 }, (_, i) => view.getBigUint64(1016 + 8 * i, true) !== 0n)).toEqual([true, ...Array.from({ length: 8 }, () => false), true])
    expect(view.getBigUint64(0, true)).toBe(2n)
  })
})

describe('what QEMU 7.2 gets wrong', () => {
  it('SFENCE.W.INVAL and SFENCE.INVAL.IR trap in U-mode', () => {
    for (const name of ['sfence.w.inval', 'sfence.inval.ir']) {
      const view = run((a) => {
        enterUser(a)
        a.op(name)
      })
      expect(view.getBigUint64(0, true), name).toBe(2n)
    }
  })

  it('MRET to a lower mode clears MPRV (3.1.6.3)', () => {
    const view = run((a) => {
      a.li(t, BigInt(Status.mprv))
      a.op('csrrs', { imm: Csr.mstatus, rs1: t })
      enterUser(a)
      a.op('ecall')
      a.op('csrrs', { rd: 7, imm: Csr.mstatus })
      result(a, 7)
    })
    expect(view.getBigUint64(0, true)).toBe(8n)
    expect(view.getBigUint64(16, true) & BigInt(Status.mprv)).toBe(0n)
  })

  it('with ADUE off, a page whose A or D is clear faults and stays as it is; with ADUE on, they are set (Svadu)', () => {
    for (const update of [false, true]) {
      for (const [access, flag, cause] of [['ld', Pte.a, 13n], ['sd', Pte.d, 15n]] as const) {
        const flags = (Pte.v | Pte.r | Pte.w | Pte.a | Pte.d) & ~flag
        const view = run((a) => {
          set(a, Csr.menvcfg, update ? 1n << 61n : 0n)
          translate(a, flags)
          asSupervisor(a, () => a.op(access, { rd: 6, rs2: 6, rs1: 5 }))
          a.li(5, BigInt(PAGE_TABLES[0] ?? 0))
          a.op('ld', { rd: 7, rs1: 5 })
          a.li(5, BigInt(SCRATCH + 2048))
          a.op('sd', { rs1: 5, rs2: 7 })
        })
        expect(view.getBigUint64(0, true), `${access} ${update}`).toBe(update ? 0n : cause)
        expect(Number(view.getBigUint64(2048, true)) & 0xff, `${access} ${update}`).toBe(update ? flags | flag : flags)
      }
    }
  })

  it('setting A needs a page table that is writable (3.7.1): else an access fault of the original access', () => {
    const view = run((a) => {
      set(a, Csr.menvcfg, 1n << 61n)
      translate(a, Pte.v | Pte.r | Pte.w)
      // The leaf table may only be read; all else is allowed.
      set(a, Csr.pmpaddr0, BigInt((PAGE_TABLES[0] ?? 0) / 4 | 0x1ff))
      set(a, Csr.pmpaddr1, (1n << 54n) - 1n)
      set(a, Csr.pmpcfg0, 0x1f19n)
      a.op('sfence.vma')
      asSupervisor(a, () => a.op('ld', { rd: 6, rs1: 5 }))
    })
    expect(view.getBigUint64(0, true)).toBe(5n)
    expect(view.getBigUint64(8, true)).toBe(BigInt(POOL))
  })

  it('an access around a protected range of 4 bytes fails, in M-mode too (3.7.1.3)', () => {
    const view = run((a) => {
      set(a, Csr.pmpaddr0, BigInt(SCRATCH + 1024) / 4n)
      set(a, Csr.pmpcfg0, 0x17n)
      a.li(5, BigInt(SCRATCH + 1022))
      a.op('ld', { rd: 6, rs1: 5 })
      a.op('csrrw', { imm: Csr.pmpcfg0, rs1: 0 })
    })
    expect(view.getBigUint64(0, true)).toBe(5n)
  })

  it('M-mode with MPRV may not write where it fetches from, if MPP may not (3.1.6.3, 3.7.1)', () => {
    for (const [mpp, cause] of [[3, 0n], [1, 7n], [0, 7n]] as const) {
      const view = run((a) => {
        set(a, Csr.pmpcfg0, 0n)
        a.li(t, BigInt(Status.mpp))
        a.op('csrrc', { imm: Csr.mstatus, rs1: t })
        a.li(t, BigInt(Status.mprv | mpp << 11))
        a.op('csrrs', { imm: Csr.mstatus, rs1: t })
        a.op('sfence.vma')
        a.op('auipc', { rd: 5 })
        // The place of the NOP, with what is there.
        a.li(6, 0x13n)
        a.op('sw', { rs1: 5, rs2: 6, imm: 12 })
        a.op('addi')
        a.li(t, BigInt(Status.mprv))
        a.op('csrrc', { imm: Csr.mstatus, rs1: t })
      })
      expect(view.getBigUint64(0, true), `MPP ${mpp}`).toBe(cause)
    }
  })

  it('an AMO to where nothing is raises a store access fault', () => {
    const view = run((a) => {
      a.li(5, BigInt(POOL))
      a.op('amoadd.w', { rd: 6, rs1: 5, rs2: 6 })
    })
    expect(view.getBigUint64(0, true)).toBe(7n)
  })
})
