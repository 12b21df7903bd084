import type { FileLock, ImageFiles } from '@machinist/host-node'
import { parseNumber } from '@machinist/machine'
import { unknownCommand } from '../command-line/help.ts'
import { optionsOf } from '../command-line/table.ts'
import { DISK_COMMANDS, DISK_OPTIONS } from './options.ts'
import { parseFlags, usageError, type Values } from '../usage.ts'

/** The name of the command. */
export const DISK = 'disk'

const SECTOR = 512
const SEE_DISK_HELP = 'See machinist disk --help.'

interface Common {
  readonly file: string
  /** Of the file; found by its signature unless given. */
  readonly format?: string
  readonly files?: ImageFiles
  readonly lock?: FileLock
}

/** What `machinist disk` was asked for. */
export type DiskCommand =
  | Common & { readonly action: 'info'; readonly json: boolean }
  | Common & { readonly action: 'check'; readonly json: boolean; readonly repair: false | 'leaks' | 'all'; readonly quiet: boolean }
  | Common & { readonly action: 'resize'; readonly size: { readonly bytes: number; readonly relative: boolean }; readonly shrink: boolean }
  | Common & {
    readonly action: 'create'; readonly size?: number; readonly backing?: string; readonly backingFormat?: string
    readonly parameters: Readonly<Record<string, string>>; readonly force: boolean
  }
  | Common & {
    readonly action: 'convert'; readonly to: string; readonly toFormat?: string; readonly snapshot?: string
    readonly parameters: Readonly<Record<string, string>>; readonly force: boolean; readonly quiet: boolean
  }

type Flag = keyof typeof DISK_OPTIONS

/** Of each action: how many arguments, at least and at most. */
const ACTIONS: Readonly<Record<DiskCommand['action'], readonly [least: number, most: number]>> = {
  info: [1, 1], create: [1, 2], convert: [2, 2], resize: [2, 2], check: [1, 1],
}

function parseSize(text: string): number {
  let bytes = NaN
  try {
    bytes = parseNumber(text, 'size')
  } catch {
    // Said below.
  }
  if (!(bytes > 0)) throw usageError('size', 'not a size', 'Use a number with a unit, such as 512M or 20G.', text)
  if (bytes % SECTOR !== 0) throw usageError('size', 'not a whole number of sectors', `Use a multiple of ${SECTOR} bytes.`, text)
  return bytes
}

function parseParameters(given: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(given.flatMap((text) => text.split(',')).map((text) => {
    const [, key, value] = /^([a-zA-Z][a-zA-Z0-9_-]*)=(.+)$/.exec(text) ?? []
    if (key === undefined || value === undefined) throw usageError('--set', 'not NAME=VALUE', 'Use --set cluster_size=64K, for example.', text)
    return [key, value]
  }))
}

/**
 * Understands the command line behind `disk`.
 *
 * @returns null when help is wanted
 * @throws a typed error `usage`
 */
export function parseDiskCommand(args: readonly string[]): DiskCommand | null {
  // A size such as -1G looks like an option.
  const { values, positionals }: { values: Values<typeof DISK_OPTIONS>; positionals: string[] } = parseFlags(args.map((text) => /^-[0-9]/.test(text) ? `\0${text}` : text), DISK_OPTIONS, DISK)
  if (values.help === true) return null
  const [given, ...rest] = positionals.map((text) => text.replace(/^\0/, ''))
  const action = (Object.keys(ACTIONS) as DiskCommand['action'][]).find((name) => name === given)
  if (given === undefined) throw usageError(DISK, 'it is not said what to do', SEE_DISK_HELP)
  if (action === undefined) throw unknownCommand(`${DISK} ${given}`)
  const [least, most] = ACTIONS[action]
  const command = DISK_COMMANDS.find(({ name }) => name === `${DISK} ${action}`)
  const foreign = (Object.keys(values) as Flag[]).find((name) => command === undefined || !Object.hasOwn(optionsOf(command), name))
  if (foreign !== undefined) throw usageError(`--${foreign}`, `is not for machinist disk ${action}`, SEE_DISK_HELP)
  if (rest.length < least) throw usageError(`disk ${action}`, 'an argument is missing', SEE_DISK_HELP)
  if (rest.length > most) throw usageError(`disk ${action}`, 'too many arguments', SEE_DISK_HELP, rest[most])
  const empty = [...rest, ...Object.values(values).flat()].includes('')
  if (empty) throw usageError(`disk ${action}`, 'an argument is empty', SEE_DISK_HELP)
  if (values.files !== undefined && !['inside', 'any', 'none'].includes(values.files)) throw usageError('--files', 'no such choice', 'Use inside, any or none.', values.files)
  if (values.lock !== undefined && !['auto', 'on', 'off'].includes(values.lock)) throw usageError('--lock', 'no such choice', 'Use auto, on or off.', values.lock)
  const [file = '', second] = rest
  const common = {
    file,
    ...(values.files !== undefined && { files: values.files as ImageFiles }),
    ...(values.lock !== undefined && { lock: values.lock as FileLock }),
    ...(values.format !== undefined && { format: values.format }),
  }
  const { json = false, force = false, quiet = false, shrink = false, repair, snapshot, from, backing, set = [] } = values
  switch (action) {
    case 'info':
      return { ...common, action, json }
    case 'check':
      if (repair !== undefined && repair !== 'leaks' && repair !== 'all') throw usageError('--repair', 'no such repair', 'Use leaks or all.', repair)
      return { ...common, action, json, quiet, repair: repair ?? false }
    case 'resize': {
      const sign = /^[+-]/.exec(second ?? '')?.[0]
      const bytes = parseSize((second ?? '').replace(/^[+-]/, ''))
      return { ...common, action, shrink, size: { bytes: sign === '-' ? -bytes : bytes, relative: sign !== undefined } }
    }
    case 'create': {
      const backingFormat = values['backing-format']
      if (second === undefined && backing === undefined) throw usageError('disk create', 'the size is missing', 'Give a size, such as 20G, or --backing FILE.')
      if (backing === undefined && backingFormat !== undefined) throw usageError('--backing-format', 'there is no backing file', 'Give --backing FILE.')
      return {
        ...common, action, force, parameters: parseParameters(set),
        ...(second !== undefined && { size: parseSize(second) }), ...(backing !== undefined && { backing }), ...(backingFormat !== undefined && { backingFormat }),
      }
    }
    case 'convert': {
      const { format: toFormat, ...source } = common
      return {
        ...source, action, to: second ?? '', force, quiet, parameters: parseParameters(set),
        ...(from !== undefined && { format: from }), ...(toFormat !== undefined && { toFormat }), ...(snapshot !== undefined && { snapshot }),
      }
    }
  }
}
