import { call, i32, i64, type Expr, type Local } from '@machinist/wasm'
import type { Stage } from '../emit/stage.ts'
import { Flag, STATUS } from '../flags.ts'
import { group, type Instruction } from '../isa/form.ts'

/** Bits and bytes of a word (SDM volume 2: BT to BTC, BSF, BSR, LZCNT, TZCNT, POPCNT, BSWAP, MOVBE, CRC32). */
const { instructions, define } = group('bits')
export const bits: readonly Instruction[] = instructions

type Change = (value: Local<'i64'>, mask: Local<'i64'>) => Expr<'i64'>

/** A register as bit number reaches any bit of memory, before and after the operand; an immediate only the operand's. */
const bitTest = (change: Change | null) => (s: Stage): void => {
  const size = s.size(0)
  const number = s.let(s.read(1, size))
  const far = s.isMemory(0) && !s.isImmediate(1)
  const offset = far ? s.let(s.truncate(i64.add(s.offset(), i64.shl(i64.shrS(s.signed(number, size), Math.log2(size * 8)), Math.log2(size))), s.addressSize)) : null
  const value = s.let(offset ? s.load(offset, size) : s.read(0))
  const place = s.let(i64.and(number, size * 8 - 1))
  if (change) {
    const mask = s.let(i64.shl(1, place))
    const result = change(value, mask)
    if (offset) s.store(offset, result, size)
    else s.write(0, result)
  }
  s.setFlags(Flag.carry, i32.wrap(i64.and(i64.shrU(value, place), 1)))
}
const tests: readonly (readonly [string, string, string, Change | null])[] = [
  ['bt', 'A3', '4', null],
  ['bts', 'AB', '5', (v, m) => i64.or(v, m)],
  ['btr', 'B3', '6', (v, m) => i64.and(v, i64.xor(m, -1))],
  ['btc', 'BB', '7', (v, m) => i64.xor(v, m)],
]
for (const [name, opcode, digit, change] of tests) define(name, [`0F.${opcode} Ev Gv`, `0F.BA/${digit} Ev Ib`], bitTest(change), { lock: name !== 'bt', undefinedFlags: 'osap' })

/** The number of leading zeros of a value of fewer than 64 bits that stands in 64. */
const leading = (s: Stage, value: Expr<'i64'>): Expr<'i64'> => i64.sub(i64.clz(value), 64 - s.size(0) * 8)

/** BSF and BSR: of zero they leave the destination as it is, upper half and all, which AMD documents (APM volume 3) and Intel does. */
const scan = (index: (s: Stage, value: Local<'i64'>) => Expr<'i64'>) => (s: Stage): void => {
  const value = s.let(s.read(1))
  const zero = s.let(i64.eqz(value))
  s.when(i32.eqz(zero), () => s.write(0, index(s, value)))
  s.setFlags(Flag.zero, i32.shl(zero, 6))
}
define('bsf', ['0F.BC Gv Ev'], scan((_s, value) => i64.ctz(value)), { undefinedFlags: 'osapc' })
define('bsr', ['0F.BD Gv Ev'], scan((_s, value) => i64.sub(63, i64.clz(value))), { undefinedFlags: 'osapc' })

const count = (of: (s: Stage, value: Local<'i64'>) => Expr<'i64'>) => (s: Stage): void => {
  const value = s.let(s.read(1))
  const result = s.let(of(s, value))
  s.write(0, result)
  s.setFlags(Flag.carry | Flag.zero, i32.or(i64.eqz(value), i32.shl(i64.eqz(result), 6)))
}
define('tzcnt', ['F3.0F.BC Gv Ev'], count((s, value) => s.select(i64.eqz(value), i64.const(s.size(0) * 8), i64.ctz(value))), { undefinedFlags: 'osap' })
define('lzcnt', ['F3.0F.BD Gv Ev'], count(leading), { undefinedFlags: 'osap' })
define('popcnt', ['F3.0F.B8 Gv Ev'], (s) => {
  const value = s.let(s.read(1))
  s.write(0, i64.popcnt(value))
  s.setFlags(STATUS, i32.shl(i64.eqz(value), 6))
})

/** The bytes of a value in reverse. */
const reversed = (s: Stage, value: Expr<'i64'>, size: number): Expr<'i64'> => i64.shrU(call(s.helpers.reverse, value), 64 - size * 8)
/** BSWAP of 16 bits is undefined; processors clear the register's low half. */
define('bswap', ['0F.C8+r Zv'], (s) => s.write(0, s.size(0) === 2 ? i64.const(0) : reversed(s, s.read(0), s.size(0))))
define('movbe', ['0F38.F0 Gv Mv', '0F38.F1 Mv Gv'], (s) => s.write(0, reversed(s, s.read(1), s.size(0))))
define('crc32', ['F2.0F38.F0 Gy Eb', 'F2.0F38.F1 Gy Ev'], (s) => {
  s.write(0, i64.extendU(call(s.helpers.crc32c, i32.wrap(s.read(0)), s.read(1), s.size(1))))
})
