import { expect, test } from 'vitest'
import { encode } from '../../src/isa/index.ts'
import { everyWay } from './guest.ts'
import { Program } from './program.ts'
import { log, page, start, trap } from './supervisor.ts'
import { Cause, Mode } from '../../src/cause.ts'
import { Csr } from '../../src/csr-numbers.ts'
import { Envcfg } from '../../src/status.ts'

const give = (imm: number): number => encode('addi', { rd: 7, imm })

/** A function with a loop: adds what `target` gives, `times` times, to x11. */
function summing(p: Program, name: string, times: number): Program {
  return p.label(name).op('addi', { rd: 12, imm: times }).label(`${name}.target`).word(give(0)).op('add', { rd: 11, rs1: 11, rs2: 7 }).until(12, `${name}.target`).ret()
}

test('an instruction of which only the second half is written', () => {
  everyWay((g) => {
    const p = new Program(page(0))
    p.label('loop').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('slli', { rd: 8, rs1: 9, imm: 4 }).op('sh', { rs1: 5, rs2: 8, imm: 2 })
    p.call('f').op('bne', { rs1: 9, rs2: 10, to: 'loop' }).label('end').go('end')
    // At an address that is not a multiple of four, so that the halves are in different words.
    p.org(page(1) + 2)
    summing(p, 'f', 20)
    g.load(p)
    g.setPc(page(0))
    g.setX(5, p.address('f.target'))
    g.setX(10, 40)
    g.runHot(10_000, 0.1)
    expect(g.x(11)).toBe(BigInt(20 * (40 * 41) / 2))
  })
})

test('instructions of other lengths and kinds at one place', () => {
  // Each adds something else to x11, over what follows it: `addi x11, x11, 16` and `addi x11, x11, 32`.
  const kinds: readonly (readonly [number, number])[] = [
    [encode('addi', { rd: 11, rs1: 11, imm: 1 }), 1 + 16 + 32],
    [encode('jal', { imm: 8 }), 32],
    // Two C.ADDI x11, 2.
    [0x0589_0589, 2 + 2 + 16 + 32],
    // C.J +4 and what is never reached: to the instruction behind it.
    [0xffff_a011, 16 + 32],
    [encode('beq', { imm: 12 }), 0],
    [encode('bne', { imm: 12 }), 16 + 32],
    [encode('lui', { rd: 13, imm: 0x1000 }), 16 + 32],
    [encode('csrrwi', { rd: 0, rs1: 5, imm: 0x340 }), 16 + 32],
    // Illegal: the handler goes on at `over`.
    [0, 0],
    [0xffff_ffff, 0],
    // JALR to the instruction that adds 32.
    [encode('jalr', { rs1: 15 }), 32],
  ]
  everyWay((g) => {
    const rounds = 200
    const p = new Program(page(0))
    p.label('loop').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('remu', { rd: 8, rs1: 9, rs2: 16 }).op('slli', { rd: 8, rs1: 8, imm: 2 }).op('add', { rd: 8, rs1: 8, rs2: 6 })
    p.op('lw', { rd: 8, rs1: 8 }).op('sw', { rs1: 5, rs2: 8 }).op('addi', { rd: 12, imm: 9 })
    p.label('again').label('target').op('ebreak').op('addi', { rd: 11, rs1: 11, imm: 16 }).label('last').op('addi', { rd: 11, rs1: 11, imm: 32 })
    p.label('over').until(12, 'again').op('bne', { rs1: 9, rs2: 10, to: 'loop' }).label('end').go('end')
    p.org(page(2)).label('table')
    for (const [word] of kinds) p.word(word)
    g.load(p)
    start(g, { pc: page(0), mode: Mode.machine })
    g.setX(5, p.address('target'))
    g.setX(6, p.address('table'))
    g.setX(10, rounds)
    g.setX(15, p.address('last'))
    g.setX(16, kinds.length)
    g.setX(trap.resume, p.address('over'))
    g.run(25_000)
    let sum = 0
    for (let i = 1; i <= rounds; i++) sum += 9 * (kinds[i % kinds.length]?.[1] ?? 0)
    expect(g.x(11)).toBe(BigInt(sum))
    expect(log(g).every(({ cause, epc }) => cause === Cause.illegalInstruction && epc === p.address('target'))).toBe(true)
  })
})

test('a page that was data, then code, then both', () => {
  everyWay((g) => {
    const p = new Program(page(0))
    // Stores to the page, first so often that this loop is translated: no code is there yet.
    p.op('addi', { rd: 12, imm: 500 })
    p.label('fill').op('sd', { rs1: 6, rs2: 12 }).until(12, 'fill')
    p.label('round').call('f').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('slli', { rd: 8, rs1: 9, imm: 20 }).op('add', { rd: 8, rs1: 8, rs2: 13 }).op('sw', { rs1: 5, rs2: 8 })
    p.op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
    p.org(page(1))
    summing(p, 'f', 10).org(page(1) + 2048).label('data')
    g.load(p)
    g.setPc(page(0))
    g.setX(5, p.address('f.target'))
    g.setX(6, p.address('data'))
    g.setX(10, 30)
    g.setX(13, give(0))
    g.runHot(8000, 0.1)
    expect(g.x(11)).toBe(BigInt(10 * (29 * 30) / 2))
  })
})

test('code in a page that is written to so often that it is taken for data', () => {
  everyWay((g) => {
    const p = new Program(page(0))
    p.label('round').op('addi', { rd: 12, imm: 100 })
    p.label('fill').op('sd', { rs1: 6, rs2: 12 }).until(12, 'fill').call('f')
    p.op('addi', { rd: 9, rs1: 9, imm: 1 }).op('slli', { rd: 8, rs1: 9, imm: 20 }).op('add', { rd: 8, rs1: 8, rs2: 13 }).op('sw', { rs1: 5, rs2: 8 })
    // A second call, and stores from the page itself.
    p.call('f').call('own').op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
    p.org(page(1))
    summing(p, 'f', 10).label('own').op('addi', { rd: 14, imm: 80 })
    p.label('more').op('sd', { rs1: 6, rs2: 14, imm: 8 }).op('sw', { rs1: 15, rs2: 14, imm: 0 }).op('addi', { rd: 16, rs1: 16, imm: 1 }).until(14, 'more').ret()
    p.org(page(1) + 2048).label('data')
    g.load(p)
    g.setPc(page(0))
    g.setX(5, p.address('f.target'))
    g.setX(6, p.address('data'))
    g.setX(15, p.address('data') + 16)
    g.setX(10, 8)
    g.setX(13, give(0))
    g.runHot(12_000, 0.1)
    let sum = 0
    for (let i = 0; i < 8; i++) sum += 10 * (i + i + 1)
    expect(g.x(11)).toBe(BigInt(sum))
    expect(g.x(16)).toBe(8n * 80n)
  })
})

test.each([['M-mode', Mode.machine], ['S-mode', Mode.supervisor]])('CBO.ZERO of a block of code, in %s', (_name, mode) => {
  everyWay((g) => {
    const p = new Program(page(0))
    // Of a block of data too, so often that it is translated.
    p.label('loop').op('addi', { rd: 12, imm: 8 }).label('data').op('cbo.zero', { rs1: 14 }).until(12, 'data').call('f').op('cbo.zero', { rs1: 5 }).call('f').op('ebreak')
    p.label('back').op('sd', { rs1: 5, rs2: 6, imm: 48 }).op('sd', { rs1: 5, rs2: 8, imm: 56 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'loop' })
    p.label('end').go('end')
    // All but the return lies in the block that is zeroed.
    p.org(page(1) + 48).label('f').op('addi', { rd: 12, imm: 5 }).label('again').op('addi', { rd: 11, rs1: 11, imm: 1 }).until(12, 'again').ret()
    g.load(p)
    start(g, { pc: page(0), mode, csrs: [[Csr.menvcfg, Envcfg.CBZE]] })
    g.set({ 5: page(1), 14: page(2) + 8 })
    g.setX(6, g.read64(page(1) + 48))
    g.setX(8, g.read64(page(1) + 56))
    g.setX(10, 50)
    g.setX(trap.resume, p.address('back'))
    g.run(9000)
    expect(log(g).map(({ cause, epc }) => ({ cause, epc }))).toEqual(Array(50).fill({ cause: Cause.illegalInstruction, epc: page(1) + 48 }))
    expect(g.x(11)).toBe(250n)
  })
})
