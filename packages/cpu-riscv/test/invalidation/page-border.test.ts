import { describe, expect, test } from 'vitest'
import { Cause, Mode } from '../../src/cause.ts'
import { encode } from '../../src/isa/index.ts'
import { everyWay, RAM } from './guest.ts'
import { Program } from './program.ts'
import { code, data, log, page, Paging, pte, start, trap } from './supervisor.ts'

const RUN = 0x1000_0000
const SECOND = RUN + 4096
const STORE = 0x3000_0000
const add = (imm: number): number => encode('addi', { rd: 11, rs1: 11, imm })

describe.each([
  ['an instruction across two pages', 0xff6],
  ['a block across two pages', 0xff8],
])('%s', (name, begin) => {
  /**
   * At RUN + begin, in page(1) and page(2): adds 1 to x13 and something to x11, ten times. The second addition is
   * across the border of the pages, or the first instruction of the second.
   */
  const load = (): Program => {
    const p = new Program(RUN + begin)
    p.label('f').op('addi', { rd: 12, imm: 10 }).label('again').op('addi', { rd: 13, rs1: 13, imm: 1 })
    return p.label('target').word(add(1)).until(12, 'again').ret()
  }
  const f = load()
  const across = begin === 0xff6
  expect(f.address('target') - SECOND).toBe(across ? -2 : 0)
  /** The halfword with the immediate: it is in the second page. */
  const half = f.address('target') + 2

  test('the second page is written to, mapped elsewhere, unmapped, and mapped again', () => {
    everyWay((g) => {
      const tables = new Paging(g).identity().map(RUN, page(1), code).map(SECOND, page(2), code).map(STORE, page(2), data)
      // page(3) is as page(2) but for the immediate.
      for (const [second, imm] of [[page(2), 1], [page(3), 100]] as const) {
        for (const [at, bytes] of f.pieces()) {
          const first = SECOND - at
          if (first > 0) g.write(page(1) + at - RUN, bytes.slice(0, first))
          if (first < bytes.length) g.write(second + Math.max(0, at - SECOND), bytes.slice(Math.max(0, first)))
        }
        g.write(second + half - SECOND, [imm << 4 | (11 >> 1), imm >> 4])
      }
      const p = new Program(page(0))
      const visit = (): Program => p.op('jalr', { rd: 1, rs1: 5 })
      const remap = (to: number): Program => p.op('sd', { rs1: 6, rs2: to }).op('sfence.vma', { rs1: 14, rs2: 0 })
      p.label('round').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('slli', { rd: 8, rs1: 9, imm: 4 }).op('addi', { rd: 8, rs1: 8, imm: 11 >> 1 }).op('sh', { rs1: 7, rs2: 8 })
      visit()
      remap(16)
      visit()
      // x0: no page at all. The call faults, and the handler goes on here.
      remap(0)
      visit().op('ebreak')
      p.label('resume')
      remap(15)
      visit().op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
      g.load(p)
      start(g, { pc: page(0), satp: tables.satp() })
      g.setX(5, f.address('f'))
      g.setX(6, tables.entry(SECOND))
      g.setX(7, STORE + half - SECOND)
      g.setX(10, 40)
      g.setX(14, SECOND)
      g.setX(15, pte(page(2), code))
      g.setX(16, pte(page(3), code))
      g.setX(trap.resume, p.address('resume'))
      g.runHot(12_000, 0.2)
      let sum = 0
      for (let i = 1; i <= 40; i++) sum += 10 * (i + 100 + i)
      expect(g.x(11)).toBe(BigInt(sum))
      expect(g.x(13)).toBe(BigInt(40 * 31))
      expect(log(g)).toEqual(Array(40).fill({ cause: Cause.instructionPageFault, epc: f.address('target'), value: SECOND }))
    })
  })

  test('DMA into the second page', () => {
    everyWay((g) => {
      const p = new Program(page(0)).label('round').op('jalr', { rd: 1, rs1: 5 }).go('round')
      g.load(p)
      for (const [at, bytes] of f.pieces()) g.write(page(1) + at - RUN, bytes)
      g.setPc(page(0))
      g.setX(5, page(1) + begin)
      g.runHot(9000, 0.1)
      const before = g.x(11)
      const rounds = g.x(13)
      expect(before).toBeGreaterThan(500n)
      g.write(page(1) + half - RUN, [1000 << 4 | (11 >> 1) & 0xff, 1000 >> 4])
      g.runHot(9000, 0.1)
      // Of the last round before it, one half may have been done.
      const difference = g.x(11) - before - 1000n * (g.x(13) - rounds)
      expect(difference === 0n || difference === 1000n || difference === -1000n, String(difference)).toBe(true)
    })
  })

  test(`${name}, at the end of RAM`, () => {
    everyWay((g) => {
      const end = RAM + 2 * 2 ** 20
      // The loop at the very end goes on into nothing when x12 is zero.
      const p = new Program(end - (across ? 10 : 8))
      p.label('f').until(12, 'f')
      if (across) p.half(add(1) & 0xffff)
      g.load(p)
      const main = new Program(page(0)).label('round').op('addi', { rd: 12, imm: 20 }).op('jalr', { rs1: 5 })
      main.label('back').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
      g.load(main)
      start(g, { pc: page(0), mode: Mode.machine })
      g.setX(5, p.address('f'))
      g.setX(10, 30)
      g.setX(trap.resume, main.address('back'))
      g.runHot(6000, 0.1)
      expect(log(g)).toEqual(Array(30).fill({ cause: Cause.instructionAccess, epc: across ? end - 2 : end, value: end }))
    })
  })
})

test('a loop over many pages, of which one after another changes', () => {
  everyWay((g) => {
    const pages = 12
    const p = new Program(page(10) + 4096 - 12)
    p.label('loop').op('addi', { rd: 13, rs1: 13, imm: 1 }).op('addi', { rd: 14, rs1: 14, imm: 1 })
    const targets: number[] = []
    for (let i = 0; i < pages; i++) {
      // In every page a few instructions, and a long jump over the rest or falling through at its end.
      p.label(`in${i}`).op('addi', { rd: 12, imm: 3 }).label(`inner${i}`)
      targets.push(p.here)
      p.word(add(1)).until(12, `inner${i}`).j(`end${i}`).org(page(11 + i) + 4092).label(`end${i}`).op('addi', { rd: 15, rs1: 15, imm: 1 })
    }
    p.j('loop')
    g.load(p)
    g.setPc(p.address('loop'))
    let sum = 0
    const each = Array<number>(pages).fill(1)
    const instructions = 3 + pages * (1 + 9 + 1 + 1)
    for (let round = 0; round < 20; round++) {
      g.runHot(40 * instructions, 0.02)
      sum += 40 * 3 * each.reduce((a, b) => a + b)
      expect(g.x(11)).toBe(BigInt(sum))
      const i = (round * 5) % pages
      each[i] = round + 2
      g.writeWord(targets[i]!, add(round + 2))
    }
  })
})
