import { describe, expect, test } from 'vitest'
import { Cause, Mode } from '../../src/cause.ts'
import { Csr } from '../../src/csr-numbers.ts'
import { Status } from '../../src/status.ts'
import { everyWay, type Guest } from './guest.ts'
import { Program } from './program.ts'
import { all, code, data, log, page, Paging, Pte, pte, start, trap } from './supervisor.ts'

/** Where the pages are mapped whose frames change. */
const RUN = 0x1000_0000

/** In `frame`: adds `imm` to x11, ten times, and what is at the start of the page at x20, once. */
function loadFunction(g: Guest, frame: number, imm: number): void {
  const p = new Program(frame + 8).op('addi', { rd: 12, imm: 10 })
  p.label('again').op('addi', { rd: 11, rs1: 11, imm }).until(12, 'again').op('ld', { rd: 7, rs1: 20 }).op('add', { rd: 21, rs1: 21, rs2: 7 }).ret()
  g.load(p)
  g.write64(frame, BigInt(1000 * imm))
}

const fences: readonly (readonly [string, (p: Program) => Program])[] = [
  ['everything', (p) => p.op('sfence.vma')],
  ['by address', (p) => p.op('sfence.vma', { rs1: 14 })],
  ['by address space', (p) => p.op('sfence.vma', { rs2: 15 })],
  ['by address and address space', (p) => p.op('sfence.vma', { rs1: 14, rs2: 15 })],
  ['by address, in parts', (p) => p.op('sfence.w.inval').op('sinval.vma', { rs1: 14 }).op('sfence.inval.ir')],
]

describe.each(fences)('SFENCE.VMA of %s, after a page was mapped elsewhere', (_name, fence) => {
  test.each([
    ['in S-mode', 0, false],
    ['in S-mode, where everything else is in large pages', 0, true],
    ['in U-mode', Pte.U, false],
  ])('%s', (_kind, user, large) => {
    everyWay((g) => {
      const tables = new Paging(g)
      if (large) tables.map(page(0) - (page(0) % 2 ** 21), page(0) - (page(0) % 2 ** 21), all, 1)
      else tables.identity()
      tables.map(RUN, page(1), all | user)
      loadFunction(g, page(1), 1)
      loadFunction(g, page(2), 30)
      const p = new Program(page(0))
      // In U-mode the function is called by a program in another page; its ECALL is served in M-mode.
      const change = (to: number): Program => {
        p.op('sd', { rs1: 6, rs2: to })
        return fence(p)
      }
      if (user === 0) {
        p.label('round').op('jalr', { rd: 1, rs1: 5 })
        change(17).op('jalr', { rd: 1, rs1: 5 })
        change(16).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
      } else {
        const u = new Program(page(4)).label('round').op('jalr', { rd: 1, rs1: 5 }).op('ecall').op('jalr', { rd: 1, rs1: 5 }).op('ecall')
        u.op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
        g.load(u)
        tables.map(RUN + 0x10000, page(4), code | Pte.U)
        change(17).op('xor', { rd: 17, rs1: 17, rs2: 16 }).op('xor', { rd: 16, rs1: 17, rs2: 16 }).op('xor', { rd: 17, rs1: 17, rs2: 16 }).op('jalr', { rs1: trap.link })
      }
      g.load(p)
      start(g, { pc: user ? RUN + 0x10000 : page(0), mode: user ? Mode.user : Mode.supervisor, satp: tables.satp(5) })
      g.setX(5, RUN + 8)
      g.setX(6, tables.entry(RUN))
      g.setX(10, 30)
      g.setX(14, RUN)
      g.setX(15, 5)
      g.setX(16, pte(page(1), all | user))
      g.setX(17, pte(page(2), all | user))
      g.setX(20, RUN)
      g.setX(trap.service, page(0))
      g.runHot(8000, 0.1)
      expect(log(g).every(({ cause }) => cause === Cause.ecallFromU)).toBe(true)
      expect(g.x(11)).toBe(BigInt(30 * 10 * 31))
      expect(g.x(21)).toBe(BigInt(30 * 31_000))
    })
  })
})

describe.each([
  ['with an ASID for each', (i: number) => i, false],
  ['with one ASID and a fence', () => 3, true],
  ['with more ASIDs than a hart remembers', (i: number) => 100 + i, false],
])('address spaces %s', (name, asid, fence) => {
  const spaces = name.includes('more') ? 9 : 2
  test.each([
    ['in S-mode, kernel not global', 0, all],
    ['in S-mode, kernel global', 0, all | Pte.G],
    ['in U-mode', Pte.U, all | Pte.G],
  ])('the same address in each is other code: %s', (_kind, user, kernel) => {
    everyWay((g) => {
      const space = Array.from({ length: spaces }, (_, i) => {
        loadFunction(g, page(10 + i), i + 1)
        const tables = new Paging(g).identity(kernel, page(0), 4).map(RUN, page(10 + i), all | user)
        return user ? tables.map(RUN + 0x10000, page(4), code | user) : tables
      })
      space.forEach((tables, i) => { g.write64(page(2) + 8 * i, tables.satp(asid(i))) })
      // The next of the values for satp, in turn.
      const next = (p: Program): Program => {
        p.op('ld', { rd: 8, rs1: 6 }).op('csrrw', { rs1: 8, imm: Csr.satp })
        if (fence) p.op('sfence.vma')
        return p.op('addi', { rd: 6, rs1: 6, imm: 8 }).op('bne', { rs1: 6, rs2: 16, to: 'same' }).op('addi', { rd: 6, rs1: 17, imm: 0 }).label('same')
      }
      const p = new Program(page(0))
      if (user) next(p).op('jalr', { rs1: trap.link })
      else {
        p.label('round')
        next(p).op('jalr', { rd: 1, rs1: 5 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
      }
      const u = new Program(page(4)).label('round').op('ecall').op('jalr', { rd: 1, rs1: 5 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
      g.load(p)
      g.load(u)
      start(g, { pc: user ? RUN + 0x10000 : page(0), mode: user ? Mode.user : Mode.supervisor, satp: space[0]!.satp(asid(0)) })
      const rounds = spaces * 12
      g.setX(5, RUN + 8)
      g.setX(6, page(2))
      g.setX(10, rounds)
      g.setX(16, page(2) + 8 * spaces)
      g.setX(17, page(2))
      g.setX(20, RUN)
      g.setX(trap.service, page(0))
      g.runHot(rounds * 70 + 4000, 0.1)
      expect(g.x(9)).toBe(BigInt(rounds))
      const sum = (12 * spaces * (spaces + 1)) / 2
      expect(g.x(11)).toBe(BigInt(10 * sum))
      expect(g.x(21)).toBe(BigInt(1000 * sum))
    })
  })
})

test.each([
  ['by address space', 0, (p: Program) => p.op('sfence.vma', { rs2: 15 })],
  ['by address and address space', 0, (p: Program) => p.op('sfence.vma', { rs1: 14, rs2: 15 })],
  ['by address, of a global page', Pte.G, (p: Program) => p.op('sfence.vma', { rs1: 14 })],
  ['of everything, with a global page', Pte.G, (p: Program) => p.op('sfence.vma')],
])('SFENCE.VMA of another address space %s', (_name, global, fence) => {
  everyWay((g) => {
    const flags = all | Pte.U | global
    const [one, other] = [new Paging(g), new Paging(g)]
    for (const tables of [one, other]) tables.map(RUN, page(1), flags).map(RUN + 0x10000, page(4), code | Pte.U)
    // Three frames in turn, so that each of the two address spaces finds another one than it had.
    const frames = [1, 5, 6].map((n, i) => {
      loadFunction(g, page(n), [1, 30, 200][i] ?? 0)
      return pte(page(n), flags)
    })
    frames.forEach((value, i) => { g.write64(page(2) + 8 * ((i + 2) % 3), value) })
    // In U-mode a call in each address space. The service changes the page in both, and where it is run from.
    const u = new Program(page(4)).label('round').op('jalr', { rd: 1, rs1: 5 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('ecall').op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
    const p = new Program(page(0)).op('ld', { rd: 7, rs1: 16 }).op('addi', { rd: 16, rs1: 16, imm: 8 }).op('bne', { rs1: 16, rs2: 17, to: 'go' }).op('addi', { rd: 16, rs1: 13 })
    fence(p.label('go').op('sd', { rs1: 6, rs2: 7 }).op('sd', { rs1: 8, rs2: 7 }))
    // The address space that the fence has named is where the program goes on.
    p.op('csrrw', { rs1: 18, rd: 18, imm: Csr.satp }).op('slli', { rd: 15, rs1: 18, imm: 4 }).op('srli', { rd: 15, rs1: 15, imm: 48 }).op('jalr', { rs1: trap.link })
    for (const program of [u, p]) g.load(program)
    start(g, { pc: RUN + 0x10000, mode: Mode.user, satp: one.satp(5) })
    g.set({ 5: RUN + 8, 6: one.entry(RUN), 8: other.entry(RUN), 10: 60, 13: page(2), 14: RUN, 15: 9, 16: page(2), 17: page(2) + 24, 18: other.satp(9), 20: RUN, [trap.service]: page(0) })
    g.runHot(9000, 0.1)
    expect(log(g).length).toBe(60)
    expect(g.x(11)).toBe(BigInt(20 * 10 * 231))
    expect(g.x(21)).toBe(BigInt(20 * 231_000))
  })
})

test('SFENCE.VMA of an address space that was restored', () => {
  everyWay((g) => {
    const tables = new Paging(g).identity(all | Pte.G).map(RUN, page(1), data | Pte.U)
    g.write64(page(1), 1n)
    g.write64(page(2), 100n)
    const p = new Program(page(0))
    p.label('round').op('ld', { rd: 7, rs1: 5 }).op('add', { rd: 11, rs1: 11, rs2: 7 }).op('sd', { rs1: 6, rs2: 17 }).op('sfence.vma', { rs2: 15 })
    p.op('ld', { rd: 7, rs1: 5 }).op('add', { rd: 11, rs1: 11, rs2: 7 }).op('sd', { rs1: 6, rs2: 16 }).op('sfence.vma', { rs2: 15 })
    p.op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
    g.load(p)
    start(g, { pc: page(0), satp: tables.satp(5), status: Status.SUM })
    const registers = { 5: RUN, 6: tables.entry(RUN), 10: 600, 15: 5, 16: pte(page(1), data | Pte.U), 17: pte(page(2), data | Pte.U) }
    g.set(registers)
    const saved = g.hart().save()
    // As if it were another machine, or had gone on elsewhere in the meantime.
    g.machine.cpu.reset('cold', { pc: page(0), args: [] })
    g.hart().restore(saved)
    g.run(9000)
    expect(g.x(11)).toBe(BigInt(600 * 101))
  })
})

test('translation is switched off and on: the same address is physical, then virtual', () => {
  everyWay((g) => {
    const tables = new Paging(g).identity(all, page(0), 1).map(page(1), page(2), all)
    loadFunction(g, page(1), 1)
    loadFunction(g, page(2), 30)
    const p = new Program(page(0))
    p.label('round').op('jalr', { rd: 1, rs1: 5 }).op('csrrw', { rs1: 16, imm: Csr.satp }).op('jalr', { rd: 1, rs1: 5 }).op('csrrw', { rs1: 0, imm: Csr.satp })
    p.op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
    g.load(p)
    start(g, { pc: page(0) })
    g.setX(5, page(1) + 8)
    g.setX(10, 40)
    g.setX(16, tables.satp())
    g.setX(20, page(1))
    g.runHot(9000, 0.1)
    expect(g.x(11)).toBe(BigInt(40 * 10 * 31))
    expect(g.x(21)).toBe(BigInt(40 * 31_000))
  })
})

test('the walker sets A in a page-table entry that is executed too', () => {
  everyWay((g) => {
    // An entry for execute-only page 5 of RAM, whose first halfword is `c.addi x10, -30` without A and `c.addi x10, -14` with it.
    const target = 0x8000_5000
    const entry = pte(target, Pte.V | Pte.X | 0x100)
    expect([Number(entry & 0xffffn), Number((entry | 0x40n) & 0xffffn)]).toEqual([0x1509, 0x1549])
    const tables = new Paging(g).identity()
    const at = tables.entry(RUN)
    g.write64(at, entry)
    // Goes there, is trapped behind it, and comes back here. A is set after eight visits, and cleared after eight more.
    const q = new Program(page(1))
    q.label('back').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('andi', { rd: 13, rs1: 9, imm: 15 }).op('addi', { rd: 8, imm: 8 })
    q.op('beq', { rs1: 13, rs2: 8, to: 'load' }).op('beq', { rs1: 13, to: 'clear' }).label('go').op('jalr', { rs1: 5 })
    q.label('load').op('lb', { rd: 7, rs1: 14 }).go('go')
    q.label('clear').op('sd', { rs1: 5, rs2: 16 }).op('sfence.vma').go('go')
    g.load(q)
    start(g, { pc: q.address('go'), satp: tables.satp(), status: Status.MXR })
    g.setX(5, at)
    g.setX(14, RUN)
    g.setX(16, entry)
    g.setX(trap.resume, q.address('back'))
    g.run(15_000)
    const visits = log(g)
    expect(visits.length).toBeGreaterThan(200)
    expect(visits.every(({ cause, epc }) => cause === Cause.illegalInstruction && epc === at + 2)).toBe(true)
    let sum = 0
    for (let i = 0; i < visits.length; i++) sum += i % 16 < 8 ? -30 : -14
    expect(BigInt.asIntN(64, g.x(10))).toBe(BigInt(sum))
  })
})
