import { isMachinistError } from '@machinist/api'
import type { ConsoleConnection, Hypervisor, HypervisorEvent, MachineReport } from '@machinist/hypervisor'
import { plain, stateText } from '@machinist/hypervisor/text'
import { errorText } from '../hints.ts'
import type { Fleet, FleetMachine } from './file/fleet.ts'
import { PrefixedLines } from './prefixed.ts'

/** How long guests may take to switch themselves off after Ctrl-C, in milliseconds. */
const WITHIN = 10_000
/** Kinds of events that are the end of a machine. */
const ENDS: readonly string[] = ['off', 'failed', 'lost', 'removed']

/** Machines of a file in a hypervisor: what was added, what was there already, and what was started. */
export interface RaisedFleet {
  readonly added: readonly FleetMachine[]
  readonly known: readonly FleetMachine[]
  readonly started: readonly FleetMachine[]
}

/**
 * Makes the pools of a file, or gives those that are there its terms, and adds and starts its machines. Machines that are there get the terms of the file, and are started when they are off. When a
 * machine is refused, those that this call added are taken away again.
 *
 * @throws typed errors
 */
export async function raiseFleet(hypervisor: Hypervisor, fleet: Fleet): Promise<RaisedFleet> {
  const pools = new Set((await hypervisor.pools()).map(({ path }) => path))
  const before = new Map((await hypervisor.machines()).map((machine) => [machine.name, machine]))
  const made: string[] = []
  const added: FleetMachine[] = []
  const known: FleetMachine[] = []
  const started: FleetMachine[] = []
  try {
    for (const pool of fleet.pools) {
      if (pools.has(pool.path)) await hypervisor.setPool(pool.path, pool.resources ?? {})
      else {
        await hypervisor.addPool(pool)
        made.push(pool.path)
      }
    }
    for (const machine of fleet.machines) {
      const { entry: _, ...spec } = machine
      if (before.has(machine.name)) {
        await hypervisor.set(machine.name, { resources: spec.resources ?? {}, pool: spec.pool ?? '', restart: spec.restart ?? 'never', autostart: spec.autostart ?? false })
        known.push(machine)
      } else {
        await hypervisor.add(spec)
        added.push(machine)
      }
    }
    for (const machine of fleet.machines) {
      const state = before.get(machine.name)?.state
      if (state === 'running' || state === 'paused') continue
      await hypervisor.start(machine.name)
      started.push(machine)
    }
  } catch (error) {
    for (const { name } of added.reverse()) await hypervisor.remove(name).catch(() => undefined)
    for (const path of made.reverse()) await hypervisor.removePool(path).catch(() => undefined)
    throw error
  }
  return { added, known, started }
}

/** Stops machines, the last entry of the file first; those of one entry together. */
export async function lower(hypervisor: Hypervisor, machines: readonly FleetMachine[], within: number, failed: (name: string, error: unknown) => void): Promise<void> {
  const entries = [...new Set(machines.map(({ entry }) => entry))].reverse()
  for (const entry of entries) {
    await Promise.all(machines.filter((machine) => machine.entry === entry).map(({ name }) => hypervisor.stop(name, within).catch((error: unknown) => { failed(name, error) })))
  }
}

/** What a command says of an error. */
export function failureText(error: unknown): string {
  return isMachinistError(error) ? errorText(error) : error instanceof Error ? error.message : String(error)
}

/** Where an attached `up` writes, and who interrupts it. */
export interface UpTerminal {
  write(text: string): void
  note(text: string): void
  readonly colour: boolean
  /** Calls `stop` for each Ctrl-C or SIGTERM; returns what ends that. */
  interrupts(stop: () => void): () => void
}

/** Whether all machines are at their end, and what that was. */
function endOf(reports: readonly MachineReport[], machines: readonly FleetMachine[]): readonly MachineReport[] | null {
  const own = machines.map(({ name }) => reports.find((report) => report.name === name))
  return own.some((report) => report !== undefined && (report.state === 'running' || report.state === 'paused')) ? null : own.filter((report) => report !== undefined)
}

/**
 * Runs the machines of a file with their consoles shown together, until all are off. The first interruption stops them in order, the second pulls their plugs.
 *
 * @returns the exit status: that of the first machine that did not end with 0, or 1 for one that failed
 * @throws typed errors, when nothing runs
 */
export async function runAttached(hypervisor: Hypervisor, fleet: Fleet, terminal: UpTerminal): Promise<number> {
  const names = fleet.machines.map(({ name }) => name)
  const lines = new PrefixedLines(names, (text) => { terminal.write(text) }, terminal.colour)
  const consoles = new Map<string, { connection: ConsoleConnection; end(): void }>()
  let look: () => void = () => {}
  const onEvent = ({ kind, name, text }: HypervisorEvent): void => {
    if (kind === 'warning' || kind === 'memory-short' || kind === 'datastore-full' || kind === 'processor-lost') terminal.note(plain(`${name === '' ? '' : `${name}: `}${text}`))
    if (!names.includes(name)) return
    if (ENDS.includes(kind) || kind === 'restarted') {
      consoles.get(name)?.end()
      lines.line(name, plain(`[${kind}${text === '' ? '' : `: ${text}`}]`))
    }
    if (ENDS.includes(kind)) look()
  }
  const forget = hypervisor.on(onEvent)
  let interruptions = 0
  const free = terminal.interrupts(() => {
    interruptions++
    const within = interruptions === 1 ? WITHIN : 0
    terminal.note(interruptions === 1 ? 'Stopping. Ctrl-C again pulls the plugs.' : 'Pulling the plugs.')
    const failed = (name: string, error: unknown): void => { terminal.note(`${name}: ${failureText(error)}`) }
    if (within === 0) void Promise.all(names.map((name) => hypervisor.stop(name, 0).catch((error: unknown) => { failed(name, error) }))).then(() => { look() })
    else void lower(hypervisor, fleet.machines, within, failed).then(() => { look() })
  })
  try {
    await raiseFleet(hypervisor, fleet)
    for (const { name } of fleet.machines) {
      const shown = lines.of(name)
      const connection = await hypervisor.console(name, { output: (bytes) => { shown.push(bytes) }, closed: () => { shown.end() } })
      consoles.set(name, { connection, end: () => { shown.end() } })
    }
    const ended = await new Promise<readonly MachineReport[]>((resolve, reject) => {
      // An event may come before the report says so, and a machine may be started again: it is the reports that count.
      let asking = false
      let again = false
      look = () => {
        again = true
        if (asking) return
        asking = true
        void (async () => {
          while (again) {
            again = false
            const reports = endOf(await hypervisor.machines(), fleet.machines)
            if (reports !== null) resolve(reports)
          }
        })().catch(reject).finally(() => { asking = false })
      }
      look()
    })
    const failed = ended.find(({ status, error }) => error !== null || (status ?? 0) !== 0)
    if (failed?.error !== undefined && failed.error !== null) terminal.note(plain(`${failed.name}: ${stateText(failed)}: ${failed.error}`))
    return failed === undefined ? 0 : failed.error !== null ? 1 : failed.status ?? 0
  } finally {
    forget()
    free()
    for (const { connection, end } of consoles.values()) {
      end()
      connection.close()
    }
  }
}
