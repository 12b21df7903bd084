import { parseArgs } from 'node:util'
import { machinistError, type MachinistError } from '@machinist/api'
import type { DiskMode } from '@machinist/host-node'
import { parseNumber } from '@machinist/machine'

/** What `machinist run` was asked for. */
export interface RunOptions {
  readonly machineFile?: string
  readonly kernel?: string
  readonly initrd?: string
  readonly append?: string
  readonly firmware?: string
  readonly disks: readonly { readonly path: string; readonly mode: DiskMode }[]
  /** Bytes. */
  readonly memory?: number
  readonly harts?: number
  readonly exec?: string
  readonly quiet: boolean
  readonly stats: boolean
}

/** A command line, understood. */
export type Command = { readonly kind: 'help' } | { readonly kind: 'version' } | { readonly kind: 'run'; readonly options: RunOptions }

/** The code of errors in the command line itself: exit status 2. */
export const USAGE_ERROR = 'usage'

/** An error in the command line. */
export function usageError(part: string, problem: string, remedy: string, value?: string | number): MachinistError {
  return machinistError({ code: USAGE_ERROR, part, value, remedy }, problem)
}

const SUBCOMMAND = 'run'
const SEE_HELP = 'See machinist --help.'
const MAX_HARTS = 8

const FLAGS = {
  kernel: { type: 'string' },
  initrd: { type: 'string' },
  append: { type: 'string' },
  firmware: { type: 'string' },
  disk: { type: 'string', multiple: true },
  memory: { type: 'string' },
  harts: { type: 'string' },
  exec: { type: 'string' },
  quiet: { type: 'boolean' },
  stats: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const

/** Flags that say what a machine file says already. */
const NOT_WITH_FILE = ['disk', 'memory', 'harts', 'exec'] as const

/** `PATH`, `PATH,ro` or `PATH,overlay`. What follows another comma belongs to the path. */
export function parseDisk(value: string): { readonly path: string; readonly mode: DiskMode } {
  const match = /^(.*),(rw|ro|overlay)$/.exec(value)
  const path = match?.[1] ?? value
  if (path === '') throw usageError('--disk', 'no path is given', 'Use --disk PATH, PATH,ro or PATH,overlay.', value)
  return { path, mode: (match?.[2] as DiskMode | undefined) ?? 'rw' }
}

function parseHarts(value: string): number {
  const harts = /^[0-9]{1,3}$/.test(value) ? Number(value) : 0
  if (harts < 1 || harts > MAX_HARTS) throw usageError('--harts', 'not a number of harts', `Use 1 to ${MAX_HARTS}.`, value)
  return harts
}

function parseMemory(value: string): number {
  let bytes = 0
  try {
    bytes = parseNumber(value, '--memory')
  } catch {
    throw usageError('--memory', 'not a size', 'Use a number with a unit, such as 512M or 2G.', value)
  }
  if (bytes < 2 ** 20) throw usageError('--memory', 'less than a MiB', 'Use a number with a unit, such as 512M or 2G.', value)
  return bytes
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

function parse(args: readonly string[]): { values: Values; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: FLAGS, allowPositionals: true, strict: true })
    return { values: { ...values }, positionals }
  } catch (error) {
    throw strictError(error)
  }
}

type Values = { [Name in keyof typeof FLAGS]?: (typeof FLAGS)[Name]['type'] extends 'boolean' ? boolean : Name extends 'disk' ? string[] : string }

/**
 * Understands a command line. The subcommand `run` may be left out.
 *
 * @param args - without the program's own name
 * @throws a typed error {@link USAGE_ERROR}
 */
export function parseCommand(args: readonly string[]): Command {
  const { values, positionals } = parse(args)
  if (values.help === true) return { kind: 'help' }
  if (values.version === true) return { kind: 'version' }
  const files = positionals[0] === SUBCOMMAND ? positionals.slice(1) : positionals
  const machineFile = files[0]
  if (files.length > 1) throw usageError('arguments', 'more than one machine file', SEE_HELP, files[1])
  if (machineFile !== undefined) {
    const flag = NOT_WITH_FILE.find((name) => values[name] !== undefined)
    if (flag !== undefined) throw usageError(`--${flag}`, 'the machine file decides this', `Change ${machineFile} instead.`)
  }
  for (const name of ['kernel', 'initrd', 'firmware'] as const) {
    if (values[name] === '') throw usageError(`--${name}`, 'no path is given', SEE_HELP)
  }
  if (values.exec !== undefined) {
    if (values.exec.trim() === '') throw usageError('--exec', 'there is no command', "Give one, such as --exec 'uname -a'.")
    const other = (['kernel', 'initrd'] as const).find((name) => values[name] !== undefined)
    if (other !== undefined) throw usageError('--exec', `works in the prepared Debian guest, not with --${other}`, `Leave out --${other}.`)
  }
  return {
    kind: 'run',
    options: {
      ...(machineFile !== undefined && { machineFile }),
      ...(values.kernel !== undefined && { kernel: values.kernel }),
      ...(values.initrd !== undefined && { initrd: values.initrd }),
      ...(values.append !== undefined && { append: values.append }),
      ...(values.firmware !== undefined && { firmware: values.firmware }),
      disks: (values.disk ?? []).map(parseDisk),
      ...(values.memory !== undefined && { memory: parseMemory(values.memory) }),
      ...(values.harts !== undefined && { harts: parseHarts(values.harts) }),
      ...(values.exec !== undefined && { exec: values.exec }),
      quiet: values.quiet ?? false,
      stats: values.stats ?? false,
    },
  }
}
