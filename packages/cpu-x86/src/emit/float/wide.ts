import { call, type Expr, type Func, type FuncRef, type Global, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import type { Helpers } from '../helpers.ts'

/**
 * Fixed-point numbers of 128 bits, of which one stands before the point: what transcendental functions are computed in, so that their results are right in all of
 * 64 bits but where the next 50 lie about a tie. A number is two halves; functions return the upper one and leave the lower one.
 */
export type Wide = readonly [high: Local<'i64'>, low: Local<'i64'>]

/** Bits behind the point. */
export const FRACTION = 127n
/** A constant as its halves. */
export const halves = (value: bigint): readonly [bigint, bigint] => [BigInt.asIntN(64, value >> 64n), BigInt.asIntN(64, value)]
/** n / d. */
export const ratio = (n: bigint, d: bigint): bigint => (n << FRACTION) / d

export interface WideFunctions {
  readonly low: Global<'i64'>
  /** The product. It is below two. */
  readonly multiply: FuncRef<readonly ['i64', 'i64', 'i64', 'i64'], 'i64'>
  /** The reciprocal of what is one or more. */
  readonly reciprocal: FuncRef<readonly ['i64', 'i64'], 'i64'>
  /** `(high, low, by)`: moved right; by 128 and more it is zero. */
  readonly right: FuncRef<readonly ['i64', 'i64', 'i32'], 'i64'>
}

export function emitWide(m: ModuleBuilder, { mulhu, divu }: Helpers): WideFunctions {
  const low = m.global('i64', 0)
  const multiply = m.func('wide.multiply', ['i64', 'i64', 'i64', 'i64'], 'i64', (f, aHigh, aLow, bHigh, bLow) => {
    const high = f.let(call(mulhu, aHigh, bHigh))
    const sum = f.let(i64.mul(aHigh, bHigh))
    for (const part of [call(mulhu, aHigh, bLow), call(mulhu, aLow, bHigh)]) {
      const bound = f.let(part)
      f.set(sum, i64.add(sum, bound))
      f.set(high, i64.add(high, i64.extendU(i64.ltU(sum, bound))))
    }
    f.setGlobal(low, i64.shl(sum, 1))
    f.return(i64.or(i64.shl(high, 1), i64.shrU(sum, 63)))
  })
  const reciprocal = m.func('wide.reciprocal', ['i64', 'i64'], 'i64', (f, high, lower) => {
    // Half of its bits by division, the rest by one step of Newton's.
    const first = f.let(select('i64', i64.eq(high, i64.const(-(1n << 63n))), i64.const(-(1n << 63n)), call(divu, i64.const(1n << 62n), i64.const(0), high)))
    const product = f.let(call(multiply, high, lower, first, i64.const(0)))
    // Two less that, as what is above the point is cut.
    const rest = f.let(i64.sub(0, low))
    const upper = f.let(i64.sub(i64.sub(0, product), i64.extendU(i64.ne(low, 0))))
    f.return(call(multiply, first, i64.const(0), upper, rest))
  })
  const right = m.func('wide.right', ['i64', 'i64', 'i32'], 'i64', (f, high, lower, by) => {
    f.if(i32.geU(by, 128), () => {
      f.setGlobal(low, i64.const(0))
      f.return(0)
    })
    f.if(i32.geU(by, 64), () => {
      f.setGlobal(low, i64.shrU(high, i64.extendU(i32.sub(by, 64))))
      f.return(0)
    })
    f.if(i32.eqz(by), () => {
      f.setGlobal(low, lower)
      f.return(high)
    })
    const count = f.let(i64.extendU(by))
    f.setGlobal(low, i64.or(i64.shrU(lower, count), i64.shl(high, i64.sub(64, count))))
    f.return(i64.shrU(high, count))
  })
  return { low, multiply, reciprocal, right }
}

/** Writes computations with such numbers. */
export class WideCode {
  readonly f: Func
  readonly wide: WideFunctions

  constructor(f: Func, wide: WideFunctions) {
    this.f = f
    this.wide = wide
  }

  /** What a function has returned and left. */
  #take(high: Expr<'i64'>): Wide {
    const bound = this.f.let(high)
    return [bound, this.f.let(this.wide.low)]
  }

  constant(value: bigint): Wide {
    const [high, low] = halves(value)
    return [this.f.let(i64.const(high)), this.f.let(i64.const(low))]
  }

  /** A significand, between one and two. */
  significand(value: Expr<'i64'>): Wide {
    return [this.f.let(value), this.f.let(i64.const(0))]
  }

  variable([high, low]: Wide): Wide {
    return [this.f.let(high), this.f.let(low)]
  }

  set(to: Wide, from: Wide): void {
    const low = this.f.let(from[1])
    this.f.set(to[0], from[0])
    this.f.set(to[1], low)
  }

  multiply(a: Wide, b: Wide): Wide {
    return this.#take(call(this.wide.multiply, ...a, ...b))
  }

  by(a: Wide, constant: bigint): Wide {
    const [high, low] = halves(constant)
    return this.#take(call(this.wide.multiply, ...a, i64.const(high), i64.const(low)))
  }

  reciprocal(a: Wide): Wide {
    return this.#take(call(this.wide.reciprocal, ...a))
  }

  right(a: Wide, by: Expr<'i32'> | number): Wide {
    return this.#take(call(this.wide.right, ...a, by))
  }

  /** Moved left by less than 64. */
  left([high, low]: Wide, by: Expr<'i32'>): Wide {
    const count = this.f.let(i64.extendU(by))
    const upper = this.f.let(i64.or(i64.shl(high, count), select('i64', i64.eqz(count), 0, i64.shrU(low, i64.sub(64, count)))))
    return [upper, this.f.let(i64.shl(low, count))]
  }

  add([aHigh, aLow]: Wide, [bHigh, bLow]: Wide): Wide {
    const low = this.f.let(i64.add(aLow, bLow))
    return [this.f.let(i64.add(i64.add(aHigh, bHigh), i64.extendU(i64.ltU(low, bLow)))), low]
  }

  subtract([aHigh, aLow]: Wide, [bHigh, bLow]: Wide): Wide {
    const borrow = this.f.let(i64.extendU(i64.ltU(aLow, bLow)))
    return [this.f.let(i64.sub(i64.sub(aHigh, bHigh), borrow)), this.f.let(i64.sub(aLow, bLow))]
  }

  less([aHigh, aLow]: Wide, [bHigh, bLow]: Wide): Expr<'i32'> {
    return this.f.let(i32.or(i64.ltU(aHigh, bHigh), i32.and(i64.eq(aHigh, bHigh), i64.ltU(aLow, bLow))))
  }

  isZero([high, low]: Wide): Expr<'i32'> {
    return i64.eqz(i64.or(high, low))
  }

  /** Makes the topmost bit one of a number that is not zero; by how much it was moved. */
  normalize(a: Wide): Local<'i32'> {
    const { f } = this
    const moved = f.let(i32.const(0))
    f.if(i64.eqz(a[0]), () => {
      f.set(a[0], a[1])
      f.set(a[1], 0)
      f.set(moved, 64)
    })
    const count = f.let(i32.wrap(i64.clz(a[0])))
    this.set(a, this.left(a, count))
    f.set(moved, i32.add(moved, count))
    return moved
  }

  /** A series, from its last term on: each is a constant and what comes after it times `z`, added, or taken away where `alternates` is not zero. */
  series(z: Wide, terms: readonly bigint[], alternates: Expr<'i32'> | number): Wide {
    const { f } = this
    const sum = this.constant(terms.at(-1) ?? 0n)
    for (const term of terms.slice(0, -1).reverse()) {
      const product = this.multiply(z, sum)
      const constant = this.constant(term)
      if (typeof alternates === 'number') this.set(sum, alternates === 0 ? this.add(constant, product) : this.subtract(constant, product))
      else f.if(alternates, () => this.set(sum, this.subtract(constant, product)), () => this.set(sum, this.add(constant, product)))
    }
    return sum
  }
}

// Constants, computed with some bits more than are kept

const EXTRA = 40n
const SCALE = FRACTION + EXTRA
/** The sum of n/d of terms until they vanish. */
function sumOf(term: (k: bigint) => bigint): bigint {
  let sum = 0n
  for (let k = 0n; ; k++) {
    const next = term(k)
    if (next === 0n) return sum
    sum += next
  }
}
const atanhOf = (n: bigint, d: bigint): bigint => sumOf((k) => (n ** (2n * k + 1n) << SCALE) / (d ** (2n * k + 1n) * (2n * k + 1n)))
const atanOf = (n: bigint, d: bigint): bigint => sumOf((k) => (k % 2n === 0n ? 1n : -1n) * ((n ** (2n * k + 1n) << SCALE) / (d ** (2n * k + 1n) * (2n * k + 1n))))
const LN2_LONG = 2n * atanhOf(1n, 3n)
/** Machin's formula. */
const PI_LONG = 16n * atanOf(1n, 5n) - 4n * atanOf(1n, 239n)
export const LN2: bigint = LN2_LONG >> EXTRA
export const LOG2E: bigint = (1n << 2n * SCALE) / LN2_LONG >> EXTRA
/** With two bits less behind the point. */
export const PI_QUARTERS = (quarters: bigint): bigint => PI_LONG * quarters >> EXTRA + 4n
/** Of so many sixteenths. Each is the one before and the angle between them, whose tangent is 16 / (256 + k(k − 1)). */
export const arcTangents: readonly bigint[] = (() => {
  let angle = 0n
  return Array.from({ length: 17 }, (_, k) => {
    if (k > 0) angle += atanOf(16n, BigInt(256 + k * (k - 1)))
    return angle >> EXTRA
  })
})()
