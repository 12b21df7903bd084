import { Leave } from '@machinist/cpu-core'
import { i32, i64 } from '@machinist/wasm'
import { Vector } from '../vector.ts'
import type { Stage } from '../emit/stage.ts'
import { Flag, STATUS } from '../flags.ts'
import { conditionNames } from '../isa/names.ts'
import { group, type Instruction, type Size } from '../isa/form.ts'

/** Moves, conversions and flags (SDM volume 1, 7.3.1 and 7.3.13). */
const { instructions, define } = group('moves')
export const moves: readonly Instruction[] = instructions

const [RAX, RDX, RBX] = [0, 2, 3]

define('mov', [
  '88 Eb Gb', '89 Ev Gv', '8A Gb Eb', '8B Gv Ev', 'A0 AL Ob', 'A1 rAX Ov', 'A2 Ob AL', 'A3 Ov rAX',
  'B0+r Zb Ib', 'B8+r Zv Iv', 'C6/0 Eb Ib', 'C7/0 Ev Iz',
], (s) => s.write(0, s.read(1, s.size(0))))
define('movzx', ['0F.B6 Gv Eb', '0F.B7 Gv Ew'], (s) => s.write(0, s.read(1)))
const signExtend = (s: Stage): void => s.write(0, s.truncate(s.signed(s.read(1), s.size(1)), s.size(0)))
define('movsx', ['0F.BE Gv Eb', '0F.BF Gv Ew'], signExtend)
define('movsxd', ['63 Gv Ez; only64'], signExtend)
define('lea', ['8D Gv Mv'], (s) => s.write(0, s.truncate(s.offset(), s.size(0))))
define('nop', ['90', '0F.18/r Ev', '0F.19 Ev Gv', '0F.1A Ev Gv', '0F.1B Ev Gv', '0F.1C Ev Gv', '0F.1D Ev Gv', '0F.1E Ev Gv', '0F.1F Ev Gv'], (s) => s.nothing())
/** Others may run that it waits for. */
define('pause', ['F3.90'], (s) => {
  s.when(i64.eqz(i64.or(i64.extendU(i64.eqz(s.field('others'))), s.field('leave'))), () => s.setField('leave', i64.const(Leave.yield)))
})

const exchange = (s: Stage): void => {
  const a = s.let(s.read(0))
  const b = s.let(s.read(1))
  s.write(0, b)
  s.write(1, a)
}
define('xchg', ['86 Eb Gb', '87 Ev Gv', '90+r Zv rAX'], exchange, { lock: true })

conditionNames.forEach((name, code) => {
  const hex = (base: number): string => (base + code).toString(16).toUpperCase()
  define(`set${name}`, [`0F.${hex(0x90)}/r Eb`], (s) => s.write(0, i64.extendU(s.condition(code))))
  // The source is read whatever the condition, and 32 bits are written whatever it is.
  define(`cmov${name}`, [`0F.${hex(0x40)} Gv Ev`], (s) => {
    const value = s.let(s.read(1))
    s.write(0, s.select(s.condition(code), value, s.read(0)))
  })
})

/** CBW, CWDE, CDQE: the lower half of the accumulator into the whole. */
define('cbw', ['98'], (s) => {
  const half = s.operandSize / 2 as Size
  s.setRegister(RAX, s.truncate(s.signed(s.register(RAX, half), half), s.operandSize), s.operandSize)
})
define('cwd', ['99'], (s) => {
  s.setRegister(RDX, s.truncate(i64.shrS(s.signed(s.register(RAX, s.operandSize), s.operandSize), 63), s.operandSize), s.operandSize)
})
define('xlat', ['D7; counted'], (s) => {
  const offset = i64.add(s.register(RBX, s.addressSize), s.register(RAX, 1))
  s.setRegister(RAX, s.load(s.truncate(offset, s.addressSize), 1), 1)
})

define('lahf', ['9F'], (s) => s.setHigh(i64.or(i64.and(i64.extendU(s.flags()), 0xd5), 2)))
define('sahf', ['9E'], (s) => s.setFlags(STATUS & ~Flag.overflow, i32.wrap(s.high())))
define('clc', ['F8'], (s) => s.setFlags(Flag.carry, i32.const(0)))
define('stc', ['F9'], (s) => s.setFlags(Flag.carry, i32.const(1)))
define('cmc', ['F5'], (s) => s.setFlags(Flag.carry, i32.xor(s.carry(), 1)))
define('cld', ['FC'], (s) => s.setDirection(0))
define('std', ['FD'], (s) => s.setDirection(1))
define('salc', ['D6; not64'], (s) => s.setRegister(RAX, i64.and(i64.sub(0, i64.extendU(s.carry())), 0xff), 1))
define('ud2', ['0F.0B'], (s) => s.fault(Vector.invalidOpcode))
