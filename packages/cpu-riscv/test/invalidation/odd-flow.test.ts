import { describe, expect, test } from 'vitest'
import { Mode } from '../../src/cause.ts'
import { Csr } from '../../src/csr-numbers.ts'
import { encode } from '../../src/isa/index.ts'
import { Status } from '../../src/status.ts'
import { everyWay } from './guest.ts'
import { Program } from './program.ts'
import { page, start } from './supervisor.ts'

/** C.ADDI x11, imm */
const cAdd = (imm: number): number => 0x0581 | ((imm & 31) << 2)
const MIE = 8
const MTI = 0x80

describe.each([
  ['JAL', [encode('jal')]],
  ['a branch', [encode('beq')]],
  ['C.J', [0x0001_a001]],
  ['JALR', [encode('jalr', { rs1: 5 })]],
  ['two jumps at each other', [encode('jal', { imm: 4 }), encode('jal', { imm: -4 })]],
])('a guest that spins by %s', (_name, words) => {
  test('stays within its budget, and takes interrupts', () => {
    everyWay((g) => {
      const p = new Program(page(0))
      for (const word of words) p.word(word)
      g.load(p)
      const handler = new Program(page(1)).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('csrrs', { rd: 8, imm: Csr.mepc }).op('csrrw', { rs1: 16, imm: Csr.mie }).op('mret')
      g.load(handler)
      start(g, { pc: page(0), mode: Mode.machine, status: Status.MPIE, csrs: [[Csr.mtvec, page(1)]] })
      g.setX(5, page(0))
      g.run(6000)
      for (const count of [1, 2, 3, 100, 2047, 2048, 2049, 2050, 2100, 5000]) {
        const before = g.hart().retired
        g.run(count)
        expect(g.hart().retired - before).toBe(count)
      }
      const drive = (level: boolean): void => { g.machine.cpu.input('hart0.mtip')?.set(level) }
      for (let i = 1; i <= 5; i++) {
        g.hart().record.set64('mie', BigInt(MTI))
        drive(true)
        // The interrupt comes first, then the handler's four instructions.
        g.run(4)
        expect([g.x(9), Number(g.hart().record.get64('pc')) - page(0) < 4 * words.length]).toEqual([BigInt(i), true])
        drive(false)
        g.run(4000)
      }
      // Not exactly, but not much longer either: about what fits into a page, twice.
      if (g.way.exact) return
      const hart = g.hart()
      const before = hart.retired
      hart.run(1000, false)
      expect(hart.retired - before).toBeGreaterThanOrEqual(1000)
      expect(hart.retired - before).toBeLessThan(1000 + 4096)
    })
  })
})

test('interrupts that a device raises, and that a CSR instruction lets in, are taken behind the very instruction', () => {
  everyWay((g) => {
    const device = 0x1000_0000
    g.machine.bus.attach('line', device, 4, 0, { read: () => 0, write: (_region, _offset, _width, value) => { g.machine.cpu.input('hart0.mtip')?.set(value !== 0) } })
    const p = new Program(page(0)).label('round').op('addi', { rd: 12, imm: 10 }).label('again').op('addi', { rd: 11, rs1: 11, imm: 1 }).until(12, 'again')
    // By the device, while interrupts are on.
    p.op('csrrs', { rs1: 16, imm: Csr.mie }).op('sw', { rs1: 5, rs2: 16 }).label('one').op('addi', { rd: 11, rs1: 11, imm: 1 })
    // By the device, and let in afterwards: in mstatus, then in mie.
    p.op('csrrci', { rs1: MIE, imm: Csr.mstatus }).op('sw', { rs1: 5, rs2: 16 }).op('addi', { rd: 11, rs1: 11, imm: 1 }).op('csrrsi', { rs1: MIE, imm: Csr.mstatus }).label('two').op('addi', { rd: 11, rs1: 11, imm: 1 })
    p.op('csrrc', { rs1: 16, imm: Csr.mie }).op('sw', { rs1: 5, rs2: 16 }).op('addi', { rd: 11, rs1: 11, imm: 1 }).op('csrrs', { rs1: 16, imm: Csr.mie }).label('three').op('addi', { rd: 9, rs1: 9, imm: 1 }).go('round')
    // The handler sums up where it was called from, takes the line down, and goes back.
    const handler = new Program(page(1)).op('sw', { rs1: 5 }).op('csrrs', { rd: 8, imm: Csr.mepc }).op('add', { rd: 13, rs1: 13, rs2: 8 }).op('addi', { rd: 14, rs1: 14, imm: 1 }).op('mret')
    for (const program of [p, handler]) g.load(program)
    start(g, { pc: page(0), mode: Mode.machine, status: Status.MPIE, csrs: [[Csr.mtvec, page(1)]] })
    g.set({ 5: device, 16: MTI })
    g.runHot(12_000, 0.05)
    const rounds = Math.floor(Number(g.x(14)) / 3)
    expect(rounds).toBeGreaterThan(150)
    const where = ['one', 'two', 'three'].map((name) => p.address(name))
    const rest = where.slice(0, Number(g.x(14)) % 3)
    expect(Number(g.x(13))).toBe([...where, 0].reduce((a, b) => a + b) * rounds + rest.reduce((a, b) => a + b, 0))
  })
})

test('jumps into the middle of an instruction: both readings of the same bytes live in one page', () => {
  everyWay((g) => {
    // LUI x7, whose upper half is C.ADDI x11.
    const word = (imm: number): number => (cAdd(imm) << 16) | 0x3b7
    const f = new Program(page(1) + 0x40).label('whole').word(word(1)).op('add', { rd: 13, rs1: 13, rs2: 7 }).op('addi', { rd: 14, rs1: 14, imm: 1 }).op('andi', { rd: 8, rs1: 14, imm: 7 }).op('bne', { rs1: 8, rs2: 0, to: 'whole' }).ret()
    const p = new Program(page(0))
    p.label('loop').op('jalr', { rd: 1, rs1: 5 }).op('jalr', { rd: 1, rs1: 6 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('addi', { rd: 12, rs1: 12, imm: 1 }).op('bne', { rs1: 12, rs2: 10, to: 'loop' })
    // After x10 rounds, the upper half, which is in both, is replaced by the next of two.
    p.op('addi', { rd: 12 }).op('sh', { rs1: 5, rs2: 16, imm: 2 }).op('xor', { rd: 16, rs1: 16, rs2: 17 }).op('bne', { rs1: 9, rs2: 18, to: 'loop' }).label('end').go('end')
    for (const program of [f, p]) g.load(program)
    g.setPc(page(0))
    g.set({ 5: page(1) + 0x40, 6: page(1) + 0x42, 10: 40, 16: cAdd(3), 17: cAdd(3) ^ cAdd(1), 18: 240 })
    g.runHot(25_000, 0.1)
    // Eight times whole in the first call; in the second once from the middle, then seven times whole.
    expect([g.x(9), g.x(11)]).toEqual([240n, 120n * (1n + 3n)])
    expect(Number(g.x(13))).toBe(120 * 16 * (cAdd(1) + cAdd(3)) * 2 ** 16)
  })
})

test('targets at odd halfwords, and at odd addresses', () => {
  everyWay((g) => {
    const p = new Program(page(0) + 2)
    p.label('round').op('addi', { rd: 9, rs1: 9, imm: 1 }).half(cAdd(1)).label('b').op('addi', { rd: 11, rs1: 11, imm: 2 }).op('andi', { rd: 8, rs1: 9, imm: 1 })
    p.op('beq', { rs1: 8, to: 'c' }).half(cAdd(4)).label('c').op('jalr', { rd: 1, rs1: 5 }).half(cAdd(8)).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
    // Called by an odd address, returns to an odd one.
    p.label('f').op('addi', { rd: 1, rs1: 1, imm: 1 }).op('addi', { rd: 13, rs1: 13, imm: 1 }).ret()
    expect(p.address('c') % 4 + p.address('f') % 4).toBeGreaterThan(0)
    g.load(p)
    g.setPc(page(0) + 2)
    g.set({ 5: p.address('f') + 1, 10: 1000 })
    g.runHot(12_000, 0.1)
    expect([g.x(11), g.x(13)]).toEqual([1000n * 11n + 500n * 4n, 1000n])
  })
})

test('any number of instructions, in code with loops in loops, calls and all that leaves a region', () => {
  const p = new Program(page(0))
  p.label('a').op('addi', { rd: 12, imm: 3 }).label('b').op('addi', { rd: 13, imm: 2 }).label('c').op('addi', { rd: 11, rs1: 11, imm: 1 }).op('ld', { rd: 7, rs1: 14 }).op('add', { rd: 7, rs1: 7, rs2: 11 })
  p.op('sd', { rs1: 14, rs2: 7 }).until(13, 'c').call('f').op('csrrs', { rd: 8, imm: Csr.instret + 0xb00 - 0xc00 }).op('xor', { rd: 15, rs1: 15, rs2: 8 }).until(12, 'b').op('andi', { rd: 8, rs1: 11, imm: 64 }).op('beq', { rs1: 8, to: 'a' })
  p.op('csrrw', { rd: 8, rs1: 11, imm: Csr.mscratch }).op('lw', { rd: 7, rs1: 14, imm: 4093 - 4096 + 1 }).op('amoadd.w', { rd: 7, rs1: 14, rs2: 11 }).j('a')
  p.label('f').op('addi', { rd: 16, rs1: 16, imm: 1 }).op('andi', { rd: 8, rs1: 16, imm: 3 }).op('bne', { rs1: 8, to: 'g' }).ret().label('g').op('addi', { rd: 17, rs1: 17, imm: 1 }).op('jalr', { rs1: 1 })
  everyWay((g) => {
    g.load(p)
    g.setPc(page(0))
    g.setX(14, page(2) + 64)
    g.runHot(8000, 0.1)
    for (let i = 0; i < 60; i++) {
      const before = g.hart().retired
      const count = 2048 + ((i * 37) % 101)
      g.run(count)
      expect(g.hart().retired - before).toBe(count)
    }
  })
})

test('a handler that begins in the middle of the CSR instruction that let the interrupt in', () => {
  everyWay((g) => {
    const p = new Program(page(0) + 2).label('loop').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'loop' })
    // Its upper half is mie's number and the upper bits of x11's: an instruction of two bytes, and what follows.
    p.label('write').op('csrrw', { rs1: 11, imm: Csr.mie }).op('addi', { rd: 12, rs1: 12, imm: 1 }).op('addi', { rd: 9 }).go('loop')
    g.load(p)
    expect(p.address('write') % 4).toBe(2)
    start(g, { pc: page(0) + 2, mode: Mode.machine, status: Status.MPIE, csrs: [[Csr.mtvec, p.address('write') + 2]] })
    g.setX(10, 20)
    g.runHot(6000, 0.1)
    expect(g.x(12)).toBeGreaterThan(100n)
    g.machine.cpu.input('hart0.mtip')?.set(true)
    g.setX(11, MTI)
    g.run(6000)
    expect(Number(g.hart().record.get64('mepc'))).toBe(p.address('write') + 2)
  })
})

test('code that only goes forward, and then enters what is translated, does not overrun its budget further', () => {
  // A page of C.ADDI x9: a long way, and near its end a jump back to its second instruction, translated without the rest.
  const way = new Program(page(1))
  const short = 240
  for (let i = 0; i < short; i++) way.half(0x0485)
  way.op('bne', { rs1: 10, to: 'far' }).ret().label('far')
  while (way.here < page(1) + 4080) way.half(0x0485)
  way.label('back').op('jal', { imm: page(1) + 2 - way.here })
  const main = new Program(page(0)).label('loop').op('jalr', { rd: 1, rs1: 11 }).until(12, 'loop').op('addi', { rd: 10, imm: 1 }).op('jalr', { rs1: 13 })
  everyWay((g) => {
    for (const program of [way, main]) g.load(program)
    g.setPc(page(0))
    g.set({ 11: way.address('back'), 12: 60, 13: page(1) })
    // To the beginning of the page, from where it is all forward.
    g.run(60 * (short + 5) + 2)
    expect(Number(g.hart().record.get64('pc'))).toBe(page(1))
    for (const count of [2049, 2050, 2500, 2049]) {
      g.setPc(page(1))
      const before = g.hart().retired
      g.run(count)
      expect(g.hart().retired - before).toBe(count)
    }
  })
})
