import { call, type Expr, type FuncRef, i32, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import type { FloatState } from '../float-state.ts'

/** Comparisons of strings (SDM volume 1, 12.10.3; volume 2, 4.1). Both operands are at the start of `image`, sixteen bytes each. */
export interface TextFunctions {
  /** `(operand, control)`: elements before the first that is zero. */
  readonly length: FuncRef<readonly ['i32', 'i32'], 'i32'>
  /** `(length of the first, length of the second, control)`: IntRes2. */
  readonly compare: FuncRef<readonly ['i32', 'i32', 'i32'], 'i32'>
}

/** The control byte: elements are words, and signed; then how they are combined, and what is inverted. */
export const TextControl = { words: 1, signed: 2, aggregation: 2, negative: 0x10, masked: 0x20 } as const
const [ANY, RANGES, EACH] = [0, 1, 2]

export function emitText(m: ModuleBuilder, state: FloatState): TextFunctions {
  const image = state.field('image')
  const has = (control: Local<'i32'>, bit: number): Expr<'i32'> => i32.and(control, bit)
  const countOf = (control: Local<'i32'>): Expr<'i32'> => select('i32', has(control, TextControl.words), 8, 16)
  /** `(operand, number, control)`. */
  const element = m.func('text.element', ['i32', 'i32', 'i32'], 'i32', (f, operand, number, control) => {
    const at = i32.add(i32.shl(operand, 4), i32.shl(number, i32.and(control, TextControl.words)))
    const place = f.let(i32.add(at, image))
    f.if(has(control, TextControl.words), () => f.return(select('i32', has(control, TextControl.signed), i32.load16S(place), i32.load16U(place))))
    f.return(select('i32', has(control, TextControl.signed), i32.load8S(place), i32.load8U(place)))
  })
  const length = m.func('text.length', ['i32', 'i32'], 'i32', (f, operand, control) => {
    const count = f.let(countOf(control))
    const i = f.let(i32.const(0))
    f.loop((again) => {
      f.if(i32.eqz(f.let(call(element, operand, i, control))), () => f.return(i))
      f.set(i, i32.add(i, 1))
      f.brIf(again, i32.ltU(i, count))
    })
    f.return(count)
  })
  const compare = m.func('text.compare', ['i32', 'i32', 'i32'], 'i32', (f, lengthA, lengthB, control) => {
    const count = f.let(countOf(control))
    const kind = f.let(i32.and(i32.shrU(control, TextControl.aggregation), 3))
    const result = f.let(i32.const(0))
    const [i, j, bit] = [f.local('i32'), f.let(i32.const(0)), f.local('i32')]
    const a = (number: Expr<'i32'>): Expr<'i32'> => call(element, i32.const(0), number, control)
    const b = (number: Expr<'i32'>): Expr<'i32'> => call(element, i32.const(1), number, control)
    const inA = (number: Expr<'i32'>): Expr<'i32'> => i32.ltU(number, lengthA)
    const inB = (number: Expr<'i32'>): Expr<'i32'> => i32.ltU(number, lengthB)
    const both = (x: Expr<'i32'>, y: Expr<'i32'>): Expr<'i32'> => i32.and(x, y)
    f.loop((nextJ) => {
      f.set(bit, i32.gtU(kind, EACH))
      f.set(i, 0)
      f.loop((nextI) => {
        // What is behind an end compares as table 4-7 of volume 2 says.
        f.if(i32.eq(kind, ANY), () => f.set(bit, i32.or(bit, both(both(inA(i), inB(j)), i32.eq(a(i), b(j))))))
        f.if(i32.eq(kind, RANGES), () => {
          const value = f.let(b(j))
          const within = both(i32.geS(value, a(i)), i32.leS(value, a(i32.add(i, 1))))
          f.set(bit, i32.or(bit, both(i32.eqz(i32.and(i, 1)), both(both(inA(i32.add(i, 1)), inB(j)), within))))
        })
        f.if(both(i32.eq(kind, EACH), i32.eq(i, j)), () => f.set(bit, i32.or(both(both(inA(i), inB(i)), i32.eq(a(i), b(i))), i32.eqz(i32.or(inA(i), inB(i))))))
        const k = f.let(i32.add(i, j))
        f.if(both(i32.gtU(kind, EACH), i32.ltU(k, count)), () => f.set(bit, both(bit, i32.or(i32.eqz(inA(i)), both(inB(k), i32.eq(a(i), b(k)))))))
        f.set(i, i32.add(i, 1))
        f.brIf(nextI, i32.ltU(i, count))
      })
      f.set(result, i32.or(result, i32.shl(bit, j)))
      f.set(j, i32.add(j, 1))
      f.brIf(nextJ, i32.ltU(j, count))
    })
    const ones = (bits: Expr<'i32'>): Expr<'i32'> => i32.sub(i32.shl(1, bits), 1)
    f.if(has(control, TextControl.negative), () => f.set(result, i32.xor(result, ones(select('i32', has(control, TextControl.masked), lengthB, count)))))
    f.return(result)
  })
  return { length, compare }
}
