import { expect, test } from 'vitest'
import { encode } from '../../src/isa/index.ts'
import { everyWay, type Guest } from './guest.ts'
import { Program } from './program.ts'
import { page } from './supervisor.ts'

const give = (imm: number): number => encode('addi', { rd: 7, imm })
const bytesOf = (word: number): Uint8Array => new Uint8Array(Uint32Array.of(word).buffer)
const DEVICE = 0x1000_0000

/** A loop that adds what `target` gives to x11, and counts in x9. Four instructions. */
function loop(base: number): Program {
  return new Program(base).label('loop').label('target').word(give(0)).op('add', { rd: 11, rs1: 11, rs2: 7 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).go('loop')
}

test.each([
  ['writes', (g: Guest, at: number, word: number) => { g.writeWord(at, word) }],
  ['writes of one byte', (g: Guest, at: number, word: number) => { g.write(at + 3, [word >>> 24]) }],
  ['writes of a page', (g: Guest, at: number, word: number) => {
    const bytes = new Uint8Array(3 * 4096)
    g.machine.memory.read(page(0), bytes)
    bytes.set(bytesOf(word), at - page(0))
    g.write(page(0), bytes)
  }],
  ['stores into a mapping', (g: Guest, at: number, word: number) => {
    const [piece] = g.machine.memory.map(at, 4, 'write') ?? []
    piece?.set(bytesOf(word))
  }],
  ['what somebody else changed, and said so', (g: Guest, at: number, word: number) => {
    g.change(at, word)
  }],
])('between runs: %s', (_name, write) => {
  everyWay((g) => {
    const p = loop(page(1) + 0x80)
    g.load(p)
    g.setPc(page(1) + 0x80)
    let sum = 0
    // More often than it takes for the page to be thought data.
    for (let i = 1; i <= 80; i++) {
      const immediate = (i % 100) * 16
      write(g, p.address('target'), give(immediate))
      if (i % 20 === 0) g.runHot(8000, 0.1)
      else g.run(400)
      sum += immediate * (i % 20 === 0 ? 2000 : 100)
      expect(g.x(11)).toBe(BigInt(sum))
    }
  })
})

/** A device that changes code when it is written to or read; the word to store and where are what the guest wrote before. */
function attach(g: Guest): void {
  let address = 0
  const store = (word: number): void => { g.writeWord(address, word) }
  g.machine.bus.attach('patcher', DEVICE, 16, 0, {
    read(_region, _offset) {
      store(give(3))
      return 77
    },
    write(_region, offset, _width, value) {
      if (offset === 0) address = value
      else store(value)
    },
  })
}

test('by a device, during the store that asks for it, right ahead in the block', () => {
  everyWay((g) => {
    attach(g)
    const p = new Program(page(0))
    p.op('sw', { rs1: 5, rs2: 6 }).label('loop').op('addi', { rd: 9, rs1: 9, imm: 1 }).op('andi', { rd: 10, rs1: 9, imm: 0xff }).op('slli', { rd: 8, rs1: 10, imm: 20 }).op('add', { rd: 8, rs1: 8, rs2: 13 })
    p.op('sw', { rs1: 5, rs2: 8, imm: 4 }).label('target').word(give(0)).op('add', { rd: 11, rs1: 11, rs2: 7 }).op('sub', { rd: 11, rs1: 11, rs2: 10 })
    // The same by a load.
    p.op('lw', { rd: 14, rs1: 5 }).label('again').op('addi', { rd: 15, rs1: 15, imm: 1 }).go('loop')
    g.load(p)
    g.setPc(page(0))
    g.setX(5, DEVICE)
    g.setX(6, p.address('target'))
    g.setX(13, give(0))
    g.run(8000)
    expect(g.x(11)).toBe(0n)
    expect(g.x(14)).toBe(77n)
    expect(g.x(15)).toBeGreaterThan(700n)
  })
})

test('by a device, over the very instruction that asks for it', () => {
  everyWay((g) => {
    attach(g)
    const p = new Program(page(0))
    p.label('outer').op('sw', { rs1: 5, rs2: 6 }).op('addi', { rd: 12, imm: 3 })
    // The load becomes `addi x7, x0, 3`, is executed as that for the rest of the rounds, and is put back.
    p.label('target').op('lw', { rd: 14, rs1: 5 }).op('add', { rd: 11, rs1: 11, rs2: 7 }).op('add', { rd: 15, rs1: 15, rs2: 14 }).op('addi', { rd: 14, imm: 0 }).until(12, 'target')
    p.op('addi', { rd: 7, imm: 0 }).op('sw', { rs1: 5, rs2: 16, imm: 4 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).op('bne', { rs1: 9, rs2: 10, to: 'outer' }).label('end').go('end')
    g.load(p)
    g.setPc(page(0))
    g.setX(5, DEVICE)
    g.setX(6, p.address('target'))
    g.setX(10, 150)
    g.setX(16, encode('lw', { rd: 14, rs1: 5 }))
    g.run(8000)
    expect(g.x(15)).toBe(150n * 77n)
    expect(g.x(11)).toBe(150n * 6n)
  })
})

test('a reset begins with other code in the same memory', () => {
  everyWay((g) => {
    for (let round = 1; round <= 6; round++) {
      const p = loop(page(round % 2))
      g.load(p)
      g.load(loop(page(2)))
      g.writeWord(p.address('target'), give(round))
      g.machine.cpu.reset('warm', { pc: page(round % 2), args: [] })
      g.runHot(8000, 0.1)
      expect(g.x(11)).toBe(BigInt(2000 * round))
      // As a machine does it: frames go back, and come again in another order.
      g.machine.cpu.reset('warm', { pc: page(2), args: [] })
      g.machine.memory.clear()
      g.machine.cpu.memoryChanged(page(0), 3 * 4096)
    }
  })
})

test('pages whose frames somebody else has moved', () => {
  everyWay((g) => {
    const p = new Program(page(0)).label('loop').op('ld', { rd: 7, rs1: 5 }).op('add', { rd: 11, rs1: 11, rs2: 7 }).op('sd', { rs1: 5, rs2: 9, imm: 8 }).go('loop')
    g.load(p)
    g.write64(page(1), 1n)
    g.write64(page(2), 100n)
    g.setPc(page(0))
    g.set({ 5: page(1), 9: 5 })
    let sum = 0
    for (let i = 0; i < 4; i++) {
      g.runHot(8000, 0.1)
      sum += 2000 * (i % 2 === 0 ? 1 : 100)
      expect(g.x(11)).toBe(BigInt(sum))
      expect(g.read64(page(1) + 8)).toBe(BigInt(5 + i))
      g.setX(9, 6 + i)
      // The two frames change places.
      const { arena } = g.machine.memory
      const [one, other] = [page(1), page(2)].map((at) => g.machine.memory.entryAddress(at) >>> 2) as [number, number]
      const frame = arena.u32[one] ?? 0
      arena.u32[one] = arena.u32[other] ?? 0
      arena.u32[other] = frame
      g.machine.cpu.memoryChanged(page(1), 2 * 4096)
    }
  })
})

test('code in the upper half of the arena, where addresses look negative', () => {
  everyWay((g) => {
    // Takes address space alone: nothing is ever written there.
    g.machine.memory.arena.allocate(2 ** 31)
    const p = loop(page(0))
    p.org(page(1)).label('main').op('sw', { rs1: 5, rs2: 6 }).j('loop')
    g.load(p)
    g.setX(5, p.address('target'))
    let sum = 0
    for (let i = 1; i <= 6; i++) {
      // By the guest, by DMA, and by somebody who says so afterwards.
      g.setX(6, give(i))
      g.setPc(p.address(i % 3 === 0 ? 'main' : 'loop'))
      if (i % 3 === 1) g.writeWord(p.address('target'), give(i))
      if (i % 3 === 2) {
        g.change(p.address('target'), give(i))
      }
      if (i % 3 === 0) g.run(2)
      g.runHot(6000, 0.1)
      sum += 1500 * i
      expect(g.x(11)).toBe(BigInt(sum))
    }
  })
})
