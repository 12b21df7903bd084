import { parseArgs, type ParseArgsConfig } from 'node:util'
import { machinistError, type MachinistError } from '@machinist/api'

/** The code of errors in the command line itself: exit status 2. */
export const USAGE_ERROR = 'usage'

export const SEE_HELP = 'See machinist --help.'

/** An error in the command line. */
export function usageError(part: string, problem: string, remedy: string, value?: string | number): MachinistError {
  return machinistError({ code: USAGE_ERROR, part, value, remedy }, problem)
}

/** The flag that node:util objects to, for errors of our own form. */
function strictError(error: unknown): MachinistError {
  const message = error instanceof Error ? error.message : String(error)
  const flag = /'(-[^' ]*)/.exec(message)?.[1] ?? 'arguments'
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return usageError(flag, 'no such option', SEE_HELP)
  if (/does not take an argument/.test(message)) return usageError(flag, 'takes no value', SEE_HELP)
  return usageError(flag, 'needs a value', `${SEE_HELP} A value that begins with - is given as ${flag}=VALUE.`)
}

/** The flags of a command, as node:util wants them. */
type Flags = NonNullable<ParseArgsConfig['options']>

/** What the flags of a command were set to. */
export type Values<F extends Flags> = {
  [Name in keyof F]?: F[Name]['type'] extends 'boolean' ? boolean : F[Name]['multiple'] extends true ? string[] : string
}

/**
 * Tells flags from what else stands in a command line.
 *
 * @throws a typed error {@link USAGE_ERROR}
 */
export function parseFlags<F extends Flags>(args: readonly string[], flags: F): { values: Values<F>; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: flags, allowPositionals: true, strict: true })
    return { values: { ...values } as Values<F>, positionals }
  } catch (error) {
    throw strictError(error)
  }
}
