import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compressible } from './compressed.ts'
import { compressed, decode, disassemble, emptyDecoded, encode, instructions, numberOf } from './index.ts'

test('what is encoded decodes to the same', () => {
  for (const instruction of instructions.slice(1)) {
    fc.assert(
      fc.property(fc.nat(31), fc.nat(31), fc.nat(31), fc.nat(31), fc.constantFrom(0, 1, 2, 3, 4, 7), fc.integer(), (rd, rs1, rs2, rs3, rm, random) => {
        const { fields, format } = instruction
        const imm =
          fields.has('iimm') || format === 'S' ? random >> 20
          : format === 'B' ? (random >> 19) & ~1
          : format === 'J' ? (random >> 11) & ~1
          : format === 'U' ? random & 0xffff_f000
          : format === 'CSR' ? random >>> 20
          : fields.has('shamt6') ? random & 63
          : fields.has('shamt5') ? random & 31
          : 0
        const word = encode(instruction.name, { rd, rs1, rs2, rs3, rm, imm })
        const d = decode(word, emptyDecoded())
        // PAUSE and a few others are particular operands of more general instructions.
        const decoded = instructions[d.number]
        if (d.number !== numberOf(instruction.name)) {
          expect(((word & (decoded?.mask ?? 0)) >>> 0)).toBe(decoded?.match)
          expect(ones(decoded?.mask ?? 0)).toBeGreaterThan(ones(instruction.mask))
          return
        }
        if (fields.has('rd')) expect(d.rd).toBe(rd)
        if (fields.has('rs1')) expect(d.rs1).toBe(rs1)
        if (fields.has('rs2')) expect(d.rs2).toBe(rs2)
        if (fields.has('rs3')) expect(d.rs3).toBe(rs3)
        if (fields.has('rm')) expect(d.rm).toBe(rm)
        expect(d.imm).toBe(imm)
      }),
      { numRuns: 20 },
    )
  }
})

function ones(mask: number): number {
  return mask.toString(2).replaceAll('0', '').length
}

test('no two instructions share an encoding', () => {
  for (const a of instructions.slice(1)) {
    for (const b of instructions.slice(1)) {
      if (a === b) continue
      const common = a.mask & b.mask
      const clash = (a.match & common) === (b.match & common)
      // Where patterns meet, one is wholly inside the other.
      if (clash) expect(a.mask === common >>> 0 || common >>> 0 === a.mask >>> 0 || common >>> 0 === b.mask >>> 0, `${a.name} ${b.name}`).toBe(true)
    }
  }
})

test('compressed instructions stand for instructions of the table', () => {
  for (const entry of compressed) {
    for (let half = 0; half < 0x10000; half++) {
      if ((half & entry.mask) !== entry.match) continue
      const expansion = entry.expand(half)
      if (!expansion) continue
      expect(numberOf(expansion.name)).toBeGreaterThan(0)
      expect(compressible).toContain(expansion.name)
    }
  }
})

const objdump = 'riscv64-linux-gnu-objdump'
const hasObjdump = (() => {
  try {
    execFileSync(objdump, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

test.skipIf(!hasObjdump)('agrees with the GNU disassembler on what is an instruction, and on its name', () => {
  // Random bits with plausible opcodes, and every 16-bit pattern.
  let seed = 12345
  const random = (): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0)
  const words: number[] = []
  for (const instruction of instructions.slice(1)) {
    for (let i = 0; i < 8; i++) words.push(((random() ^ (random() << 13)) & ~instruction.mask) | instruction.match)
  }
  const halves = Array.from({ length: 0x10000 }, (_, i) => i).filter((half) => (half & 3) !== 3)
  const folder = mkdtempSync(join(tmpdir(), 'isa-'))
  try {
    const bytes = new Uint8Array(words.length * 4 + halves.length * 2)
    new Uint32Array(bytes.buffer, 0, words.length).set(words)
    new Uint16Array(bytes.buffer, words.length * 4).set(halves)
    writeFileSync(join(folder, 'code.bin'), bytes)
    const text = execFileSync(
      objdump,
      ['-D', '-z', '-b', 'binary', '-m', 'riscv:rv64', '-M', 'no-aliases,numeric', join(folder, 'code.bin')],
      { encoding: 'utf8', maxBuffer: 2 ** 28 },
    )
    // GNU knows extensions that these harts do not have, and writes a few names differently.
    const beyond = /^(c\.nop|c\.mul|c\.zext|c\.sext|c\.not|c\.l[bh]|c\.s[bh]|fcvt\.bf16|hlv|hsv|cm\.|f\w+\.[hq]|fli|czero|th\.|v\w|unimp|\.|0x)/
    let compared = 0
    for (const line of text.split('\n')) {
      const match = /^\s*([0-9a-f]+):\s+([0-9a-f]+)\s+(\S+)/.exec(line)
      if (!match) continue
      const [, , hex = '', theirs = ''] = match
      const word = Number.parseInt(hex, 16)
      const d = decode(word, emptyDecoded())
      const ours = instructions[d.number]?.name ?? ''
      if (hex.length === 4) {
        // 16-bit patterns: both must agree on which are instructions. GNU 2.40 shows reserved and hint forms by name.
        if (d.number !== 0) expect(theirs, line).not.toMatch(/^(\.|0x|unimp)/)
        continue
      }
      if (d.number === 0 || beyond.test(theirs)) continue
      const normal = theirs.replace(/\.(aq|rl|aqrl)$/, '').replace(/^fence\.tso$/, 'fence')
      if (ours === 'pause' || ['zext.h', 'packw', 'rev8', 'grevi', 'orc.b', 'gorci'].includes(normal)) continue
      expect(normal, `${line} — ours: ${disassemble(word).text}`).toBe(ours)
      compared++
    }
    expect(compared).toBeGreaterThan(1000)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('assembly text', () => {
  expect(() => encode('addy')).toThrow(expect.objectContaining({ code: 'unknown-instruction', value: 'addy', remedy: expect.stringContaining('addi, ') as string }))
  expect(() => encode('addi', { imm: 2048 })).toThrow(expect.objectContaining({ code: 'encoding', part: 'addi', value: 2048, remedy: 'Use one from -2048 to 2047' }))
  expect(disassemble(encode('addi', { rd: 10, rs1: 2, imm: -16 })).text).toBe('addi a0, sp, -16')
  expect(disassemble(encode('ld', { rd: 1, rs1: 2, imm: 8 })).text).toBe('ld ra, 8(sp)')
  expect(disassemble(encode('beq', { rs1: 10, rs2: 0, imm: -4 }), 0x1000).text).toBe('beq a0, zero, 0xffc')
  expect(disassemble(encode('csrrw', { rd: 0, rs1: 5, imm: 0x305 })).text).toBe('csrrw zero, mtvec, t0')
  expect(disassemble(encode('fmadd.d', { rd: 0, rs1: 1, rs2: 2, rs3: 3, rm: 1 })).text).toBe('fmadd.d ft0, ft1, ft2, ft3, rtz')
  expect(disassemble(0x4501).text).toBe('addi a0, zero, 0')
  expect(disassemble(0).text).toBe('.half 0x0')
})
