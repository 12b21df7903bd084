import { flag, roundingMode } from '@machinist/softfloat'
import type { Width } from './operands.ts'

/**
 * A second oracle: IEEE 754 by the definition. Every result is the exact rational number, rounded once. Slow,
 * and shares nothing with the code under test.
 */

interface Layout {
  readonly width: Width
  readonly precision: number
  /** The exponent of the least normal number. */
  readonly least: number
}

const layouts: Record<Width, Layout> = { 32: { width: 32, precision: 24, least: -126 }, 64: { width: 64, precision: 53, least: -1022 } }

type Value =
  | { readonly kind: 'nan'; readonly signalling: boolean }
  | { readonly kind: 'infinity'; readonly negative: boolean }
  /** `numerator / denominator`; the sign is kept apart for zeros. */
  | { readonly kind: 'finite'; readonly negative: boolean; readonly size: bigint; readonly exponent: number }

export interface Answer {
  readonly result: bigint
  readonly flags: number
}

const { NX, UF, OF, DZ, NV } = flag

function decode(l: Layout, bits: bigint): Value {
  const digits = BigInt(l.precision - 1)
  const negative = ((bits >> BigInt(l.width - 1)) & 1n) === 1n
  const field = Number((bits >> digits) & ((1n << BigInt(l.width - l.precision)) - 1n))
  const fraction = bits & ((1n << digits) - 1n)
  if (field === 2 ** (l.width - l.precision) - 1) {
    if (fraction === 0n) return { kind: 'infinity', negative }
    return { kind: 'nan', signalling: fraction >> (digits - 1n) === 0n }
  }
  if (field === 0) return { kind: 'finite', negative, size: fraction, exponent: l.least - l.precision + 1 }
  return { kind: 'finite', negative, size: fraction | (1n << digits), exponent: field - 1 + l.least - l.precision + 1 }
}

const signBit = (l: Layout, negative: boolean): bigint => (negative ? 1n << BigInt(l.width - 1) : 0n)
const infinityBits = (l: Layout): bigint => ((1n << BigInt(l.width - l.precision)) - 1n) << BigInt(l.precision - 1)
const nanBits = (l: Layout): bigint => infinityBits(l) | (1n << BigInt(l.precision - 2))
const bitLength = (x: bigint): number => x.toString(2).length

/** The integer that `numerator / denominator` rounds to, and whether it is exact. */
function roundInteger(numerator: bigint, denominator: bigint, negative: boolean, rm: number): { value: bigint; exact: boolean } {
  const value = numerator / denominator
  const rest = numerator % denominator
  if (rest === 0n) return { value, exact: true }
  const twice = rest * 2n
  const up =
    rm === roundingMode.RNE
      ? twice > denominator || (twice === denominator && (value & 1n) === 1n)
      : rm === roundingMode.RMM
        ? twice >= denominator
        : rm === roundingMode.RDN
          ? negative
          : rm === roundingMode.RUP && !negative
  return { value: up ? value + 1n : value, exact: false }
}

/** Rounds `numerator / denominator`, which is not zero. */
function encode(l: Layout, negative: boolean, numerator: bigint, denominator: bigint, rm: number): Answer {
  let exponent = bitLength(numerator) - bitLength(denominator)
  const below = exponent >= 0 ? numerator < denominator << BigInt(exponent) : numerator << BigInt(-exponent) < denominator
  if (below) exponent--
  const roundAt = (unit: number): { value: bigint; exact: boolean } =>
    unit >= 0
      ? roundInteger(numerator, denominator << BigInt(unit), negative, rm)
      : roundInteger(numerator << BigInt(-unit), denominator, negative, rm)
  const leastUnit = l.least - l.precision + 1
  const unit = exponent - l.precision + 1
  const free = roundAt(unit)
  // Tiny after rounding: with an unbounded exponent the result would be below the least normal number.
  const reached = free.value === 1n << BigInt(l.precision) ? exponent + 1 : exponent
  if (reached < l.least) {
    const { value, exact } = roundAt(leastUnit)
    return { result: signBit(l, negative) | value, flags: exact ? 0 : NX | UF }
  }
  const { value, exact } = unit >= leastUnit ? free : roundAt(leastUnit)
  const field = BigInt(Math.max(unit, leastUnit) - leastUnit)
  const result = (field << BigInt(l.precision - 1)) + value
  if (result >= infinityBits(l)) {
    const outwards = rm === roundingMode.RNE || rm === roundingMode.RMM || rm === (negative ? roundingMode.RDN : roundingMode.RUP)
    return { result: signBit(l, negative) | (outwards ? infinityBits(l) : infinityBits(l) - 1n), flags: OF | NX }
  }
  return { result: signBit(l, negative) | result, flags: exact ? 0 : NX }
}

/** Rounds a sum of signed binary numbers; `zero` is the sign of an exact zero. */
function encodeSum(l: Layout, sum: bigint, exponent: number, rm: number, zero: boolean): Answer {
  if (sum === 0n) return { result: signBit(l, zero), flags: 0 }
  const size = sum < 0n ? -sum : sum
  return exponent >= 0
    ? encode(l, sum < 0n, size << BigInt(exponent), 1n, rm)
    : encode(l, sum < 0n, size, 1n << BigInt(-exponent), rm)
}

function signed(v: { negative: boolean; size: bigint }): bigint {
  return v.negative ? -v.size : v.size
}

function fused(l: Layout, a: Value, b: Value, c: Value, rm: number): Answer {
  const invalid = { result: nanBits(l), flags: NV }
  const isZero = (v: Value): boolean => v.kind === 'finite' && v.size === 0n
  const undefinedProduct = (isZero(a) && b.kind === 'infinity') || (a.kind === 'infinity' && isZero(b))
  if (a.kind === 'nan' || b.kind === 'nan' || c.kind === 'nan') {
    const bad = undefinedProduct || [a, b, c].some((v) => v.kind === 'nan' && v.signalling)
    return { result: nanBits(l), flags: bad ? NV : 0 }
  }
  if (undefinedProduct) return invalid
  const negative = a.negative !== b.negative
  if (a.kind === 'infinity' || b.kind === 'infinity') {
    if (c.kind === 'infinity' && c.negative !== negative) return invalid
    return { result: signBit(l, negative) | infinityBits(l), flags: 0 }
  }
  if (c.kind === 'infinity') return { result: signBit(l, c.negative) | infinityBits(l), flags: 0 }
  const exponent = a.exponent + b.exponent
  const unit = Math.min(exponent, c.exponent)
  const product = (signed(a) * signed(b)) << BigInt(exponent - unit)
  const addend = signed(c) << BigInt(c.exponent - unit)
  const zero = product === 0n && addend === 0n && negative === c.negative ? negative : rm === roundingMode.RDN
  return encodeSum(l, product + addend, unit, rm, zero)
}

function divide(l: Layout, a: Value, b: Value, rm: number): Answer {
  if (a.kind === 'nan' || b.kind === 'nan') {
    return { result: nanBits(l), flags: [a, b].some((v) => v.kind === 'nan' && v.signalling) ? NV : 0 }
  }
  const negative = a.negative !== b.negative
  const sign = signBit(l, negative)
  if (a.kind === 'infinity') return b.kind === 'infinity' ? { result: nanBits(l), flags: NV } : { result: sign | infinityBits(l), flags: 0 }
  if (b.kind === 'infinity') return { result: sign, flags: 0 }
  if (b.size === 0n) return a.size === 0n ? { result: nanBits(l), flags: NV } : { result: sign | infinityBits(l), flags: DZ }
  if (a.size === 0n) return { result: sign, flags: 0 }
  const shift = a.exponent - b.exponent
  return shift >= 0
    ? encode(l, negative, a.size << BigInt(shift), b.size, rm)
    : encode(l, negative, a.size, b.size << BigInt(-shift), rm)
}

function squareRoot(l: Layout, a: Value, bits: bigint, rm: number): Answer {
  if (a.kind === 'nan') return { result: nanBits(l), flags: a.signalling ? NV : 0 }
  if (a.kind === 'finite' && a.size === 0n) return { result: bits, flags: 0 }
  if (a.negative) return { result: nanBits(l), flags: NV }
  if (a.kind === 'infinity') return { result: bits, flags: 0 }
  // Two hundred extra bits, even exponent, and a last bit that says whether something is left.
  const extra = 200 + (Math.abs(a.exponent) & 1)
  const size = a.size << BigInt(extra)
  let root = 1n << BigInt(bitLength(size) / 2 + 1 | 0)
  for (;;) {
    const next = (root + size / root) >> 1n
    if (next >= root) break
    root = next
  }
  const sticky = root * root === size ? 0n : 1n
  return encodeSum(l, root * 2n + sticky, (a.exponent - extra) / 2 - 1, rm, false)
}

function toInteger(v: Value, rm: number, width: number, isSigned: boolean): Answer {
  const minimum = isSigned ? -(1n << BigInt(width - 1)) : 0n
  const maximum = (1n << BigInt(isSigned ? width - 1 : width)) - 1n
  const extend = (x: bigint): bigint => BigInt.asUintN(64, BigInt.asIntN(width, x))
  if (v.kind === 'nan') return { result: extend(maximum), flags: NV }
  if (v.kind === 'infinity') return { result: extend(v.negative ? minimum : maximum), flags: NV }
  const { value, exact } =
    v.exponent >= 0
      ? { value: v.size << BigInt(v.exponent), exact: true }
      : roundInteger(v.size, 1n << BigInt(-v.exponent), v.negative, rm)
  const x = v.negative ? -value : value
  if (x < minimum) return { result: extend(minimum), flags: NV }
  if (x > maximum) return { result: extend(maximum), flags: NV }
  return { result: extend(x), flags: exact ? 0 : NX }
}

function fromInteger(l: Layout, x: bigint, rm: number): Answer {
  return encodeSum(l, x, 0, rm, false)
}

/** −1, 0 or 1, or undefined when unordered. */
function order(a: Value, b: Value): number | undefined {
  if (a.kind === 'nan' || b.kind === 'nan') return undefined
  const rank = (v: Exclude<Value, { kind: 'nan' }>): number => (v.kind === 'infinity' ? (v.negative ? -1 : 1) : 0)
  if (a.kind === 'infinity' || b.kind === 'infinity') return Math.sign(rank(a) - rank(b))
  const unit = Math.min(a.exponent, b.exponent)
  const difference = (signed(a) << BigInt(a.exponent - unit)) - (signed(b) << BigInt(b.exponent - unit))
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

function extremum(l: Layout, a: bigint, b: bigint, wanted: number): Answer {
  const x = decode(l, a)
  const y = decode(l, b)
  const flags = [x, y].some((v) => v.kind === 'nan' && v.signalling) ? NV : 0
  if (x.kind === 'nan') return { result: y.kind === 'nan' ? nanBits(l) : b, flags }
  if (y.kind === 'nan') return { result: a, flags }
  const sign = order(x, y) || (x.negative === y.negative ? wanted : x.negative ? -1 : 1)
  return { result: sign === wanted ? a : b, flags }
}

function classOf(l: Layout, bits: bigint): number {
  const v = decode(l, bits)
  if (v.kind === 'nan') return v.signalling ? 8 : 9
  if (v.kind === 'infinity') return v.negative ? 0 : 7
  const up = v.size === 0n ? 0 : v.size < 1n << BigInt(l.precision - 1) ? 1 : 2
  return v.negative ? 3 - up : 4 + up
}

/** What operation `name` gives for bit patterns in the format of this width. */
export function reference(name: string, width: Width, [wa, wb, wc]: readonly [bigint, bigint, bigint], rm: number): Answer {
  const l = layouts[width]
  const [a, b, c] = [wa, wb, wc].map((x) => BigInt.asUintN(width, x)) as [bigint, bigint, bigint]
  const x = decode(l, a)
  const y = decode(l, b)
  const one = decode(l, fromInteger(l, 1n, 0).result)
  const compare = (accept: (o: number) => boolean, quiet: boolean): Answer => {
    const o = order(x, y)
    if (o !== undefined) return { result: accept(o) ? 1n : 0n, flags: 0 }
    return { result: 0n, flags: !quiet || [x, y].some((v) => v.kind === 'nan' && v.signalling) ? NV : 0 }
  }
  switch (name) {
    case 'add':
      return fused(l, x, one, y, rm)
    case 'sub':
      return fused(l, x, one, y.kind === 'nan' ? y : { ...y, negative: !y.negative }, rm)
    case 'mul': {
      // An addend of zero with the product's sign changes nothing.
      const negative = x.kind !== 'nan' && y.kind !== 'nan' && x.negative !== y.negative
      return fused(l, x, y, { kind: 'finite', negative, size: 0n, exponent: 0 }, rm)
    }
    case 'div':
      return divide(l, x, y, rm)
    case 'sqrt':
      return squareRoot(l, x, a, rm)
    case 'fma':
      return fused(l, x, y, decode(l, c), rm)
    case 'eq':
      return compare((o) => o === 0, true)
    case 'lt':
      return compare((o) => o < 0, false)
    case 'le':
      return compare((o) => o <= 0, false)
    case 'min':
      return extremum(l, a, b, -1)
    case 'max':
      return extremum(l, a, b, 1)
    case 'classify':
      return { result: 1n << BigInt(classOf(l, a)), flags: 0 }
    case 'toI32':
      return toInteger(x, rm, 32, true)
    case 'toU32':
      return toInteger(x, rm, 32, false)
    case 'toI64':
      return toInteger(x, rm, 64, true)
    case 'toU64':
      return toInteger(x, rm, 64, false)
    case 'fromI32':
      return fromInteger(l, BigInt.asIntN(32, wa), rm)
    case 'fromU32':
      return fromInteger(l, BigInt.asUintN(32, wa), rm)
    case 'fromI64':
      return fromInteger(l, BigInt.asIntN(64, wa), rm)
    case 'fromU64':
      return fromInteger(l, BigInt.asUintN(64, wa), rm)
    case 'convert': {
      const other = layouts[width === 64 ? 32 : 64]
      if (x.kind === 'nan') return { result: nanBits(other), flags: x.signalling ? NV : 0 }
      if (x.kind === 'infinity') return { result: signBit(other, x.negative) | infinityBits(other), flags: 0 }
      return encodeSum(other, signed(x), x.exponent, rm, x.negative)
    }
    default:
      throw new RangeError(`no reference for ${name}`)
  }
}
