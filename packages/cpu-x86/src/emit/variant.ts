import type { Decoded } from '../decode/decoder.ts'
import type { Form, Size } from '../isa/form.ts'
import type { VectorSize } from '../isa/operand.ts'

/** What of a decoded instruction code is written for; the rest are fields that it reads. */
export interface Variant {
  readonly form: Form
  readonly operandSize: Size
  readonly addressSize: 2 | 4 | 8
  readonly memory: boolean
  readonly repeat: Decoded['repeat']
  readonly vector: VectorSize
}

export function variantOf({ form, operandSize, addressSize, address, repeat, vector }: Decoded): Variant {
  return { form, operandSize, addressSize, memory: address !== null, repeat: form.repeat === 'rep' && repeat === 'repne' ? 'repe' : repeat, vector }
}
