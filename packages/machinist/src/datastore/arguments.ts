import { parseNumber } from '@machinist/machine'
import { unknownCommand } from '../command-line/help.ts'
import { optionsOf } from '../command-line/table.ts'
import { parseFlags, usageError, type Values } from '../usage.ts'
import { DATASTORE_COMMANDS, DATASTORE_OPTIONS } from './options.ts'

/** The name of the command. */
export const DATASTORE = 'datastore'

const SEE_HELP = 'See machinist datastore --help.'

interface Common {
  readonly folder: string
}

/** What `machinist datastore` was asked for. Sizes are bytes. */
export type DatastoreCommand =
  | Common & { readonly action: 'create'; readonly quota: number | null }
  | Common & { readonly action: 'list'; readonly json: boolean }
  | Common & { readonly action: 'add'; readonly name: string; readonly size: number }
  | Common & { readonly action: 'resize'; readonly name: string; readonly size: number; readonly shrink: boolean }
  | Common & { readonly action: 'clone'; readonly base: string; readonly name: string }
  | Common & { readonly action: 'delete'; readonly name: string }
  | Common & { readonly action: 'quota'; readonly quota: number | null }

/** Of each action: how many arguments. */
const ACTIONS: Readonly<Record<DatastoreCommand['action'], number>> = { create: 1, list: 1, add: 3, clone: 3, resize: 3, delete: 2, quota: 2 }

function parseSize(part: string, text: string): number {
  let bytes = NaN
  try {
    bytes = parseNumber(text, part)
  } catch {
    // Said below.
  }
  if (!(bytes > 0)) throw usageError(part, 'not a size', 'Use a number with a unit, such as 512M or 20G.', text)
  return bytes
}

/**
 * Understands the command line behind `datastore`.
 *
 * @returns null when help is wanted
 * @throws a typed error `usage`
 */
export function parseDatastore(args: readonly string[]): DatastoreCommand | null {
  const { values, positionals }: { values: Values<typeof DATASTORE_OPTIONS>; positionals: string[] } = parseFlags(args, DATASTORE_OPTIONS, DATASTORE)
  if (values.help === true) return null
  const [given, ...rest] = positionals
  if (given === undefined) throw usageError(DATASTORE, 'it is not said what to do', SEE_HELP)
  const action = (Object.keys(ACTIONS) as DatastoreCommand['action'][]).find((name) => name === given)
  if (action === undefined) throw unknownCommand(`${DATASTORE} ${given}`)
  const part = `${DATASTORE} ${action}`
  const command = DATASTORE_COMMANDS.find(({ name }) => name === part)
  const foreign = Object.keys(values).find((name) => command === undefined || !Object.hasOwn(optionsOf(command), name))
  if (foreign !== undefined) throw usageError(`--${foreign}`, `is not for machinist ${part}`, SEE_HELP)
  if (rest.length < ACTIONS[action]) throw usageError(part, 'an argument is missing', SEE_HELP)
  if (rest.length > ACTIONS[action]) throw usageError(part, 'too many arguments', SEE_HELP, rest[ACTIONS[action]])
  if (rest.includes('')) throw usageError(part, 'an argument is empty', SEE_HELP)
  const [folder = '', name = '', third = ''] = rest
  switch (action) {
    case 'create': return { action, folder, quota: values.quota === undefined ? null : parseSize('--quota', values.quota) }
    case 'list': return { action, folder, json: values.json === true }
    case 'add': return { action, folder, name, size: parseSize('size', third) }
    case 'resize': return { action, folder, name, size: parseSize('size', third), shrink: values.shrink === true }
    case 'clone': return { action, folder, base: name, name: third }
    case 'delete': return { action, folder, name }
    case 'quota': return { action, folder, quota: name === 'none' ? null : parseSize('quota', name) }
  }
}
