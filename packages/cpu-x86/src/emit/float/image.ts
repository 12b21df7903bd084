import { call, type Expr, type Func, type FuncRef, i32, i64, type Local, memoryFill, type ModuleBuilder, v128 } from '@machinist/wasm'
import { legacyRegion, MXCSR_MASK } from '../../extended-state.ts'
import { type FloatState, initialControl } from '../float-state.ts'

/**
 * The image of the registers of x87, SSE and AVX that FXSAVE and XSAVE write, in a buffer of the state (SDM volume 1, 10.5 and 13.4). Instructions move it between there and memory, so that what
 * is read is looked at before anything is changed.
 */
export interface ImageFunctions {
  /** `(wide)`: fills it; `wide` is for addresses of 64 bits. */
  readonly fill: FuncRef<readonly ['i32'], 'void'>
  /** Which parts are not as they are at first: XINUSE. */
  readonly inUse: FuncRef<readonly [], 'i32'>
  /** `(wide)`: the x87 FPU, from the image. */
  readonly takeX87: FuncRef<readonly ['i32'], 'void'>
  /** `(registers)`: so many XMM, and the upper halves of so many YMM. */
  readonly takeSse: FuncRef<readonly ['i32'], 'void'>
  readonly takeAvx: FuncRef<readonly ['i32'], 'void'>
  /** As they are at first. */
  readonly clearX87: FuncRef<readonly [], 'void'>
  readonly clearSse: FuncRef<readonly ['i32'], 'void'>
  readonly clearAvx: FuncRef<readonly ['i32'], 'void'>
}

const VECTOR = 32
const HALF = 16
const TOP = 11

export function emitImage(m: ModuleBuilder, state: FloatState, summarize: FuncRef<readonly [], 'void'>): ImageFunctions {
  const image = state.field('image')
  const at = (field: keyof typeof legacyRegion): number => image + legacyRegion[field]
  const each = (f: Func, count: Expr<'i32'> | number, body: (i: Local<'i32'>) => void): void => {
    const i = f.let(i32.const(0))
    f.loop((again) => {
      body(i)
      f.set(i, i32.add(i, 1))
      f.brIf(again, i32.ltU(i, count))
    })
  }
  /** Where ST(i) is. */
  const stack = (i: Local<'i32'>): Expr<'i32'> => i32.add(state.register(0), i32.shl(i32.and(i32.add(i32.shrU(state.get32('status'), TOP), i), 7), 4))
  const place = (field: 'stack' | 'vectors' | 'upper', i: Local<'i32'>): Expr<'i32'> => i32.add(at(field), i32.shl(i, 4))
  const half = (i: Local<'i32'>, upper: number): Expr<'i32'> => i32.add(state.vector(0) + upper, i32.mul(i, VECTOR))

  const fill = m.func('image.fill', ['i32'], 'void', (f, wide) => {
    f.do(memoryFill(image, 0, legacyRegion.vectors))
    f.do(i32.store16(at('control'), state.get32('control')))
    f.do(i32.store16(at('status'), state.get32('status')))
    f.do(i32.store8(at('tags'), state.get32('tags')))
    f.do(i32.store16(at('opcode'), state.get32('opcode')))
    f.if(wide, () => {
      f.do(i64.store(at('instruction'), state.get64('instruction')))
      f.do(i64.store(at('operand'), state.get64('operand')))
    }, () => {
      f.do(i64.store32(at('instruction'), state.get64('instruction')))
      f.do(i64.store32(at('operand'), state.get64('operand')))
    })
    f.do(i32.store(at('mxcsr'), state.get32('mxcsr')))
    f.do(i32.store(at('mxcsrMask'), MXCSR_MASK))
    each(f, 8, (i) => {
      f.do(i64.store(place('stack', i), i64.load(stack(i))))
      f.do(i32.store16(place('stack', i), i32.load16U(stack(i), 8), 8))
    })
    each(f, 16, (i) => {
      f.do(v128.store(place('vectors', i), v128.load(half(i, 0))))
      f.do(v128.store(place('upper', i), v128.load(half(i, HALF))))
    })
  })
  const inUse = m.func('image.inUse', [], 'i32', (f) => {
    const [low, high] = [f.let(v128.const(0n, 0n)), f.let(v128.const(0n, 0n))]
    each(f, 16, (i) => {
      f.set(low, v128.or(low, v128.load(half(i, 0))))
      f.set(high, v128.or(high, v128.load(half(i, HALF))))
    })
    const x87 = f.let(i32.or(i32.or(i32.ne(state.get32('control'), initialControl.control), state.get32('status')), i32.or(state.get32('tags'), state.get32('opcode'))))
    f.set(x87, i32.or(x87, i64.ne(i64.or(state.get64('instruction'), state.get64('operand')), 0)))
    each(f, 8, (i) => f.set(x87, i32.or(x87, i64.ne(i64.or(i64.load(stack(i)), i64.load16U(stack(i), 8)), 0))))
    f.return(i32.or(i32.or(i32.ne(x87, 0), i32.shl(v128.anyTrue(low), 1)), i32.shl(v128.anyTrue(high), 2)))
  })
  const takeX87 = m.func('image.takeX87', ['i32'], 'void', (f, wide) => {
    f.do(state.set32('control', i32.or(i32.and(i32.load16U(at('control')), 0x1f3f), 0x40)))
    f.do(state.set32('status', i32.load16U(at('status'))))
    f.do(state.set32('tags', i32.load8U(at('tags'))))
    f.do(state.set32('opcode', i32.and(i32.load16U(at('opcode')), 0x7ff)))
    for (const field of ['instruction', 'operand'] as const) f.if(wide, () => f.do(state.set64(field, i64.load(at(field)))), () => f.do(state.set64(field, i64.load32U(at(field)))))
    each(f, 8, (i) => {
      f.do(i64.store(stack(i), i64.load(place('stack', i))))
      f.do(i32.store16(stack(i), i32.load16U(place('stack', i), 8), 8))
    })
    f.do(call(summarize))
  })
  const takeSse = m.func('image.takeSse', ['i32'], 'void', (f, count) => each(f, count, (i) => f.do(v128.store(half(i, 0), v128.load(place('vectors', i))))))
  const takeAvx = m.func('image.takeAvx', ['i32'], 'void', (f, count) => each(f, count, (i) => f.do(v128.store(half(i, HALF), v128.load(place('upper', i))))))
  const clearX87 = m.func('image.clearX87', [], 'void', (f) => {
    f.do(memoryFill(state.register(0), 0, 128))
    f.do(state.set32('control', initialControl.control))
    for (const field of ['status', 'tags', 'opcode'] as const) f.do(state.set32(field, 0))
    for (const field of ['instruction', 'operand'] as const) f.do(state.set64(field, i64.const(0)))
  })
  const clear = (name: string, upper: number): ImageFunctions['clearSse'] => m.func(name, ['i32'], 'void', (f, count) => each(f, count, (i) => f.do(v128.store(half(i, upper), v128.const(0n, 0n)))))
  return { fill, inUse, takeX87, takeSse, takeAvx, clearX87, clearSse: clear('image.clearSse', 0), clearAvx: clear('image.clearAvx', HALF) }
}
