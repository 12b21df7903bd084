import { describe, expect, test } from 'vitest'
import { Cause, Mode } from '../../src/cause.ts'
import { Csr } from '../../src/csr-numbers.ts'
import { Status } from '../../src/status.ts'
import { everyWay } from './guest.ts'
import { Program } from './program.ts'
import { all, log, page, Paging, Pte, start, trap } from './supervisor.ts'

/** `pmpaddr` for a naturally aligned range, and the ways of `pmpcfg` to match (privileged specification, 3.7.1). */
const napot = (base: number, bytes: number): number => base / 4 + bytes / 8 - 1
const [TOR, NA4, NAPOT, LOCKED] = [0x08, 0x10, 0x18, 0x80]
const [R, W, X] = [1, 2, 4]

/** At `page(1)` + 0x100: a loop that stores to, loads from, and computes. */
function worker(): Program {
  const p = new Program(page(1) + 0x100).label('f').op('addi', { rd: 12, imm: 8 })
  p.label('again').op('addi', { rd: 11, rs1: 11, imm: 1 }).label('load').op('ld', { rd: 7, rs1: 14 }).label('store').op('sd', { rs1: 14, rs2: 11, imm: 8 }).until(12, 'again')
  return p.label('return').ret()
}
const f = worker()

const fetchFault = (epc: number): Fault => ({ cause: Cause.instructionAccess, epc, value: epc })
const loadFault: Fault = { cause: Cause.loadAccess, epc: f.address('load'), value: page(2) + 0x80 }
const storeFault: Fault = { cause: Cause.storeAccess, epc: f.address('store'), value: page(2) + 0x88 }
interface Fault {
  readonly cause: number
  readonly epc: number
  readonly value: number
}

/** What PMP takes away, the registers for it, and the fault that this makes. */
const cases: readonly { readonly name: string; readonly address: number; readonly second?: number; readonly config: number; readonly fault: Fault }[] = [
  { name: 'execution of a page', address: napot(page(1), 4096), config: NAPOT | R | W, fault: fetchFault(page(1) + 0x100) },
  { name: 'execution of 16 KiB', address: napot(page(0) + 0x4000, 0x4000), config: NAPOT | R | W, fault: fetchFault(page(0) + 0x4000 + 0x100) },
  { name: 'execution of one instruction', address: f.address('return') / 4, config: NA4 | R, fault: fetchFault(f.address('return')) },
  { name: 'execution between two addresses', address: page(1) / 4, second: (page(1) + 0x200) / 4, config: (TOR | R | W) << 8, fault: fetchFault(page(1) + 0x100) },
  { name: 'loads from a page', address: napot(page(2), 4096), config: NAPOT | X, fault: loadFault },
  { name: 'loads from eight bytes', address: napot(page(2) + 0x80, 8), config: NAPOT, fault: loadFault },
  { name: 'stores to a page', address: napot(page(2), 4096), config: NAPOT | R, fault: storeFault },
  { name: 'stores to four bytes', address: (page(2) + 0x88) / 4, config: NA4 | R, fault: storeFault },
]

describe.each([['S-mode', Mode.supervisor], ['U-mode', Mode.user]])('in %s', (_mode, mode) => {
  test.each(cases)('PMP takes away $name, under translated code, and gives it back', ({ name, address, second = 0, config, fault }) => {
    everyWay((g) => {
      const moved = name.includes('16 KiB') ? 0x3000 : 0
      const p = new Program(page(0))
      p.label('round').op('ecall').op('jalr', { rd: 1, rs1: 5 }).op('addi', { rd: 9, rs1: 9, imm: 1 })
      p.label('back').op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
      // In M-mode, each time: what PMP is set to is exchanged for what it was.
      const service = new Program(page(12)).op('csrrw', { rd: 17, rs1: 17, imm: Csr.pmpcfg0 }).op('jalr', { rs1: trap.link })
      for (const program of [p, service]) g.load(program)
      for (const [at, bytes] of f.pieces()) g.write(at + moved, bytes)
      start(g, { pc: page(0), mode, csrs: [[Csr.pmpaddr0, address], [Csr.pmpaddr0 + 1, second]] })
      g.set({ 5: f.address('f') + moved, 10: 40, 14: page(2) + 0x80, 17: config, [trap.service]: page(12), [trap.resume]: p.address('back') })
      g.runHot(12_000, 0.05)
      const faults = log(g).filter(({ cause }) => cause !== Cause.ecallFromS && cause !== Cause.ecallFromU)
      expect(faults).toEqual(Array(40).fill(fault))
      expect(g.x(9)).toBe(40n)
    })
  })
})

test('PMP moves what it takes away from page to page', () => {
  everyWay((g) => {
    const p = new Program(page(0)).label('round').op('ecall').op('jalr', { rd: 1, rs1: 5 }).op('addi', { rd: 9, rs1: 9, imm: 1 })
    p.label('back').op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
    // The range of the entry is now one page, now another.
    const service = new Program(page(12)).op('csrrw', { rd: 17, rs1: 17, imm: Csr.pmpaddr0 }).op('jalr', { rs1: trap.link })
    for (const program of [f, p, service]) g.load(program)
    start(g, { pc: page(0), csrs: [[Csr.pmpaddr0, napot(page(3), 4096)], [Csr.pmpcfg0, NAPOT]] })
    g.set({ 5: f.address('f'), 10: 40, 14: page(2) + 0x80, 17: napot(page(2), 4096), [trap.service]: page(12), [trap.resume]: p.address('back') })
    g.runHot(12_000, 0.05)
    expect(log(g).filter(({ cause }) => cause !== Cause.ecallFromS)).toEqual(Array(40).fill(loadFault))
  })
})

test('PMP takes away a page table whose entries are in use', () => {
  everyWay((g) => {
    const at = 0x1000_0000
    const tables = new Paging(g).identity(all, page(0), 16).map(at, page(2), all)
    const table = tables.entry(at) - (tables.entry(at) % 4096)
    const p = new Program(page(0))
    p.label('round').op('addi', { rd: 12, imm: 30 }).label('again').op('ld', { rd: 7, rs1: 14 }).op('add', { rd: 11, rs1: 11, rs2: 7 }).until(12, 'again').op('ecall')
    p.label('load').op('ld', { rd: 7, rs1: 14 }).op('ebreak').label('back').op('ecall').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
    const service = new Program(page(12)).op('csrrw', { rd: 17, rs1: 17, imm: Csr.pmpcfg0 }).op('jalr', { rs1: trap.link })
    for (const program of [p, service]) g.load(program)
    start(g, { pc: page(0), satp: tables.satp(), csrs: [[Csr.pmpaddr0, napot(table, 4096)]] })
    g.set({ 10: 40, 14: at, 17: NAPOT, [trap.service]: page(12), [trap.resume]: p.address('back') })
    g.runHot(12_000, 0.1)
    const faults = log(g).filter(({ cause }) => cause !== Cause.ecallFromS)
    expect(faults).toEqual(Array(40).fill({ cause: Cause.loadAccess, epc: p.address('load'), value: at }))
  })
})

test('locked entries bind M-mode, and stay', () => {
  everyWay((g) => {
    const p = new Program(page(0)).op('addi', { rd: 13, imm: 5 })
    // Page by page: a call that works, the lock, and calls that do not, whatever is written to the entry.
    for (let i = 0; i < 4; i++) {
      const entry = i === 3 ? 5 : i
      p.label(`work${i}`).op('jalr', { rd: 1, rs1: 20 + i }).until(13, `work${i}`).op('addi', { rd: 13, imm: 3 })
      // Entries 0 to 2; and 5, whose range begins where entry 4 says, which is off and not locked itself.
      p.op('csrrs', { rs1: 16 + i, imm: Csr.pmpcfg0 })
      p.label(`try${i}`).op('auipc', { rd: trap.resume }).op('addi', { rd: trap.resume, rs1: trap.resume, imm: 16 }).op('jalr', { rd: 1, rs1: 20 + i }).op('ebreak')
      p.op('csrrw', { rs1: 0, imm: Csr.pmpcfg0 }).op('csrrw', { rs1: 0, imm: Csr.pmpaddr0 + entry }).op('csrrw', { rs1: i === 3 ? 14 : 15, imm: Csr.pmpaddr0 + 4 })
      p.until(13, `try${i}`).op('addi', { rd: 13, imm: 5 })
    }
    // Stores to a page that is locked against them.
    p.label('store').op('sd', { rs1: 24, rs2: 13 }).until(13, 'store').li(8, (NAPOT | LOCKED | R)).op('csrrw', { rs1: 8, imm: Csr.pmpcfg0 + 2 })
    p.op('auipc', { rd: trap.resume }).op('addi', { rd: trap.resume, rs1: trap.resume, imm: 16 }).label('denied').op('sd', { rs1: 24, rs2: 13 }).op('ebreak').label('end').go('end')
    g.load(p)
    const functions = [1, 2, 3, 4].map((n) => {
      const w = new Program(page(n) + 0x20).op('addi', { rd: 12, imm: 60 }).label('again').op('addi', { rd: 11, rs1: 11, imm: 1 }).until(12, 'again').ret()
      g.load(w)
      return page(n) + 0x20
    })
    start(g, { pc: page(0), mode: Mode.machine, csrs: [
      [Csr.pmpaddr0, napot(page(1), 4096)], [Csr.pmpaddr0 + 1, napot(page(2), 4096)], [Csr.pmpaddr0 + 2, napot(page(3), 4096)],
      [Csr.pmpaddr0 + 4, page(4) / 4], [Csr.pmpaddr0 + 5, (page(4) + 4096) / 4], [Csr.pmpaddr0 + 8, napot(page(5), 4096)],
    ] })
    // Before the last is locked, its lower end is what it was; afterwards it cannot be moved beyond its upper end.
    g.set({ 14: (page(4) + 4096) / 4, 15: page(4) / 4 })
    for (const [i, entry] of [0, 1, 2, 5].entries()) g.setX(16 + i, BigInt((entry === 5 ? TOR : NAPOT) | LOCKED | R | W) << BigInt(8 * entry))
    functions.forEach((at, i) => { g.setX(20 + i, at) })
    g.setX(24, page(5))
    g.runHot(12_000, 0.1)
    const faults = log(g)
    expect(faults.slice(0, 12)).toEqual(functions.flatMap((at) => Array<Fault>(3).fill(fetchFault(at))))
    expect(faults.slice(12)).toEqual([{ cause: Cause.storeAccess, epc: p.address('denied'), value: page(5) }])
    expect(g.x(11)).toBe(BigInt(4 * 5 * 60))
  })
})

test('a lock on the page of the very instruction that sets it', () => {
  everyWay((g) => {
    const p = new Program(page(1)).label('loop').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('xor', { rd: 7, rs1: 9, rs2: 10 }).op('sltiu', { rd: 7, rs1: 7, imm: 1 }).op('mul', { rd: 8, rs1: 7, rs2: 15 })
    p.op('csrrs', { rs1: 8, imm: Csr.pmpcfg0 }).label('behind').op('addi', { rd: 11, rs1: 11, imm: 1 }).go('loop')
    const rest = new Program(page(0)).label('end').go('end')
    for (const program of [p, rest]) g.load(program)
    start(g, { pc: page(1), mode: Mode.machine, csrs: [[Csr.pmpaddr0, napot(page(1), 4096)]] })
    g.set({ 10: 700, 15: NAPOT | LOCKED | R | W, [trap.resume]: page(0) })
    g.runHot(12_000, 0.05)
    expect(log(g)).toEqual([fetchFault(p.address('behind'))])
    expect([g.x(9), g.x(11)]).toEqual([700n, 699n])
  })
})

test('M-mode with MPRV: PMP and translation change from access to access in a loop', () => {
  everyWay((g) => {
    const tables = new Paging(g).map(page(2), page(3), Pte.V | Pte.R | Pte.W | Pte.A | Pte.D)
    g.write64(page(2), 1n)
    g.write64(page(3), 100n)
    const p = new Program(page(0))
    const load = (from: number): Program => {
      p.op('addi', { rd: 7, imm: 0 }).op('auipc', { rd: trap.resume }).op('addi', { rd: trap.resume, rs1: trap.resume, imm: 12 })
      return p.op('ld', { rd: 7, rs1: from }).op('add', { rd: 11, rs1: 11, rs2: 7 })
    }
    p.label('round').op('csrrw', { rs1: 15, imm: Csr.mstatus })
    load(14).op('csrrw', { rs1: 17, imm: Csr.pmpcfg0 }).label('denied')
    load(14).op('csrrw', { rs1: 0, imm: Csr.mstatus })
    // Physical now, and entries that are not locked do not bind M-mode.
    load(14)
    load(16).op('csrrw', { rs1: 0, imm: Csr.pmpcfg0 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
    g.load(p)
    start(g, { pc: page(0), mode: Mode.machine, satp: tables.satp(), csrs: [[Csr.pmpaddr0, napot(page(3), 4096)]] })
    // MPP says S-mode.
    g.set({ 10: 150, 14: page(2), 15: Status.MPRV | (1n << 11n), 16: page(3), 17: NAPOT })
    g.runHot(12_000, 0.02)
    expect(g.x(11)).toBe(150n * 201n)
    expect(log(g)).toEqual(Array(150).fill({ cause: Cause.loadAccess, epc: p.address('denied') + 12, value: page(2) }))
  })
})
