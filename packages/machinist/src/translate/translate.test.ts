import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMachinistError } from '@machinist/api'
import { encode } from '@machinist/cpu-riscv/isa'
import { afterAll, describe, expect, test } from 'vitest'
import { main, parseCommand, translate } from '../index.ts'
import { parseAddress } from './arguments.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-translate-'))
afterAll(() => { rmSync(folder, { recursive: true }) })
const file = (name: string, content: Uint8Array): string => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

/** The sum of a1 numbers of 64 bits at a0. */
const sum = new Uint8Array(Uint32Array.from([
  encode('addi', { rd: 12 }),
  encode('beq', { rs1: 11, imm: 24 }),
  encode('ld', { rd: 13, rs1: 10 }),
  encode('addi', { rd: 10, rs1: 10, imm: 8 }),
  encode('add', { rd: 12, rs1: 12, rs2: 13 }),
  encode('addi', { rd: 11, rs1: 11, imm: -1 }),
  encode('bne', { rs1: 11, imm: -16 }),
  encode('addi', { rd: 10, rs1: 12 }),
  encode('jalr', { rs1: 1 }),
]).buffer)

/** The sum of esi numbers of 64 bits at rdi: xor eax, eax; test esi, esi; jz; add rax, [rdi]; add rdi, 8; dec esi; jnz; ret. */
const sumX86 = Uint8Array.of(0x31, 0xc0, 0x85, 0xf6, 0x74, 0x0b, 0x48, 0x03, 0x07, 0x48, 0x83, 0xc7, 0x08, 0xff, 0xce, 0x75, 0xf5, 0xc3)

/** An ELF file with `sum` at an address in the upper half, and symbols. */
function elf({ machine = 243, bits = 64, address = 0xffff_ffff_8000_0ff0n, segments = 1, program = sum }: { machine?: number; bits?: 32 | 64; address?: bigint; segments?: 0 | 1; program?: Uint8Array } = {}): Uint8Array {
  const names = '\0sum\0beef\0'
  const bytes = new Uint8Array(512)
  const view = new DataView(bytes.buffer)
  bytes.set([0x7f, 0x45, 0x4c, 0x46, bits === 64 ? 2 : 1, 1, 1])
  view.setUint16(16, 2, true)
  view.setUint16(18, machine, true)
  view.setBigUint64(24, address, true)
  // One program header at 64; three section headers at 320: none, symbols, names.
  view.setBigUint64(32, 64n, true)
  view.setBigUint64(40, 320n, true)
  for (const [at, value] of [[54, 56], [56, segments], [58, 64], [60, 3], [62, 0]] as const) view.setUint16(at, value, true)
  view.setUint32(64, 1, true)
  view.setUint32(68, 5, true)
  ;[128n, address, 0x8000_0ff0n, BigInt(program.length), BigInt(program.length), 4096n].forEach((value, i) => view.setBigUint64(72 + 8 * i, value, true))
  bytes.set(program, 128)
  const symbol = (at: number, name: number, type: number, value: bigint): void => {
    view.setUint32(at, name, true)
    view.setUint8(at + 4, type)
    view.setBigUint64(at + 8, value, true)
  }
  // A label of the same name first, a function second; and a symbol whose name is a hexadecimal number.
  symbol(192, 1, 0, address + 4n)
  symbol(216, 1, 2, address)
  symbol(240, 5, 2, address + 8n)
  bytes.set([...names].map((character) => character.charCodeAt(0)), 264)
  const section = (index: number, type: number, offset: bigint, size: bigint, link: number): void => {
    const at = 320 + 64 * index
    view.setUint32(at + 4, type, true)
    view.setBigUint64(at + 24, offset, true)
    view.setBigUint64(at + 32, size, true)
    view.setUint32(at + 40, link, true)
  }
  section(1, 2, 192n, 72n, 2)
  section(2, 3, 264n, BigInt(names.length), 0)
  return bytes
}

/** The header of a flat kernel Image, with `sum` behind it. */
function image(magic2: number): Uint8Array {
  const bytes = new Uint8Array(128)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(8, 0x20_0000n, true)
  view.setBigUint64(16, 128n, true)
  view.setUint32(56, magic2, true)
  bytes.set(sum, 64)
  return bytes
}
const RISCV_IMAGE = 0x0543_5352
const ARM_IMAGE = 0x644d_5241

/** As far as it is known by it. */
function bzImage(): Uint8Array {
  const view = new DataView(new ArrayBuffer(0x800))
  view.setUint16(0x1fe, 0xaa55, true)
  view.setUint32(0x202, 0x5372_6448, true)
  return new Uint8Array(view.buffer)
}

describe('translate', () => {
  test('shows blocks, nesting, and each instruction beside its code', () => {
    const wasm = join(folder, 'sum.wasm')
    const text = translate({ file: file('sum.bin', sum), at: '0x8000_0000', wasm })
    const [blocks, nesting, code] = text.split(/^(?:Blocks|Nesting|Code)\n/m).slice(1)
    expect(text).toMatch(/^Page 0x80000000, from 0x80000000: 9 instructions; 3 blocks; 1 entry; 1 loop; /)
    expect(blocks).toContain('B0  entry 0\n    80000000  00000613  addi a2, zero, 0\n')
    expect(blocks).toMatch(/B1 {2}header of a loop\n(.*\n){5} {4}-> B2, B1\n/)
    expect(blocks).toMatch(/-> an address computed at run time\n$/m)
    expect(nesting).toBe('  B0\n  loop, header B1\n    B1\n  B2\n\n')
    expect(code).toMatch(/^ {4}8000000c {2}addi a0, a0, 8 +\(local\.set \$a0 \(i64\.add \(local\.get \$a0\) \(i64\.const 8\)\)\)$/m)
    expect(code).toMatch(/^ {4}80000018 {2}bne a1, zero, 0x80000008 (.*\n)+? +\(br \$loop1\)$/m)
    expect(code).toContain('call $exit.miss')
    for (const line of text.split('\n')) expect(line).toBe(line.trimEnd())
    expect(readFileSync(wasm).toString('latin1')).toMatch(/^\0asm/)
  })

  test('takes ELF files, by symbol, and knows where a page ends', () => {
    const path = file('sum.elf', elf())
    // Four of the nine instructions lie in the first page.
    expect(translate({ file: path, at: 'sum' })).toMatch(/^Page 0xffffffff80000000, from 0xffffffff80000ff0: 4 instructions;.*\n(.*\n)*.*beq a1, zero, 0xffffffff8000100c\n(.*\n)*.*-> 0xffffffff80001000\n/)
    expect(translate({ file: path, at: 'beef', instructions: 1 })).toMatch(/from 0xffffffff80000ff8: 1 instruction, which is the limit;/)
    expect(translate({ file: path, at: 'ffffffff80001000' })).toMatch(/^Page 0xffffffff80001000, .* 5 instructions;/)
  })

  test('takes flat files, at an address that is given, or that an Image says', () => {
    expect(translate({ file: file('sum.bin', sum), at: '1008', base: 0x1000n })).toMatch(/^Page 0x1000, from 0x1008: 7 instructions;/)
    expect(translate({ file: file('Image', image(RISCV_IMAGE)), at: '80200040' })).toMatch(/^Page 0x80200000, from 0x80200040: 9 instructions;/)
  })

  test('takes programs for x86: ELF files say so, of others it is said', () => {
    const text = translate({ file: file('x86.elf', elf({ machine: 62, program: sumX86, address: 0xffff_ffff_8000_0100n })), at: 'sum', arch: 'amd64' })
    expect(text).toMatch(/^Page 0xffffffff80000000, from 0xffffffff80000100: 8 instructions; 3 blocks; 1 entry; 1 loop; /)
    expect(text).toMatch(/^ {4}ffffffff80000106 {2}480307 {4}add rax, qword ptr \[rdi\]$/m)
    expect(text).toMatch(/^ {4}ffffffff8000010d {2}dec esi (.*\n)+? +\(local\.set \$rsi /m)
    const flat = file('sum-x86.bin', sumX86)
    expect(translate({ file: flat, at: '100006', arch: 'amd64' })).toMatch(/^Page 0x100000, from 0x100006: 5 instructions;/)
    // An odd address is one as any; 0x48 is DEC EAX.
    expect(translate({ file: flat, at: '7c09', base: 0x7c00n, arch: 'i386' })).toMatch(/^ {4}7c09 {2}48 {8}dec eax$/m)
  })

  test.each([
    ['nothing', null, {}, /^FILE: there is no such file/],
    ['empty', new Uint8Array(0), {}, /^FILE: it is empty/],
    ['sum.bin', sum, { at: '80000024' }, /^--at: the file has no bytes there \(0x80000024\)\. It has 0x80000000 to 0x80000023/],
    ['sum.bin', sum, { at: '80000001' }, /^--at: an instruction never begins at an odd address/],
    ['sum.bin', sum, { at: 'main' }, /^--at: not an address \(main\)/],
    ['sum.bin', sum.subarray(0, 6), { at: '80000004' }, /^page: no instruction that can be translated begins there \(0x80000004\)/],
    ['sum.bin', sum, { wasm: join(folder, 'none', 'x.wasm') }, /^--wasm: /],
    ['sum.elf', elf(), { at: 'main' }, /^--at: no such symbol \(main\)/],
    ['sum.elf', elf(), { at: '0xmain' }, /^--at: not an address/],
    ['sum.elf', elf(), { base: 0n }, /^--base: an ELF file says itself/],
    ['arm.elf', elf({ machine: 183 }), {}, /^FILE: the program is for another processor \(183\)/],
    ['i386.elf', elf({ machine: 3 }), {}, /^FILE: the program has 64 bits/],
    ['amd64.elf', elf({ machine: 62 }), { arch: 'i386' as const }, /^--arch: the program is for amd64 \(i386\)/],
    ['vmlinuz', bzImage(), {}, /^FILE: it is a bzImage/],
    ['rv32.elf', elf({ bits: 32 }), {}, /^FILE: /],
    ['object.o', elf({ segments: 0 }), {}, /^FILE: the file has nothing that would be loaded/],
    ['Image.arm', image(ARM_IMAGE), {}, /^FILE: the kernel is for another processor/],
    ['Image.gz', Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0), {}, /^FILE: the kernel is compressed with gzip/],
  ])('%s is refused in one line: %#', (name, content, options, message) => {
    const path = content === null ? join(folder, name) : file(name, content)
    const refused = expect.objectContaining({ message: expect.stringMatching(/^[^\n]+$/) as string })
    expect(() => translate({ file: path, at: '0x80000000', ...options })).toThrow(refused)
    expect(() => translate({ file: path, at: '0x80000000', ...options })).toThrow(message)
  })

  test('of cut and changed files never fails otherwise', () => {
    const whole = elf()
    const attempt = (bytes: Uint8Array, at: string): void => {
      try {
        translate({ file: file('odd', bytes), at })
      } catch (error) {
        if (!isMachinistError(error)) throw error
        expect(error.message).not.toContain('\n')
      }
    }
    for (let length = 1; length < whole.length; length += 9) attempt(whole.subarray(0, length), 'sum')
    for (let at = 4; at < whole.length; at++) attempt(whole.map((byte, i) => (i === at ? byte ^ 0xff : byte)), 'sum')
  })
})

describe('the command line of translate', () => {
  test('is understood', async () => {
    expect(parseCommand(['translate', 'a.elf', '--at', 'main', '--base=0x8000_0000', '--instructions', '40', '--wasm', 'x'])).toEqual({
      kind: 'translate', options: { file: 'a.elf', at: 'main', base: 0x8000_0000n, instructions: 40, wasm: 'x' },
    })
    expect(parseCommand(['translate', '--help'])).toEqual({ kind: 'help', topic: 'translate' })
    expect(['0', '0x10', 'ffffffffffffffff', '00000000000000001', 'dead_beef'].map(parseAddress)).toEqual([0n, 16n, 2n ** 64n - 1n, 1n, 0xdead_beefn])
    expect(['', '0x', 'x', '-1', '1ffffffffffffffff', '_1', '1__2', '1.5', ' 1'].map(parseAddress)).toEqual(Array(9).fill(null))
    expect(await main(['translate', 'a.elf'])).toBe(2)
    expect(await main(['translate', join(folder, 'none'), '--at', '0'])).toBe(1)
  })
  test.each([
    [[], 'translate'], [['a', 'b', '--at', '0'], 'translate'], [['a'], '--at'], [['a', '--at', '0', '--base', 'main'], '--base'], [['a', '--at', '0', '--instructions', '0'], '--instructions'],
    [['a', '--at', '0', '--instructions', '2049'], '--instructions'], [['a', '--at', '0', '--wasm='], '--wasm'], [['a', '--at', '0', '--harts', '2'], '--harts'],
  ])('%j is refused by naming %s', (args, part) => {
    expect(() => parseCommand(['translate', ...args])).toThrow(expect.objectContaining({ code: 'usage', part }))
  })
})
