import { describe, expect, test } from 'vitest'
import { cpuid, type CpuidPlace } from './cpuid.ts'
import { type Feature, featureNames, features } from './features.ts'
import { featureOf, lackedBy } from './forms.ts'
import { maskOf, type Model, modelNamed, models } from './models.ts'
import { Cr4, Efer, Xcr0 } from '../emit/control-bits.ts'
import { Interpreter } from '../interpreter.ts'
import { decode, encode, forms, type Mode, operandSizes } from '../isa/index.ts'

const place: CpuidPlace = { hart: 0, harts: 1, timeFrequency: 1e9, osxsave: false, xcr0: 1, apic: true }
const every: readonly Model[] = Object.values(models)

/** Whether CPUID tells of a feature. */
function told(model: Model, name: Feature): boolean {
  const { leaf, subleaf, register, bit } = features[name]
  const last = cpuid(model, leaf & 0x8000_0000, 0, place)[0] >>> 0
  if (last < leaf || (last ^ leaf) >>> 31 !== 0) return false
  return (cpuid(model, leaf, subleaf, place)[['eax', 'ebx', 'ecx', 'edx'].indexOf(register)] ?? 0) >>> bit << 31 !== 0
}

describe.each(every)('$name', (model) => {
  test('CPUID tells of what it has, and of nothing else', () => {
    expect(featureNames.filter((name) => told(model, name))).toEqual(featureNames.filter((name) => model.features.has(name)))
  })

  test('an encoding is there when CPUID tells of its feature', () => {
    const lacks = lackedBy(model)
    const modes: readonly Mode[] = model.features.has('lm') ? [16, 32, 64] : [16, 32]
    for (const mode of modes) {
      for (const form of forms.filter((each) => each.modes.includes(mode))) {
        const feature = featureOf(form)
        const memory = form.operands.some(({ kind }) => kind === 'mem')
        const bytes = encode(form, { mode, operandSize: operandSizes(form, mode)[0] ?? 4, reg: form.digit ?? 3, rm: memory ? { base: 6, ...form.vsib ? { index: 1 } : {} } : 2, immediates: [1n, 1n] })
        const decoded = decode(bytes, mode, lacks)
        // What it has not may be something else: a prefix is ignored (TZCNT and LZCNT are BSF and BSR, PAUSE is NOP).
        const found = typeof decoded === 'object' && decoded.form === form
        expect(found, `${mode} ${form.instruction.name} ${Buffer.from(bytes).toString('hex')}`).toBe(feature === null || told(model, feature))
      }
    }
  })
})

test('what a model has not is #UD, or what its bytes were before', () => {
  const run = (model: Model, ...bytes: number[]) => {
    const cpu = new Interpreter({ mode: 64, base: 0x1000n, size: 4096, model })
    cpu.memory.set(bytes)
    cpu.rip = 0x1000n
    cpu.setRegister(1, 0x80n)
    return { cpu, step: cpu.step() }
  }
  // popcnt eax, ecx
  expect(run(models['x86-64'], 0xf3, 0x0f, 0xb8, 0xc1).step).toMatchObject({ kind: 'exception', vector: 6 })
  expect(run(models['x86-64-v2'], 0xf3, 0x0f, 0xb8, 0xc1).step.kind).toBe('done')
  // lzcnt eax, ecx is BSR without it.
  expect(run(models['x86-64-v2'], 0xf3, 0x0f, 0xbd, 0xc1).cpu.register(0)).toBe(7n)
  expect(run(models['x86-64-v3'], 0xf3, 0x0f, 0xbd, 0xc1).cpu.register(0)).toBe(24n)
  // vzeroupper
  expect(run(models['x86-64-v2'], 0xc5, 0xf8, 0x77).step).toMatchObject({ kind: 'exception', vector: 6 })
  expect(run(models['x86-64-v3'], 0xc5, 0xf8, 0x77).step.kind).toBe('done')
})

describe('bits of control registers', () => {
  /** In real-address mode at CPL 0, after the instructions; all are made one at a time. */
  const runs = (model: Model, registers: Readonly<Record<number, bigint>>, code: readonly number[]) => {
    const cpu = new Interpreter({ mode: 16, base: 0n, size: 4096, model })
    cpu.memory.set(code, 0x100)
    cpu.rip = 0x100n
    for (const [number, value] of Object.entries(registers)) cpu.setRegister(Number(number), value)
    return { cpu, step: cpu.step() }
  }
  const bits = Array.from({ length: 32 }, (_, i) => 2 ** i)

  test.each(every)('$name: CR4', (model) => {
    const mask = maskOf(model, 'cr4')
    // PCIDE wants long mode.
    for (const bit of bits.filter((one) => one !== Cr4.pcide)) {
      const { step } = runs(model, { 0: BigInt(bit) }, [0x0f, 0x22, 0xe0])
      expect(step.kind, `bit ${Math.log2(bit)}`).toBe((mask & bit) !== 0 ? 'done' : 'exception')
    }
  })

  test.each(every.filter(({ features: has }) => has.has('msr')))('$name: EFER', (model) => {
    const mask = maskOf(model, 'efer')
    for (const bit of bits) {
      const { step } = runs(model, { 0: BigInt(bit), 1: 0xc000_0080n }, [0x0f, 0x30])
      const there = mask !== 0 && (bit === Efer.lma || (mask & bit) !== 0)
      expect(step.kind, `bit ${Math.log2(bit)}`).toBe(there ? 'done' : 'exception')
    }
  })

  test('XCR0: x87 always, AVX with SSE alone', () => {
    for (const value of [0, 1, 2, 3, 4, 5, 6, 7, 8, 15]) {
      const cpu = new Interpreter({ mode: 16, base: 0n, size: 4096, model: models['x86-64-v3'] })
      // mov cr4, eax; mov eax, ebx; xsetbv
      cpu.memory.set([0x0f, 0x22, 0xe0, 0x66, 0x89, 0xd8, 0x0f, 0x01, 0xd1], 0x100)
      cpu.rip = 0x100n
      cpu.setRegister(0, BigInt(Cr4.osxsave))
      cpu.setRegister(3, BigInt(value))
      expect([cpu.step().kind, cpu.step().kind, cpu.step().kind], `${value}`).toEqual(['done', 'done', [Xcr0.x87, 3, 7].includes(value) ? 'done' : 'exception'])
    }
  })
})

describe('CPUID', () => {
  const leaf = (model: Model, at: number, subleaf = 0, changes: Partial<CpuidPlace> = {}): readonly number[] => cpuid(model, at, subleaf, { ...place, ...changes })

  test('its maker, its last leaves, and its name', () => {
    const [eax, ebx = 0, ecx = 0, edx = 0] = leaf(models['x86-64'], 0)
    expect(eax).toBe(0x16)
    expect(Buffer.from(Uint32Array.of(ebx, edx, ecx).buffer).toString()).toBe('GenuineIntel')
    const name = [2, 3, 4].flatMap((n) => leaf(models['x86-64-v2'], 0x8000_0000 + n))
    expect(Buffer.from(Int32Array.from(name).buffer).toString().replace(/\0+$/, '')).toBe('Machinist x86-64-v2')
    expect(leaf(models['486'], 0x8000_0000)).toEqual(leaf(models['486'], 1))
  })

  test('what changes: OSXSAVE, the local APIC, its ID, the size of what XSAVE writes', () => {
    expect((leaf(models.max, 1, 0, { osxsave: true })[2] ?? 0) >>> 27 & 1).toBe(1)
    expect((leaf(models.max, 1, 0, { apic: false })[3] ?? 0) >>> 9 & 1).toBe(0)
    expect((leaf(models.max, 1, 0, { hart: 5, harts: 8 })[1] ?? 0) >>> 16).toBe(5 << 8 | 8)
    expect(leaf(models.max, 0xd)).toEqual([7, 576, 832, 0])
    expect(leaf(models.max, 0xd, 0, { xcr0: 7 })).toEqual([7, 832, 832, 0])
    expect(leaf(models.max, 0xd, 2)).toEqual([256, 576, 0, 0])
    expect(leaf(models['x86-64-v2'], 0xd)).toEqual([0, 0, 0, 0])
  })

  test('levels of topology: eight cores of one thread', () => {
    expect(leaf(models['x86-64'], 0xb, 0, { hart: 3, harts: 8 })).toEqual([0, 1, 0x100, 3])
    expect(leaf(models['x86-64'], 0xb, 1, { hart: 3, harts: 6 })).toEqual([3, 6, 0x201, 3])
    expect(leaf(models['x86-64'], 0xb, 2, { hart: 3, harts: 6 })).toEqual([0, 0, 2, 3])
  })

  test('virtual addresses', () => {
    expect([models['x86-32'], models['x86-64'], models.max].map((model) => (leaf(model, 0x8000_0008)[0] ?? 0) >> 8)).toEqual([32, 48, 57])
  })

  test('the frequency of the time-stamp counter is the crystal by a ratio', () => {
    for (const timeFrequency of [1e9, 1e7, 24e6, 2_500_000_000]) {
      const [denominator = 0, numerator = 0, crystal = 0] = leaf(models['x86-64'], 0x15, 0, { timeFrequency }).map((value) => value >>> 0)
      expect(crystal * numerator / denominator).toBe(timeFrequency)
      expect(leaf(models['x86-32'], 0x15, 0, { timeFrequency })).toEqual(leaf(models['x86-64'], 0x15, 0, { timeFrequency }))
    }
  })
})

test('a model that there is not', () => {
  expect(() => modelNamed('pentium5')).toThrow(expect.objectContaining({ code: 'encoding', value: 'pentium5' }))
})
