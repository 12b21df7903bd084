import { expect, test } from 'vitest'
import { Mode } from '../../src/cause.ts'
import { encode } from '../../src/isa/index.ts'
import { Status } from '../../src/status.ts'
import { everyWay, type Guest } from './guest.ts'
import { Program } from './program.ts'
import { all, code, data, log, page, Paging, Pte, start, trap } from './supervisor.ts'

const give = (imm: number): number => encode('addi', { rd: 7, imm })
/** Where the frame of the patched code, `page(1)`, is mapped. */
const RUN = 0x1000_0000
const RUN_TOO = 0x2000_3000
const STORE = 0x1000_1000

/** At `page(1)`: a function that adds 10 times what `target` gives to x11. Its name is where it is executed. */
function loadFunction(g: Guest): number {
  const p = new Program(page(1) + 0x100).op('addi', { rd: 12, imm: 10 })
  p.label('target').word(give(0)).op('add', { rd: 11, rs1: 11, rs2: 7 }).until(12, 'target').ret()
  g.load(p)
  return p.address('target') - page(1)
}

/** At `page(0)`: calls x13, makes the instruction that adds one more, stores it by x5 and repeats x10 times. */
function loadPatcher(g: Guest, store: (p: Program) => Program = (p) => p.op('sw', { rs1: 5, rs2: 8 })): void {
  const p = new Program(page(0))
  p.label('round').op('jalr', { rd: 1, rs1: 13 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('slli', { rd: 8, rs1: 9, imm: 20 }).op('add', { rd: 8, rs1: 8, rs2: 6 })
  store(p).op('bne', { rs1: 9, rs2: 10, to: 'round' }).label('end').go('end')
  g.load(p)
}

const total = (rounds: number): bigint => BigInt(10 * ((rounds * (rounds - 1)) / 2))

test.each([
  ['a page of 4 KiB', (t: Paging) => t.map(STORE, page(1), data)],
  ['a page of 2 MiB', (t: Paging) => t.map(STORE - (STORE % 2 ** 21), page(1) - (page(1) % 2 ** 21), data, 1)],
])('code at one virtual address, stores at another, in %s', (name, mapStore) => {
  everyWay((g) => {
    const tables = new Paging(g).identity(all, page(0), 1).map(RUN_TOO, page(1), code)
    mapStore(tables)
    const target = loadFunction(g)
    loadPatcher(g)
    start(g, { pc: page(0), satp: tables.satp() })
    g.setX(5, name === 'a page of 4 KiB' ? STORE + target : STORE - (STORE % 2 ** 21) + (page(1) % 2 ** 21) + target)
    g.setX(6, give(0))
    g.setX(10, 50)
    g.setX(13, RUN_TOO + 0x100)
    g.runHot(8000, 0.1)
    expect(log(g).slice(0, 2)).toEqual([])
    expect(g.x(11)).toBe(total(50))
  })
})

test('stores through every bank of the TLB that had the page before there was code in it', () => {
  everyWay((g) => {
    const tables = new Paging(g).identity(all, page(0), 1).map(RUN, page(1), code).map(STORE, page(1), data | Pte.U).map(STORE + 4096, page(1), data)
    tables.map(RUN_TOO, page(2), code | Pte.U)
    const target = loadFunction(g)
    const store = [STORE, STORE + 4096]
    // S-mode with SUM through one mapping, without through the other; M-mode without translation; and again.
    const p = new Program(page(0))
    p.label('loop').op('csrrs', { rs1: 15, imm: 0x100 }).op('lw', { rd: 14, rs1: 5 })
    p.op('sw', { rs1: 5, rs2: 6 }).op('csrrc', { rs1: 15, imm: 0x100 }).op('sw', { rs1: 16, rs2: 6 }).op('ecall')
    p.op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'loop' })
    // Now there is code.
    p.label('round').op('addi', { rd: 17, imm: 16 }).op('jalr', { rd: 1, rs1: 13 })
    p.op('csrrs', { rs1: 15, imm: 0x100 }).op('addi', { rd: 6, rs1: 6, imm: 0 }).op('add', { rd: 6, rs1: 6, rs2: 18 }).op('sw', { rs1: 5, rs2: 6 }).op('csrrc', { rs1: 15, imm: 0x100 }).op('jalr', { rd: 1, rs1: 13 })
    p.op('add', { rd: 6, rs1: 6, rs2: 18 }).op('sw', { rs1: 16, rs2: 6 }).op('jalr', { rd: 1, rs1: 13 })
    p.op('add', { rd: 6, rs1: 6, rs2: 18 }).op('ecall').op('jalr', { rd: 1, rs1: 13 })
    p.op('addi', { rd: 9, rs1: 9, imm: -1 }).op('bne', { rs1: 9, to: 'round' }).label('end').go('end')
    p.org(page(3)).label('service').op('sw', { rs1: 19, rs2: 6 }).op('jalr', { rs1: trap.link })
    g.load(p)
    start(g, { pc: page(0), satp: tables.satp() })
    g.setX(5, store[0]! + target)
    g.setX(6, give(0))
    g.setX(10, 12)
    g.setX(13, RUN + 0x100)
    g.setX(15, Status.SUM)
    g.setX(16, store[1]! + target)
    g.setX(18, 2 ** 20)
    g.setX(19, page(1) + target)
    g.setX(trap.service, p.address('service'))
    g.runHot(9000, 0.1)
    let sum = 0
    for (let round = 0, value = 0; round < 12; round++) sum += 10 * (value + ++value + ++value + ++value)
    expect(g.x(11)).toBe(BigInt(sum))
    expect(g.x(9)).toBe(0n)
    expect(log(g).length).toBe(24)
  })
})

test('U-mode stores to what S-mode executes', () => {
  everyWay((g) => {
    const tables = new Paging(g).map(RUN_TOO, page(0), code | Pte.U).map(STORE, page(1), data | Pte.U).identity(all, page(1), 3)
    const target = loadFunction(g)
    // In U-mode; the service calls the function in M-mode, where the frame is at its own address.
    loadPatcher(g, (p) => p.op('sw', { rs1: 5, rs2: 8 }).op('ecall'))
    const service = new Program(page(3)).op('jalr', { rd: 1, rs1: 15 }).op('jalr', { rs1: trap.link })
    const back = new Program(page(0) + 0x800).ret()
    g.load(service)
    g.load(back)
    start(g, { pc: RUN_TOO, mode: Mode.user, satp: tables.satp() })
    g.setX(5, STORE + target)
    g.setX(6, give(0))
    g.setX(10, 40)
    g.setX(13, RUN_TOO + 0x800)
    g.setX(15, page(1) + 0x100)
    g.setX(trap.service, page(3))
    g.runHot(9000, 0.1)
    // Each value is stored before it is used.
    expect(g.x(11)).toBe(total(41))
    expect(log(g).length).toBe(40)
  })
})

test('one translation of a frame serves two addresses: what is relative to pc differs', () => {
  everyWay((g) => {
    const tables = new Paging(g).identity(all, page(0), 1).map(RUN, page(1), code).map(RUN_TOO, page(1), code)
    const f = new Program(page(1) + 0x200)
    f.label('f').op('addi', { rd: 12, imm: 6 }).op('addi', { rd: 14, rs1: 1, imm: 0 })
    f.label('again').op('auipc', { rd: 7, imm: 0x1000 }).op('add', { rd: 11, rs1: 11, rs2: 7 }).call('g').op('auipc', { rd: 7 })
    // An indirect jump inside the page, by a register that was made here.
    f.op('jalr', { rs1: 7, imm: 12 }).op('ebreak').until(12, 'again').op('jalr', { rs1: 14 })
    f.label('g').op('sub', { rd: 11, rs1: 11, rs2: 1 }).op('add', { rd: 15, rs1: 15, rs2: 1 }).ret()
    g.load(f)
    const p = new Program(page(0))
    p.label('loop').op('jalr', { rd: 1, rs1: 5 }).op('jalr', { rd: 1, rs1: 6 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'loop' }).label('end').go('end')
    g.load(p)
    start(g, { pc: page(0), satp: tables.satp() })
    g.setX(5, RUN + 0x200)
    g.setX(6, RUN_TOO + 0x200)
    g.setX(10, 60)
    g.runHot(14_000, 0.5)
    expect(log(g).slice(0, 2)).toEqual([])
    const again = f.address('again') - page(1)
    expect(g.x(11)).toBe(BigInt(60 * 6 * 2 * (0x1000 - 12)))
    expect(g.x(15)).toBe(BigInt(60 * 6 * (RUN + RUN_TOO + 2 * (again + 12))))
  })
})
