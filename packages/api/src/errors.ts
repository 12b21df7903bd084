/**
 * How every part reports bad input. A plain shape, not a class, so that two copies of this package agree:
 * parts throw an `Error` that also carries these fields (see {@link MachinistErrorFields}).
 */
export interface MachinistErrorFields {
  /** Stable identifier, for programs: `'overlap'`, `'image-truncated'`, … */
  readonly code: string
  /** The part that refuses, as the user named it: `'uart0'`, `'--memory'`, `'kernel'`. */
  readonly part: string
  /** The offending value, printable. */
  readonly value?: string | number | undefined
  /** What to do next, one sentence. */
  readonly remedy: string
}

/** An `Error` with {@link MachinistErrorFields}; recognise one with {@link isMachinistError}. */
export type MachinistError = Error & MachinistErrorFields

/**
 * Makes a typed error. The message reads `part: problem (value). Remedy.`
 *
 * @param fields - what is wrong, with which value, and what to do
 * @param problem - one clause, lower case, no full stop
 */
export function machinistError(fields: MachinistErrorFields, problem: string): MachinistError {
  const value = fields.value === undefined ? '' : ` (${String(fields.value)})`
  const error = new Error(`${fields.part}: ${problem}${value}. ${fields.remedy}`)
  error.name = 'MachinistError'
  return Object.assign(error, fields)
}

/** Whether `error` was made by {@link machinistError}, by any copy of this package. */
export function isMachinistError(error: unknown): error is MachinistError {
  return error instanceof Error && error.name === 'MachinistError' && 'code' in error && 'part' in error && 'remedy' in error
}
