import type { Decoded } from '../decode/decoder.ts'
import { type Form, operandSizes, type Size } from '../isa/form.ts'
import { mayBeMemory, type OperandKind, type VectorSize } from '../isa/operand.ts'
import { allForms } from '../isa/table.ts'
import { once } from '../once.ts'

/** What of a decoded instruction code is written for; the rest are fields that it reads. */
export interface Variant {
  readonly form: Form
  readonly operandSize: Size
  readonly memory: boolean
  readonly repeat: Decoded['repeat']
  readonly vector: VectorSize
}

function variantsOf(form: Form): Variant[] {
  const sizes = [...new Set(form.modes.flatMap((mode) => operandSizes(form, mode)))]
  const has = (found: (kind: OperandKind) => boolean): boolean => form.operands.some(({ kind }) => found(kind))
  const always = has((kind) => kind === 'mem' || kind === 'offset')
  const memories = always ? [true] : has((kind) => mayBeMemory.has(kind)) ? [false, true] : [false]
  const repeats = (['none', 'repe', 'repne'] as const).slice(0, form.repeat === null ? 1 : form.repeat === 'rep' ? 2 : 3)
  const { length = 16, ignoresLength = false } = form.vex ?? {}
  const vectors = length === null && !ignoresLength ? [16, 32] as const : [length ?? 16]
  return sizes.flatMap((operandSize) => memories.flatMap((memory) => repeats.flatMap((repeat) => vectors.map((vector) => ({ form, operandSize, memory, repeat, vector })))))
}

const byForm = once(() => allForms().map(variantsOf))

/** Every variant there is, by its number. */
export const variants: () => readonly Variant[] = once(() => byForm().flat())

const firsts = once((): ReadonlyMap<Form, { readonly first: number; readonly own: readonly Variant[] }> => {
  let first = 0
  return new Map(byForm().flatMap((own) => {
    const entry = own[0] && [own[0].form, { first, own }] as const
    first += own.length
    return entry ? [entry] : []
  }))
})

/** The number of a decoded instruction's variant. */
export function variantOf({ form, operandSize, address, repeat, vector }: Decoded): number {
  const { first, own } = firsts().get(form) ?? { first: 0, own: [] }
  const repeated = form.repeat === 'rep' && repeat === 'repne' ? 'repe' : repeat
  const length = form.vex?.ignoresLength === true ? 16 : vector
  const memory = address !== null
  const found = own.findIndex((v) => v.operandSize === operandSize && v.memory === memory && v.repeat === repeated && v.vector === length)
  if (found < 0) throw new RangeError(`${form.instruction.name} has no such variant`)
  return first + found
}
