import { group, type Instruction } from '../isa/form.ts'

/** Segment registers as they are read (SDM volume 1, 7.3.10). */
const { instructions, define } = group('segments')
export const segments: readonly Instruction[] = instructions

/** A register takes the selector with zeros above, memory has 16 bits whatever the operand size. */
define('mov', ['8C Ev Sw'], (s) => {
  const selector = s.let(s.read(1))
  if (s.isMemory(0)) s.store(s.offset(), selector, 2)
  else s.write(0, selector)
})
define('push', ['06 ES; not64', '0E CS; not64', '16 SS; not64', '1E DS; not64', '0F.A0 FS; d64', '0F.A8 GS; d64'], (s) => s.push(s.read(0)))
