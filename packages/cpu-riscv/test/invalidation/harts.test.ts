import { expect, test } from 'vitest'
import { encode } from '../../src/isa/index.ts'
import { SbiExtension } from '@machinist/sbi'
import { Csr } from '../../src/csr-numbers.ts'
import { everyWay } from './guest.ts'
import { Program } from './program.ts'
import { all, page, Paging, pte } from './supervisor.ts'

const give = (imm: number): number => encode('addi', { rd: 7, imm })
const RUN = 0x1000_0000

/** A loop of four instructions that adds what `target` gives to x11. */
function loop(base: number): Program {
  return new Program(base).label('loop').label('target').word(give(0)).op('add', { rd: 11, rs1: 11, rs2: 7 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).go('loop')
}

test.each([
  ['', 0],
  [', having written to the page so often that it is thought data', 80],
])('hart 0 patches what hart 1 executes%s', (_name, stores) => {
  everyWay((g) => {
    const code = loop(page(1))
    const p = new Program(page(0))
    // Stores to the page, if any, then the patch; and once more the way a page is patched that nobody fetches from.
    p.label('patch').op('addi', { rd: 12, imm: stores + 1 }).label('more').op('sd', { rs1: 6, rs2: 12 }).until(12, 'more')
    p.op('addi', { rd: 9, rs1: 9, imm: 1 }).op('slli', { rd: 8, rs1: 9, imm: 20 }).op('add', { rd: 8, rs1: 8, rs2: 13 }).op('sw', { rs1: 5, rs2: 8 }).go('patch')
    const round = 1 + 3 * (stores + 1) + 5
    for (const program of [code, p]) g.load(program)
    g.setPc(page(0), 0)
    g.setPc(page(1), 1)
    g.setX(5, code.address('target'))
    g.setX(6, page(1) + 2048)
    g.setX(13, give(0))
    g.runHot(8000, 0.1, 1)
    let sum = 0
    for (let i = 1; i <= 30; i++) {
      g.run(round, 0)
      // A page that changes again and again need not be translated each time.
      if (i <= 5) g.runHot(4000, 0.05, 1)
      else g.run(4000, 1)
      sum += 1000 * i
      expect(g.x(11, 1)).toBe(BigInt(sum))
    }
    // Hart 0 patches in translated code, too; what hart 1 then executes is what is there.
    g.run(round * 100, 0)
    g.run(8000, 1)
    expect(g.x(11, 1)).toBe(BigInt(sum + 2000 * 130))
  }, { harts: 2 })
})

test('hart 1 stores to a page in which hart 0 finds code later', () => {
  everyWay((g) => {
    const p = new Program(page(0))
    p.label('patch').op('add', { rd: 8, rs1: 8, rs2: 13 }).op('sw', { rs1: 5, rs2: 8 }).go('patch')
    const f = loop(page(1))
    for (const program of [p, f]) g.load(program)
    g.setPc(page(0), 1)
    g.setX(5, f.address('target'), 1)
    g.setX(8, give(0), 1)
    g.setX(13, 1 << 20, 1)
    // Nobody executes the page yet: its loop is translated, and stores without being noticed.
    g.runHot(3 * 2000, 0.1, 1)
    let sum = 0
    g.setPc(f.address('loop'), 0)
    for (let i = 0; i < 10; i++) {
      g.run(8000, 0)
      sum += 2000 * (Number(BigInt.asUintN(32, g.x(8, 1))) >> 20)
      expect(BigInt.asIntN(64, g.x(11, 0))).toBe(BigInt(sum))
      // Long enough that the fast engines store, by what the TLB of hart 1 has.
      g.run(3 * (2000 + i), 1)
    }
    expect(sum).not.toBe(0)
  }, { harts: 2 })
})

/** Function, mask and base; and whether hart 0 is meant too. */
const calls: readonly (readonly [string, number, bigint, bigint, boolean])[] = [
  ['SFENCE.VMA, for hart 1', 1, 0b10n, 0n, false],
  ['SFENCE.VMA, for hart 1, counted from it', 1, 0b1n, 1n, false],
  ['SFENCE.VMA, for all', 1, 0n, -1n, true],
  ['SFENCE.VMA with ASID, for both', 2, 0b11n, 0n, true],
]

test.each(calls)('remote %s: hart 0 changes a mapping under the code that hart 1 executes', (_name, id, mask, base, own) => {
  everyWay((g) => {
    const tables = new Paging(g).identity().map(RUN, page(1), all)
    for (const [frame, imm] of [[page(1), 1], [page(2), 50]] as const) {
      const f = new Program(frame).op('addi', { rd: 12, imm: 10 }).label('again').op('addi', { rd: 11, rs1: 11, imm }).until(12, 'again').ret()
      g.load(f)
    }
    const p = new Program(page(0))
    p.op('csrrw', { rs1: 18, imm: Csr.satp }).op('ecall')
    // What follows is repeated: hart 0 executes the page itself, changes the mapping, and asks for the fence.
    p.label('round').op('addi', { rd: 11 }).op('jalr', { rd: 1, rs1: 6 }).op('add', { rd: 27, rs1: 27, rs2: 11 }).op('sd', { rs1: 5, rs2: 20 }).op('xor', { rd: 20, rs1: 20, rs2: 21 })
    for (const [register, from] of [[10, 22], [11, 23], [16, 24], [17, 25]] as const) p.op('addi', { rd: register, rs1: from })
    // A call that does not name hart 0 leaves it to fence for itself.
    p.op('ecall').op(own ? 'fence.i' : 'sfence.vma').op('addi', { rd: 26, rs1: 26, imm: 1 }).go('round')
    const round = 1 + 1 + 32 + 1 + 2 + 4 + 4
    // Hart 1 is started with what is to be in satp.
    const q = new Program(page(3))
    q.op('csrrw', { rs1: 11, imm: Csr.satp }).op('addi', { rd: 11, imm: 0 }).op('lui', { rd: 6, imm: RUN }).label('loop').op('jalr', { rd: 1, rs1: 6 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).go('loop')
    for (const program of [p, q]) g.load(program)
    g.setPc(page(0))
    const registers = {
      5: tables.entry(RUN), 6: RUN, 10: 1, 11: page(3), 12: tables.satp(), 16: 0, 17: SbiExtension.hsm, 18: tables.satp(),
      20: pte(page(2), all), 21: pte(page(1), all) ^ pte(page(2), all), 22: mask, 23: base, 24: id, 25: SbiExtension.rfence,
    }
    g.set(registers)
    g.run(2)
    g.run(3, 1)
    let sum = 0
    for (let i = 0; i < 12; i++) {
      g.runHot(35 * 200, 0.05, 1)
      sum += 200 * 10 * (i % 2 === 0 ? 1 : 50)
      expect(g.x(11, 1)).toBe(BigInt(sum))
      // Either once, exactly; or three times.
      g.run(round * (i % 3 === 0 ? 3 : 1), 0)
    }
    expect([g.x(26), g.x(27)]).toEqual([20n, 10n * 10n * 51n])
    expect([g.x(10), g.x(9, 1)]).toEqual([0n, 2400n])
  }, { harts: 2, firmware: 'sbi' })
})

test('remote FENCE.I: nothing is left to do for it', () => {
  everyWay((g) => {
    const code = loop(page(1))
    const p = new Program(page(0)).label('round').op('add', { rd: 8, rs1: 8, rs2: 13 }).op('sw', { rs1: 5, rs2: 8 }).op('addi', { rd: 10, imm: 2 }).op('addi', { rd: 11, imm: 0 }).op('ecall').go('round')
    for (const program of [code, p]) g.load(program)
    const start = { 10: 1, 11: page(1), 16: 0, 17: SbiExtension.hsm }
    g.set(start)
    g.setPc(page(0) + 16)
    g.run(1)
    const registers = { 5: code.address('target'), 8: give(0), 13: 1 << 20, 17: SbiExtension.rfence }
    g.set(registers)
    g.run(1)
    g.setX(11, 0, 1)
    let sum = 0
    for (let i = 1; i <= 12; i++) {
      g.run(6)
      g.runHot(6000, 0.1, 1)
      sum += 1500 * i
      expect(g.x(11, 1)).toBe(BigInt(sum))
    }
  }, { harts: 2, firmware: 'sbi' })
})
