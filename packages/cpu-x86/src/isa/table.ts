import { arithmetic } from '../semantics/arithmetic.ts'
import { caches } from '../semantics/caches.ts'
import { bits } from '../semantics/bits.ts'
import { control } from '../semantics/control.ts'
import { decimal } from '../semantics/decimal.ts'
import { moves } from '../semantics/moves.ts'
import { multiply } from '../semantics/multiply.ts'
import { far, segments } from '../semantics/segments.ts'
import { ports } from '../semantics/ports.ts'
import { shifts } from '../semantics/shifts.ts'
import { stack } from '../semantics/stack.ts'
import { strings } from '../semantics/strings.ts'
import { system } from '../semantics/system.ts'
import { translation } from '../semantics/translation.ts'
import { vectors } from '../semantics/vectors.ts'
import { once } from '../once.ts'
import type { Form, Instruction } from './form.ts'

/** Every instruction there is. */
export const instructions: readonly Instruction[] = [...arithmetic, ...shifts, ...multiply, ...bits, ...moves, ...stack, ...control, ...strings, ...decimal, ...segments, ...far, ...system, ...translation, ...ports, ...caches, ...vectors]

/** Every encoding, by its position: what a decoded instruction names. */
export const allForms: () => readonly Form[] = once(() => instructions.flatMap((instruction) => instruction.forms))

/** The forms of an opcode; those that need a prefix come first. */
const byOpcode = once((): ReadonlyMap<number, readonly Form[]> => {
  const map = new Map<number, Form[]>()
  for (const form of allForms()) {
    for (let i = 0; i < (form.inOpcode ? 8 : 1); i++) {
      const key = keyOf(form.map, form.opcode + i, form.vex !== null)
      map.set(key, [...map.get(key) ?? [], form].sort((a, b) => b.prefix - a.prefix))
    }
  }
  return map
})

const NONE: readonly Form[] = []

function keyOf(map: number, opcode: number, vex: boolean): number {
  return (vex ? 4 + map : map) << 8 | opcode
}

/** The forms that share an opcode of a map. */
export function formsOf(map: number, opcode: number, vex: boolean = false): readonly Form[] {
  return byOpcode().get(keyOf(map, opcode, vex)) ?? NONE
}
