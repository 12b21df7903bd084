import { describe, expect, test } from 'vitest'
import { legacyRegion } from './extended-state.ts'
import { EXTENDED_STATE_SIZE, Interpreter } from './index.ts'
import { Cr0, Cr4 } from './emit/control-bits.ts'

const BASE = 0x10_000n
/** Where instructions find their image: rSI. */
const IMAGE = 0x400
const [RAX, RCX, RDX, RSI] = [0, 1, 2, 6]

/** All registers of the FPU and of vectors different. */
function someState(): Uint8Array {
  const state = new Uint8Array(EXTENDED_STATE_SIZE)
  const view = new DataView(state.buffer)
  view.setUint16(legacyRegion.control, 0x27f, true)
  view.setUint16(legacyRegion.status, 0x1800, true)
  view.setUint8(legacyRegion.tags, 0x1f)
  view.setUint32(legacyRegion.mxcsr, 0x9fc0, true)
  view.setUint32(legacyRegion.mxcsrMask, 0xffff, true)
  for (let i = 0; i < 8; i++) for (let byte = 0; byte < 10; byte++) state[legacyRegion.stack + 16 * i + byte] = 16 * i + byte + 1
  for (let i = 0; i < 256; i++) {
    state[legacyRegion.vectors + i] = i ^ 0x55
    state[legacyRegion.upper + i] = i ^ 0xaa
  }
  return state
}

/** Runs an instruction with the state; memory at rSI is `image`. */
function run(mode: 32 | 64, code: readonly number[], state: Uint8Array, image: Uint8Array, { mask = 7, offset = 0 } = {}) {
  const cpu = new Interpreter({ mode, base: BASE, size: 0x1000 })
  cpu.memory.set(code)
  cpu.memory.set(image, IMAGE)
  cpu.rip = BASE
  cpu.extendedState = state
  cpu.setRegister(RSI, BASE + BigInt(IMAGE + offset))
  cpu.setRegister(RAX, BigInt(mask))
  cpu.setRegister(RDX, 0n)
  const step = cpu.step()
  return { cpu, step, memory: cpu.memory.slice(IMAGE, IMAGE + EXTENDED_STATE_SIZE) }
}

const fresh = new Interpreter({ mode: 64, base: 0n, size: 4096 }).extendedState
const FXSAVE = [0x0f, 0xae, 0x06]
const FXRSTOR = [0x0f, 0xae, 0x0e]
const XSAVE = [0x48, 0x0f, 0xae, 0x26]
const XRSTOR = [0x48, 0x0f, 0xae, 0x2e]
const XSAVEOPT = [0x48, 0x0f, 0xae, 0x36]
const XSAVEC = [0x48, 0x0f, 0xc7, 0x26]
const filled = (): Uint8Array => new Uint8Array(EXTENDED_STATE_SIZE).fill(0xee)
const parts = (image: Uint8Array): bigint => new DataView(image.buffer).getBigUint64(512, true)
const same = (a: Uint8Array, b: Uint8Array, from: number, to: number): void => expect(Buffer.from(a.subarray(from, to)).toString('hex')).toBe(Buffer.from(b.subarray(from, to)).toString('hex'))

describe('FXSAVE and FXRSTOR (SDM volume 1, 10.5)', () => {
  test('in 64-bit mode there are sixteen vector registers, outside it eight', () => {
    const { memory } = run(64, FXSAVE, someState(), filled())
    same(memory, someState(), 0, 416)
    same(memory, filled(), 416, EXTENDED_STATE_SIZE)
    const { memory: short } = run(32, FXSAVE, someState(), filled())
    same(short, someState(), 0, 288)
    same(short, filled(), 288, EXTENDED_STATE_SIZE)
  })

  test('what was saved comes back', () => {
    const { cpu } = run(64, FXRSTOR, fresh, someState())
    same(cpu.extendedState, someState(), 0, 416)
    same(cpu.extendedState, fresh, legacyRegion.upper, EXTENDED_STATE_SIZE)
  })

  test('a bit of MXCSR that there is not is #GP, and nothing has changed', () => {
    const image = someState()
    new DataView(image.buffer).setUint32(legacyRegion.mxcsr, 0x1_1f80, true)
    const { cpu, step } = run(64, FXRSTOR, fresh, image)
    expect(step).toMatchObject({ kind: 'exception', vector: 13 })
    expect(cpu.extendedState).toEqual(fresh)
  })

  test('an address that is no multiple of 16 is #GP', () => {
    expect(run(64, FXSAVE, fresh, filled(), { offset: 8 }).step).toMatchObject({ kind: 'exception', vector: 13 })
  })

  test('what does not fit is a page fault, and nothing was written', () => {
    const { step, memory } = run(64, FXSAVE, someState(), filled(), { offset: 0xa10 })
    expect(step).toMatchObject({ kind: 'exception', vector: 14, address: BASE + 0x100fn })
    same(memory, filled(), 0, EXTENDED_STATE_SIZE)
  })
})

describe('XSAVE and XRSTOR (SDM volume 1, 13)', () => {
  test('what is asked for is written, and the header says what is in use', () => {
    for (let mask = 0; mask < 8; mask++) {
      const { memory } = run(64, XSAVE, someState(), new Uint8Array(EXTENDED_STATE_SIZE), { mask })
      const expected = new Uint8Array(EXTENDED_STATE_SIZE)
      const put = (from: number, to: number): void => expected.set(someState().subarray(from, to), from)
      if (mask & 1) {
        put(0, 24)
        put(32, 160)
      }
      if (mask & 6) put(24, 32)
      if (mask & 2) put(160, 416)
      if (mask & 4) put(576, 832)
      expected[512] = mask
      same(memory, expected, 0, EXTENDED_STATE_SIZE)
    }
    expect(parts(run(64, XSAVE, fresh, filled()).memory)).toBe(0xeeee_eeee_eeee_eee8n)
  })

  test('XSAVEOPT leaves what is as at first', () => {
    const { memory } = run(64, XSAVEOPT, fresh, new Uint8Array(EXTENDED_STATE_SIZE).fill(0xee, 0, 512))
    same(memory, filled(), 0, 24)
    expect(memory[24]).toBe(0x80)
    same(memory, filled(), 32, 416)
    expect(parts(memory)).toBe(0n)
  })

  test('XSAVEC says what it was asked for, and writes MXCSR with SSE', () => {
    const { memory } = run(64, XSAVEC, someState(), filled(), { mask: 3 })
    same(memory, someState(), 0, 416)
    expect(parts(memory)).toBe(3n)
    expect(new DataView(memory.buffer).getBigUint64(520, true)).toBe(1n << 63n | 3n)
    same(memory, filled(), 528, EXTENDED_STATE_SIZE)
    expect(parts(run(64, XSAVEC, fresh, filled()).memory)).toBe(0n)
  })

  test('parts that are asked for and not in the image become as they are at first', () => {
    for (let mask = 0; mask < 8; mask++) for (let there = 0; there < 8; there++) {
      const image = someState()
      image[512] = there
      const start = someState().map((byte, i) => i >= 32 ? byte ^ 0xff : byte)
      const expected = start.slice()
      const take = (part: number, from: number, to: number): void => {
        if (mask & part) expected.set((there & part ? image : fresh).subarray(from, to), from)
      }
      take(1, 0, 24)
      take(1, 32, 160)
      take(2, 160, 416)
      take(4, 576, 832)
      if (mask & 6) expected.set(image.subarray(24, 28), 24)
      const { cpu, step } = run(64, XRSTOR, start, image, { mask })
      expect(step.kind).toBe('done')
      for (let i = 0; i < 8; i++) for (let byte = 10; byte < 16; byte++) expected[32 + 16 * i + byte] = 0
      same(cpu.extendedState, expected, 0, 416)
      same(cpu.extendedState, expected, 576, 832)
    }
  })

  test.each([
    ['a part that XCR0 has not', 512, 8, 1], ['a reserved byte of the header', 528, 1, 1], ['a format that is not compacted', 520, 1, 1], ['a part that is not in the compacted format', 520, 0x8000_0000_0000_0001n, 2],
  ] as const)('%s is #GP', (_, at, value, there) => {
    const image = someState()
    const view = new DataView(image.buffer)
    view.setBigUint64(512, BigInt(there), true)
    view.setBigUint64(at, BigInt(value), true)
    const { cpu, step } = run(64, XRSTOR, fresh, image)
    expect(step).toMatchObject({ kind: 'exception', vector: 13 })
    expect(cpu.extendedState).toEqual(fresh)
  })

  test('XGETBV', () => {
    for (const [which, expected] of [[0n, 7n], [1n, 7n]] as const) {
      const cpu = new Interpreter({ mode: 64, base: BASE, size: 0x1000 })
      cpu.memory.set([0x0f, 0x01, 0xd0])
      cpu.rip = BASE
      cpu.extendedState = someState()
      cpu.setRegister(RCX, which)
      expect(cpu.step().kind).toBe('done')
      expect(cpu.register(RAX)).toBe(expected)
    }
  })
})

describe('the environment of the FPU (SDM volume 1, 8.1.10)', () => {
  test.each([[32, [0xd9, 0x36], 28], [64, [0xd9, 0x36], 28], [64, [0x48, 0xd9, 0x36], 28], [64, [0x66, 0xd9, 0x36], 14]] as const)('FNSTENV in %i-bit mode: %j writes %i bytes, and masks exceptions', (mode, code, bytes) => {
    const state = someState()
    new DataView(state.buffer).setUint16(legacyRegion.control, 0x300, true)
    new DataView(state.buffer).setUint16(legacyRegion.status, 0x9881, true)
    const { memory, cpu } = run(mode, code, state, filled())
    same(memory, filled(), bytes, EXTENDED_STATE_SIZE)
    const view = new DataView(memory.buffer)
    const words = bytes === 28 ? [0xffff_0300, 0xffff_9881] : [0x9881_0300]
    expect(words.map((_, i) => view.getUint32(4 * i, true))).toEqual(words)
    // Tags: R0 to R4 are not empty. Of those the numbers above are special, since their integer bit is not as their exponent is.
    expect(view.getUint16(bytes === 28 ? 8 : 4, true)).toBe(0xfeaa)
    const after = new DataView(cpu.extendedState.buffer)
    expect([after.getUint16(legacyRegion.control, true), after.getUint16(legacyRegion.status, true)]).toEqual([0x37f & (0x300 | 0x3f), 0x1801])
  })

  test('FNSAVE and FRSTOR: all of it comes back, and FNSAVE leaves it as FNINIT', () => {
    const { memory, cpu } = run(64, [0xdd, 0x36], someState(), filled())
    same(memory, filled(), 108, EXTENDED_STATE_SIZE)
    const initial = new DataView(cpu.extendedState.buffer)
    expect([initial.getUint16(0, true), initial.getUint16(2, true), initial.getUint8(4)]).toEqual([0x37f, 0, 0])
    const { cpu: back } = run(64, [0xdd, 0x26], fresh, memory)
    same(back.extendedState, someState(), 0, 5)
    same(back.extendedState, someState(), legacyRegion.stack, legacyRegion.vectors)
  })
})

describe('VZEROUPPER and VZEROALL', () => {
  test.each([[64, 16], [32, 8]] as const)('%i-bit mode has %i registers', (mode, count) => {
    const upper = run(mode, [0xc5, 0xf8, 0x77], someState(), filled()).cpu.extendedState
    const expected = someState()
    expected.fill(0, 576, 576 + 16 * count)
    same(upper, expected, 160, EXTENDED_STATE_SIZE)
    expected.fill(0, 160, 160 + 16 * count)
    same(run(mode, [0xc5, 0xfc, 0x77], someState(), filled()).cpu.extendedState, expected, 160, EXTENDED_STATE_SIZE)
  })
})

describe('what an operating system has not enabled (SDM volume 3, table 2-2 and 14.1)', () => {
  const instructions = {
    'fld1': [0xd9, 0xe8], fwait: [0x9b], 'emms': [0x0f, 0x77], 'paddb mm0, mm1': [0x0f, 0xfc, 0xc1], 'addps xmm0, xmm1': [0x0f, 0x58, 0xc1], 'movd xmm0, eax': [0x66, 0x0f, 0x6e, 0xc0],
    'crc32 eax, ecx': [0xf2, 0x0f, 0x38, 0xf1, 0xc1], 'mfence': [0x0f, 0xae, 0xf0], 'fxsave': FXSAVE, 'ldmxcsr': [0x0f, 0xae, 0x16], 'movnti': [0x0f, 0xc3, 0x06],
  } as const
  const SSE = Cr4.osfxsr | Cr4.osxmmexcpt
  const run = (cr0: number, cr4: number, code: readonly number[]): number => {
    const cpu = new Interpreter({ mode: 16, base: 0n, size: 0x1000 })
    // mov cr4, eax; mov cr0, ebx; and the code with addresses of 32 bits
    cpu.memory.set([0x0f, 0x22, 0xe0, 0x0f, 0x22, 0xc3, 0x67, ...code], 0x100)
    cpu.memory.set([0x80, 0x1f, 0, 0], 0x200)
    cpu.rip = 0x100n
    cpu.setRegister(RAX, BigInt(cr4))
    cpu.setRegister(3, BigInt(cr0))
    cpu.setRegister(RSI, 0x200n)
    cpu.step()
    cpu.step()
    const step = cpu.step()
    return step.kind === 'exception' ? step.vector : -1
  }
  test.each([
    ['with everything', 0, SSE, {}],
    ['CR0.TS', Cr0.ts, SSE, { 'fld1': 7, 'emms': 7, 'paddb mm0, mm1': 7, 'addps xmm0, xmm1': 7, 'movd xmm0, eax': 7, 'fxsave': 7, 'ldmxcsr': 7 }],
    ['CR0.TS and MP', Cr0.ts | Cr0.mp, SSE, { 'fld1': 7, 'fwait': 7, 'emms': 7, 'paddb mm0, mm1': 7, 'addps xmm0, xmm1': 7, 'movd xmm0, eax': 7, 'fxsave': 7, 'ldmxcsr': 7 }],
    ['CR0.EM', Cr0.em, SSE, { 'fld1': 7, 'emms': 6, 'paddb mm0, mm1': 6, 'addps xmm0, xmm1': 6, 'movd xmm0, eax': 6, 'fxsave': 7, 'ldmxcsr': 6 }],
    ['no CR4.OSFXSR', 0, 0, { 'addps xmm0, xmm1': 6, 'movd xmm0, eax': 6, 'ldmxcsr': 6 }],
    ['no CR4.OSFXSR, and CR0.TS', Cr0.ts, 0, { 'fld1': 7, 'emms': 7, 'paddb mm0, mm1': 7, 'addps xmm0, xmm1': 6, 'movd xmm0, eax': 6, 'fxsave': 7, 'ldmxcsr': 6 }],
  ] as const)('%s', (_, cr0, cr4, expected: Readonly<Record<string, number>>) => {
    const found = Object.entries(instructions).map(([name, code]) => [name, run(cr0, cr4, code)] as const).filter(([, vector]) => vector >= 0)
    expect(Object.fromEntries(found)).toEqual(expected)
  })

  test('an unmasked exception of SSE without CR4.OSXMMEXCPT is #UD', () => {
    const cpu = new Interpreter({ mode: 16, base: 0n, size: 0x1000 })
    // mov cr4, eax; ldmxcsr [si]; divps xmm0, xmm0
    cpu.memory.set([0x0f, 0x22, 0xe0, 0x0f, 0xae, 0x14, 0x0f, 0x5e, 0xc0], 0x100)
    cpu.rip = 0x100n
    cpu.setRegister(RAX, BigInt(Cr4.osfxsr))
    cpu.setRegister(RSI, 0x200n)
    expect([cpu.step().kind, cpu.step().kind]).toEqual(['done', 'done'])
    expect(cpu.step()).toMatchObject({ kind: 'exception', vector: 6 })
  })
})
