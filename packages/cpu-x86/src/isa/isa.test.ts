import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { decode, type Decoded, disassemble, encode, type Form, forms, type Mode, operandSizes } from './index.ts'

const modes: readonly Mode[] = [16, 32, 64]
const takes = (form: Form, ...kinds: string[]): boolean => form.operands.some(({ kind }) => kinds.includes(kind))

/** Every form in a mode, with every size, with a register and with memory. */
function everyEncoding(mode: Mode): { form: Form; bytes: Uint8Array }[] {
  return forms.filter((form) => form.modes.includes(mode)).flatMap((form) => operandSizes(form, mode).flatMap((operandSize) => {
    const reg = form.digit ?? 3
    const places = takes(form, 'mem') ? [{ base: 6, index: 1, scale: 2, displacement: -300 }]
      : takes(form, 'rm') ? [2, { base: 5 }, { base: 4, displacement: 8 }, { displacement: 0x1234 }]
      : takes(form, 'offset') ? [{ displacement: 0x1234 }] : [2]
    return places.map((rm) => ({ form, bytes: encode(form, { mode, operandSize, reg, rm, immediates: [0x12n, 0x3n] }) }))
  }))
}

test('what is encoded decodes to the same form, size and operands', () => {
  for (const mode of modes) {
    for (const { form, bytes } of everyEncoding(mode)) {
      const decoded = decode(bytes, mode)
      const words = `${mode} ${form.instruction.name} ${Buffer.from(bytes).toString('hex')}`
      expect(decoded, words).toBeTypeOf('object')
      const { form: found, length, reg } = decoded as Decoded
      expect(found, words).toBe(form)
      expect(length, words).toBe(bytes.length)
      if (takes(form, 'reg', 'sreg')) expect(reg, words).toBe(3)
    }
  }
})

test('no bytes make the decoder fail, and none are read beyond the end', () => {
  let state = 1
  const random = (): number => (state = Math.imul(state, 0x19660d) + 0x3c6ef35f | 0) >>> 24
  for (let i = 0; i < 10_000; i++) {
    const bytes = Uint8Array.from({ length: i % 17 }, random)
    for (const mode of modes) {
      const decoded = decode(bytes, mode)
      if (typeof decoded === 'object') expect(decoded.length).toBeLessThanOrEqual(Math.min(15, bytes.length))
    }
  }
})

test('an instruction that wants more bytes than there are is short, one of more than fifteen is long', () => {
  expect(decode(Uint8Array.of(), 64)).toBe('short')
  expect(decode(Uint8Array.of(0x81, 0xc0, 1, 2, 3), 64)).toBe('short')
  expect(decode(new Uint8Array(16).fill(0x66), 64)).toBe('long')
})

test.each([
  [64, '4801c8', 'add rax, rcx'], [64, '0fb64608', 'movzx eax, byte ptr [rsi+0x8]'], [64, 'f3a4', 'rep movsb'], [64, '4190', 'xchg r8d, eax'],
  [64, '8b05f0ffffff', 'mov eax, dword ptr [rel 0xff6]'], [32, '6489042410', 'mov dword ptr fs:[esp], eax'], [16, '8b40fe', 'mov ax, word ptr [bx+si-0x2]'],
  [64, '40b67f', 'mov sil, 0x7f'], [16, 'ea78563412', 'jmp 0x1234:0x5678'], [16, 'ff1e0001', 'call far ptr [0x100]'], [32, '8c1b', 'mov word ptr [ebx], ds'], [64, '448cd8', 'mov eax, ds'], [64, 'b67f', 'mov dh, 0x7f'], [64, '75fe', 'jne 0x1000'], [64, '4883e8ff', 'sub rax, 0xffffffffffffffff'],
] as const)('%i-bit %s reads %s', (mode, hex, text) => {
  expect(disassemble(Buffer.from(hex, 'hex'), mode, 0x1000n).text).toBe(text)
})

const machines: Readonly<Record<Mode, string>> = { 16: 'i8086', 32: 'i386', 64: 'i386:x86-64' }
const objdump = spawnSync('objdump', ['--version']).status === 0
describe.skipIf(!objdump)(`as objdump reads it${objdump ? '' : ' (skipped: the host has no objdump)'}`, () => {
  test.each(modes)('%i-bit: where each instruction ends, and its name', (mode) => {
    const all = everyEncoding(mode).filter(({ form }) => !unknown.has(form.instruction.name) && !isOtherFence(form))
    const folder = mkdtempSync(join(tmpdir(), 'machinist-x86-'))
    try {
      const file = join(folder, 'code')
      writeFileSync(file, Buffer.concat(all.map(({ bytes }) => bytes)))
      const text = execFileSync('objdump', ['-D', '-w', '-b', 'binary', '-m', machines[mode], '-M', 'intel', file], { encoding: 'utf8' })
      const lines = new Map([...text.matchAll(/^\s*([0-9a-f]+):\t(?:[0-9a-f]{2} )+\s*\t(.*)$/gm)].map(([, at = '', words = '']) => [parseInt(at, 16), words]))
      const different: string[] = []
      let at = 0
      for (const { bytes } of all) {
        const { text: ours } = disassemble(bytes, mode, BigInt(at))
        const theirs = lines.get(at)
        expect(theirs, `${Buffer.from(bytes).toString('hex')} at ${at}: ${ours}`).toBeDefined()
        if (plain(theirs ?? '') !== plain(ours)) different.push(`${Buffer.from(bytes).toString('hex')}: ${ours} is ${theirs ?? ''}`)
        at += bytes.length
      }
      expect(different).toEqual([])
      expect(lines.size).toBe(all.length)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

/** Opcodes that objdump names by other uses of theirs. */
const unknown: ReadonlySet<string> = new Set(['nop', 'salc', 'xchg', 'fwait'])
/** A fence whose ModRM.rm is not zero, which processors ignore. */
const isOtherFence = ({ fixedModrm, instruction: { name } }: Form): boolean => name.endsWith('fence') && ((fixedModrm ?? 0) & 7) !== 0
/** Other names of the same. */
const aliases: Readonly<Record<string, string>> = { movabs: 'mov' }
/** The name alone, without prefixes and the letter of a size. */
function plain(text: string): string {
  const [name = ''] = text.trim().replace(/^((?:rex\S*|data16|data32|addr16|addr32|cs|ds) )+/, '').split(' ')
  const alone = name.replace(/^(pusha|popa|pushf|popf|push|pop|leave|enter|jmp|call|ret)[wdq]$/, '$1').replace(/^(v?cmp).*([ps][sd])$/, '$1$2')
    .replace(/^([sl][gi]dt|sysret|sysexit)[wdlq]$/, '$1').replace(/^(fldenv|fnstenv|frstor|fnsave)[wd]$/, '$1').replace(/^iret[wd]?$/, 'iret').replace(/^retf[wd]$/, 'retf').replace(/^(movs|stos|lods|cmps|scas|ins|outs)[bwdql]$/, '$1')
  return aliases[alone] ?? alone
}
