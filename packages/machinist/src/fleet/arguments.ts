import type { Resources } from '@machinist/hypervisor'
import { type Changes, changesOf, type TopView } from '@machinist/hypervisor/text'
import { unknownCommand } from '../command-line/help.ts'
import type { OwnChoice } from '../daemon/own-hypervisor.ts'
import { didYouMean } from '../command-line/suggest.ts'
import { type CommandInfo, optionsOf } from '../command-line/table.ts'
import { parseFlags, parseMemory, usageError, type Values } from '../usage.ts'
import { NAME } from './names.ts'
import { FLEET_COMMANDS, FLEET_OPTIONS } from './options.ts'

/** What is done to machines by their names. */
export type Verb = 'start' | 'stop' | 'kill' | 'pause' | 'resume' | 'reset' | 'rm'
const VERBS: readonly Verb[] = ['start', 'stop', 'kill', 'pause', 'resume', 'reset', 'rm']

/** How `machinist top` shows machines. */
export interface TopOptions {
  readonly mode: 'screen' | 'once' | 'batch'
  /** Milliseconds from look to look. */
  readonly delay: number
  /** Looks; `Infinity` for no end. */
  readonly count: number
  readonly view: TopView
  readonly sort: string
  readonly pools: boolean
  readonly json: boolean
}

/** A command about machines of a hypervisor. */
export type FleetCommand =
  | { readonly action: 'up'; readonly file: string; readonly detach: boolean; readonly choice: OwnChoice }
  | { readonly action: 'down'; readonly file: string | null; readonly within: number }
  | { readonly action: 'ps'; readonly json: boolean; readonly names: boolean }
  | { readonly action: 'table' | 'pool list'; readonly json: boolean }
  | { readonly action: 'top'; readonly options: TopOptions }
  | { readonly action: 'console'; readonly name: string }
  | { readonly action: 'logs'; readonly name: string; readonly follow: boolean }
  | { readonly action: 'events'; readonly name: string | null; readonly follow: boolean; readonly json: boolean }
  | { readonly action: Verb; readonly names: readonly string[]; readonly within: number; readonly from?: string }
  | { readonly action: 'set'; readonly name: string; readonly changes: Changes }
  | { readonly action: 'fork'; readonly name: string; readonly copy: string; readonly pool: string | null }
  | { readonly action: 'move'; readonly name: string; readonly processor: number }
  | { readonly action: 'save'; readonly name: string; readonly file: string }
  | { readonly action: 'pool add' | 'pool set'; readonly path: string; readonly resources: Resources }
  | { readonly action: 'pool remove'; readonly path: string }
  | { readonly action: 'metrics'; readonly listen: { readonly host: string; readonly port: number } | null; readonly detach: boolean }

/** How long a guest may take to switch itself off, unless it is said, in seconds. */
const WITHIN = 30
const DELAY = 2
const MOST_SECONDS = 3600
const MOST_PROCESSORS = 512
const VIEWS: readonly TopView[] = ['all', 'cpu', 'memory', 'io']

/** Words that begin commands about machines of a hypervisor. */
export const FLEET_WORDS: readonly string[] = [...new Set(FLEET_COMMANDS.map(({ name }) => name.split(' ')[0] ?? name))]

type Flags = Values<typeof FLEET_OPTIONS>

const seeHelp = (command: string): string => `See machinist ${command} --help.`

function seconds(flag: string, value: string | undefined, unless: number, least: number): number {
  const number = value === undefined ? unless : /^[0-9]*\.?[0-9]+$/.test(value) ? Number(value) : NaN
  if (!(number >= least && number <= MOST_SECONDS)) throw usageError(flag, 'not a number of seconds', `Use ${least} to ${MOST_SECONDS}.`, value)
  return number
}

function whole(part: string, value: string, least: number, most: number): number {
  const number = /^[0-9]{1,9}$/.test(value) ? Number(value) : NaN
  if (!(number >= least && number <= most)) throw usageError(part, 'not a whole number in its range', `Use ${least} to ${most}.`, value)
  return number
}

function parseTop(values: Flags): TopOptions {
  const { once = false, batch = false, delay, count, view = 'all', sort = 'used', pools = false, json = false } = values
  if (once && batch) throw usageError('--once', 'does not go with --batch', 'Leave one of them out.')
  if (once && count !== undefined) throw usageError('--count', 'does not go with --once, which is one look', 'Leave one of them out.')
  const found = VIEWS.find((name) => name === view)
  if (found === undefined) throw usageError('--view', 'there is no such view', `Use ${VIEWS.join(', ')}.`, view)
  return {
    mode: once ? 'once' : batch || json ? 'batch' : 'screen', delay: 1000 * seconds('--delay', delay, DELAY, 0.1),
    count: once ? 1 : count === undefined ? Infinity : whole('--count', count, 1, 1e9), view: found, sort, pools, json,
  }
}

/** The name of a machine on the command line. */
function machineName(name: string): string {
  if (!NAME.test(name)) throw usageError('NAME', 'is not the name of a machine', 'Names have letters, digits, ., _ and -. See machinist ps.', name)
  return name
}

function poolPath(path: string): string {
  if (!path.split('/').every((step) => NAME.test(step))) throw usageError('PATH', 'is not the path of a pool', 'Use names with letters, digits, ., _ and -, and / between pools in pools.', path)
  return path
}

/** `cpu.shares=2000`, one after the other. */
function parseSettings(words: readonly string[], ofMachine: boolean): Changes {
  return changesOf(words, ofMachine, (part, problem, remedy, value, known) => {
    const hint = known === undefined ? '' : didYouMean(part, known)
    throw usageError(part, problem, `${hint}${remedy}${part.includes('=') || value !== undefined ? '' : ` ${seeHelp(ofMachine ? 'set' : 'pool set')}`}`, value)
  })
}

function parseListen(value: string | undefined): { readonly host: string; readonly port: number } | null {
  if (value === undefined) return null
  const [, host = '127.0.0.1', port = ''] = /^(?:(.+):)?([0-9]{1,5})$/.exec(value) ?? []
  if (port === '' || Number(port) > 65535) throw usageError('--listen', 'not a port', 'Use a port such as 9100, or an address and a port, such as 0.0.0.0:9100.', value)
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) }
}

/** How many words each command takes behind its name. */
const WORDS: Readonly<Record<string, readonly [least: number, most: number]>> = {
  'up': [1, 1], 'down': [0, 1], 'ps': [0, 0], 'top': [0, 0], 'table': [0, 0], 'console': [1, 1], 'logs': [1, 1], 'events': [0, 1], 'set': [2, Infinity], 'fork': [2, 2], 'move': [2, 2],
  'pool add': [1, Infinity], 'pool set': [2, Infinity], 'pool remove': [1, 1], 'pool list': [0, 0], 'metrics': [0, 0], ...Object.fromEntries(VERBS.map((verb) => [verb, [1, Infinity]])),
}

function parseChoice({ processors, memory }: Flags): OwnChoice {
  return { ...(processors !== undefined && { processors: whole('--processors', processors, 1, MOST_PROCESSORS) }), ...(memory !== undefined && { memory: parseMemory(memory) }) }
}

function understand(name: string, words: readonly string[], values: Flags): FleetCommand {
  const [first = '', second = ''] = words
  const json = values.json === true
  const verb = VERBS.find((each) => each === name)
  if (verb !== undefined) {
    const { from } = values
    if (from !== undefined && words.length > 1) throw usageError('--from', 'is for one machine', 'Name one.', words[1])
    return { action: verb, names: [...new Set(words.map(machineName))], within: 1000 * seconds('--within', values.within, WITHIN, 0), ...(from !== undefined && { from }) }
  }
  switch (name) {
    case 'up':
      return { action: 'up', file: first, detach: values.detach === true, choice: parseChoice(values) }
    case 'down':
      return { action: 'down', file: words[0] ?? null, within: 1000 * seconds('--within', values.within, WITHIN, 0) }
    case 'ps':
      if (json && values.names === true) throw usageError('--names', 'does not go with --json', 'Leave one of them out.')
      return { action: 'ps', json, names: values.names === true }
    case 'table':
    case 'pool list':
      return { action: name, json }
    case 'top':
      return { action: 'top', options: parseTop(values) }
    case 'console':
      return { action: 'console', name: machineName(first) }
    case 'logs':
      return { action: 'logs', name: machineName(first), follow: values.follow === true }
    case 'events':
      return { action: 'events', name: words[0] === undefined ? null : machineName(first), follow: values.follow === true, json }
    case 'set':
      return { action: 'set', name: machineName(first), changes: parseSettings(words.slice(1), true) }
    case 'fork':
      return { action: 'fork', name: machineName(first), copy: machineName(second), pool: values.pool === undefined ? null : values.pool === '/' ? '' : poolPath(values.pool) }
    case 'move':
      return { action: 'move', name: machineName(first), processor: whole('PROCESSOR', second, 0, MOST_PROCESSORS - 1) }
    case 'pool add':
    case 'pool set':
      return { action: name, path: poolPath(first), resources: parseSettings(words.slice(1), false).resources ?? {} }
    case 'pool remove':
      return { action: 'pool remove', path: poolPath(first) }
    default:
      return { action: 'metrics', listen: parseListen(values.listen), detach: values.detach === true }
  }
}

/**
 * Understands the command line of a command about machines of a hypervisor.
 *
 * @param args - with the command's own words
 * @returns the words of the command when help is wanted
 * @throws a typed error `'usage'`
 */
export function parseFleet(args: readonly string[]): FleetCommand | { readonly help: string } {
  const { values, positionals }: { values: Flags; positionals: string[] } = parseFlags(args, FLEET_OPTIONS, args[0] ?? '')
  const command = commandOf(positionals)
  if (command === undefined) {
    const words = positionals.slice(0, 2).join(' ')
    if (values.help === true || positionals.length < 2) return { help: words }
    throw unknownCommand(words)
  }
  if (values.help === true) return { help: command.name }
  const known = optionsOf(command)
  const foreign = Object.keys(values).find((name) => !Object.hasOwn(known, name))
  if (foreign !== undefined) throw usageError(`--${foreign}`, `is not for machinist ${command.name}`, seeHelp(command.name))
  const words = positionals.slice(command.name.split(' ').length)
  const [least, most] = WORDS[command.name] ?? [0, 0]
  if (words.length < least) throw usageError(command.name, 'an argument is missing', `Use machinist ${command.name} ${command.usage[0]?.[0] ?? ''}.`)
  if (words.length > most) throw usageError(command.name, 'too many arguments', seeHelp(command.name), words[most])
  if (words.includes('')) throw usageError(command.name, 'an argument is empty', seeHelp(command.name))
  return understand(command.name, words, values)
}

function commandOf([first = '', second = '']: readonly string[]): CommandInfo | undefined {
  return FLEET_COMMANDS.find(({ name }) => name === `${first} ${second}`) ?? FLEET_COMMANDS.find(({ name }) => name === first)
}
