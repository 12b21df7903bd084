import { call, compileNow, createMemory, instantiate, ModuleBuilder } from '@machinist/wasm'
import { expect, test } from 'vitest'
import { emitSoftfloat, flag } from '../src/index.ts'

const m = new ModuleBuilder()
m.importMemory({ module: 'env', name: 'memory', initial: 1 })
const { f64 } = emitSoftfloat(m, { flags: 0, nan: 'x86', trapped: true })
m.export('sub', m.func('sub', ['i64', 'i64'], 'i64', (f, a, b) => f.return(call(f64.sub, a, b, 0))))
m.export('mul', m.func('mul', ['i64', 'i64'], 'i64', (f, a, b) => f.return(call(f64.mul, a, b, 0))))
m.export('fma', m.func('fma', ['i64', 'i64', 'i64'], 'i64', (f, a, b, c) => f.return(call(f64.fma, a, b, c, 0))))
m.export('narrow', m.func('narrow', ['i64'], 'i32', (f, a) => f.return(call(f64.toF32, a, 0))))
const memory = createMemory({ initial: 1 })
type Two = (a: bigint, b: bigint) => bigint
const run = instantiate<{ sub: Two; mul: Two; fma(a: bigint, b: bigint, c: bigint): bigint; narrow(a: bigint): number }>(compileNow(m.toBytes()), { env: { memory } })
const flags = new Uint8Array(memory.buffer, 0, 1)
const raised = (f: () => unknown): number => {
  flags[0] = 0
  f()
  return flags[0]
}
const infinity = 0x7ff0_0000_0000_0000n
const signalling = -0x000f_ffff_ffff_f000n // fff0000000001000
const quiet = 0x7ff8_0000_2000_0000n

test('x86 returns the first NaN, made quiet, and the negative one of invalid operations', () => {
  expect(BigInt.asUintN(64, run.sub(signalling, quiet))).toBe(0xfff8_0000_0000_1000n)
  expect(run.sub(quiet, signalling)).toBe(quiet)
  expect(BigInt.asUintN(64, run.sub(1n, signalling))).toBe(0xfff8_0000_0000_1000n)
  expect(raised(() => run.sub(quiet, signalling))).toBe(flag.NV)
  expect(BigInt.asUintN(64, run.sub(infinity, infinity))).toBe(0xfff8_0000_0000_0000n)
  expect(run.narrow(quiet)).toBe(0x7fc0_0001)
})

test('x86 raises nothing for a product of zero and infinity beside a quiet NaN', () => {
  expect(raised(() => expect(run.fma(0n, infinity, quiet)).toBe(quiet))).toBe(0)
})

test('what is trapped is inexact when it would be with exponents without bounds', () => {
  const greatest = 0x7fe0_0000_0000_0000n
  expect(raised(() => run.mul(greatest, greatest)) >> 5).toBe(0)
  expect(raised(() => run.mul(greatest + 1n, greatest + 1n)) >> 5).toBe(1)
  // 2^-1022 by 1 + 2^-52, halved: one bit is lost below the least denormal, and none without bounds.
  expect(raised(() => run.mul(0x0010_0000_0000_0001n, 0x3fe0_0000_0000_0000n))).toBe(flag.UF | flag.NX)
})
