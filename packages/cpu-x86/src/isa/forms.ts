import type { Form } from './form.ts'
import { allForms } from './table.ts'

/** Every encoding, by its position: what a decoded instruction names. */
export const forms: readonly Form[] = allForms()
