import { Access } from '@machinist/mmu'
import { call, type Expr, type Func, type FuncRef, i32, i64, type ModuleBuilder, select } from '@machinist/wasm'
import { Vector } from '../vector.ts'
import { Register, segmentLayout, SegmentRight, type State } from './layout.ts'
import type { MemoryFunctions } from './memory.ts'

export interface SegmentFunctions {
  /** `(segment, offset, bytes, access)`: where in linear memory those bytes of a segment lie, whose register is at that address; 0 after a fault. As `place`, it may be `bounce`. */
  readonly placeIn: FuncRef<readonly ['i32', 'i64', 'i32', 'i32'], 'i32'>
  /** `(segment, offset)` → the linear address. */
  readonly linear: FuncRef<readonly ['i32', 'i64'], 'i64'>
  /** `(target)`: 1 after a fault, when CS does not have that address. */
  readonly checkTarget: FuncRef<readonly ['i64'], 'i32'>
}

/** Bits of an address that is canonical with four levels, and so with five. */
const CANONICAL = 48

/** What accesses of a program ask of their segment before anything else, in the mode there is then. */
export function emitPlaceIn(m: ModuleBuilder, state: State, { place, unusual }: Pick<MemoryFunctions, 'place' | 'unusual'>): SegmentFunctions {
  const is64 = (): Expr<'i32'> => i32.eq(state.get32('mode'), 64)
  const raise = (f: Func, vector: Expr<'i32'> | number, result: 0 | 1): void => {
    f.do(state.set32('fault', i32.add(vector, 1)))
    f.do(state.set32('error', 0))
    f.return(result)
  }
  /** In 64-bit mode only FS and GS have bases. */
  const based = (segment: Expr<'i32'>): Expr<'i32'> => i32.geU(segment, state.segment(Register.fs))
  /** Whether an address must be looked at closely. */
  const odd = (linear: Expr<'i64'>): Expr<'i32'> => i64.ne(i64.shrU(i64.add(linear, 2 ** (CANONICAL - 1)), CANONICAL), 0)

  const placeIn = m.func('placeIn', ['i32', 'i64', 'i32', 'i32'], 'i32', (f, segment, offset, bytes, access) => {
    // #SS is one less than #GP.
    const vector = i32.sub(Vector.generalProtection, i32.eq(segment, state.segment(Register.ss)))
    const last = (): Expr<'i64'> => i64.add(offset, i64.extendU(i32.sub(bytes, 1)))
    f.if(is64(), () => {
      f.if(based(segment), () => f.set(offset, i64.add(offset, i64.load(segment, segmentLayout.base))))
      // All of an operand must be canonical.
      f.if(i32.or(odd(offset), odd(last())), () => f.if(i32.or(call(unusual, offset), call(unusual, last())), () => raise(f, vector, 0)))
    }, () => {
      // Limit and type (SDM volume 3, 6.3 and 6.4).
      const low = i64.ltU(offset, i64.load32U(segment, segmentLayout.low))
      const high = i64.gtU(last(), i64.load32U(segment, segmentLayout.high))
      const right = select('i32', i32.eq(access, Access.write), SegmentRight.write, SegmentRight.read)
      f.if(i32.or(i32.or(low, high), i32.eqz(i32.and(i32.load(segment, segmentLayout.rights), right))), () => raise(f, vector, 0))
      f.set(offset, i64.and(i64.add(offset, i64.load(segment, segmentLayout.base)), 0xffff_ffff))
    })
    f.return(call(place, offset, bytes, access, 0))
  })
  const linear = m.func('linearOf', ['i32', 'i64'], 'i64', (f, segment, offset) => {
    f.if(is64(), () => f.return(select('i64', based(segment), i64.add(offset, i64.load(segment, segmentLayout.base)), offset)))
    f.return(i64.and(i64.add(offset, i64.load(segment, segmentLayout.base)), 0xffff_ffff))
  })
  const checkTarget = m.func('checkTarget', ['i64'], 'i32', (f, target) => {
    const outside = select('i32', is64(), call(unusual, target), i64.gtU(target, i64.load32U(state.segment(Register.cs), segmentLayout.high)))
    f.if(outside, () => raise(f, Vector.generalProtection, 1))
    f.return(0)
  })
  return { placeIn, linear, checkTarget }
}
