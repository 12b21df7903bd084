import { afterEach, expect, test, vi } from 'vitest'
import { encode } from '../../src/isa/index.ts'
import { everyWay, figures } from './guest.ts'
import { Program } from './program.ts'
import { page } from './supervisor.ts'
import { watchTables } from './watch.ts'

afterEach(() => { vi.restoreAllMocks() })

const add = (imm: number): number => encode('addi', { rd: 11, rs1: 11, imm })

test('what belonged to a dropped translation does not lead astray the one that gets its place', () => {
  everyWay((g) => {
    // In each of two pages: a loop that jumps by x5 to one of eight places, all in the page.
    const places = [1, 2, 3, 4, 5, 6, 7, 8]
    const dispatch = (base: number, factor: number): Program => {
      const p = new Program(base).label('loop').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('jalr', { rs1: 5 })
      for (const k of places) p.org(base + 0x100 * k).label(`at${k}`).word(add(k * factor)).op('addi', { rd: 12, rs1: 12, imm: 1 }).op('add', { rd: 5, rs1: 5, rs2: 13 }).op('bne', { rs1: 5, rs2: 14, to: 'loop' }).op('addi', { rd: 5, rs1: 15 }).go('loop')
      return p
    }
    for (const [n, factor] of [[1, 1], [2, 10]] as const) g.load(dispatch(page(n), factor))
    let sum = 0
    for (let round = 0; round < 6; round++) {
      // The first page goes through all places; it is left at the loop's head.
      g.setPc(page(1))
      g.set({ 5: page(1) + 0x100, 9: 0, 13: 0x100, 14: page(1) + 0x900, 15: page(1) + 0x100 })
      const cycle = 8 * 6 + 2
      g.run(200 * cycle)
      sum += 200 * 36
      expect(g.x(11)).toBe(BigInt(sum))
      // It changes, and its translations go. The second page goes to one place only, until it is translated; and then to others.
      for (let n = 0; n < (round % 2 === 0 ? 1 : 70); n++) g.writeWord(page(1) + 0xf00, n)
      for (const k of [1 + (round % 8), 2 + ((round * 3) % 7), 8 - round, 1, 5]) {
        g.setPc(page(2))
        g.set({ 5: page(2) + 0x100 * k, 13: 0, 14: page(2) + 0x900 })
        g.run(6 * 600)
        sum += 600 * k * 10
        expect(g.x(11), `place ${k}`).toBe(BigInt(sum))
      }
      for (let n = 0; n < (round % 2 === 0 ? 70 : 1); n++) g.writeWord(page(2) + 0xf00, n)
    }
  })
})

test('translations with hundreds of entries, replaced hundreds of times: there are entries for the next', () => {
  everyWay((g) => {
    // Calls of what follows: every one is a place where control may come back to.
    const calls = 280
    const p = new Program(page(1)).label('f').op('addi', { rd: 14, rs1: 1 }).op('addi', { rd: 12, imm: 4 }).label('again')
    for (let i = 0; i < calls; i++) p.op('jal', { rd: 1, imm: 4 })
    p.op('addi', { rd: 11, rs1: 11, imm: 1 }).until(12, 'again').op('jalr', { rs1: 14 })
    const main = new Program(page(0)).label('loop')
    for (let i = 0; i < 3; i++) main.op('sw', { rs1: 5, rs2: 9, imm: 4 * i })
    main.op('addi', { rd: 9, rs1: 9, imm: 1 }).op('jalr', { rd: 1, rs1: 6 }).go('loop')
    for (const program of [p, main]) g.load(program)
    g.setPc(page(0))
    g.set({ 5: page(1) + 0xfe0, 6: page(1) })
    const round = 6 + 2 + 4 * (calls + 3) + 1
    g.run(230 * round)
    const { regions } = figures(g)
    g.runHot(20 * round, 0.3)
    expect(g.x(11)).toBe(BigInt(250 * 4))
    // More than there can be at a time.
    if (g.way.config.hot === 1) expect(regions * 200).toBeGreaterThan(65536)
  })
})

test('a page that is executed and then taken for data, thousands of times', () => {
  everyWay((g) => {
    const stores = 66
    const p = new Program(page(0)).label('loop').op('jalr', { rd: 1, rs1: 6 }).op('addi', { rd: 12, imm: stores }).label('fill').op('sw', { rs1: 5, rs2: 12 }).until(12, 'fill')
    p.op('addi', { rd: 9, rs1: 9, imm: 1 }).go('loop')
    const f = new Program(page(1)).label('target').word(add(1)).ret()
    for (const program of [p, f]) g.load(program)
    g.setPc(page(0))
    g.set({ 5: page(1) + 0x800, 6: page(1) })
    const rounds = 4300
    g.runHot(rounds * (6 + 3 * stores), 0.01)
    expect([g.x(9), g.x(11)]).toEqual([BigInt(rounds), BigInt(rounds)])
    // Translated code is as good as ever elsewhere.
    const q = new Program(page(2)).label('loop').word(add(2)).go('loop')
    g.load(q)
    g.setPc(page(2))
    g.runHot(8000, 0.2)
    expect(g.x(11)).toBe(BigInt(rounds + 8000))
  })
})

test('a page that is taken for data while it has translated code gives all of it back; so does a machine whose memory is cleared', () => {
  const tables = watchTables()
  everyWay((g) => {
    const before = tables.live()
    // Four stores, then a call of a loop: the store that is one too many comes right after the loop.
    const p = new Program(page(0)).label('loop')
    for (let i = 0; i < 4; i++) p.op('sw', { rs1: 5, rs2: 9, imm: 4 * i })
    p.op('jalr', { rd: 1, rs1: 6 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).go('loop')
    const f = new Program(page(1)).op('addi', { rd: 12, imm: 200 }).label('again').word(add(1)).until(12, 'again').ret()
    for (const program of [p, f]) g.load(program)
    g.setPc(page(0))
    g.set({ 5: page(1) + 0x800, 6: page(1) })
    const round = 4 + 1 + 2 + 1 + 600 + 1
    const rounds = 16 * 12
    g.runHot(rounds * round, 0.2)
    expect([g.x(9), g.x(11)]).toEqual([BigInt(rounds), BigInt(rounds * 200)])
    expect(tables.live() - before).toBeLessThan(10)
    g.machine.memory.clear()
    g.machine.cpu.reset('warm', { pc: page(0), args: [] })
    expect(tables.live() - before).toBe(0)
  })
})
