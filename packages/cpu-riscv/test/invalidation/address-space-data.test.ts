import { describe, expect, test } from 'vitest'
import { Mode } from '../../src/cause.ts'
import { Csr } from '../../src/csr-numbers.ts'
import { encode } from '../../src/isa/index.ts'
import { Status } from '../../src/status.ts'
import { everyWay, RAM } from './guest.ts'
import { Program } from './program.ts'
import { all, code, data, log, page, Paging, Pte, pte, start } from './supervisor.ts'

/** Where the pages are mapped whose frames change. */
const RUN = 0x1000_0000
const KERNEL = all | Pte.G

const fences: readonly (readonly [string, (p: Program) => Program])[] = [
  ['everything', (p) => p.op('sfence.vma')],
  ['one address', (p) => p.op('sfence.vma', { rs1: 14 })],
  ['one address space', (p) => p.op('sfence.vma', { rs2: 15 })],
  ['one address in one address space', (p) => p.op('sfence.vma', { rs1: 14, rs2: 15 })],
]

describe.each([
  ['S-mode', data, 0n],
  ['S-mode with SUM, to a page of U-mode', data | Pte.U, Status.SUM],
])('loads and stores of %s', (_mode, flags, status) => {
  test.each(fences)('after SFENCE.VMA of %s go to the new frame', (_name, fence) => {
    everyWay((g) => {
      const tables = new Paging(g).identity(KERNEL).map(RUN, page(5), flags)
      g.write64(page(5) + 8, 1n)
      g.write64(page(6) + 8, 100n)
      const p = new Program(page(0)).label('round').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('sd', { rs1: 5, rs2: 9 }).op('ld', { rd: 7, rs1: 5, imm: 8 }).op('add', { rd: 11, rs1: 11, rs2: 7 })
      fence(p.op('sd', { rs1: 6, rs2: 17 }).op('xor', { rd: 17, rs1: 17, rs2: 16 })).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
      g.load(p)
      start(g, { pc: page(0), satp: tables.satp(5), status })
      g.set({ 5: RUN, 6: tables.entry(RUN), 10: 800, 14: RUN, 15: 5, 16: pte(page(5), flags) ^ pte(page(6), flags), 17: pte(page(6), flags) })
      g.runHot(12_000, 0.1)
      expect(log(g)).toEqual([])
      expect([g.read64(page(5)), g.read64(page(6)), g.x(11)]).toEqual([799n, 800n, 400n * 101n])
    })
  })
})

test.each([2, 9])('S-mode with SUM loads and stores in each of %i address spaces', (spaces) => {
  everyWay((g) => {
    const tables = Array.from({ length: spaces }, (_, i) => {
      g.write64(page(10 + i) + 8, BigInt(i + 1))
      const table = new Paging(g).identity(KERNEL, page(0), 4).map(RUN, page(10 + i), data | Pte.U)
      g.write64(page(2) + 8 * i, table.satp(i + 1))
      return table
    })
    const p = new Program(page(0)).label('round').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('ld', { rd: 8, rs1: 6 }).op('csrrw', { rs1: 8, imm: Csr.satp })
    p.op('sd', { rs1: 5, rs2: 9 }).op('ld', { rd: 7, rs1: 5, imm: 8 }).op('add', { rd: 11, rs1: 11, rs2: 7 })
    p.op('addi', { rd: 6, rs1: 6, imm: 8 }).op('bne', { rs1: 6, rs2: 16, to: 'same' }).op('addi', { rd: 6, rs1: 17 }).label('same').op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
    g.load(p)
    start(g, { pc: page(0), satp: tables[0]!.satp(1), status: Status.SUM })
    const rounds = spaces * 60
    g.set({ 5: RUN, 6: page(2), 10: rounds, 16: page(2) + 8 * spaces, 17: page(2) })
    g.runHot(rounds * 10 + 4000, 0.1)
    expect(g.x(11)).toBe(BigInt(30 * spaces * (spaces + 1)))
    for (let i = 0; i < spaces; i++) expect(g.read64(page(10 + i))).toBe(BigInt(rounds - spaces + i + 1))
  })
})

test('the code that changes satp goes on in another frame', () => {
  everyWay((g) => {
    const spaces = [1, 2].map((n) => {
      const p = new Program(page(n)).label('round').op('csrrw', { rd: 6, rs1: 6, imm: Csr.satp })
      p.word(encode('addi', { rd: 11, rs1: 11, imm: n === 1 ? 1 : 100 })).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
      g.load(p)
      return new Paging(g).map(RUN, page(n), code).satp(n)
    })
    start(g, { pc: RUN, satp: spaces[0]! })
    g.set({ 6: spaces[1]!, 10: 2000 })
    g.runHot(12_000, 0.05)
    expect([g.x(9), g.x(11)]).toEqual([2000n, 1000n * 101n])
  })
})

test.each(fences.slice(1))('SFENCE.VMA of %s, after a page of 2 MiB was mapped elsewhere', (_name, fence) => {
  everyWay((g) => {
    const [one, other] = [RAM + 2 * 2 ** 20, RAM + 4 * 2 ** 20]
    const tables = new Paging(g).identity().map(RUN, one, all, 1)
    // Pieces of it in two places, neither at the address of the fence.
    for (const [base, imm] of [[one, 1], [other, 30]] as const) {
      for (const offset of [0x3000, 0x9000]) {
        const f = new Program(base + offset).op('addi', { rd: 12, imm: 6 }).label('again').op('addi', { rd: 11, rs1: 11, imm }).until(12, 'again').op('ld', { rd: 7, rs1: 20 }).op('add', { rd: 21, rs1: 21, rs2: 7 }).op('sd', { rs1: 20, rs2: 9, imm: 8 }).ret()
        g.load(f)
      }
      g.write64(base + 0x1_0000, BigInt(imm))
    }
    const p = new Program(page(0)).label('round').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('jalr', { rd: 1, rs1: 5 }).op('jalr', { rd: 1, rs1: 8 })
    fence(p.op('sd', { rs1: 6, rs2: 17 }).op('xor', { rd: 17, rs1: 17, rs2: 16 })).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
    g.load(p)
    start(g, { pc: page(0), satp: tables.satp(5) })
    g.set({ 5: RUN + 0x3000, 6: tables.entry(RUN, 1), 8: RUN + 0x9000, 10: 100, 14: RUN + 0x4_5678, 15: 5, 16: pte(one, all) ^ pte(other, all), 17: pte(other, all), 20: RUN + 0x1_0000 })
    g.runHot(12_000, 0.1)
    expect([g.x(9), g.x(11), g.x(21)]).toEqual([100n, BigInt(50 * 12 * 31), BigInt(50 * 2 * 31)])
    expect([one, other].map((base) => g.read64(base + 0x1_0008))).toEqual([99n, 100n])
  }, { ramMiB: 8 })
})

test('a page table in the page whose code walks it', () => {
  everyWay((g) => {
    // M-mode loads by S-mode's translation; the last level of it is in the code's own page. Setting A is a store to that page.
    const own = page(0)
    const tables = new Paging(g)
    tables.map(RUN, page(1), data)
    const level1 = tables.entry(RUN, 1)
    g.write64(level1, pte(own, Pte.V))
    const entries = 200
    const p = new Program(own).label('round').op('csrrs', { rs1: 16, imm: Csr.mstatus }).op('addi', { rd: 6, rs1: 5 }).op('addi', { rd: 12, imm: entries / 40 }).label('more')
    for (let i = 0; i < 40; i++) p.op('ld', { rd: 7, rs1: 6 }).op('add', { rd: 11, rs1: 11, rs2: 7 }).op('add', { rd: 6, rs1: 6, rs2: 13 })
    // What comes next in the block was decoded with it; what the branch leads to was not.
    p.op('beq', { rs1: 0, rs2: 0, to: 'over' }).op('ebreak').label('over').until(12, 'more').op('addi', { rd: 9, rs1: 9, imm: 1 })
    // By its own addresses: without A again, for the next round.
    p.op('csrrc', { rs1: 16, imm: Csr.mstatus }).op('addi', { rd: 8, rs1: 14 }).op('addi', { rd: 12, imm: entries }).label('clear').op('sd', { rs1: 8, rs2: 15 }).op('addi', { rd: 8, rs1: 8, imm: 8 }).until(12, 'clear').op('sfence.vma').go('round')
    expect(p.here).toBeLessThan(own + 2048)
    g.load(p)
    const plain = pte(page(1), Pte.V | Pte.R | Pte.W)
    for (let i = 0; i < entries; i++) g.write64(own + 2048 + 8 * i, plain)
    g.write64(page(1), 3n)
    start(g, { pc: own, mode: Mode.machine, satp: tables.satp() })
    g.set({ 5: RUN + 256 * 4096, 13: 4096, 14: own + 2048, 15: plain, 16: Status.MPRV | (1n << 11n) })
    g.run(12_000)
    expect(g.x(9)).toBeGreaterThan(3n)
  })
})
