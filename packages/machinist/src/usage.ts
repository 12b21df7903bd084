import { parseArgs, type ParseArgsConfig } from 'node:util'
import { machinistError, type MachinistError } from '@machinist/api'
import { parseNumber } from '@machinist/machine'
import { COMMANDS } from './command-line/commands.ts'
import { didYouMean } from './command-line/suggest.ts'
import { optionsOf } from './command-line/table.ts'

/** The code of errors in the command line itself: exit status 2. */
export const USAGE_ERROR = 'usage'

export const SEE_HELP = 'See machinist --help.'

/** An error in the command line. */
export function usageError(part: string, problem: string, remedy: string, value?: string | number): MachinistError {
  return machinistError({ code: USAGE_ERROR, part, value, remedy }, problem)
}

/** Where a flag is described. */
const seeHelp = (command: string): string => `See machinist ${command === '' ? '' : `${command} `}--help.`

/** A flag that a command does not have: what was meant, or which commands have it. */
function unknownFlag(flag: string, names: readonly string[], command: string): MachinistError {
  const others = COMMANDS.filter((other) => Object.hasOwn(optionsOf(other), flag.slice(2))).map(({ name }) => `machinist ${name}`)
  if (others.length > 0) return usageError(flag, `is an option of ${others.join(' and ')}`, `Leave it out. ${seeHelp(command)}`)
  return usageError(flag, 'no such option', `${didYouMean(flag, names.map((name) => `--${name}`))}${seeHelp(command)}`)
}

/** The flag that node:util objects to, for errors of our own form. */
function strictError(error: unknown, names: readonly string[], command: string): MachinistError {
  const message = error instanceof Error ? error.message : String(error)
  const flag = /'(-[^' ]*)/.exec(message)?.[1] ?? 'arguments'
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return unknownFlag(flag, names, command)
  if (/does not take an argument/.test(message)) return usageError(flag, 'takes no value', seeHelp(command))
  return usageError(flag, 'needs a value', `${seeHelp(command)} A value that begins with - is given as ${flag}=VALUE.`)
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
 * @param command - its words, for errors
 * @throws a typed error {@link USAGE_ERROR}
 */
export function parseFlags<F extends Flags>(args: readonly string[], flags: F, command: string): { values: Values<F>; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: flags, allowPositionals: true, strict: true })
    return { values: { ...values } as Values<F>, positionals }
  } catch (error) {
    throw strictError(error, Object.keys(flags), command)
  }
}

/** The value of `--memory`, in bytes. @throws a typed error {@link USAGE_ERROR} */
export function parseMemory(value: string): number {
  let bytes = 0
  try {
    bytes = parseNumber(value, '--memory')
  } catch {
    throw usageError('--memory', 'not a size', 'Use a number with a unit, such as 512M or 2G.', value)
  }
  if (bytes < 2 ** 20) throw usageError('--memory', 'less than a MiB', 'Use a number with a unit, such as 512M or 2G.', value)
  return bytes
}
