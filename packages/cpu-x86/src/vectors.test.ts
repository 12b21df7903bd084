import { describe, expect, test } from 'vitest'
import { EAX, EBX, ECX, EDX } from '../test/machine/assembler.ts'
import { place, select, SmallSystem } from '../test/system/machine.ts'
import { legacyRegion } from './extended-state.ts'
import { Interpreter, Vector } from './index.ts'

const BASE = 0x1000n

/** After code in 64-bit mode with XMM0 and XMM1 of four floats each: how it ended, and its state. */
function run(code: string, { xmm0 = [], xmm1 = [], mxcsr = 0x1f80, status = 0 }: { xmm0?: readonly number[]; xmm1?: readonly number[]; mxcsr?: number; status?: number }): { vector: number; xmm0: Float32Array; view: DataView; cpu: Interpreter } {
  const cpu = new Interpreter({ mode: 64, base: BASE, size: 4096 })
  cpu.memory.set(Buffer.from(`${code}cc`, 'hex'))
  cpu.rip = BASE
  const image = cpu.extendedState
  const state = new DataView(image.buffer)
  xmm0.forEach((value, i) => state.setFloat32(legacyRegion.vectors + 4 * i, value, true))
  xmm1.forEach((value, i) => state.setFloat32(legacyRegion.vectors + 16 + 4 * i, value, true))
  state.setUint32(legacyRegion.mxcsr, mxcsr, true)
  state.setUint16(legacyRegion.status, status, true)
  cpu.extendedState = image
  let step = cpu.step()
  while (step.kind === 'done') step = cpu.step()
  const after = cpu.extendedState
  return { vector: step.kind === 'exception' ? step.vector : -1, xmm0: new Float32Array(after.slice(legacyRegion.vectors, legacyRegion.vectors + 16).buffer), view: new DataView(after.buffer), cpu }
}

describe('vectors', () => {
  test('an exception that is not masked is #XM, sets its flag, and writes nothing', () => {
    const divided = run('0f5ec1', { xmm0: [1, 2, 3, 4], xmm1: [0, 1, 1, 1], mxcsr: 0x1d80 })
    expect(divided.vector).toBe(Vector.simd)
    expect([...divided.xmm0]).toEqual([1, 2, 3, 4])
    expect(divided.view.getUint32(legacyRegion.mxcsr, true)).toBe(0x1d84)
    expect(divided.cpu.rip).toBe(BASE)
  })

  test('MMX waits for an x87 exception, and makes all registers valid', () => {
    expect(run('0feff6', { status: 0x8081 }).vector).toBe(Vector.floatingPoint)
    const cleared = run('0feff6', { status: 0x3800 })
    expect(cleared.vector).toBe(Vector.breakpoint)
    expect(cleared.view.getUint16(legacyRegion.status, true)).toBe(0)
    expect(cleared.view.getUint8(legacyRegion.tags)).toBe(0xff)
  })

  test.each([['rcpps', '0f53c1', (x: number) => 1 / x], ['rsqrtps', '0f52c1', (x: number) => 1 / Math.sqrt(x)]] as const)('%s is right to 1.5 × 2^-12', (_, code, exact) => {
    for (let i = 1; i < 400; i += 4) {
      const xmm1 = [i / 7, i * 1e-20, 1e15 / i, 1 + i / 512]
      const { xmm0 } = run(code, { xmm1 })
      xmm1.forEach((x, lane) => expect(Math.abs((xmm0[lane] ?? 0) / exact(Math.fround(x)) - 1)).toBeLessThanOrEqual(1.5 * 2 ** -12))
    }
  })
})

// SDM volume 2, 2.3.11: not in real-address and virtual-8086 mode.
test('protected mode has VEX in code of 16 bits, and real-address mode has none', () => {
  // andn eax, ecx, edx; and with memory at [bx + 2], as 16-bit addresses have it.
  const code = [0xc4, 0xe2, 0x70, 0xf2, 0xc2, 0xc4, 0xe2, 0x70, 0xf2, 0x5f, 0x02]
  const small = new SmallSystem(32)
  small.cpu.memory.set(code, place.code + 0x100)
  small.words(place.data + 2, 0xffff)
  small.code((a) => a.set(ECX, 0xf0).set(EDX, 0xff).set(EBX, place.data).op('jmp', 'imm imm', { immediates: [BigInt(place.code + 0x100), BigInt(select.code16)] }))
  small.step(6)
  expect([small.cpu.mode, small.cpu.register(EAX), small.cpu.register(EBX), small.cpu.rip]).toEqual([16, 0x0fn, 0xff0fn, BigInt(place.code + 0x100 + code.length)])
  const real = new Interpreter({ mode: 16, base: 0n, size: 0x1_0000 })
  real.memory.set(code, 0x7c00)
  real.rip = 0x7c00n
  expect(real.step()).toMatchObject({ kind: 'exception', vector: Vector.invalidOpcode })
})
