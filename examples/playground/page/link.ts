/** Machines as a link: what stands behind the # of the page's URL, `machines=riscv64,name=one,memory=256;amd64,name=two`. */
import { machinistError } from '@machinist/api'

/** Debian for these. */
export const GUESTS = ['riscv64', 'amd64', 'i386'] as const
export type Guest = typeof GUESTS[number]

/** A machine as links have it. */
export interface SharedMachine {
  readonly guest: Guest
  /** What it calls itself. */
  readonly name: string
  /** MiB. */
  readonly memory: number
  /** Machines that name the same one reach each other; null for none. */
  readonly network: string | null
}

/** The network that all are on unless told otherwise. */
export const NETWORK = 'lan'
/** MiB. */
export const MEMORY = 256
/** Machines of one link, and what they may have in all, in MiB: links come from anybody. */
export const MOST_MACHINES = 8
export const MOST_MEMORY = 2048
/** MiB that one machine may have. */
export const LEAST_MEMORY = 96
/** Characters of a link that are read. */
const LONGEST = 1000

const START = 'machines='
const NAME = /^[a-z](?:[a-z0-9-]{0,18}[a-z0-9])?$/

/** Whether a machine or a network may be called so: a letter, then letters, digits and dashes, 20 in all. */
export function isName(text: string): boolean {
  return NAME.test(text)
}

function refused(part: string, value: string, remedy: string, problem: string): Error {
  return machinistError({ code: 'link', part, value: value.slice(0, 40), remedy }, problem)
}

/** The part of a link behind the #. What is as usual is left out. */
export function toLink(machines: readonly SharedMachine[]): string {
  const one = ({ guest, name, memory, network }: SharedMachine): string => [
    guest, `name=${name}`, ...(memory === MEMORY ? [] : [`memory=${memory}`]), ...(network === NETWORK ? [] : [`network=${network ?? ''}`]),
  ].join(',')
  return machines.length === 0 ? '' : START + machines.map(one).join(';')
}

function machineOf(text: string, part: string): SharedMachine {
  const [first = '', ...words] = text.split(',')
  const guest = GUESTS.find((each) => each === first)
  if (guest === undefined) throw refused(part, first, `Use ${GUESTS.join(', ')}.`, 'no such guest')
  const given = new Map<string, string>()
  for (const word of words) {
    const [, key, value] = /^(name|memory|network)=([a-z0-9-]*)$/.exec(word) ?? []
    if (key === undefined || value === undefined || given.has(key)) throw refused(part, word, 'Use name=, memory= and network=, each once.', 'no such word')
    given.set(key, value)
  }
  const name = given.get('name') ?? ''
  if (!isName(name)) throw refused(part, name, 'Use up to 20 small letters, digits and dashes.', 'no name for a machine')
  const digits = given.get('memory') ?? String(MEMORY)
  const memory = Number(digits)
  if (!/^\d{2,4}$/.test(digits) || memory < LEAST_MEMORY || memory > MOST_MEMORY) throw refused(part, digits, `Use ${LEAST_MEMORY} to ${MOST_MEMORY} MiB.`, 'no such memory')
  const network = given.get('network') ?? NETWORK
  if (network !== '' && !isName(network)) throw refused(part, network, 'Use up to 20 small letters, digits and dashes.', 'no name for a network')
  return { guest, name, memory, network: network === '' ? null : network }
}

/**
 * The machines of a link; none when there is nothing behind the #.
 *
 * @throws a typed error `'link'`, whose part is the machine
 */
export function fromLink(fragment: string): readonly SharedMachine[] {
  const text = fragment.replace(/^#/, '')
  if (text === '') return []
  if (text.length > LONGEST || !text.startsWith(START)) throw refused('link', text, 'Ask for the link again.', 'no machines are in it')
  const all = text.slice(START.length).split(';')
  if (all.length > MOST_MACHINES) throw refused('link', String(all.length), `Use at most ${MOST_MACHINES}.`, 'too many machines')
  const machines = all.map((each, index) => machineOf(each, `machine ${index + 1}`))
  const memory = machines.reduce((sum, each) => sum + each.memory, 0)
  if (memory > MOST_MEMORY) throw refused('link', `${memory} MiB`, `Use at most ${MOST_MEMORY} MiB in all.`, 'too much memory')
  const twice = machines.find(({ name }, index) => machines.findIndex((other) => other.name === name) < index)
  if (twice !== undefined) throw refused('link', twice.name, 'Give each its own.', 'two machines of one name')
  return machines
}
