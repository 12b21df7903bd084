import { call, type Expr, i32, i64, type FuncRef, type ModuleBuilder } from '@machinist/wasm'

/** Functions of numbers alone, which semantics call. */
export interface Helpers {
  /** The high half of a product of two 64-bit numbers, unsigned and signed. */
  readonly mulhu: FuncRef<readonly ['i64', 'i64'], 'i64'>
  readonly mulhs: FuncRef<readonly ['i64', 'i64'], 'i64'>
  /** Whether the product of two signed 64-bit numbers has more than 64 bits. */
  readonly overflows: FuncRef<readonly ['i64', 'i64'], 'i32'>
  /** The quotient of high:low by a divisor that is greater than high. */
  readonly divu: FuncRef<readonly ['i64', 'i64', 'i64'], 'i64'>
  /** The eight bytes in reverse. */
  readonly reverse: FuncRef<readonly ['i64'], 'i64'>
  /** A CRC of polynomial 11EDC6F41 (SDM volume 2, CRC32) over so many low bytes of a value. */
  readonly crc32c: FuncRef<readonly ['i32', 'i64', 'i32'], 'i32'>
}

/** 11EDC6F41, its bits in reverse. */
const CASTAGNOLI = 0x82f6_3b78 | 0

export function emitHelpers(m: ModuleBuilder): Helpers {
  const mulhu = m.func('mulhu', ['i64', 'i64'], 'i64', (f, a, b) => {
    const half = 0xffff_ffff
    const [a0, a1, b0, b1] = [f.let(i64.and(a, half)), f.let(i64.shrU(a, 32)), f.let(i64.and(b, half)), f.let(i64.shrU(b, 32))]
    const middle = f.let(i64.add(i64.mul(a1, b0), i64.shrU(i64.mul(a0, b0), 32)))
    const other = f.let(i64.add(i64.mul(a0, b1), i64.and(middle, half)))
    f.return(i64.add(i64.mul(a1, b1), i64.add(i64.shrU(middle, 32), i64.shrU(other, 32))))
  })
  const mulhs = m.func('mulhs', ['i64', 'i64'], 'i64', (f, a, b) => {
    const ofA = i64.and(i64.shrS(a, 63), b)
    const ofB = i64.and(i64.shrS(b, 63), a)
    f.return(i64.sub(i64.sub(call(mulhu, a, b), ofA), ofB))
  })
  const overflows = m.func('overflows', ['i64', 'i64'], 'i32', (f, a, b) => {
    // As many bits from the top as are equal: a number of n others has a magnitude of 2ⁿ at most, and of 2ⁿ⁻¹ at least (more than that when it is negative).
    const alike = (value: typeof a): Expr<'i64'> => i64.clz(i64.xor(value, i64.shrS(value, 63)))
    const both = f.let(i64.add(alike(a), alike(b)))
    f.if(i64.geU(both, 66), () => f.return(0))
    f.if(i64.ltU(both, 64), () => f.return(1))
    f.return(i64.ne(call(mulhs, a, b), i64.shrS(i64.mul(a, b), 63)))
  })
  const divu = m.func('divu', ['i64', 'i64', 'i64'], 'i64', (f, high, low, divisor) => {
    f.if(i64.eqz(high), () => f.return(i64.divU(low, divisor)))
    // One bit of the quotient at a time: it fills low from below, as low's bits move into high.
    const left = f.let(i32.const(64))
    const carry = f.local('i64')
    f.loop((again) => {
      f.set(carry, i64.shrS(high, 63))
      f.set(high, i64.or(i64.shl(high, 1), i64.shrU(low, 63)))
      f.set(low, i64.shl(low, 1))
      f.if(i32.or(i64.ne(carry, 0), i64.geU(high, divisor)), () => {
        f.set(high, i64.sub(high, divisor))
        f.set(low, i64.or(low, 1))
      })
      f.brIf(again, f.tee(left, i32.sub(left, 1)))
    })
    f.return(low)
  })
  const reverse = m.func('reverse', ['i64'], 'i64', (f, value) => {
    for (const [shift, mask] of [[8, 0x00ff_00ff_00ff_00ffn], [16, 0x0000_ffff_0000_ffffn]] as const) {
      f.set(value, i64.or(i64.and(i64.shrU(value, shift), mask), i64.shl(i64.and(value, mask), shift)))
    }
    f.return(i64.rotl(value, 32))
  })
  const crc32c = m.func('crc32c', ['i32', 'i64', 'i32'], 'i32', (f, crc, value, bytes) => {
    const left = f.let(i32.shl(bytes, 3))
    f.loop((again) => {
      const out = f.let(i32.and(i32.xor(crc, i32.wrap(value)), 1))
      f.set(crc, i32.xor(i32.shrU(crc, 1), i32.and(i32.sub(0, out), CASTAGNOLI)))
      f.set(value, i64.shrU(value, 1))
      f.brIf(again, f.tee(left, i32.sub(left, 1)))
    })
    f.return(crc)
  })
  return { mulhu, mulhs, overflows, divu, reverse, crc32c }
}
