import { expect, test } from 'vitest'
import { Cause, Mode } from '../../src/cause.ts'
import { Csr } from '../../src/csr-numbers.ts'
import { Status } from '../../src/status.ts'
import { everyWay } from './guest.ts'
import { Program } from './program.ts'
import { all, code, data, log, page, Paging, Pte, start, trap } from './supervisor.ts'

const RUN = 0x1000_0000
// Not at the place of RUN in any part of the TLB.
const AS_USER = 0x2000_5000

/** A load whose fault, if there is one, leaves x7 as zero; then x7 is added to `sum`. */
function tryLoad(p: Program, from: number, sum: number): Program {
  p.op('addi', { rd: 7, imm: 0 }).op('auipc', { rd: trap.resume }).op('addi', { rd: trap.resume, rs1: trap.resume, imm: 12 })
  return p.op('ld', { rd: 7, rs1: from }).op('add', { rd: sum, rs1: sum, rs2: 7 })
}

test.each([['without SUM', 0n], ['with SUM', Status.SUM]])('the same page in U-mode and in S-mode, %s: what its accesses may do is another matter in each', (_name, sum) => {
  everyWay((g) => {
    const [forUser, forKernel] = [page(2), page(3)]
    const tables = new Paging(g).map(RUN, page(1), code).map(AS_USER, page(1), code | Pte.U).map(forUser, forUser, data | Pte.U).map(forKernel, forKernel, data)
    g.write64(forUser, 1n)
    g.write64(forKernel, 1n)
    const p = new Program(page(1)).label('round').op('addi', { rd: 12, imm: 3 }).label('again')
    tryLoad(tryLoad(p, 14, 11), 15, 13).until(12, 'again').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('ecall').go('round')
    // Goes on in the other mode, at the other address.
    const service = new Program(page(4))
    for (const [csr, bits] of [[Csr.mstatus, 16], [Csr.mepc, 17]] as const) service.op('csrrs', { rd: 18, imm: csr }).op('xor', { rd: 18, rs1: 18, rs2: bits }).op('csrrw', { rs1: 18, imm: csr })
    service.op('jalr', { rs1: trap.link })
    for (const program of [p, service]) g.load(program)
    start(g, { pc: AS_USER, mode: Mode.user, satp: tables.satp(), status: sum })
    g.set({ 14: forUser, 15: forKernel, 16: 1n << 11n, 17: RUN ^ AS_USER, [trap.service]: page(4) })
    g.runHot(12_000, 0.1)
    const rounds = Number(g.x(9))
    expect(rounds).toBeGreaterThan(50)
    const faults = log(g).filter(({ cause }) => cause < 8 || cause > 11)
    // Three times in each round: U-mode must not touch the kernel's page, and S-mode without SUM not that of U-mode.
    const wrong = faults.filter(({ cause, epc, value }) => cause !== Cause.loadPageFault || (epc >= AS_USER ? value !== forKernel : sum !== 0n || value !== forUser))
    expect(wrong).toEqual([])
    const [loads, denied] = sum === 0n ? [3, 3] : [4.5, 1.5]
    expect(Math.abs(Number(g.x(11) + g.x(13)) - loads * rounds)).toBeLessThanOrEqual(6)
    expect(Math.abs(faults.length - denied * rounds)).toBeLessThanOrEqual(6)
  })
})

test.each([
  ['SUM lets S-mode into a page of U-mode', data | Pte.U, Status.SUM],
  ['MXR makes an executable page readable', Pte.V | Pte.X | Pte.A, Status.MXR],
  ['SUM and MXR are both needed', Pte.V | Pte.X | Pte.A | Pte.U, Status.SUM | Status.MXR],
])('%s, switched in the loop that loads', (_name, flags, bits) => {
  everyWay((g) => {
    const tables = new Paging(g).identity(all, page(0), 2).map(RUN, page(2), flags)
    g.write64(page(2), 1n)
    const p = new Program(page(0)).label('round').op('csrrs', { rs1: 15, imm: Csr.sstatus })
    tryLoad(p, 14, 11).op('csrrc', { rs1: 15, imm: Csr.sstatus }).label('denied')
    tryLoad(p, 14, 11).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
    g.load(p)
    start(g, { pc: page(0), satp: tables.satp() })
    g.set({ 10: 200, 14: RUN, 15: bits })
    g.runHot(12_000, 0.05)
    expect(g.x(11)).toBe(200n)
    expect(log(g)).toEqual(Array(200).fill({ cause: Cause.loadPageFault, epc: p.address('denied') + 12, value: RUN }))
  })
})

test('S-mode must not execute what is translated for U-mode, nor U-mode what is for S-mode', () => {
  everyWay((g) => {
    const tables = new Paging(g).identity(all, page(0), 1).map(RUN, page(1), code).map(AS_USER, page(1), code | Pte.U)
    // In page(1): a loop, an ECALL that changes mode and address, and a jump to the address of the other mode.
    const p = new Program(page(1)).label('round').op('addi', { rd: 12, imm: 20 }).label('again').op('addi', { rd: 11, rs1: 11, imm: 1 }).until(12, 'again')
    p.op('auipc', { rd: trap.resume }).op('addi', { rd: trap.resume, rs1: trap.resume, imm: 20 }).op('auipc', { rd: 7 }).op('xor', { rd: 7, rs1: 7, rs2: 17 }).op('jalr', { rs1: 7 })
    p.op('ecall').op('addi', { rd: 9, rs1: 9, imm: 1 }).go('round')
    const service = new Program(page(4))
    for (const [csr, bits] of [[Csr.mstatus, 16], [Csr.mepc, 17]] as const) service.op('csrrs', { rd: 18, imm: csr }).op('xor', { rd: 18, rs1: 18, rs2: bits }).op('csrrw', { rs1: 18, imm: csr })
    service.op('jalr', { rs1: trap.link })
    for (const program of [p, service]) g.load(program)
    start(g, { pc: AS_USER, mode: Mode.user, satp: tables.satp() })
    g.set({ 16: 1n << 11n, 17: RUN ^ AS_USER, [trap.service]: page(4) })
    g.runHot(12_000, 0.1)
    const faults = log(g).filter(({ cause }) => cause < 8 || cause > 11)
    expect(faults.length).toBeGreaterThan(60)
    const there = 4 + 12 + 8
    faults.forEach(({ cause, epc, value }, i) => {
      expect({ cause, epc, value }).toEqual({ cause: Cause.instructionPageFault, epc: value, value: (i % 2 === 0 ? RUN : AS_USER) + there })
    })
  })
})

test('SRET and MRET into the middle of translated code, and traps out of it', () => {
  everyWay((g) => {
    const tables = new Paging(g).identity(all | Pte.G, page(0), 1).map(AS_USER, page(1), code | Pte.U)
    // The loop calls S-mode, and S-mode calls M-mode, every time from elsewhere. Each loads from the one address that it may.
    tables.map(RUN, page(2), data | Pte.U).map(RUN + 4096, page(2), data)
    g.write64(page(2), 1n)
    const u = new Program(page(1)).label('round').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('ld', { rd: 7, rs1: 14 }).op('add', { rd: 15, rs1: 15, rs2: 7 })
    for (let i = 0; i < 3; i++) u.label(`inner${i}`).op('addi', { rd: 11, rs1: 11, imm: 1 }).op('andi', { rd: 7, rs1: 11, imm: 7 }).op('bne', { rs1: 7, to: `inner${i}` }).op('ecall').op('ld', { rd: 7, rs1: 14 })
    u.go('round')
    const s = new Program(page(0)).label('handler').op('csrrs', { rd: 8, imm: Csr.sepc }).op('addi', { rd: 8, rs1: 8, imm: 4 }).op('csrrw', { rs1: 8, imm: Csr.sepc })
    s.op('ld', { rd: 7, rs1: 16 }).op('add', { rd: 17, rs1: 17, rs2: 7 }).op('addi', { rd: 12, imm: 6 }).label('again').op('addi', { rd: 13, rs1: 13, imm: 1 }).until(12, 'again').op('ecall').op('sret')
    for (const program of [u, s]) g.load(program)
    start(g, { pc: AS_USER, mode: Mode.user, satp: tables.satp(), csrs: [[Csr.medeleg, 1 << Cause.ecallFromU], [Csr.stvec, page(0)]] })
    g.set({ 14: RUN, 16: RUN + 4096 })
    g.runHot(15_000, 0.1)
    const calls = Math.floor(Number(g.x(13)) / 6)
    expect(calls).toBeGreaterThan(150)
    expect([Number(g.x(15)), Number(g.x(17)) - calls <= 1]).toEqual([Number(g.x(9)), true])
    expect(Math.abs(Number(g.x(11)) / 8 - calls)).toBeLessThanOrEqual(1)
    expect(log(g).every(({ cause, epc }) => cause === Cause.ecallFromS && epc === s.here - 8)).toBe(true)
  })
})

test.each([['mstatus', Csr.mstatus], ['sstatus', Csr.sstatus]])('floating point that is switched off in %s, or rounds otherwise, in the loop that uses it', (_name, csr) => {
  everyWay((g) => {
    const p = new Program(page(0)).label('round').op('csrrw', { rs1: 15, imm: Csr.frm }).op('fdiv.d', { rd: 3, rs1: 1, rs2: 2 }).op('fmv.x.d', { rd: 7, rs1: 3 }).op('add', { rd: 11, rs1: 11, rs2: 7 })
    p.op('xori', { rd: 15, rs1: 15, imm: 3 }).op('csrrc', { rs1: 16, imm: csr }).op('auipc', { rd: trap.resume }).op('addi', { rd: trap.resume, rs1: trap.resume, imm: 16 })
    p.label('off').op('fdiv.d', { rd: 3, rs1: 1, rs2: 2 }).op('ebreak').op('csrrs', { rs1: 16, imm: csr }).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
    g.load(p)
    start(g, { pc: page(0), mode: Mode.machine, status: Status.FS })
    const { record } = g.hart()
    for (const [register, value] of [[1, 1], [2, 3]] as const) record.set64('f', new BigUint64Array(Float64Array.of(value).buffer)[0] ?? 0n, register)
    g.set({ 10: 200, 15: 0, 16: Status.FS })
    g.runHot(10_000, 0.02)
    // A third, rounded to nearest and upward, differs in the last bit.
    const third = new BigUint64Array(Float64Array.of(1 / 3).buffer)[0] ?? 0n
    expect(g.x(11)).toBe(BigInt.asUintN(64, 100n * third + 100n * (third + 1n)))
    expect(log(g).map(({ cause, epc }) => ({ cause, epc }))).toEqual(Array(200).fill({ cause: Cause.illegalInstruction, epc: p.address('off') }))
  })
})
