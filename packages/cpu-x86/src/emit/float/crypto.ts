import { call, type Expr, type FuncRef, i32, i64, i64x2, i8x16, type ModuleBuilder, v128 } from '@machinist/wasm'

/** What AES-NI and PCLMULQDQ compute (FIPS 197; SDM volume 1, 12.13). Sixteen bytes at a time, without tables in memory. */
export interface CryptoFunctions {
  /** `(a, b)`: the product without carries, of 128 bits. */
  readonly carryless: FuncRef<readonly ['i64', 'i64'], 'v128'>
  /** SubBytes and its inverse, of each byte. */
  readonly substitute: FuncRef<readonly ['v128'], 'v128'>
  readonly unsubstitute: FuncRef<readonly ['v128'], 'v128'>
  /** MixColumns and its inverse. */
  readonly mix: FuncRef<readonly ['v128'], 'v128'>
  readonly unmix: FuncRef<readonly ['v128'], 'v128'>
}

type Half = Expr<'v128'>
/** x⁸ + x⁴ + x³ + x + 1, without its highest term. */
const MODULUS = 0x1b
/** What SubBytes adds at its end. */
const ADDED = 0x63

const vectorOf = (bytes: readonly number[]): Half => {
  const half = (from: number): bigint => BigInt.asIntN(64, bytes.slice(from, from + 8).reduce((value, byte, i) => value | BigInt(byte) << BigInt(8 * i), 0n))
  return v128.const(half(0), half(8))
}
const all = (byte: number): Half => vectorOf(Array<number>(16).fill(byte))
const multiply = (a: number, b: number): number => {
  let result = 0
  for (let i = 0; i < 8; i++) {
    if ((b >> i & 1) !== 0) result ^= a
    a = a << 1 ^ ((a & 0x80) !== 0 ? 0x100 | MODULUS : 0)
  }
  return result
}
const rotate = (byte: number, by: number): number => (byte << by | byte >> 8 - by) & 255
/** The part of SubBytes behind the inverse that is linear, and its inverse. */
const affine = (byte: number): number => byte ^ rotate(byte, 1) ^ rotate(byte, 2) ^ rotate(byte, 3) ^ rotate(byte, 4)
const unaffine = (byte: number): number => rotate(byte, 1) ^ rotate(byte, 3) ^ rotate(byte, 6)
/** A linear map of each byte: its low and its high half are looked up apart. */
const linear = (a: Half, f: (byte: number) => number): Half => v128.xor(
  i8x16.swizzle(vectorOf(Array.from({ length: 16 }, (_, i) => f(i))), v128.and(a, all(15))),
  i8x16.swizzle(vectorOf(Array.from({ length: 16 }, (_, i) => f(i << 4))), i8x16.shrU(a, 4)),
)
const doubled = (a: Half): Half => v128.xor(i8x16.shl(a, 1), v128.and(i8x16.ltS(a, v128.const(0n, 0n)), all(MODULUS)))
/** Rows of each column moved up. */
const rows = (a: Half, by: number): Half => i8x16.shuffle(a, a, Array.from({ length: 16 }, (_, i) => (i & ~3) | (i + by & 3)))

export function emitCrypto(m: ModuleBuilder): CryptoFunctions {
  const carryless = m.func('crypto.carryless', ['i64', 'i64'], 'v128', (f, a, b) => {
    const [low, high, i] = [f.let(i64.const(0)), f.let(i64.const(0)), f.let(i64.const(0))]
    f.loop((again) => {
      f.if(i32.wrap(i64.and(i64.shrU(b, i), 1)), () => {
        f.set(low, i64.xor(low, i64.shl(a, i)))
        f.set(high, i64.xor(high, i64.shrU(i64.shrU(a, 1), i64.sub(63, i))))
      })
      f.set(i, i64.add(i, 1))
      f.brIf(again, i64.ltU(i, 64))
    })
    f.return(i64x2.replaceLane(i64x2.splat(low), 1, high))
  })
  const product = m.func('crypto.product', ['v128', 'v128'], 'v128', (f, a, b) => {
    const result = f.let(v128.const(0n, 0n))
    for (let i = 0; i < 8; i++) {
      f.set(result, v128.xor(doubled(result), v128.and(a, i8x16.ltS(b, v128.const(0n, 0n)))))
      f.set(b, i8x16.shl(b, 1))
    }
    f.return(result)
  })
  /** The inverse of each byte is its power of 254. */
  const inverse = m.func('crypto.inverse', ['v128'], 'v128', (f, a) => {
    const power = (x: Half, exponent: number): Half => linear(x, (byte) => {
      let result = byte
      for (let i = exponent; i > 1; i >>= 1) result = multiply(result, result)
      return result
    })
    const third = f.let(call(product, f.let(power(a, 2)), a))
    const twelfth = f.let(power(third, 4))
    const fifteenth = f.let(call(product, twelfth, third))
    const to252 = f.let(call(product, f.let(power(fifteenth, 16)), twelfth))
    f.return(call(product, to252, f.let(power(a, 2))))
  })
  const substitute = m.func('crypto.substitute', ['v128'], 'v128', (f, a) => {
    const inverted = f.let(call(inverse, a))
    f.return(v128.xor(linear(inverted, affine), all(ADDED)))
  })
  const unsubstitute = m.func('crypto.unsubstitute', ['v128'], 'v128', (f, a) => {
    f.set(a, v128.xor(a, all(ADDED)))
    f.return(call(inverse, f.let(linear(a, unaffine))))
  })
  const mix = m.func('crypto.mix', ['v128'], 'v128', (f, a) => {
    const next = f.let(rows(a, 1))
    const sum = f.let(v128.xor(a, next))
    f.return(v128.xor(v128.xor(doubled(sum), next), rows(sum, 2)))
  })
  const unmix = m.func('crypto.unmix', ['v128'], 'v128', (f, a) => {
    const twice = f.let(doubled(f.let(v128.xor(a, rows(a, 2)))))
    f.return(call(mix, v128.xor(a, doubled(twice))))
  })
  return { carryless, substitute, unsubstitute, mix, unmix }
}
