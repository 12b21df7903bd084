import { describe, expect, test } from 'vitest'
import { legacyRegion } from './extended-state.ts'
import { Interpreter } from './index.ts'

const BIAS = 16383

/** A number of 80 bits. */
interface Extended {
  readonly sign: 0 | 1
  readonly exponent: number
  readonly significand: bigint
}
const toExtended = (value: number): Extended => {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  const bits = view.getBigUint64(0)
  const power = Number(bits >> 52n & 0x7ffn)
  if (power === 0x7ff) return { sign: Number(bits >> 63n) as 0 | 1, exponent: 0x7fff, significand: 1n << 63n | (bits & 0xf_ffff_ffff_ffffn) << 11n }
  return power === 0 ? { sign: Number(bits >> 63n) as 0 | 1, exponent: 0, significand: 0n } : { sign: Number(bits >> 63n) as 0 | 1, exponent: power - 1023 + BIAS, significand: 1n << 63n | (bits & 0xf_ffff_ffff_ffffn) << 11n }
}
const toNumber = ({ sign, exponent, significand }: Extended): number => (sign === 1 ? -1 : 1) * (exponent === 0x7fff ? significand << 1n & (1n << 64n) - 1n ? NaN : Infinity : Number(significand) * 2 ** Math.max(exponent - BIAS - 63, -1074))

/** The stack after an instruction with so many numbers on it, ST(0) first; and the status word. */
function run(modrm: number, stack: readonly (number | Extended)[], control = 0x37f): { readonly stack: readonly Extended[]; readonly status: number; readonly tags: number } {
  const cpu = new Interpreter({ mode: 64, base: 0x1000n, size: 4096 })
  cpu.memory.set([0xd9, modrm])
  cpu.rip = 0x1000n
  const state = cpu.extendedState
  const view = new DataView(state.buffer)
  const top = 8 - stack.length & 7
  view.setUint16(legacyRegion.control, control, true)
  view.setUint16(legacyRegion.status, top << 11, true)
  view.setUint8(legacyRegion.tags, stack.reduce<number>((tags, _, i) => tags | 1 << (top + i & 7), 0))
  stack.forEach((value, i) => {
    const { sign, exponent, significand } = typeof value === 'number' ? toExtended(value) : value
    view.setBigUint64(legacyRegion.stack + 16 * i, significand, true)
    view.setUint16(legacyRegion.stack + 16 * i + 8, sign << 15 | exponent, true)
  })
  cpu.extendedState = state
  const step = cpu.step()
  if (step.kind !== 'done') throw new Error(step.kind === 'exception' ? `vector ${step.vector}` : step.kind)
  const after = new DataView(cpu.extendedState.buffer)
  return {
    stack: Array.from({ length: 8 }, (_, i) => ({ sign: (after.getUint16(legacyRegion.stack + 16 * i + 8, true) >> 15) as 0 | 1, exponent: after.getUint16(legacyRegion.stack + 16 * i + 8, true) & 0x7fff, significand: after.getBigUint64(legacyRegion.stack + 16 * i, true) })),
    status: after.getUint16(legacyRegion.status, true), tags: after.getUint8(legacyRegion.tags),
  }
}
const [F2XM1, FYL2X, FPTAN, FPATAN, FYL2XP1, FSINCOS, FSIN, FCOS] = [0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff]
const close = (found: Extended | undefined, expected: number): void => {
  const value = found ? toNumber(found) : NaN
  expect(Math.abs(value - expected), `${value}, not ${expected}`).toBeLessThanOrEqual(Math.abs(expected) * 3e-16)
}

const angles = [0.001, -0.3, 0.5, 0.78, 0.79, -1, 1.5, 1.6, 2, 3, -3.2, 4, 5, 6.2, 100, -1000]
test.each(angles)('trigonometry of %d', (angle) => {
  close(run(FSIN, [angle]).stack[0], Math.sin(angle))
  close(run(FCOS, [angle]).stack[0], Math.cos(angle))
  const both = run(FSINCOS, [angle]).stack
  close(both[0], Math.cos(angle))
  close(both[1], Math.sin(angle))
  const tangent = run(FPTAN, [angle]).stack
  expect(tangent[0]).toEqual(toExtended(1))
  close(tangent[1], Math.tan(angle))
})
const coordinates = [0.1, 1, 3, 1e-10, 1e10, 0.9, 0.062, 0.5]
test.each(coordinates.flatMap((x) => coordinates.flatMap((y) => [[x, y], [-x, y], [x, -y], [-x, -y]] as const)))('the angle of %d, %d', (x, y) => {
  close(run(FPATAN, [x, y]).stack[0], Math.atan2(y, x))
})
test.each([0.1, 0.5, 0.7, 0.99, 1, 1.0001, 1.4, 1.42, 2, 3, 10, 1e100, 1e-100, 1024])('logarithms of %d', (value) => {
  close(run(FYL2X, [value, 1]).stack[0], Math.log2(value))
  close(run(FYL2X, [value, -3.5]).stack[0], -3.5 * Math.log2(value))
})
test.each([1e-20, 1e-5, 0.1, 0.25, -0.1, -0.25, -1e-10])('logarithms of 1 + %d', (value) => close(run(FYL2XP1, [value, 1]).stack[0], Math.log1p(value) / Math.LN2))
test.each([0.5, -0.5, 0.1, -0.9, 0.999, 1, -1, 1e-20])('2 to %d, less one', (value) => close(run(F2XM1, [value]).stack[0], Math.expm1(value * Math.LN2)))

test('all 64 bits: what is known of π, e and roots', () => {
  // π/4, rounded; log2 10; log2 e by way of FYL2X of e is not exact, so by its inverse: 2^(1/2) − 1.
  expect(run(FPATAN, [1, 1]).stack[0]).toEqual({ sign: 0, exponent: BIAS - 1, significand: 0xc90f_daa2_2168_c235n })
  expect(run(FPATAN, [-1, 0]).stack[0]).toEqual({ sign: 0, exponent: BIAS + 1, significand: 0xc90f_daa2_2168_c235n })
  expect(run(FYL2X, [10, 1]).stack[0]).toEqual({ sign: 0, exponent: BIAS + 1, significand: 0xd49a_784b_cd1b_8afen })
  expect(run(F2XM1, [0.5]).stack[0]).toEqual({ sign: 0, exponent: BIAS - 2, significand: 0xd413_cccf_e779_9211n })
})

describe('special operands (SDM volume 2)', () => {
  test.each([
    ['sine of an infinity', FSIN, [Infinity], NaN, 1], ['logarithm of a negative number', FYL2X, [-2, 1], NaN, 1], ['logarithm of zero', FYL2X, [0, 1], -Infinity, 4], ['zero times that of zero', FYL2X, [0, 0], NaN, 1],
    ['infinity times that of one', FYL2X, [1, Infinity], NaN, 1], ['logarithm of one', FYL2X, [1, 5], 0, 0], ['logarithm of a power of two', FYL2X, [1024, 3], 30, 0x20], ['angle of both infinities', FPATAN, [Infinity, Infinity], Math.PI / 4, 0x20],
    ['angle of nothing', FPATAN, [0, 0], 0, 0], ['2 to minus infinity, less one', F2XM1, [-Infinity], -1, 0], ['that to plus infinity', F2XM1, [Infinity], Infinity, 0], ['logarithm of infinity', FYL2X, [Infinity, 2], Infinity, 0],
  ] as const)('%s', (_, modrm, stack, value, exceptions) => {
    const { stack: after, status } = run(modrm, stack)
    const found = toNumber(after[0] as Extended)
    if (Number.isFinite(value) && value !== 0) expect(found).toBeCloseTo(value, 12)
    else expect(found).toBe(value)
    expect(status & 0x3f).toBe(exceptions)
  })

  test('an angle of 2⁶³ and more is not reduced: C2', () => {
    const { stack, status } = run(FSIN, [2 ** 63])
    expect(stack[0]).toEqual(toExtended(2 ** 63))
    expect(status & 0x400).toBe(0x400)
    expect(run(FSIN, [2 ** 62]).status & 0x400).toBe(0)
  })

  test('a full stack: nothing can be pushed', () => {
    const { status } = run(FPTAN, [1, 2, 3, 4, 5, 6, 7, 8])
    expect(status & 0x241).toBe(0x241)
  })
})
