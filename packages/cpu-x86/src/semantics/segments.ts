import { i32, i64 } from '@machinist/wasm'
import type { Stage } from '../emit/stage.ts'
import { Shadow } from '../emit/system/events.ts'
import { group, type Instruction } from '../isa/form.ts'
import { Vector } from '../vector.ts'

/** Segment registers as they are read (SDM volume 1, 7.3.10). */
const reads = group('segments')
export const segments: readonly Instruction[] = reads.instructions

/** A register takes the selector with zeros above, memory has 16 bits whatever the operand size. */
reads.define('mov', ['8C Ev Sw'], (s) => {
  const selector = s.let(s.read(1))
  if (s.isMemory(0)) s.store(s.offset(), selector, 2)
  else s.write(0, selector)
})
reads.define('push', ['06 ES; not64', '0E CS; not64', '16 SS; not64', '1E DS; not64', '0F.A0 FS; d64', '0F.A8 GS; d64'], (s) => s.push(s.read(0)))

/** Loads of segment registers, and transfers of control to other segments. */
const { instructions, define } = group('far')
export const far: readonly Instruction[] = instructions

const [ES, SS, DS, FS, GS] = [0, 2, 3, 4, 5]

/** MOV SS and POP SS hold events off until rSP is set as well (SDM volume 3, 7.8.3). */
const holdOff = (s: Stage): void => {
  s.setField('shadow', i64.const(Shadow.stack))
  s.setField('attention', i64.const(1))
}
define('mov', ['8E Sw Ew'], (s) => {
  s.write(0, s.read(1, 2))
  s.when(i32.eq(s.numberOf(0), s.stateAt(SS)), () => holdOff(s))
})
const pops: readonly (readonly [string, number])[] = [['07 ES; not64', ES], ['17 SS; not64', SS], ['1F DS; not64', DS], ['0F.A1 FS; d64', FS], ['0F.A9 GS; d64', GS]]
for (const [encoding, segment] of pops) {
  define('pop', [encoding], (s) => {
    s.popSegment(segment)
    if (segment === SS) holdOff(s)
  })
}

const pointers: readonly (readonly [string, string, number])[] = [['les', 'C4 Gv Mv; not64', ES], ['lds', 'C5 Gv Mv; not64', DS], ['lss', '0F.B2 Gv Mv', SS], ['lfs', '0F.B4 Gv Mv', FS], ['lgs', '0F.B5 Gv Mv', GS]]
for (const [name, encoding, segment] of pointers) {
  define(name, [encoding], (s) => {
    const [offset, selector] = farPointer(s)
    s.setSegment(segment, selector)
    s.write(0, offset)
  })
}

/** m16:16, m16:32 or m16:64. */
function farPointer(s: Stage): readonly [ReturnType<Stage['load']>, ReturnType<Stage['load']>] {
  const at = s.let(s.offset())
  const offset = s.load(at, s.operandSize)
  return [offset, s.load(s.truncate(i64.add(at, s.operandSize), s.addressSize), 2)]
}
for (const [name, immediate, memory] of [['call', '9A', 'FF/3'], ['jmp', 'EA', 'FF/5']] as const) {
  define(name, [`${immediate} Iz Iw; not64`], (s) => s.far(name === 'call', s.read(1), s.read(0)))
  define(name, [`${memory} Mv`], (s) => {
    const [offset, selector] = farPointer(s)
    s.far(name === 'call', selector, offset)
  })
}
define('retf', ['CB'], (s) => s.farReturn(i64.const(0)))
define('retf', ['CA Iw'], (s) => s.farReturn(s.read(0, 2)))
define('iret', ['CF'], (s) => s.interruptReturn())
define('int', ['CD Ib'], (s) => s.interrupt(s.read(0, 1)))
define('int1', ['F1'], (s) => s.trap(Vector.debug, false))
