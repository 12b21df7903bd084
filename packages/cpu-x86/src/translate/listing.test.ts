import { compileNow } from '@machinist/wasm'
import type { PageTranslation } from '@machinist/translator'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { translatePage } from './listing.ts'

const instructionsOf = ({ blocks }: PageTranslation): bigint[] => blocks.flatMap((block) => block.instructions.map(({ address }) => address))
const codeOf = (page: PageTranslation): ReadonlyMap<string, string> =>
  new Map(page.code.filter(({ kind }) => kind === 'instruction').map(({ instruction, lines }) => [instruction?.text ?? '', lines.map(({ text }) => text).join(' ')]))

// xor eax, eax; test esi, esi; jz; add rax, [rdi]; add rdi, 8; dec esi; jnz; paddd xmm1, xmm2; fld1; cli; ret
const SUM = [0x31, 0xc0, 0x85, 0xf6, 0x74, 0x0b, 0x48, 0x03, 0x07, 0x48, 0x83, 0xc7, 0x08, 0xff, 0xce, 0x75, 0xf5, 0x66, 0x0f, 0xfe, 0xca, 0xd9, 0xe8, 0xfa, 0xc3]

test('a loop: its blocks, its nesting, and the code of each instruction', () => {
  const page = translatePage(Uint8Array.from(SUM), [0], { address: 0xffff_ffff_8100_0000n })
  expect(page.blocks).toMatchObject([
    { entry: 0, successors: [1, 2], waysOut: [] },
    { entry: null, successors: [2, 1], waysOut: [] },
    { entry: null, successors: [], waysOut: [{ kind: 'escape' }] },
    { entry: 1, successors: [], waysOut: [{ kind: 'indirect' }] },
  ])
  expect(page.nesting.map((item) => item.kind === 'loop' ? item.header : item.kind)).toEqual(['block', 1, 'block', 'block'])
  expect(page.blocks[1]?.instructions[0]).toEqual({ address: 0xffff_ffff_8100_0006n, length: 3, code: '480307', text: 'add rax, qword ptr [rdi]' })
  const texts = codeOf(page)
  expect(texts.get('add rdi, 0x8')).toMatch(/\(local\.set \$rdi .*\(local\.set \$flags\.how \(i64\.const 1\)\)/)
  expect(texts.get('add rax, qword ptr [rdi]')).toMatch(/\$tlb.*call \$exit\.escape.*local\.set \$rax/s)
  expect(texts.get('jne 0xffffffff81000006')).toMatch(/if \(br \$loop1\) end/)
  expect(texts.get('paddd xmm1, xmm2')).toMatch(/;; cr0, cr4 .*i32x4\.add.*\(local\.set \$xmm1 /s)
  expect(texts.get('fld1')).toMatch(/call \$outside/)
  expect(texts.get('cli')).toMatch(/call \$exit\.escape/)
})

test('code of 32 bits: its registers, and addresses that wrap', () => {
  // inc eax; jmp $-6
  const page = translatePage(Uint8Array.of(0x40, 0xeb, 0xf7), [0], { mode: 32 })
  expect(page.blocks).toMatchObject([{ waysOut: [{ kind: 'address', address: 0xffff_fffan }] }])
  expect(codeOf(page).get('inc eax')).toMatch(/local\.set \$eax/)
  // In 64-bit mode the first byte is a prefix.
  expect(translatePage(Uint8Array.of(0x40, 0xeb, 0xf7), [0]).blocks).toMatchObject([{ instructions: [{ length: 3 }], waysOut: [{ kind: 'address', address: 0xffff_ffff_ffff_fffan }] }])
})

test('any code: the listing has the instructions of every block, and its module is valid', () => {
  const piece = fc.oneof(fc.constantFrom(SUM, [0x0f, 0x84], [0xf3, 0xa4], [0xe8, 0, 0, 0, 0], [0x0f, 0xa2], [0xf2, 0x0f, 0x58, 0xc1]), fc.uint8Array({ minLength: 1, maxLength: 6 }).map((bytes) => [...bytes]))
  fc.assert(fc.property(fc.array(piece, { minLength: 1, maxLength: 30 }), fc.integer({ min: 1, max: 60 }), fc.constantFrom(32 as const, 64 as const), (pieces, instructions, mode) => {
    let page: PageTranslation
    try {
      page = translatePage(Uint8Array.from(pieces.flat()), [0], { instructions, mode })
    } catch (error) {
      expect(error).toMatchObject({ code: 'no-instruction' })
      return
    }
    const listed = page.code.flatMap(({ instruction }) => (instruction ? [instruction.address] : []))
    expect(listed.sort()).toEqual(instructionsOf(page).sort())
    expect(new Set(listed).size).toBeLessThanOrEqual(instructions)
    compileNow(page.wasm)
  }), { numRuns: 30 })
})

test('what is not there, and what lies over the end of the page, is no code', () => {
  const none = expect.objectContaining({ code: 'no-instruction' })
  expect(() => translatePage(new Uint8Array(0), [0])).toThrow(none)
  expect(() => translatePage(Uint8Array.of(0x90), [-1])).toThrow(none)
  expect(() => translatePage(Uint8Array.of(0x48, 0x83, 0xc7), [0])).toThrow(none)
  expect(() => translatePage(Uint8Array.of(0x06), [0])).toThrow(none)
  expect(() => translatePage(new Uint8Array(4096).fill(0xe8), [4094])).toThrow(none)
  expect(() => translatePage(new Uint8Array(4097), [0])).toThrow(/more than a page \(4097\)/)
})
