import { type Form, isX87 } from './form.ts'
import { isMmx, isVector } from './operand.ts'

/** What must be there for an instruction to execute: the FPU, MMX, SSE or AVX, as an operating system has them enabled; `wait` is FWAIT. Null for what has none of these registers, and for what looks itself. */
export type FloatClass = 'x87' | 'wait' | 'mmx' | 'sse' | 'avx'

/** General registers alone, with VEX. */
const general: ReadonlySet<string> = new Set(['bmi1', 'bmi2'])

export function floatClass(form: Form): FloatClass | null {
  const { instruction: { name, group }, operands } = form
  if (name === 'fwait') return 'wait'
  if (name === 'emms') return 'mmx'
  if (isX87(form)) return 'x87'
  if (form.vex) return general.has(group) ? null : 'avx'
  if (name === 'ldmxcsr' || name === 'stmxcsr' || operands.some(({ kind }) => isVector.has(kind))) return 'sse'
  return operands.some(({ kind }) => isMmx.has(kind)) ? 'mmx' : null
}
