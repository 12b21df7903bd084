import { parseFlags, SEE_HELP, usageError, type Values } from '../usage.ts'
import { COMMON_OPTIONS } from '../command-line/table.ts'
import { RELAY_OPTIONS } from './options.ts'

/** The name of the command. */
export const RELAY = 'relay'

/** What `machinist relay` was asked for. */
export interface RelayChoice {
  readonly host: string
  readonly port: number
  /** In the order of the command line. */
  readonly rules: readonly string[]
  readonly service: readonly string[]
  readonly resolvers: readonly string[]
  readonly origins: readonly string[]
  readonly tokenFile?: string
  readonly clients?: number
}

const FLAGS = { ...RELAY_OPTIONS, ...COMMON_OPTIONS } as const
const MOST_CLIENTS = 4096

/**
 * Understands the command line behind `relay`.
 *
 * @returns null when help is wanted
 * @throws a typed error `usage`
 */
export function parseRelay(args: readonly string[]): RelayChoice | null {
  const { values, positionals }: { values: Values<typeof FLAGS>; positionals: string[] } = parseFlags(args, FLAGS, RELAY)
  if (values.help === true) return null
  const [place = '', more] = positionals
  if (more !== undefined) throw usageError(RELAY, 'more than one port', SEE_HELP, more)
  const [, host = '127.0.0.1', port = ''] = /^(?:(.+):)?([0-9]{1,5})$/.exec(place) ?? []
  if (port === '' || Number(port) > 65535) throw usageError(RELAY, 'not a port', 'Use machinist relay 8022, or an address and a port, such as 192.0.2.1:8022.', place)
  const clients = values.clients === undefined ? undefined : /^[0-9]{1,4}$/.test(values.clients) ? Number(values.clients) : 0
  if (clients !== undefined && (clients < 1 || clients > MOST_CLIENTS)) throw usageError('--clients', 'not a number of pages', `Use 1 to ${MOST_CLIENTS}.`, values.clients)
  return {
    host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port),
    rules: rulesOf(args), service: values.service ?? [], resolvers: values.resolver ?? [], origins: values.origin ?? [],
    ...(values['token-file'] !== undefined && { tokenFile: values['token-file'] }), ...(clients !== undefined && { clients }),
  }
}

/** Rules are asked in the order in which they stand, whichever option they are of. */
function rulesOf(args: readonly string[]): readonly string[] {
  return args.flatMap((word, at) => {
    const [, action, text] = /^--(allow|deny)(?:=(.*))?$/.exec(word) ?? []
    return action === undefined ? [] : [`${action} ${text ?? args[at + 1] ?? ''}`]
  })
}
