import { isMachinistError, machinistError, type MachinistError } from '@machinist/api'
import type { Hypervisor } from '@machinist/hypervisor'
import { bytesText, changesOf, type Column, columnsOf, eventText, type Look, look, machineRows, mergedResources, plain, PS_COLUMNS, sorted, TABLE_COLUMNS, tableLines, tableSections, timeText } from '@machinist/hypervisor/text'
import type { DatastoreImage } from '../datastore/datastore.ts'

/** What the hardware is, and what the hypervisor itself takes of it. Memory in bytes. */
export interface HardwareFigures {
  readonly harts: number
  /** Memory for machines, and what of it no machine has, nor what is kept compressed for one. */
  readonly memory: number
  readonly free: number
  /** The heap of the JavaScript engine: all of it, what its allocator has taken of it, and what the program has of that. */
  readonly heap: { readonly size: number; readonly taken: number; readonly used: number }
  /** Nanoseconds since the start, and those in which the hart of JavaScript had nothing to do. */
  readonly up: number
  readonly idle: number
}

/** What commands need of the monitor. */
export interface CommandHost {
  readonly hypervisor: Hypervisor
  /** Letters in a line. */
  readonly width: number
  /** Images on disks of the hardware. */
  readonly images: readonly DatastoreImage[]
  /** Absent when nobody says it. */
  hardware?(): HardwareFigures
  /** Nanoseconds, of a clock that never goes back. */
  now(): number
  /** Waits, in nanoseconds; false when somebody pressed a key meanwhile. */
  pause(duration: number): Promise<boolean>
  write(text: string): void
  /** Shows a console; ends when its user leaves it. */
  attach(name: string): Promise<void>
  /** Ends the hardware. Absent when that cannot be. */
  powerOff?(): void
}

interface Command {
  /** What follows its name, for help. */
  readonly usage: string
  readonly about: string
  /** Words that it takes, at least and at most. */
  readonly words: readonly [least: number, most: number]
  run(host: CommandHost, words: readonly string[]): Promise<void>
}

const SECOND = 1e9
/** How long guests may take to switch themselves off, in milliseconds. */
const WITHIN = 30_000
const EVENTS = 20
const DELAY = 2
const MOST_DELAY = 3600
/** What `top` may show instead of a little of all. */
const VIEWS = ['cpu', 'memory', 'io'] as const

function usage(part: string, problem: string, remedy: string, value?: string): MachinistError {
  return machinistError({ code: 'usage', part, value, remedy }, problem)
}

function table<Row>({ write, width }: CommandHost, columns: readonly Column<Row>[], rows: readonly Row[], none: string): void {
  if (rows.length === 0) write(`${none}\n`)
  else write(tableLines(columns, rows, width).map((line) => `${line}\n`).join(''))
}

/** Does it to all machines that are named, and says what failed. */
const onEach = (about: string, act: (hypervisor: Hypervisor, name: string) => Promise<void>): Command => ({
  usage: 'NAME...', about, words: [1, Infinity],
  async run({ hypervisor, write }, names) {
    const results = await Promise.allSettled([...new Set(names)].map((name) => act(hypervisor, name)))
    for (const result of results) if (result.status === 'rejected') write(errorText(result.reason))
  },
})

const IMAGE_COLUMNS: readonly Column<DatastoreImage>[] = [
  { title: 'IMAGE', text: ({ name }) => name },
  { title: 'SIZE', text: ({ size }) => bytesText(size), right: true },
  { title: 'WRITES', text: ({ readOnly }) => readOnly ? 'no' : 'yes' },
  { title: 'DISK', text: ({ disk, partition }) => `${disk}, partition ${partition}`, rank: 1 },
]

function changes(words: readonly string[]): ReturnType<typeof changesOf> {
  return changesOf(words, true, (part, problem, remedy, value) => { throw usage(part, problem, remedy, value) })
}

/** All commands, in the order of help. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  ps: {
    usage: '', about: 'lists machines', words: [0, 0],
    async run(host) { table(host, PS_COLUMNS, await host.hypervisor.machines(), 'There are no machines.') },
  },
  top: {
    usage: '[cpu|memory|io] [SECONDS]', about: 'what machines do, again and again, until a key is pressed', words: [0, 2],
    async run(host, words) {
      const view = VIEWS.find((name) => name === words[0])
      const [given, more] = view === undefined ? words : words.slice(1)
      if (more !== undefined) throw usage('top', 'too much was given', 'Use top [cpu|memory|io] [SECONDS].', more)
      const seconds = given === undefined ? DELAY : /^[0-9]{1,4}(\.[0-9]+)?$/.test(given) ? Number(given) : NaN
      if (!(seconds >= 0.1 && seconds <= MOST_DELAY)) throw usage('top', 'is not a number of seconds', `Use 0.1 to ${MOST_DELAY}.`, given)
      let before: Look = await look(host.hypervisor, host.now)
      while (await host.pause(seconds * SECOND)) {
        const now = await look(host.hypervisor, host.now)
        host.write('\u001b[H\u001b[J')
        table(host, columnsOf(view ?? 'all', false), sorted(machineRows(now, before), 'used'), 'There are no machines.')
        before = now
      }
    },
  },
  table: {
    usage: '', about: 'what machines and pools are entitled to, use and lack', words: [0, 0],
    async run(host) {
      for (const { title, rows } of tableSections(await host.hypervisor.table())) {
        host.write(`${title}\n`)
        table(host, TABLE_COLUMNS, rows, '')
      }
    },
  },
  console: {
    usage: 'NAME', about: 'the console of a machine; Ctrl-A X comes back', words: [1, 1],
    run: (host, [name = '']) => host.attach(name),
  },
  start: onEach('starts machines', (hypervisor, name) => hypervisor.start(name)),
  stop: onEach('asks machines to switch themselves off, and pulls their plugs after 30 seconds', (hypervisor, name) => hypervisor.stop(name, WITHIN)),
  kill: onEach('pulls the plugs of machines', (hypervisor, name) => hypervisor.stop(name, 0)),
  pause: onEach('has machines stand still', (hypervisor, name) => hypervisor.pause(name)),
  resume: onEach('has them go on', (hypervisor, name) => hypervisor.resume(name)),
  reset: onEach('starts machines anew, as by their reset buttons', (hypervisor, name) => hypervisor.reset(name)),
  set: {
    usage: 'NAME KEY=VALUE...', about: 'changes terms, such as cpu.shares=2000, memory.limit=512M', words: [2, Infinity],
    async run({ hypervisor }, [name = '', ...settings]) {
      const { resources, ...others } = changes(settings)
      await hypervisor.set(name, resources === undefined ? others : { ...others, resources: mergedResources(await hypervisor.table(), 'machine', name, resources) })
    },
  },
  events: {
    usage: '[NAME]', about: 'what happened last', words: [0, 1],
    async run({ hypervisor, write }, [name]) { for (const event of (await hypervisor.events(name)).slice(-EVENTS)) write(`${eventText(event)}\n`) },
  },
  images: {
    usage: '', about: 'disks of machines on disks of the hardware', words: [0, 0],
    run(host) {
      table(host, IMAGE_COLUMNS, host.images, 'There are no images.')
      return Promise.resolve()
    },
  },
  hardware: {
    usage: '', about: 'what the hardware has, and what the hypervisor itself takes', words: [0, 0],
    run({ hardware, write }) {
      if (hardware === undefined) throw usage('hardware', 'is not known here', 'Give startMonitor what says it.')
      const { harts, memory, free, heap, up, idle } = hardware()
      const lines = [
        ['harts', String(harts)],
        ['memory for machines', `${bytesText(memory)}, of which ${bytesText(free)} are free`],
        ['heap of the engine', `${bytesText(heap.size)}, of which ${bytesText(heap.taken)} are taken, ${bytesText(heap.used)} used`],
        ['up', timeText(up)],
        ['idle', `${timeText(idle)} of the hart that runs JavaScript`],
      ] as const
      write(lines.map(([name, text]) => `${name.padEnd(20)}  ${text}\n`).join(''))
      return Promise.resolve()
    },
  },
  off: {
    usage: '', about: 'stops all machines, and switches the hardware off', words: [0, 0],
    async run({ hypervisor, write, powerOff }) {
      if (powerOff === undefined) throw usage('off', 'the hardware has no switch that is known', 'Pull the plug.')
      const running = (await hypervisor.machines()).filter(({ state }) => state === 'running' || state === 'paused')
      const results = await Promise.allSettled(running.map(({ name }) => hypervisor.stop(name, WITHIN)))
      for (const result of results) if (result.status === 'rejected') write(errorText(result.reason))
      write('The hardware is switched off.\n')
      powerOff()
    },
  },
  help: {
    usage: '', about: 'this list', words: [0, 0],
    run({ write }) {
      const lines = Object.entries(COMMANDS).map(([name, command]) => [`${name} ${command.usage}`.trim(), command.about] as const)
      const wide = Math.max(...lines.map(([left]) => left.length))
      write(lines.map(([left, right]) => `${left.padEnd(wide)}  ${right}\n`).join(''))
      return Promise.resolve()
    },
  },
}

/**
 * An error for people: what a typed one says; of any other, where in the sources it was thrown.
 *
 * @returns whole lines
 */
export function errorText(error: unknown): string {
  if (isMachinistError(error)) return `${plain(error.message)}\n`
  if (!(error instanceof Error)) return `An error that is none: ${plain(String(error))}\n`
  const places = (error.stack ?? '').split('\n').map((line) => line.trim()).filter((line) => line.startsWith('at '))
  return [`${error.name}: ${plain(error.message)}`, ...places.map((line) => `  ${plain(line)}`)].map((line) => `${line}\n`).join('')
}

/** Does what a line says. Whatever is thrown meanwhile is told, and not thrown on. */
export async function runLine(host: CommandHost, line: string): Promise<void> {
  const [name = '', ...words] = line.split(/\s+/).filter((word) => word !== '')
  if (name === '') return
  try {
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
    if (command === undefined) throw usage(name.slice(0, 40), 'there is no such command', 'help lists them.')
    const [least, most] = command.words
    if (words.length < least || words.length > most) throw usage(name, words.length < least ? 'something is missing' : 'too much was given', `Use ${`${name} ${command.usage}`.trim()}.`)
    await command.run(host, words)
  } catch (error) {
    host.write(errorText(error))
  }
}
