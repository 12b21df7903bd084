import { i32, i64, type Local } from '@machinist/wasm'
import { Vector } from '../vector.ts'
import type { Stage } from '../emit/stage.ts'
import { Flag } from '../flags.ts'
import { group, type Instruction } from '../isa/form.ts'
import { conditionNames } from '../isa/names.ts'

/** Transfers of control within a code segment (SDM volume 1, 7.3.8). */
const { instructions, define } = group('control')
export const control: readonly Instruction[] = instructions

const RCX = 1

const branch = (s: Stage, taken: Local<'i32'>): void => {
  s.when(taken, () => s.checkTarget(s.target()))
  s.branch(taken, s.target())
}

define('jmp', ['EB Jb; f64', 'E9 Jz; f64'], (s) => {
  s.checkTarget(s.target())
  s.jump(s.target())
})
define('jmp', ['FF/4 Ev; f64'], (s) => {
  const target = s.let(s.read(0))
  s.checkTarget(target)
  s.jump(target)
})
conditionNames.forEach((name, code) => {
  const hex = (base: number): string => (base + code).toString(16).toUpperCase()
  define(`j${name}`, [`${hex(0x70)} Jb; f64`, `0F.${hex(0x80)} Jz; f64`], (s) => branch(s, s.let(s.condition(code))))
})
define('call', ['E8 Jz; f64'], (s) => {
  s.checkTarget(s.target())
  s.push(s.next())
  s.jump(s.target())
})
define('call', ['FF/2 Ev; f64'], (s) => {
  const target = s.let(s.read(0))
  s.checkTarget(target)
  s.push(s.next())
  s.jump(target)
})
const returning = (s: Stage, more: boolean): void => {
  const target = s.let(s.top())
  s.checkTarget(target)
  s.release(s.operandSize, more ? s.read(0, 2) : undefined)
  s.jump(target)
}
define('ret', ['C3; f64'], (s) => returning(s, false))
define('ret', ['C2 Iw; f64'], (s) => returning(s, true))

/** LOOPcc: rCX by the address size, and no flags. */
const loop = (condition: ((s: Stage) => ReturnType<Stage['condition']>) | null) => (s: Stage): void => {
  const count = s.let(s.truncate(i64.sub(s.register(RCX, s.addressSize), 1), s.addressSize))
  const taken = i64.ne(count, 0)
  const goes = s.let(condition ? i32.and(taken, condition(s)) : taken)
  s.when(goes, () => s.checkTarget(s.target()))
  s.setRegister(RCX, count, s.addressSize)
  s.branch(goes, s.target())
}
define('loopne', ['E0 Jb; f64 counted'], loop((s) => s.condition(5)))
define('loope', ['E1 Jb; f64 counted'], loop((s) => s.condition(4)))
define('loop', ['E2 Jb; f64 counted'], loop(null))
define('jrcxz', ['E3 Jb; f64 counted'], (s) => branch(s, s.let(i64.eqz(s.register(RCX, s.addressSize)))))

define('into', ['CE; not64'], (s) => s.when(i32.and(s.flags(), Flag.overflow), () => s.trap(Vector.overflow)))
define('int3', ['CC'], (s) => s.trap(Vector.breakpoint))
define('bound', ['62 Gv Mv; not64'], (s) => {
  const size = s.size(0)
  const index = s.let(s.signed(s.read(0), size))
  const lowerAt = s.let(s.offset())
  const lower = s.let(s.signed(s.load(lowerAt, size), size))
  const upper = s.let(s.signed(s.load(s.truncate(i64.add(lowerAt, size), s.addressSize), size), size))
  s.faultIf(i32.or(i64.ltS(index, lower), i64.gtS(index, upper)), Vector.boundRange)
})
