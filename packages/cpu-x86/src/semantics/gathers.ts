import { i32, i32x4, i64, i64x2, type Local } from '@machinist/wasm'
import type { Stage, Value } from '../emit/stage.ts'
import type { Bits } from './vector.ts'
import { family, indices, zero } from './vector.ts'
import type { Instruction } from '../isa/form.ts'
import { Vector } from '../vector.ts'

/** Loads of lanes from addresses that a vector has (SDM volume 1, 14.12; volume 2, VGATHERDPS). */
const set = family()
export const gathers: readonly Instruction[] = set.instructions

const lane = (a: Bits, bytes: 4 | 8, n: number): Value => bytes === 4 ? i64.extendS(i32x4.extractLane(a, n)) : i64x2.extractLane(a, n)
const put = (s: Stage, a: Bits, bytes: 4 | 8, n: number, value: Value): void => s.f.set(a, bytes === 4 ? i32x4.replaceLane(a, n, i32.wrap(value)) : i64x2.replaceLane(a, n, value))

/**
 * Lanes whose mask has its sign are loaded, from the lowest on, and masks become zero as it goes: so after a fault, and whatever its handler does, it goes on with the lane that faulted.
 */
const gather = (bytes: 4 | 8, indexBytes: 4 | 8) => (s: Stage): void => {
  const { base, scale, index } = s.vectorAddress()
  s.faultIf(s.sameVectors(0, 2), Vector.invalidOpcode)
  const count = s.vectorSize / Math.max(bytes, indexBytes)
  const dataHalves = indices(s).slice(0, Math.ceil(count * bytes / 16))
  const places = indices(s).slice(0, Math.ceil(count * indexBytes / 16)).map((half) => s.let(index(half)))
  const data = dataHalves.map((half) => s.let(s.half(0, half)))
  const masks = dataHalves.map((half) => s.let(s.half(2, half)))
  for (let n = 0; n < count; n++) {
    const [half, at] = [Math.floor(n * bytes / 16), n % (16 / bytes)]
    const [value, mask, place] = [data[half], masks[half], places[Math.floor(n * indexBytes / 16)]] as [Local<'v128'>, Local<'v128'>, Local<'v128'>]
    s.when(i64.ltS(lane(mask, bytes, at), 0), () => {
      const offset = i64.add(base, i64.shl(lane(place, indexBytes, n % (16 / indexBytes)), scale))
      s.anyAlignment(() => put(s, value, bytes, at, s.load(s.truncate(offset, s.addressSize), bytes)))
      s.setHalf(0, half as 0 | 1, value)
    })
    put(s, mask, bytes, at, i64.const(0))
    s.setHalf(2, half as 0 | 1, mask)
  }
  // What a vector has above its lanes is zero.
  const narrow = count * bytes === 8
  s.setHalves(0, narrow ? data.map((value) => i64x2.replaceLane(value, 1, i64.const(0))) : data)
  s.setHalves(2, [zero()])
}
const table = [['dps', '92', 0, 4, 4], ['dpd', '92', 1, 8, 4], ['qps', '93', 0, 4, 8], ['qpd', '93', 1, 8, 8]] as const
for (const [name, opcode, w, bytes, indexBytes] of table) {
  const letters = bytes === 4 && indexBytes === 8 ? ['Vo', 'Ho'] as const : ['Vx', 'Hx'] as const
  set.define('avx2', `vgather${name}`, [`VEX.66.0F38.W${w}.${opcode} ${letters[0]} M${bytes === 4 ? 'd' : 'q'} ${letters[1]}; vsib`], gather(bytes, indexBytes))
  set.define('avx2', `vpgather${name.charAt(0)}${bytes === 4 ? 'd' : 'q'}`, [`VEX.66.0F38.W${w}.${opcode === '92' ? '90' : '91'} ${letters[0]} M${bytes === 4 ? 'd' : 'q'} ${letters[1]}; vsib`], gather(bytes, indexBytes))
}
