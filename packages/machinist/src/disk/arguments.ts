import type { FileLock, ImageFiles } from '@machinist/host-node'
import { parseNumber } from '@machinist/machine'
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

const FLAGS = {
  format: { type: 'string' },
  from: { type: 'string' },
  files: { type: 'string' },
  lock: { type: 'string' },
  backing: { type: 'string' },
  'backing-format': { type: 'string' },
  set: { type: 'string', multiple: true },
  snapshot: { type: 'string' },
  repair: { type: 'string' },
  shrink: { type: 'boolean' },
  force: { type: 'boolean' },
  json: { type: 'boolean' },
  quiet: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

type Flag = keyof typeof FLAGS

/** Of each action: how many arguments, and which flags besides `--files` and `--lock`. */
const ACTIONS: Readonly<Record<DiskCommand['action'], { readonly least: number; readonly most: number; readonly flags: readonly Flag[] }>> = {
  info: { least: 1, most: 1, flags: ['format', 'json'] },
  create: { least: 1, most: 2, flags: ['format', 'backing', 'backing-format', 'set', 'force'] },
  convert: { least: 2, most: 2, flags: ['format', 'from', 'set', 'snapshot', 'force', 'quiet'] },
  resize: { least: 2, most: 2, flags: ['format', 'shrink'] },
  check: { least: 1, most: 1, flags: ['format', 'repair', 'json', 'quiet'] },
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
  const { values, positionals }: { values: Values<typeof FLAGS>; positionals: string[] } = parseFlags(args.map((text) => /^-[0-9]/.test(text) ? `\0${text}` : text), FLAGS)
  if (values.help === true) return null
  const [given, ...rest] = positionals.map((text) => text.replace(/^\0/, ''))
  const action = (Object.keys(ACTIONS) as DiskCommand['action'][]).find((name) => name === given)
  if (action === undefined) throw usageError(DISK, given === undefined ? 'it is not said what to do' : 'no such action', SEE_DISK_HELP, given)
  const { least, most, flags } = ACTIONS[action]
  const foreign = (Object.keys(values) as Flag[]).find((name) => name !== 'files' && name !== 'lock' && !flags.includes(name))
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
