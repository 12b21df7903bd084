import type { Item, PageTranslation } from '@machinist/translator'
import { emitSoftfloat } from '@machinist/softfloat'
import { compileNow, ModuleBuilder, moduleText } from '@machinist/wasm'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import wabt from 'wabt'
import { encode } from '../isa/index.ts'
import { translatePage } from './listing.ts'

const bytesOf = (words: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer)
const instructionsOf = ({ blocks }: PageTranslation): bigint[] => blocks.flatMap((block) => block.instructions.map(({ address }) => address))

test('a loop: its blocks, its nesting, and the code of each instruction', () => {
  // The sum of a1 numbers at a0.
  const page = translatePage(bytesOf([
    encode('addi', { rd: 12 }),
    encode('beq', { rs1: 11, imm: 24 }),
    encode('ld', { rd: 13, rs1: 10 }),
    encode('addi', { rd: 10, rs1: 10, imm: 8 }),
    encode('add', { rd: 12, rs1: 12, rs2: 13 }),
    encode('addi', { rd: 11, rs1: 11, imm: -1 }),
    encode('bne', { rs1: 11, imm: -16 }),
    encode('csrrs', { rd: 10, imm: 0xc00 }),
    encode('ecall'),
    encode('jal', { imm: 4096 }),
  ]), [0], { address: 0xffff_ffff_8000_0000n })
  expect(page.blocks).toMatchObject([
    { entry: 0, successors: [1, 2], waysOut: [] },
    { entry: null, successors: [2, 1], waysOut: [] },
    { entry: null, successors: [], waysOut: [{ kind: 'escape' }] },
    { entry: 1, successors: [], waysOut: [{ kind: 'address', address: 0xffff_ffff_8000_1024n }] },
  ])
  expect(page.nesting.map((item: Item) => (item.kind === 'loop' ? item.header : item.kind))).toEqual(['block', 1, 'block', 'block'])
  const texts = new Map(page.code.filter(({ kind }) => kind === 'instruction').map(({ instruction, lines }) => [instruction?.text ?? '', lines.map(({ text }) => text).join(' ')]))
  expect([...texts.keys()]).toContain('bne a1, zero, 0xffffffff80000008')
  expect(texts.get('addi a0, a0, 8')).toBe('(local.set $a0 (i64.add (local.get $a0) (i64.const 8)))')
  expect(texts.get('add a2, a2, a3')).toBe('(local.set $a2 (i64.add (local.get $a2) (local.get $a3)))')
  expect(texts.get('ld a3, 0(a0)')).toMatch(/\$tlb.*\$exit\.miss.*local\.set \$a3\s+\(i64\.load/s)
  expect(texts.get('bne a1, zero, 0xffffffff80000008')).toMatch(/i64\.ne \(local\.get \$a1\) \(i64\.const 0\)\) if \(br \$loop1\) end/)
  expect(texts.get('csrrs a0, cycle, zero')).toMatch(/call \$outside/)
  expect(texts.get('ecall')).toMatch(/call \$exit\.escape/)
})

test('what a block writes is stored before the next test that may leave, and once', () => {
  const page = translatePage(bytesOf([
    encode('addi', { rd: 10, rs1: 10, imm: 1 }),
    encode('addi', { rd: 10, rs1: 10, imm: 2 }),
    encode('ld', { rd: 11, rs1: 12 }),
    encode('ld', { rd: 13, rs1: 12, imm: 8 }),
    encode('sd', { rs1: 12, rs2: 13, imm: 16 }),
    encode('ecall'),
  ]), [0])
  const stores = page.code.flatMap(({ instruction, lines }) => lines
    .flatMap(({ text }) => [...text.matchAll(/i64\.store offset=\d+ \(i32\.const 0\) \(local\.get \$(\w+)\)/g)].map(([, local]) => `${instruction?.text ?? ''}: ${local ?? ''}`)))
  expect(stores).toEqual(['ld a1, 0(a2): a0', 'ld a3, 8(a2): a1', 'sd a3, 16(a2): a3'])
})

const register = fc.integer({ min: 0, max: 31 })
const near = fc.integer({ min: -20, max: 20 }).map((words) => words * 4)
const word: fc.Arbitrary<number> = fc.oneof(
  fc.tuple(fc.constantFrom('addi', 'lb', 'sd', 'jalr', 'fld', 'lr.d', 'fadd.d', 'sltu', 'csrrw', 'amoswap.w'), register, register, register).map(([name, rd, rs1, rs2]) => encode(name, { rd, rs1, rs2 })),
  fc.tuple(fc.constantFrom('beq', 'bltu'), register, near).map(([name, rs1, imm]) => encode(name, { rs1, imm })),
  fc.tuple(fc.constantFrom(0, 1), near).map(([rd, imm]) => encode('jal', { rd, imm })),
  fc.nat(2 ** 32 - 1),
)

test('any code: the listing has the instructions of every block, and its module is valid', () => {
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 100, size: 'max' }).map(bytesOf), fc.integer({ min: 1, max: 80 }), (code, instructions) => {
      let page: PageTranslation
      try {
        page = translatePage(code, [0], { instructions })
      } catch (error) {
        expect(error).toMatchObject({ code: 'no-instruction' })
        return
      }
      const listed = page.code.flatMap(({ instruction }) => (instruction ? [instruction.address] : []))
      expect(listed.sort()).toEqual(instructionsOf(page).sort())
      // Code that jumps into the middle of an instruction may have the one behind it in two blocks.
      expect(new Set(listed).size).toBeLessThanOrEqual(instructions)
      compileNow(page.wasm)
    }),
    { numRuns: 200 },
  )
})

test('what is not there, and what lies over the end of the page, is no code', () => {
  const none = { code: 'no-instruction' }
  expect(() => translatePage(new Uint8Array(0), [0])).toThrow(expect.objectContaining(none))
  expect(() => translatePage(bytesOf([encode('add')]).subarray(0, 2), [0])).toThrow(expect.objectContaining(none))
  expect(() => translatePage(new Uint8Array(4096).fill(0x13), [4094])).toThrow(expect.objectContaining(none))
  expect(() => translatePage(bytesOf([encode('add')]), [1])).toThrow(expect.objectContaining(none))
  expect(() => translatePage(new Uint8Array(4097), [0])).toThrow(/more than a page \(4097\)/)
})

test('the text of real modules is taken back to the same bytes by another assembler', async () => {
  // The assembler's own stack is too small for hundreds of nested blocks, as the interpreter has.
  const tool = await wabt()
  const floats = new ModuleBuilder()
  floats.importMemory({ module: 'host', name: 'memory', initial: 1 })
  emitSoftfloat(floats, { flags: 0, nan: 'canonical' })
  const region = translatePage(bytesOf([encode('fmadd.d', { rd: 1, rs1: 2, rs2: 3, rs3: 4 }), encode('amoadd.w', { rd: 5, rs1: 6 }), encode('jal', { imm: -8 })]), [0, 4])
  for (const bytes of [floats.toBytes(), region.wasm]) {
    const module = tool.parseWat('module.wat', moduleText(bytes), { tail_call: true })
    const { buffer } = module.toBinary({})
    module.destroy()
    // All but the names, which come last.
    expect(buffer.length).toBeGreaterThan(bytes.length / 2)
    expect(Buffer.compare(buffer, bytes.subarray(0, buffer.length))).toBe(0)
    expect([...bytes.subarray(buffer.length, buffer.length + 1)]).toEqual([0])
  }
})
