import type { ShutDownOptions } from '@machinist/host-node'
import { unknownCommand } from '../command-line/help.ts'
import { parseFlags, parseMemory, usageError, type Values } from '../usage.ts'
import type { OwnChoice } from './own-hypervisor.ts'
import { DAEMON_ACTIONS, DAEMON_OPTIONS } from './options.ts'

/** The name of the command. */
export const DAEMON = 'daemon'

const SEE_HELP = 'See machinist daemon --help.'
const MOST_PROCESSORS = 1024

/** What a hypervisor in the background may use of the host, and how it ends when it is told to by a signal. */
export interface DaemonChoice extends OwnChoice {
  readonly atEnd?: 'save' | 'off'
}

/** What `machinist daemon` was asked for. */
export type DaemonCommand =
  | { readonly action: 'start' | 'run'; readonly choice: DaemonChoice }
  | { readonly action: 'status'; readonly json: boolean }
  | { readonly action: 'stop'; readonly how: ShutDownOptions }

function parseChoice({ 'at-end': atEnd, processors, memory }: Values<typeof DAEMON_OPTIONS>): DaemonChoice {
  if (atEnd !== undefined && atEnd !== 'save' && atEnd !== 'off') throw usageError('--at-end', 'there is no such choice', 'Use save or off.', atEnd)
  const count = processors === undefined ? 1 : /^[0-9]{1,4}$/.test(processors) ? Number(processors) : 0
  if (count < 1 || count > MOST_PROCESSORS) throw usageError('--processors', 'not a number of processors', `Use 1 to ${MOST_PROCESSORS}.`, processors)
  return { ...(processors !== undefined && { processors: count }), ...(memory !== undefined && { memory: parseMemory(memory) }), ...(atEnd !== undefined && { atEnd }) }
}

/**
 * Understands the command line behind `daemon`.
 *
 * @returns null when help is wanted
 * @throws a typed error `usage`
 */
export function parseDaemon(args: readonly string[]): DaemonCommand | null {
  const { values, positionals }: { values: Values<typeof DAEMON_OPTIONS>; positionals: string[] } = parseFlags(args, DAEMON_OPTIONS, DAEMON)
  if (values.help === true) return null
  const [given, more] = positionals
  if (given === undefined) throw usageError(DAEMON, 'it is not said what to do', SEE_HELP)
  const action = (Object.keys(DAEMON_ACTIONS) as DaemonCommand['action'][]).find((name) => name === given)
  if (action === undefined) throw unknownCommand(`${DAEMON} ${given}`)
  if (more !== undefined) throw usageError(`${DAEMON} ${action}`, 'too many arguments', SEE_HELP, more)
  const other = Object.keys(values).find((name) => !DAEMON_ACTIONS[action].includes(name))
  if (other !== undefined) throw usageError(`--${other}`, `is not for machinist ${DAEMON} ${action}`, SEE_HELP)
  switch (action) {
    case 'start':
    case 'run':
      return { action, choice: parseChoice(values) }
    case 'status':
      return { action, json: values.json === true }
    case 'stop': {
      const seconds = Number(values.within ?? 0)
      if (values.within !== undefined && values.off !== true) throw usageError('--within', 'machines that are saved need no time', 'Give --off too.')
      if (!(seconds >= 0 && seconds < 2 ** 31 / 1000)) throw usageError('--within', 'not a number of seconds', 'Use one such as 60.', values.within)
      return { action, how: values.off === true ? { machines: 'off', within: 1000 * seconds } : { machines: 'save' } }
    }
  }
}
