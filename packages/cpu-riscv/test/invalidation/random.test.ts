import { expect, test } from 'vitest'
import { Mode } from '../../src/cause.ts'
import { Csr } from '../../src/csr-numbers.ts'
import { encode, instructions } from '../../src/isa/index.ts'
import { everyWay, figures, type Guest } from './guest.ts'
import { Program } from './program.ts'
import { code, data, page, Paging, Pte, pte, start } from './supervisor.ts'

/** Where S-mode sees eight pages of code, which are mapped now here, now there; their frames for stores; data; a device. */
const RUN = 0x1000_0000
const PAGES = 8
const STORE = 0x1004_0000
const DATA = 0x1008_0000
const DEVICE = 0x100c_0000
/** What M-mode knows, out of reach of the program. */
const STATE = page(4)
const frame = (i: number): number => page(10 + i)

type Random = (below: number) => number

/** Marsaglia's xorshift. */
function numbers(seed: number): Random {
  let state = Math.imul(seed, 0x9e37_79b1) >>> 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

const plain = instructions.filter(({ name, extension, kind }) => kind !== 'system' && extension !== 'f' && extension !== 'd' && name !== 'jalr' && name !== 'illegal')
/** Registers that hold addresses of data, and of the frames of code. */
const toData = [2, 5, 6, 8, 9]
const toCode = [21, 22, 23, 24]

/** A random instruction: mostly arithmetic and short branches; stores into code; what asks for a change of mapping. */
function randomWord(random: Random): number {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T
  switch (random(24)) {
    case 0:
      return encode('ecall')
    case 1:
      return encode('fence.i')
    case 2:
    case 3:
      // A word out of the table, and then somewhere into code.
      return encode('lw', { rd: 16, rs1: 19, imm: random(512) * 4 })
    case 4:
    case 5:
      return encode(pick(['sw', 'sw', 'sh', 'sd', 'amoswap.w']), { rs1: pick(toCode), rs2: 16, rd: 15, imm: (random(1024) - 512) * 4 })
    case 6:
      return encode('sw', { rs1: 26, rs2: random(32) })
    case 7:
      return encode('jal', { rd: random(3), imm: (random(4096) - 2048) * 2 })
    case 8:
      return encode('jalr', { rd: random(3), rs1: pick([1, 27]), imm: random(2048) - 1024 })
    case 9:
      return random(2 ** 16) | (random(2 ** 16) << 16)
    case 10:
      return encode(pick(['csrrw', 'csrrs', 'csrrc']), { rd: 7 + random(9), rs1: 7 + random(9), imm: pick([Csr.sscratch, Csr.sscratch, Csr.scause, Csr.sepc]) })
    case 11:
      return encode(pick(['csrrs', 'csrrc']), { rs1: 28, imm: Csr.sstatus })
    default: {
      const { name, format } = pick(plain)
      const memory = /^([ls][bhwd]u?$|lr|sc|amo)/.test(name)
      const imm = format === 'B' || format === 'J' ? (random(48) - 24) * 2 || 8 : format === 'U' ? random(2 ** 20) << 12 : format === 'S' || memory ? random(2048) - 1024 : random(64)
      return encode(name, { rd: 7 + random(9), rs1: memory ? pick(toData) : random(32), rs2: random(32), imm })
    }
  }
}

/**
 * M-mode: sums up every trap. ECALL maps one page of the code anew; from any other trap control goes on at a random place.
 * It keeps its registers to itself: the program may do to them what it likes.
 */
function handler(): Program {
  const p = new Program(page(5))
  const saved = [5, 6, 7, 8]
  p.op('csrrw', { rd: 31, rs1: 31, imm: Csr.mscratch })
  saved.forEach((register, i) => p.op('sd', { rs1: 31, rs2: register, imm: 8 * i }))
  p.op('ld', { rd: 5, rs1: 31, imm: 64 }).op('ld', { rd: 6, rs1: 31, imm: 72 }).op('mul', { rd: 5, rs1: 5, rs2: 6 }).op('addi', { rd: 5, rs1: 5, imm: 1451 }).op('sd', { rs1: 31, rs2: 5, imm: 64 }).op('srli', { rd: 5, rs1: 5, imm: 20 })
  p.op('ld', { rd: 6, rs1: 31, imm: 80 }).op('slli', { rd: 7, rs1: 6, imm: 5 }).op('sub', { rd: 6, rs1: 7, rs2: 6 })
  for (const csr of [Csr.mepc, Csr.mtval, Csr.mcause]) p.op('csrrs', { rd: 7, imm: csr }).op('add', { rd: 6, rs1: 6, rs2: 7 })
  p.op('sd', { rs1: 31, rs2: 6, imm: 80 }).op('addi', { rd: 7, rs1: 7, imm: -9 }).op('bne', { rs1: 7, to: 'fault' })
  p.op('csrrs', { rd: 8, imm: Csr.mepc }).op('addi', { rd: 8, rs1: 8, imm: 4 }).op('csrrw', { rs1: 8, imm: Csr.mepc })
  p.op('andi', { rd: 7, rs1: 5, imm: PAGES - 1 }).op('slli', { rd: 6, rs1: 7, imm: 3 }).op('ld', { rd: 8, rs1: 31, imm: 88 }).op('add', { rd: 8, rs1: 8, rs2: 6 }).op('srli', { rd: 5, rs1: 5, imm: 8 })
  p.op('andi', { rd: 6, rs1: 5, imm: 15 }).op('slli', { rd: 6, rs1: 6, imm: 3 }).op('add', { rd: 6, rs1: 6, rs2: 31 }).op('ld', { rd: 6, rs1: 6, imm: 128 }).op('sd', { rs1: 8, rs2: 6 })
  p.op('slli', { rd: 7, rs1: 7, imm: 12 }).op('ld', { rd: 6, rs1: 31, imm: 104 }).op('add', { rd: 7, rs1: 7, rs2: 6 }).op('andi', { rd: 5, rs1: 5, imm: 16 }).op('beq', { rs1: 5, to: 'all' })
  p.op('sfence.vma', { rs1: 7 }).j('out').label('all').op('sfence.vma').j('out')
  p.label('fault').op('ld', { rd: 6, rs1: 31, imm: 96 }).op('and', { rd: 5, rs1: 5, rs2: 6 }).op('ld', { rd: 6, rs1: 31, imm: 104 }).op('add', { rd: 5, rs1: 5, rs2: 6 }).op('csrrw', { rs1: 5, imm: Csr.mepc })
  p.label('out')
  saved.forEach((register, i) => p.op('ld', { rs1: 31, rd: register, imm: 8 * i }))
  return p.op('csrrw', { rd: 31, rs1: 31, imm: Csr.mscratch }).op('mret')
}

/** Loads everything; in S-mode, the next run begins. */
function prepare(g: Guest, random: Random): void {
  const tables = new Paging(g)
  const flags = [code, code, code, code, code, code, code, code, code, code & ~Pte.A, code & ~Pte.A, code, code | Pte.G, code & ~Pte.X, code | Pte.U, 0]
  for (let i = 0; i < PAGES; i++) {
    tables.map(RUN + i * 4096, frame(i), code).map(STORE + i * 4096, frame(i), data)
    g.write(frame(i), new Uint8Array(Uint32Array.from({ length: 1024 }, () => randomWord(random)).buffer))
  }
  for (let i = 0; i < 2; i++) tables.map(DATA + i * 4096, page(20 + i), data)
  g.write(page(21), new Uint8Array(Uint32Array.from({ length: 1024 }, () => randomWord(random)).buffer))
  tables.map(DEVICE, DEVICE, data)
  g.machine.bus.attach('writer', DEVICE, 4096, 0, {
    read: () => 0,
    write: () => {
      const length = 1 + random(24)
      g.write(frame(random(PAGES)) + random(4096 - length), Uint8Array.from({ length }, () => random(256)))
    },
  })
  g.load(handler())
  start(g, { pc: RUN, mode: Mode.supervisor, satp: tables.satp(1), csrs: [[Csr.mtvec, page(5)], [Csr.mscratch, STATE]] })
  const state: Readonly<Record<number, bigint | number>> = { 64: random(2 ** 30), 72: 6364136223846793005n, 80: 0, 88: tables.entry(RUN), 96: PAGES * 4096 - 2, 104: RUN }
  for (const [offset, value] of Object.entries(state)) g.write64(STATE + Number(offset), BigInt(value))
  flags.forEach((bits, i) => { g.write64(STATE + 128 + 8 * i, bits === 0 ? 0n : pte(frame(i % PAGES), bits)) })
}

test('random programs that patch their own code, have it patched by a device, and change its mapping', () => {
  let regions = 0
  for (let seed = 1; seed <= 24; seed++) {
    try {
      everyWay((g) => {
        const random = numbers(seed)
        prepare(g, random)
        for (let run = 0; run < 8; run++) {
          for (const register of [...toData, 19]) g.setX(register, DATA + (register === 19 ? 4096 : 1024 + 64 * random(32)))
          for (const register of toCode) g.setX(register, STORE + random(PAGES) * 4096 + 4 * random(1024))
          for (let register = 10; register < 16; register++) g.setX(register, BigInt(random(2 ** 32)) << BigInt(random(32)))
          g.set({ 1: RUN + 2 * random(PAGES * 2048), 26: DEVICE, 27: RUN + 2 * random(PAGES * 2048), 28: random(2) === 0 ? 1 << 18 : 1 << 19 })
          // The program may be anywhere, in any mode: it begins anew as S-mode, at a random place.
          if (g.hart().record.get('mode') === Mode.supervisor) g.setPc(RUN + 2 * random(PAGES * 2048))
          g.write(frame(random(PAGES)) + 4 * random(1024), new Uint8Array(Uint32Array.of(randomWord(random)).buffer))
          g.run(6000)
        }
        regions += figures(g).regions
      })
    } catch (error) {
      if (error instanceof Error) error.message = `seed ${seed}: ${error.message}`
      throw error
    }
  }
  expect(regions).toBeGreaterThan(500)
})
