import type { SoftFloat } from '@machinist/softfloat'
import { call, i64, type ModuleBuilder, select } from '@machinist/wasm'
import type { Helpers } from './stage.ts'

/** Functions of integers that WebAssembly has no instruction for. */
export function emitHelpers(m: ModuleBuilder, float: SoftFloat): Helpers {
  // The upper half of a product, by schoolbook multiplication of 32-bit halves.
  const mulhu = m.func('mulhu', ['i64', 'i64'], 'i64', (f, a, b) => {
    const low = (x: typeof a): ReturnType<typeof i64.and> => i64.and(x, 0xffff_ffffn)
    const high = (x: typeof a): ReturnType<typeof i64.and> => i64.shrU(x, 32)
    const middle = f.let(i64.add(i64.mul(high(a), low(b)), i64.shrU(i64.mul(low(a), low(b)), 32)))
    const other = f.let(i64.add(i64.mul(low(a), high(b)), low(middle)))
    f.return(i64.add(i64.mul(high(a), high(b)), i64.add(high(middle), high(other))))
  })
  const mulh = m.func('mulh', ['i64', 'i64'], 'i64', (f, a, b) => {
    const unsigned = call(mulhu, a, b)
    f.return(i64.sub(i64.sub(unsigned, i64.and(i64.shrS(a, 63), b)), i64.and(i64.shrS(b, 63), a)))
  })
  const mulhsu = m.func('mulhsu', ['i64', 'i64'], 'i64', (f, a, b) => {
    f.return(i64.sub(call(mulhu, a, b), select('i64', i64.ltS(a, 0), b, 0)))
  })
  const rev8 = m.func('rev8', ['i64'], 'i64', (f, a) => {
    const bytes = 0x00ff_00ff_00ff_00ffn
    const halves = 0x0000_ffff_0000_ffffn
    const x = f.let(i64.or(i64.and(i64.shrU(a, 8), bytes), i64.shl(i64.and(a, bytes), 8)))
    const y = f.let(i64.or(i64.and(i64.shrU(x, 16), halves), i64.shl(i64.and(x, halves), 16)))
    f.return(i64.rotl(y, 32))
  })
  return { mulh, mulhu, mulhsu, rev8, float }
}
