import { i32, i64 } from '@machinist/wasm'
import type { Stage } from '../emit/stage.ts'
import { Flag } from '../flags.ts'
import { group, type Instruction } from '../isa/form.ts'

/**
 * What real-address mode does with segments and interrupts (SDM volume 3, 21.1). A segment that is loaded has a new base, and its limit
 * and rights as they were.
 */
const { instructions, define } = group('real')
export const real: readonly Instruction[] = instructions

const [ES, SS, DS, FS, GS] = [0, 2, 3, 4, 5]

define('mov', ['8E Sw Ew; real'], (s) => s.write(0, s.read(1, 2)))
define('pop', ['07 ES; real', '17 SS; real', '1F DS; real', '0F.A1 FS; real', '0F.A9 GS; real'], (s) => {
  const selector = s.let(s.truncate(s.top(), 2))
  // The stack moves first, so that POP SS comes to be by the old one.
  s.release(s.operandSize)
  s.write(0, selector)
})
const pointers: readonly (readonly [string, string, number])[] = [['les', 'C4', ES], ['lds', 'C5', DS], ['lss', '0F.B2', SS], ['lfs', '0F.B4', FS], ['lgs', '0F.B5', GS]]
for (const [name, opcode, segment] of pointers) {
  define(name, [`${opcode} Gv Mv; real`], (s) => {
    const [offset, selector] = farPointer(s)
    s.setSegment(segment, selector)
    s.write(0, offset)
  })
}

/** m16:16 or m16:32. */
function farPointer(s: Stage): readonly [ReturnType<Stage['load']>, ReturnType<Stage['load']>] {
  const at = s.offset()
  const offset = s.load(at, s.operandSize)
  return [offset, s.load(s.truncate(i64.add(at, s.operandSize), s.addressSize), 2)]
}
const call = (s: Stage, selector: ReturnType<Stage['load']>, offset: ReturnType<Stage['load']>): void => {
  s.checkTarget(offset)
  s.storeStack(-s.operandSize, s.selector())
  s.storeStack(-2 * s.operandSize, s.next())
  s.release(-2 * s.operandSize)
  s.farJump(selector, offset)
}
const jump = (s: Stage, selector: ReturnType<Stage['load']>, offset: ReturnType<Stage['load']>): void => {
  s.checkTarget(offset)
  s.farJump(selector, offset)
}
define('call', ['9A Iz Iw; real'], (s) => call(s, s.let(s.read(1)), s.let(s.read(0))))
define('jmp', ['EA Iz Iw; real'], (s) => jump(s, s.let(s.read(1)), s.let(s.read(0))))
define('call', ['FF/3 Mv; real'], (s) => {
  const [offset, selector] = farPointer(s)
  call(s, selector, offset)
})
define('jmp', ['FF/5 Mv; real'], (s) => {
  const [offset, selector] = farPointer(s)
  jump(s, selector, offset)
})
const farReturn = (s: Stage, more: boolean): void => {
  const offset = s.let(s.top())
  const selector = s.let(s.truncate(s.loadStack(s.operandSize), 2))
  s.checkTarget(offset)
  s.release(2 * s.operandSize, more ? s.read(0, 2) : undefined)
  s.farJump(selector, offset)
}
define('retf', ['CB; real'], (s) => farReturn(s, false))
define('retf', ['CA Iw; real'], (s) => farReturn(s, true))
define('iret', ['CF; real'], (s) => {
  const offset = s.let(s.top())
  const selector = s.let(s.truncate(s.loadStack(s.operandSize), 2))
  const flags = s.let(i32.wrap(s.loadStack(2 * s.operandSize)))
  s.checkTarget(offset)
  s.release(3 * s.operandSize)
  s.farJump(selector, offset)
  s.setAllFlags(flags)
})
define('int', ['CD Ib; real'], (s) => s.interrupt(s.read(0, 1)))
define('cli', ['FA; real'], (s) => s.setSystem(Flag.interrupt, 0))
define('sti', ['FB; real'], (s) => s.setSystem(Flag.interrupt, Flag.interrupt))

/** The way to a handler, by the interrupt vector table; it is in no encoding. The operand is the vector (21.1.4). */
const delivery = group('delivery')
delivery.define('deliver', ['CD Ib; real'], (s) => {
  const at = s.let(i64.shl(s.read(0, 1), 2))
  const offset = s.load(at, 2, 'interrupts')
  const selector = s.load(i64.add(at, 2), 2, 'interrupts')
  s.checkTarget(offset)
  s.storeStack(-2, i64.extendU(s.allFlags()))
  s.storeStack(-4, s.selector())
  s.storeStack(-6, s.next())
  s.release(-6)
  s.setSystem(Flag.interrupt | Flag.trap | Flag.alignment, 0)
  s.farJump(selector, offset)
})
export const deliver: Instruction | undefined = delivery.instructions[0]
