import { afterEach, expect, test, vi } from 'vitest'
import { encode } from '../../src/isa/index.ts'
import { everyWay, figures, type Guest, RAM } from './guest.ts'
import { Program } from './program.ts'
import { page } from './supervisor.ts'
import { watchArena, watchTables } from './watch.ts'

const RING = RAM + 2 * 2 ** 20
const OPTIONS = { ramMiB: 4 }

afterEach(() => { vi.restoreAllMocks() })

/**
 * A compiler: writes a function into one page of a ring after another, another function each time, and calls it. The
 * function adds a number to x11, `times` times.
 *
 * @returns instructions of one generation, when the ring does not begin anew in it
 */
function loadCompiler(g: Guest, pages: number, times: number): number {
  const p = new Program(page(0))
  p.label('next').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('andi', { rd: 8, rs1: 9, imm: 0x3ff }).op('slli', { rd: 8, rs1: 8, imm: 52 }).op('add', { rd: 8, rs1: 8, rs2: 16 })
  p.op('sd', { rs1: 5, rs2: 8 }).op('sd', { rs1: 5, rs2: 17, imm: 8 }).op('sd', { rs1: 5, rs2: 18, imm: 16 }).op('fence.i').op('jalr', { rd: 1, rs1: 5 })
  p.op('add', { rd: 5, rs1: 5, rs2: 13 }).op('bne', { rs1: 5, rs2: 19, to: 'next' }).op('addi', { rd: 5, rs1: 20 }).go('next')
  g.load(p)
  g.setPc(page(0))
  const words = [encode('addi', { rd: 12, imm: times }), encode('addi', { rd: 7 }), encode('add', { rd: 11, rs1: 11, rs2: 7 }), encode('addi', { rd: 12, rs1: 12, imm: -1 }), encode('bne', { rs1: 12, imm: -12 }), encode('jalr', { rs1: 1 })]
  const pair = (i: number): bigint => BigInt(words[i] ?? 0) | (BigInt(words[i + 1] ?? 0) << 32n)
  g.set({ 5: RING, 13: 4096, 16: pair(0), 17: pair(2), 18: pair(4), 19: RING + pages * 4096, 20: RING })
  return 11 + 2 + 4 * times
}

const sum = (generations: number, times: number): bigint => {
  let total = 0
  for (let i = 1; i <= generations; i++) total += times * (i & 0x3ff)
  return BigInt(total)
}

test('fresh code for ever, in hundreds of pages: what the engine holds is bounded', () => {
  const tables = watchTables()
  everyWay((g) => {
    const [pages, times, rounds] = [130, 10, 24]
    const each = loadCompiler(g, pages, times)
    const grown = watchArena(g)
    const live: number[] = []
    let before = { taken: 0, places: 0 }
    for (let round = 1; round <= rounds; round++) {
      g.run(pages * each + 2)
      expect(g.x(9)).toBe(BigInt(pages * round))
      live.push(tables.live())
      if (round === rounds / 2) before = { taken: grown(), places: tables.places() }
    }
    expect(g.x(11)).toBe(sum(pages * rounds, times))
    // A few entry maps more may have been needed at a time.
    expect(grown() - before.taken).toBeLessThan(24 * 4096)
    expect(tables.places()).toBe(before.places)
    expect(Math.max(...live)).toBeLessThan(2 * pages)
    // For each generation: its stores, a translation or two, and what is counted out exactly at the end of a run.
    const { regions, slow } = figures(g)
    expect(regions / (pages * rounds)).toBeLessThan(2)
    expect(slow / (pages * rounds)).toBeLessThan(g.way.pieces[0] === 500 ? Infinity : 20)
  }, { ...OPTIONS, forks: false })
})

test.each([1, 8])('code that is used for a while before it is replaced is translated again and again, in a ring of %i', (pages) => {
  everyWay((g) => {
    const [times, generations] = [500, 160]
    const each = loadCompiler(g, pages, times)
    g.runHot(generations * each + (generations / pages) * 2, 0.3)
    expect(g.x(11)).toBe(sum(generations, times))
    expect(figures(g).regions).toBeLessThan(4 * generations)
  }, OPTIONS)
})

test('more pages of code than the engine keeps', () => {
  const pages = 8500
  everyWay((g) => {
    for (let i = 0; i < pages; i++) {
      g.writeWord(RING + i * 4096, encode('addi', { rd: 11, rs1: 11, imm: i % 1000 }))
      g.writeWord(RING + i * 4096 + 4, encode('jalr', { rs1: 1 }))
    }
    // Calls a page; then stores another instruction into the page before, of which the engine may just have let go, and calls that.
    const p = new Program(page(0))
    p.label('next').op('jalr', { rd: 1, rs1: 5 }).op('sw', { rs1: 6, rs2: 16 }).op('jalr', { rd: 1, rs1: 6 }).op('add', { rd: 6, rs1: 5 })
    p.op('add', { rd: 5, rs1: 5, rs2: 13 }).op('bne', { rs1: 5, rs2: 19, to: 'next' }).op('addi', { rd: 5, rs1: 20 }).op('add', { rd: 16, rs1: 16, rs2: 17 }).go('next')
    g.load(p)
    g.setPc(page(0))
    g.set({ 5: RING, 6: RING + (pages - 1) * 4096, 13: 4096, 16: encode('addi', { rd: 11, rs1: 11, imm: 1000 }), 17: 1 << 20, 19: RING + pages * 4096, 20: RING })
    let total = 0
    const value = Array.from({ length: pages }, (_, i) => i % 1000)
    for (let round = 0; round < 4; round++) {
      g.runHot(pages * 10 + 3, 0.02)
      for (let i = 0; i < pages; i++) {
        const before = (i + pages - 1) % pages
        value[before] = 1000 + round
        total += (i === before ? 0 : value[i] ?? 0) + 1000 + round
      }
      expect(g.x(11)).toBe(BigInt(total))
      expect(figures(g).codePages).toBeLessThanOrEqual(8192)
    }
  }, { ramMiB: 36 })
})
