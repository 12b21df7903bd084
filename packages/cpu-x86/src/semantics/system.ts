import { Flag } from '../flags.ts'
import { group, type Instruction } from '../isa/form.ts'

/** Instructions of the system (SDM volume 3, 2.8). */
const { instructions, define } = group('system')
export const system: readonly Instruction[] = instructions

define('cli', ['FA'], (s) => s.setSystem(Flag.interrupt, 0))
define('sti', ['FB'], (s) => s.setSystem(Flag.interrupt, Flag.interrupt))
