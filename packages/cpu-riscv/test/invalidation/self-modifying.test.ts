import { describe, expect, test } from 'vitest'
import { Mode } from '../../src/cause.ts'
import { encode } from '../../src/isa/index.ts'
import { everyWay } from './guest.ts'
import { Program } from './program.ts'
import { log, page, start, trap } from './supervisor.ts'
import { Status } from '../../src/status.ts'

/** `addi x7, x0, imm`: the instruction that is patched in most tests; they add x7 to x11. */
const give = (imm: number): number => encode('addi', { rd: 7, imm })
const sum = (count: number, value: (i: number) => number): bigint => {
  let total = 0
  for (let i = 1; i <= count; i++) total += value(i)
  return BigInt(total)
}

describe.each([['with FENCE.I', true], ['without FENCE.I', false]])('%s', (_name, fence) => {
  test('a function with a loop, patched between calls', () => {
    const rounds = 150
    everyWay((g) => {
      const p = new Program(page(0))
      p.label('round').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('slli', { rd: 8, rs1: 9, imm: 20 }).op('add', { rd: 8, rs1: 8, rs2: 6 })
      p.op('sw', { rs1: 5, rs2: 8 })
      if (fence) p.op('fence.i')
      p.call('f').op('bne', { rs1: 9, rs2: 10, to: 'round' })
      p.label('end').go('end')
      p.org(page(1)).label('f').op('addi', { rd: 12, imm: 40 })
      p.label('target').word(give(0)).op('add', { rd: 11, rs1: 11, rs2: 7 }).until(12, 'target').ret()
      g.load(p)
      g.setPc(page(0))
      g.setX(5, p.address('target'))
      g.setX(6, give(0))
      g.setX(10, rounds)
      g.runHot(150 * 170 + 10_000, 0.1)
      expect(g.x(11)).toBe(sum(rounds, (i) => 40 * i))
    })
  })

  test('a loop that patches the instruction behind the store, in one block with it', () => {
    everyWay((g) => {
      const p = new Program(page(0))
      p.label('loop').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('andi', { rd: 8, rs1: 9, imm: 0x3ff }).op('slli', { rd: 8, rs1: 8, imm: 20 })
      p.op('add', { rd: 8, rs1: 8, rs2: 6 }).op('sw', { rs1: 5, rs2: 8 })
      if (fence) p.op('fence.i')
      p.label('target').word(give(0)).op('add', { rd: 11, rs1: 11, rs2: 7 }).op('bne', { rs1: 9, rs2: 10, to: 'loop' })
      p.label('end').go('end')
      g.load(p)
      g.setPc(page(0))
      g.setX(5, p.address('target'))
      g.setX(6, give(0))
      g.setX(10, 600)
      g.run(10_000)
      expect(g.x(11)).toBe(sum(600, (i) => i & 0x3ff))
    })
  })
})

test('a loop that patches its own beginning, and one instruction of the loop inside it', () => {
  everyWay((g) => {
    const p = new Program(page(0))
    p.label('outer').word(give(0)).op('add', { rd: 11, rs1: 11, rs2: 7 }).op('addi', { rd: 12, imm: 3 })
    p.label('inner').op('addi', { rd: 13, rs1: 13, imm: 0 }).until(12, 'inner')
    p.op('addi', { rd: 9, rs1: 9, imm: 1 }).op('andi', { rd: 14, rs1: 9, imm: 0xff }).op('slli', { rd: 14, rs1: 14, imm: 20 })
    p.op('add', { rd: 8, rs1: 14, rs2: 6 }).op('sw', { rs1: 5, rs2: 8 })
    p.op('add', { rd: 8, rs1: 14, rs2: 16 }).op('sw', { rs1: 15, rs2: 8 }).op('bne', { rs1: 9, rs2: 10, to: 'outer' })
    p.label('end').go('end')
    g.load(p)
    g.setPc(page(0))
    g.setX(5, p.address('outer'))
    g.setX(6, give(0))
    g.setX(15, p.address('inner'))
    g.setX(16, encode('addi', { rd: 13, rs1: 13, imm: 0 }))
    g.setX(10, 300)
    g.run(10_000)
    expect(g.x(11)).toBe(sum(300, (i) => (i - 1) & 0xff))
    expect(g.x(13)).toBe(sum(300, (i) => 3 * ((i - 1) & 0xff)))
  })
})

/** Each way to store, and what it stores to put `imm` into the instruction at x5; in x8 is `imm` << 20 | the instruction. */
const stores: readonly (readonly [string, (p: Program) => Program])[] = [
  ['SB', (p) => p.op('srli', { rd: 8, rs1: 8, imm: 24 }).op('sb', { rs1: 5, rs2: 8, imm: 3 })],
  ['SH', (p) => p.op('srli', { rd: 8, rs1: 8, imm: 16 }).op('sh', { rs1: 5, rs2: 8, imm: 2 })],
  ['SW', (p) => p.op('sw', { rs1: 5, rs2: 8 })],
  // The upper half of the instruction and the lower half of the next, which stays as it is.
  ['SW, misaligned', (p) => p.op('srli', { rd: 8, rs1: 8, imm: 16 }).op('add', { rd: 8, rs1: 8, rs2: 14 }).op('sw', { rs1: 5, rs2: 8, imm: 2 })],
  ['SD', (p) => p.op('slli', { rd: 8, rs1: 8, imm: 32 }).op('add', { rd: 8, rs1: 8, rs2: 15 }).op('sd', { rs1: 5, rs2: 8, imm: -4 })],
  // C.SWSP x8, 0(x2)
  ['C.SWSP', (p) => p.half(0xc022)],
  ['AMOSWAP.W', (p) => p.op('amoswap.w', { rd: 17, rs1: 5, rs2: 8 })],
  ['AMOSWAP.D', (p) => p.op('slli', { rd: 8, rs1: 8, imm: 32 }).op('add', { rd: 8, rs1: 8, rs2: 15 }).op('addi', { rd: 18, rs1: 5, imm: -4 }).op('amoswap.d', { rd: 17, rs1: 18, rs2: 8 })],
  ['LR and SC', (p) => p.op('lr.w', { rd: 17, rs1: 5 }).op('sc.w', { rd: 17, rs1: 5, rs2: 8 })],
  ['FSW', (p) => p.op('fmv.w.x', { rd: 1, rs1: 8 }).op('fsw', { rs1: 5, rs2: 1 })],
  ['FSD', (p) => p.op('slli', { rd: 8, rs1: 8, imm: 32 }).op('add', { rd: 8, rs1: 8, rs2: 15 }).op('fmv.d.x', { rd: 1, rs1: 8 }).op('fsd', { rs1: 5, rs2: 1, imm: -4 })],
]

test.each(stores)('a patch by %s', (_name, store) => {
  const nop = encode('addi')
  const follow = encode('add', { rd: 11, rs1: 11, rs2: 7 })
  everyWay((g) => {
    const p = new Program(page(0))
    p.label('loop').op('addi', { rd: 9, rs1: 9, imm: 16 }).op('andi', { rd: 16, rs1: 9, imm: 0x7f0 }).op('slli', { rd: 8, rs1: 16, imm: 20 }).op('add', { rd: 8, rs1: 8, rs2: 6 })
    store(p)
    // The instruction in front of the target begins at a multiple of eight.
    while (p.here % 8 !== 0) p.half(0x0001)
    p.word(nop).label('target').word(give(0)).word(follow).op('sub', { rd: 11, rs1: 11, rs2: 16 })
    p.op('bne', { rs1: 7, rs2: 16, to: 'wrong' }).op('addi', { rd: 12, rs1: 12, imm: 1 }).go('loop')
    p.label('wrong').op('ebreak').go('wrong')
    g.load(p)
    start(g, { pc: page(0), mode: Mode.machine, status: Status.FS })
    g.setX(5, p.address('target'))
    g.setX(6, give(0))
    g.setX(2, p.address('target'))
    g.setX(14, (follow & 0xffff) * 2 ** 16)
    g.setX(15, nop)
    g.setX(trap.resume, p.address('wrong'))
    g.run(10_000)
    expect(log(g).slice(0, 2)).toEqual([])
    expect(g.x(11)).toBe(0n)
    expect(g.x(12)).toBeGreaterThan(500n)
  })
})
