import { describe, expect, test } from 'vitest'
import { Cr4 } from './emit/control-bits.ts'
import { Interpreter } from './interpreter.ts'
import { type Model, models } from './model/models.ts'

const [RAX, RCX, RDX] = [0, 1, 2]

/** A processor in real-address mode, whose MSRs are read and written one at a time; null and false are #GP. */
function processor(model: Model = models['x86-64']) {
  const cpu = new Interpreter({ mode: 16, base: 0n, size: 0x1000, model })
  cpu.memory.set([0x0f, 0x32], 0x100)
  cpu.memory.set([0x0f, 0x30], 0x200)
  cpu.memory.set([0x0f, 0x31], 0x300)
  const at = (address: bigint): boolean => {
    cpu.rip = address
    const step = cpu.step()
    if (step.kind === 'exception') expect(step.vector).toBe(13)
    return step.kind === 'done'
  }
  const answer = (): bigint => cpu.register(RDX) << 32n | cpu.register(RAX)
  return {
    cpu,
    read: (msr: number): bigint | null => {
      cpu.setRegister(RCX, BigInt(msr))
      return at(0x100n) ? answer() : null
    },
    write: (msr: number, value: bigint): boolean => {
      cpu.setRegister(RCX, BigInt(msr))
      cpu.setRegister(RAX, value & 0xffff_ffffn)
      cpu.setRegister(RDX, value >> 32n)
      return at(0x200n)
    },
    counter: (): bigint => at(0x300n) ? answer() : -1n,
  }
}

// SDM volume 4, table 2-2, and volume 3, table 10-1: what firmware and kernels read first.
test.each([
  ['IA32_PLATFORM_ID', 0x17, 0n], ['IA32_APIC_BASE', 0x1b, 0xfee0_0900n], ['IA32_FEATURE_CONTROL', 0x3a, 1n], ['IA32_TSC_ADJUST', 0x3b, 0n], ['IA32_BIOS_SIGN_ID', 0x8b, 1n << 32n], ['IA32_MTRRCAP', 0xfe, 0x508n],
  ['IA32_MCG_CAP', 0x179, 0n], ['IA32_MCG_STATUS', 0x17a, 0n], ['IA32_MISC_ENABLE', 0x1a0, 0x1801n], ['IA32_MTRR_PHYSBASE0', 0x200, 0n], ['IA32_MTRR_PHYSMASK7', 0x20f, 0n], ['IA32_MTRR_FIX64K_00000', 0x250, 0n],
  ['IA32_MTRR_FIX4K_F8000', 0x26f, 0n], ['IA32_PAT', 0x277, 0x0007_0406_0007_0406n], ['IA32_MTRR_DEF_TYPE', 0x2ff, 0n], ['IA32_EFER', 0xc000_0080, 0n], ['IA32_TSC_AUX', 0xc000_0103, 0n],
  ['IA32_MTRR_PHYSBASE8', 0x210, null], ['IA32_MCG_CTL', 0x17b, null], ['IA32_MC0_CTL', 0x400, null], ['IA32_VMX_BASIC', 0x480, null], ['IA32_XSS', 0xda0, null], ['IA32_PRED_CMD, which is only written', 0x49, null], ['one that there is not', 0x1234_5678, null],
] as const)('%s after reset', (_, msr, value) => expect(processor().read(msr)).toBe(value))

test.each([
  ['the 486 has none', '486', [0x10, 0x174, 0xc000_0080], []], ['the Pentium has the counter and its machine check', 'pentium', [0x174, 0x200, 0x277, 0xc000_0080, 0x1a0], [0, 1, 0x10, 0x1b]],
  ['a 32-bit one has no long mode', 'i686', [0xc000_0080, 0xc000_0082, 0x3b, 0x48], [0x10, 0x174, 0x200, 0x277, 0x179]], ['a new 32-bit one neither', 'x86-32', [0xc000_0080, 0xc000_0082], [0x10, 0x3b, 0x48, 0x10a, 0x174, 0x277]], ['all of 64 bits', 'x86-64', [0], [0xc000_0080, 0xc000_0082, 0x3b, 0x48, 0x10a]],
] as const)('%s', (_, name, without, having) => {
  const { read } = processor(models[name])
  if (name !== '486') for (const msr of having) expect(read(msr), msr.toString(16)).not.toBeNull()
  if (name === '486') expect(() => read(0x10)).toThrow()
  else for (const msr of without) expect(read(msr), msr.toString(16)).toBeNull()
})

describe('values that may not be written are #GP, and leave what was there', () => {
  test.each([
    ['a memory type that is none', 0x277, [0x0007_0406_0007_0402n, 0x0800_0000_0000_0000n], [0x0606_0606_0606_0606n, 0n]], ['MTRR types have no UC−', 0x250, [7n, 2n << 56n], [0x0606_0606_0606_0606n, 0x0405_0100_0106_0504n]],
    ['reserved bits of the default type', 0x2ff, [0x100n, 0x1000n, 2n, 7n], [0xc06n, 0xc00n, 6n]], ['reserved bits of a base', 0x200, [0x100n, 0x800n, 1n << 40n, 7n], [0xff_ffff_f006n, 0n]],
    ['reserved bits of a mask', 0x201, [1n, 0x7ffn, 1n << 40n], [0xff_ffff_f800n]], ['addresses that are not canonical', 0xc000_0082, [1n << 47n, 0x8000_0000_0000_0000n], [0xffff_8000_0000_0000n, 0x7fff_ffff_ffffn]],
    ['32 bits', 0xc000_0103, [1n << 32n], [0xffff_ffffn]], ['reserved bits of IA32_SPEC_CTRL', 0x48, [8n, 0x800n], [0x407n]], ['what IA32_MISC_ENABLE tells', 0x1a0, [0n, 0x1801n | 1n << 34n], [0x1800n, 0x1801n]],
    ['what is only read', 0xfe, [0n, 0x508n], []], ['features that are locked', 0x3a, [1n, 5n], []],
  ] as const)('%s', (_, msr, wrong, right) => {
    const { read, write } = processor()
    for (const value of right) {
      expect(write(msr, value), value.toString(16)).toBe(true)
      expect(read(msr)).toBe(value)
    }
    const before = read(msr)
    for (const value of wrong) {
      expect(write(msr, value), value.toString(16)).toBe(false)
      expect(read(msr)).toBe(before)
    }
  })
})

describe('the time-stamp counter', () => {
  test('goes on, and is what is written from then on', () => {
    const { read, write, counter } = processor()
    const first = counter()
    expect(counter()).toBeGreaterThan(first)
    expect(write(0x10, 0x1234_5678_9abc_def0n)).toBe(true)
    const now = read(0x10) ?? 0n
    expect(now - 0x1234_5678_9abc_def0n).toBeLessThan(10n)
    // SDM volume 3, 18.17.3: what WRMSR adds to the counter it adds to IA32_TSC_ADJUST.
    const adjust = read(0x3b) ?? 0n
    expect(write(0x3b, adjust + 1_000_000n)).toBe(true)
    expect(counter() - now).toBeGreaterThan(1_000_000n)
    expect(write(0x3b, 0n)).toBe(true)
    expect(counter()).toBeLessThan(1000n)
  })

  test('CR4.TSD keeps it from programs alone', () => {
    const { cpu, counter } = processor()
    // mov cr4, eax
    cpu.memory.set([0x0f, 0x22, 0xe0], 0x400)
    cpu.setRegister(RAX, BigInt(Cr4.tsd))
    cpu.rip = 0x400n
    expect(cpu.step().kind).toBe('done')
    expect(counter()).toBeGreaterThan(0n)
  })
})

test('RDRAND and RDSEED give what they are given', () => {
  const numbers = [0x1122_3344_5566_7788n, 0xffff_ffff_ffff_ffffn]
  const cpu = new Interpreter({ mode: 64, base: 0x1000n, size: 0x1000, entropy: () => numbers.shift() ?? 0n })
  cpu.memory.set([0x48, 0x0f, 0xc7, 0xf0, 0x66, 0x0f, 0xc7, 0xf9])
  cpu.rip = 0x1000n
  cpu.flags = 0x8d4
  expect(cpu.step().kind).toBe('done')
  expect([cpu.register(0), cpu.flags & 0x8d5]).toEqual([0x1122_3344_5566_7788n, 1])
  cpu.setRegister(1, 0n)
  expect(cpu.step().kind).toBe('done')
  expect(cpu.register(1)).toBe(0xffffn)
})
