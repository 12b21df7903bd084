import { unknownCommand } from '../command-line/help.ts'
import { parseFlags, usageError, type Values } from '../usage.ts'
import { SNAPSHOT_OPTIONS } from './options.ts'

/** The name of the command. */
export const SNAPSHOT = 'snapshot'

const SEE_HELP = 'See machinist snapshot --help.'

/** What `machinist snapshot` was asked for. */
export type SnapshotCommand =
  | { readonly action: 'take'; readonly folder: string; readonly name?: string }
  | { readonly action: 'save'; readonly name: string; readonly file: string }
  | { readonly action: 'list'; readonly folder: string; readonly json: boolean }
  | { readonly action: 'revert' | 'delete'; readonly folder: string; readonly name: string }

/** Of each action: how many arguments, at least and at most. */
const ACTIONS: Readonly<Record<SnapshotCommand['action'], readonly [least: number, most: number]>> = { take: [1, 2], list: [1, 1], save: [2, 2], revert: [2, 2], delete: [2, 2] }

/**
 * Understands the command line behind `snapshot`.
 *
 * @returns null when help is wanted
 * @throws a typed error `usage`
 */
export function parseSnapshot(args: readonly string[]): SnapshotCommand | null {
  const { values, positionals }: { values: Values<typeof SNAPSHOT_OPTIONS>; positionals: string[] } = parseFlags(args, SNAPSHOT_OPTIONS, SNAPSHOT)
  if (values.help === true) return null
  const [given, ...rest] = positionals
  if (given === undefined) throw usageError(SNAPSHOT, 'it is not said what to do', SEE_HELP)
  const action = (Object.keys(ACTIONS) as SnapshotCommand['action'][]).find((name) => name === given)
  if (action === undefined) throw unknownCommand(`${SNAPSHOT} ${given}`)
  const part = `${SNAPSHOT} ${action}`
  const [least, most] = ACTIONS[action]
  if (values.json === true && action !== 'list') throw usageError('--json', `is not for machinist ${part}`, SEE_HELP)
  if (rest.length < least) throw usageError(part, 'an argument is missing', SEE_HELP)
  if (rest.length > most) throw usageError(part, 'too many arguments', SEE_HELP, rest[most])
  if (rest.includes('')) throw usageError(part, 'an argument is empty', SEE_HELP)
  const [folder = '', name] = rest
  switch (action) {
    case 'take':
      return { action, folder, ...(name !== undefined && { name }) }
    case 'list':
      return { action, folder, json: values.json === true }
    case 'save':
      return { action, name: folder, file: name ?? '' }
    case 'revert':
    case 'delete':
      return { action, folder, name: name ?? '' }
  }
}
