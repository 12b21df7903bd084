import { call, type Func, type FuncRef, i32, i64, type Local, select } from '@machinist/wasm'
import { BIAS, C1, Class, type Extended, exponentAt, MAX_EXPONENT, raise, roundingControl, shiftRight, signAt, significandAt, TOP_BIT } from './extended.ts'
import { Exception, Relation } from './sse.ts'

/** `(to, a, b, denormal)`: whether a source in memory was denormal is known to the caller alone. */
type Operation = FuncRef<readonly ['i32', 'i32', 'i32', 'i32'], 'void'>
type Root = FuncRef<readonly ['i32', 'i32'], 'void'>

/** Arithmetic of 80 bits, rounded once, with its exceptions (SDM volume 1, 8.3.5 and 8.5; IEEE 754-2019, 5.4.1). */
export interface ExtendedArithmetic {
  readonly add: Operation
  readonly sub: Operation
  readonly mul: Operation
  readonly div: Operation
  readonly sqrt: Root
  /** To an integral number as RC says. */
  readonly integral: Root
  /** `(a, b, denormal, quiet)` → a {@link Relation}. */
  readonly relation: FuncRef<readonly ['i32', 'i32', 'i32', 'i32'], 'i32'>
}

export function emitExtendedArithmetic(x: Extended, divu: FuncRef<readonly ['i64', 'i64', 'i64'], 'i64'>, mulhu: FuncRef<readonly ['i64', 'i64'], 'i64'>): ExtendedArithmetic {
  const { m, state, classify, propagate, invalid, normalize, pack, put, significand, exponent } = x
  const infinity = i64.const(TOP_BIT)

  interface Parts { readonly ofA: Local<'i32'>; readonly ofB: Local<'i32'>; readonly signA: Local<'i32'>; readonly signB: Local<'i32'> }
  interface Finite { readonly highA: Local<'i64'>; readonly highB: Local<'i64'>; readonly powerA: Local<'i32'>; readonly powerB: Local<'i32'> }
  /** An operation of two numbers: `special` returns for infinities and zeros, `finite` for the rest. Unsupported ones and NaNs come first. */
  const operation = (name: string, flipB: boolean, special: (f: Func, to: Local<'i32'>, parts: Parts) => void, finite: (f: Func, to: Local<'i32'>, parts: Parts, numbers: Finite) => void): Operation =>
    m.func(`x87.${name}`, ['i32', 'i32', 'i32', 'i32'], 'void', (f, to, a, b, denormal) => {
      const ofA = f.let(call(classify, a))
      const ofB = f.let(call(classify, b))
      const signA = f.let(signAt(a))
      const signB = f.let(flipB ? i32.xor(signAt(b), 1) : signAt(b))
      const parts: Parts = { ofA, ofB, signA, signB }
      f.if(i32.or(i32.eq(ofA, Class.unsupported), i32.eq(ofB, Class.unsupported)), () => {
        f.do(call(invalid, to))
        f.return()
      })
      f.if(i32.or(i32.geU(ofA, Class.nan), i32.geU(ofB, Class.nan)), () => {
        f.do(call(propagate, to, a, b))
        f.return()
      })
      const note = (): void => f.if(i32.or(denormal, i32.or(i32.eq(ofA, Class.denormal), i32.eq(ofB, Class.denormal))), () => raise(f, state, Exception.denormal))
      if (name === 'div') {
        // What is invalid or a division by zero comes before a denormal.
        f.if(i32.and(i32.eqz(ofB), i32.ne(ofA, Class.infinity)), () => special(f, to, parts))
      }
      note()
      special(f, to, parts)
      f.do(call(normalize, a))
      const highA = f.let(significand)
      const powerA = f.let(exponent)
      f.do(call(normalize, b))
      finite(f, to, parts, { highA, powerA, highB: f.let(significand), powerB: f.let(exponent) })
    })

  const sum = (name: 'add' | 'sub'): Operation => operation(name, name === 'sub', (f, to, { ofA, ofB, signA, signB }) => {
    const differ = f.let(i32.xor(signA, signB))
    f.if(i32.eq(ofA, Class.infinity), () => {
      f.if(i32.and(i32.eq(ofB, Class.infinity), differ), () => f.do(call(invalid, to)), () => f.do(call(put, to, signA, infinity, MAX_EXPONENT)))
      f.return()
    })
    f.if(i32.eq(ofB, Class.infinity), () => {
      f.do(call(put, to, signB, infinity, MAX_EXPONENT))
      f.return()
    })
    f.if(i32.and(i32.eqz(ofA), i32.eqz(ofB)), () => {
      f.do(call(put, to, select('i32', differ, i32.eq(roundingControl(state), 1), signA), i64.const(0), 0))
      f.return()
    })
  }, (f, to, { ofA, ofB, signA, signB }, { highA, highB, powerA, powerB }) => {
    // A zero is below everything else.
    f.if(i32.eqz(ofA), () => f.set(powerA, -0x10000))
    f.if(i32.eqz(ofB), () => f.set(powerB, -0x10000))
    const sign = f.let(signA)
    const differ = i32.xor(signA, signB)
    const smaller = f.let(i32.or(i32.ltS(powerA, powerB), i32.and(i32.eq(powerA, powerB), i64.ltU(highA, highB))))
    f.if(smaller, () => {
      const [high, power] = [f.let(highA), f.let(powerA)]
      f.set(highA, highB)
      f.set(powerA, powerB)
      f.set(highB, high)
      f.set(powerB, power)
      f.set(sign, signB)
    })
    const low = f.let(i64.const(0))
    const lowB = f.let(i64.const(0))
    const by = f.let(i32.sub(powerA, powerB))
    shiftRight(f, highB, lowB, by)
    f.if(differ, () => {
      const high = f.let(i64.sub(i64.sub(highA, highB), i64.extendU(i64.ne(lowB, 0))))
      f.set(low, i64.sub(0, lowB))
      f.if(i64.eqz(i64.or(high, low)), () => {
        f.do(call(put, to, i32.eq(roundingControl(state), 1), i64.const(0), 0))
        f.return()
      })
      f.if(i64.eqz(high), () => {
        f.set(high, low)
        f.set(low, 0)
        f.set(powerA, i32.sub(powerA, 64))
      })
      const count = f.let(i64.clz(high))
      f.if(i64.ne(count, 0), () => {
        f.set(high, i64.or(i64.shl(high, count), i64.shrU(low, i64.sub(64, count))))
        f.set(low, i64.shl(low, count))
      })
      f.do(call(pack, to, sign, i32.sub(powerA, i32.wrap(count)), high, low))
    }, () => {
      const high = f.let(i64.add(highA, highB))
      f.set(low, lowB)
      f.if(i64.ltU(high, highA), () => {
        f.set(low, i64.or(i64.or(i64.shrU(low, 1), i64.and(low, 1)), i64.shl(high, 63)))
        f.set(high, i64.or(i64.shrU(high, 1), i64.const(TOP_BIT)))
        f.set(powerA, i32.add(powerA, 1))
      })
      f.do(call(pack, to, sign, powerA, high, low))
    })
  })

  const mul = operation('mul', false, (f, to, { ofA, ofB, signA, signB }) => {
    const sign = f.let(i32.xor(signA, signB))
    f.if(i32.or(i32.eq(ofA, Class.infinity), i32.eq(ofB, Class.infinity)), () => {
      f.if(i32.or(i32.eqz(ofA), i32.eqz(ofB)), () => f.do(call(invalid, to)), () => f.do(call(put, to, sign, infinity, MAX_EXPONENT)))
      f.return()
    })
    f.if(i32.or(i32.eqz(ofA), i32.eqz(ofB)), () => {
      f.do(call(put, to, sign, i64.const(0), 0))
      f.return()
    })
  }, (f, to, { signA, signB }, { highA, highB, powerA, powerB }) => {
    const high = f.let(call(mulhu, highA, highB))
    const low = f.let(i64.mul(highA, highB))
    const power = f.let(i32.sub(i32.add(powerA, powerB), BIAS - 1))
    f.if(i64.geS(high, 0), () => {
      f.set(high, i64.or(i64.shl(high, 1), i64.shrU(low, 63)))
      f.set(low, i64.shl(low, 1))
      f.set(power, i32.sub(power, 1))
    })
    f.do(call(pack, to, i32.xor(signA, signB), power, high, low))
  })

  const div = operation('div', false, (f, to, { ofA, ofB, signA, signB }) => {
    const sign = f.let(i32.xor(signA, signB))
    f.if(i32.eq(ofA, Class.infinity), () => {
      f.if(i32.eq(ofB, Class.infinity), () => f.do(call(invalid, to)), () => f.do(call(put, to, sign, infinity, MAX_EXPONENT)))
      f.return()
    })
    f.if(i32.eqz(ofB), () => {
      f.if(i32.eqz(ofA), () => f.do(call(invalid, to)), () => {
        raise(f, state, Exception.divide)
        f.do(call(put, to, sign, infinity, MAX_EXPONENT))
      })
      f.return()
    })
    f.if(i32.or(i32.eqz(ofA), i32.eq(ofB, Class.infinity)), () => {
      f.do(call(put, to, sign, i64.const(0), 0))
      f.return()
    })
  }, (f, to, { signA, signB }, { highA, highB, powerA, powerB }) => {
    const power = f.let(i32.add(i32.sub(powerA, powerB), BIAS - 1))
    const upper = f.let(highA)
    const lower = f.let(i64.const(0))
    f.if(i64.geU(highA, highB), () => {
      f.set(upper, i64.shrU(highA, 1))
      f.set(lower, i64.shl(highA, 63))
      f.set(power, i32.add(power, 1))
    })
    const quotient = f.let(call(divu, upper, lower, highB))
    const rest = f.let(i64.sub(lower, i64.mul(quotient, highB)))
    // The next bit of the quotient, and whether there is more.
    const more = f.let(i64.geU(rest, i64.sub(highB, rest)))
    f.if(more, () => f.set(rest, i64.sub(rest, i64.sub(highB, rest))))
    const below = i64.or(i64.shl(i64.extendU(more), 63), i64.extendU(i64.ne(rest, 0)))
    f.do(call(pack, to, i32.xor(signA, signB), power, quotient, below))
  })

  /** Returns for what has no value to compute: unsupported ones, NaNs. */
  const oneSpecial = (f: Func, to: Local<'i32'>, a: Local<'i32'>): Local<'i32'> => {
    const found = f.let(call(classify, a))
    f.if(i32.eq(found, Class.unsupported), () => {
      f.do(call(invalid, to))
      f.return()
    })
    f.if(i32.geU(found, Class.nan), () => {
      f.do(call(propagate, to, a, a))
      f.return()
    })
    return found
  }
  const same = (f: Func, to: Local<'i32'>, a: Local<'i32'>): void => {
    f.do(call(put, to, signAt(a), significandAt(a), exponentAt(a)))
    f.return()
  }
  const sqrt: Root = m.func('x87.sqrt', ['i32', 'i32'], 'void', (f, to, a) => {
    const found = oneSpecial(f, to, a)
    f.if(i32.eqz(found), () => same(f, to, a))
    f.if(signAt(a), () => {
      f.do(call(invalid, to))
      f.return()
    })
    f.if(i32.eq(found, Class.infinity), () => same(f, to, a))
    f.if(i32.eq(found, Class.denormal), () => raise(f, state, Exception.denormal))
    f.do(call(normalize, a))
    const power = f.let(i32.sub(exponent, BIAS))
    const odd = f.let(i32.and(power, 1))
    // 128 bits of radicand, two at a time; the remainder may have 66.
    const high = f.let(select('i64', odd, significand, i64.shrU(significand, 1)))
    const low = f.let(select('i64', odd, 0, i64.shl(significand, 63)))
    const root = f.let(i64.const(0))
    const [restHigh, rest] = [f.let(i64.const(0)), f.let(i64.const(0))]
    const left = f.let(i32.const(64))
    f.loop((again) => {
      f.set(restHigh, i64.or(i64.shl(restHigh, 2), i64.shrU(rest, 62)))
      f.set(rest, i64.or(i64.shl(rest, 2), i64.shrU(high, 62)))
      f.set(high, i64.or(i64.shl(high, 2), i64.shrU(low, 62)))
      f.set(low, i64.shl(low, 2))
      const [trialHigh, trial] = [f.let(i64.shrU(root, 62)), f.let(i64.or(i64.shl(root, 2), 1))]
      f.set(root, i64.shl(root, 1))
      f.if(i32.or(i64.gtU(restHigh, trialHigh), i32.and(i64.eq(restHigh, trialHigh), i64.geU(rest, trial))), () => {
        f.set(restHigh, i64.sub(i64.sub(restHigh, trialHigh), i64.extendU(i64.ltU(rest, trial))))
        f.set(rest, i64.sub(rest, trial))
        f.set(root, i64.or(root, 1))
      })
      f.brIf(again, f.tee(left, i32.sub(left, 1)))
    })
    // The remainder is more than the root when the rest of it is more than a half; a half it never is.
    const beyond = i32.or(i64.ne(restHigh, 0), i64.gtU(rest, root))
    const below = i64.or(i64.shl(i64.extendU(beyond), 63), i64.extendU(i64.ne(i64.or(rest, restHigh), 0)))
    f.do(call(pack, to, 0, i32.add(i32.shrS(power, 1), BIAS), root, below))
  })

  const integral: Root = m.func('x87.integral', ['i32', 'i32'], 'void', (f, to, a) => {
    const found = oneSpecial(f, to, a)
    f.if(i32.or(i32.eqz(found), i32.eq(found, Class.infinity)), () => same(f, to, a))
    f.if(i32.eq(found, Class.denormal), () => raise(f, state, Exception.denormal))
    f.if(i32.geU(exponentAt(a), BIAS + 63), () => same(f, to, a))
    f.do(call(normalize, a))
    const high = f.let(significand)
    const low = f.let(i64.const(0))
    const sign = f.let(signAt(a))
    // As an integer; then it is rounded there, and goes back.
    const by = f.let(i32.sub(BIAS + 63, exponent))
    shiftRight(f, high, low, by)
    const value = f.let(call(x.cut, sign, high, low, 64))
    f.if(i64.ne(x.tail, 0), () => raise(f, state, i32.or(Exception.precision, i32.mul(x.up, C1))))
    f.if(i64.eqz(value), () => {
      f.do(call(put, to, sign, i64.const(0), 0))
      f.return()
    })
    f.do(call(put, to, sign, i64.shl(value, i64.clz(value)), i32.sub(BIAS + 63, i32.wrap(i64.clz(value)))))
  })

  const relation = m.func('x87.relation', ['i32', 'i32', 'i32', 'i32'], 'i32', (f, a, b, denormal, quiet) => {
    const [ofA, ofB] = [f.let(call(classify, a)), f.let(call(classify, b))]
    f.if(i32.or(i32.geU(ofA, Class.nan), i32.geU(ofB, Class.nan)), () => {
      f.if(i32.or(i32.eqz(quiet), i32.or(i32.gtU(ofA, Class.nan), i32.gtU(ofB, Class.nan))), () => raise(f, state, Exception.invalid))
      f.return(Relation.unordered)
    })
    f.if(i32.or(denormal, i32.or(i32.eq(ofA, Class.denormal), i32.eq(ofB, Class.denormal))), () => raise(f, state, Exception.denormal))
    f.if(i32.and(i32.eqz(ofA), i32.eqz(ofB)), () => f.return(Relation.equal))
    const [signA, signB] = [f.let(signAt(a)), f.let(signAt(b))]
    f.if(i32.ne(signA, signB), () => f.return(select('i32', signA, Relation.less, Relation.greater)))
    // A denormal with an integer bit has the exponent of the least normal number.
    const power = (at: Local<'i32'>): Local<'i32'> => {
      const value = f.let(exponentAt(at))
      f.if(i32.and(i32.eqz(value), i64.ltS(significandAt(at), 0)), () => f.set(value, 1))
      return value
    }
    const [powerA, powerB] = [power(a), power(b)]
    const [highA, highB] = [f.let(significandAt(a)), f.let(significandAt(b))]
    f.if(i32.and(i32.eq(powerA, powerB), i64.eq(highA, highB)), () => f.return(Relation.equal))
    const below = i32.or(i32.ltU(powerA, powerB), i32.and(i32.eq(powerA, powerB), i64.ltU(highA, highB)))
    f.return(select('i32', i32.xor(below, signA), Relation.less, Relation.greater))
  })
  return { add: sum('add'), sub: sum('sub'), mul, div, sqrt, integral, relation }
}
