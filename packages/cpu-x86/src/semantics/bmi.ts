import { call, type Expr, i32, i64, type Local, select } from '@machinist/wasm'
import type { Stage, Value } from '../emit/stage.ts'
import { Flag } from '../flags.ts'
import type { Instruction } from '../isa/form.ts'
import { family } from './vector.ts'

/** Bits of general registers, encoded with VEX (SDM volume 1, 5.1.17; volume 2 for each). TZCNT and LZCNT are in bits.ts. */
const set = family()
export const bmi: readonly Instruction[] = set.instructions

const RDX = 2
const DEFINED = Flag.carry | Flag.zero | Flag.sign | Flag.overflow
/** CF as given, ZF and SF of the result, OF clear. */
const setFlags = (s: Stage, result: Local<'i64'>, carry: Expr<'i32'>): void => {
  const sign = i32.and(i32.wrap(i64.shrU(result, s.size(0) * 8 - 1)), 1)
  s.setFlags(DEFINED, i32.or(i32.or(carry, i32.shl(i64.eqz(result), 6)), i32.shl(sign, 7)))
}

set.define('bmi1', 'andn', ['VEX.L0.NP.0F38.F2 Gy By Ey'], (s) => {
  const result = s.let(i64.and(i64.xor(s.read(1), -1), s.read(2)))
  s.write(0, result)
  setFlags(s, result, i32.const(0))
}, { undefinedFlags: 'ap' })
const lowest: readonly (readonly [string, number, (value: Local<'i64'>) => Value, (value: Local<'i64'>) => Expr<'i32'>])[] = [
  ['blsr', 1, (value) => i64.and(value, i64.sub(value, 1)), (value) => i64.eqz(value)],
  ['blsmsk', 2, (value) => i64.xor(value, i64.sub(value, 1)), (value) => i64.eqz(value)],
  ['blsi', 3, (value) => i64.and(value, i64.sub(0, value)), (value) => i64.ne(value, 0)],
]
for (const [name, digit, f, carry] of lowest) set.define('bmi1', name, [`VEX.L0.NP.0F38.F3/${digit} By Ey`], (s) => {
  const value = s.let(s.read(1))
  const result = s.let(s.truncate(f(value), s.size(0)))
  s.write(0, result)
  setFlags(s, result, carry(value))
}, { undefinedFlags: 'ap' })
/** So many of the lowest bits. */
const low = (value: Value, count: Local<'i64'>): Value => select('i64', i64.geU(count, 64), value, i64.and(value, i64.sub(i64.shl(1, count), 1)))
set.define('bmi1', 'bextr', ['VEX.L0.NP.0F38.F7 Gy Ey By'], (s) => {
  const control = s.let(s.read(2))
  const [start, count] = [s.let(i64.and(control, 255)), s.let(i64.and(i64.shrU(control, 8), 255))]
  const value = s.let(s.read(1))
  const moved = s.let(select('i64', i64.geU(start, 64), 0n, i64.shrU(value, start)))
  const result = s.let(low(moved, count))
  s.write(0, result)
  setFlags(s, result, i32.const(0))
}, { undefinedFlags: 'aps' })
set.define('bmi2', 'bzhi', ['VEX.L0.NP.0F38.F5 Gy Ey By'], (s) => {
  const count = s.let(i64.and(s.read(2), 255))
  const result = s.let(low(s.read(1), count))
  s.write(0, result)
  setFlags(s, result, i64.geU(count, s.size(0) * 8))
}, { undefinedFlags: 'ap' })

/** The low half is written first: when both are one register, it has the high half. */
set.define('bmi2', 'mulx', ['VEX.L0.F2.0F38.F6 Gy By Ey'], (s) => {
  const size = s.size(0)
  const [a, b] = [s.let(s.register(RDX, size)), s.let(s.read(2))]
  const product = s.let(i64.mul(a, b))
  const upper = s.let(size === 8 ? call(s.helpers.mulhu, a, b) : i64.shrU(product, 32))
  s.write(1, s.truncate(product, size))
  s.write(0, upper)
})
set.define('bmi2', 'rorx', ['VEX.L0.F2.0F3A.F0 Gy Ey Ib'], (s) => {
  const bits = s.size(0) * 8
  const by = s.let(i64.and(s.read(2, 1), bits - 1))
  const value = s.let(s.read(1))
  s.write(0, bits === 64 ? i64.rotr(value, by) : s.truncate(i64.or(i64.shrU(value, by), i64.shl(value, i64.sub(32, by))), 4))
})
const shifts: readonly (readonly [string, string, (s: Stage, value: Value, by: Value) => Value])[] = [
  ['shlx', '66', (s, value, by) => s.truncate(i64.shl(value, by), s.size(0))], ['shrx', 'F2', (_s, value, by) => i64.shrU(value, by)], ['sarx', 'F3', (s, value, by) => s.truncate(i64.shrS(s.signed(value, s.size(0)), by), s.size(0))],
]
for (const [name, prefix, f] of shifts) set.define('bmi2', name, [`VEX.L0.${prefix}.0F38.F7 Gy Ey By`], (s) => {
  const by = s.let(i64.and(s.read(2), s.size(0) * 8 - 1))
  s.write(0, f(s, s.read(1), by))
})
/** Each bit of the mask, from the lowest on, takes the next one of the source, or gives it. */
for (const [name, prefix, deposits] of [['pdep', 'F2', true], ['pext', 'F3', false]] as const) set.define('bmi2', name, [`VEX.L0.${prefix}.0F38.F5 Gy By Ey`], (s) => {
  const [source, mask] = [s.let(s.read(1)), s.let(s.read(2))]
  const [result, place] = [s.let(i64.const(0)), s.let(i64.const(0))]
  s.f.block((out) => s.f.loop((again) => {
    s.f.brIf(out, i64.eqz(mask))
    const at = s.let(i64.ctz(mask))
    s.f.set(result, i64.or(result, deposits ? i64.shl(i64.and(i64.shrU(source, place), 1), at) : i64.shl(i64.and(i64.shrU(source, at), 1), place)))
    s.f.set(place, i64.add(place, 1))
    s.f.set(mask, i64.and(mask, i64.sub(mask, 1)))
    s.f.br(again)
  }))
  s.write(0, result)
})
