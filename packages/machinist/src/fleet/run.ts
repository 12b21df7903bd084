import { resolve } from 'node:path'
import type { Hypervisor, PoolSpec } from '@machinist/hypervisor'
import { type Changes, type Column, eventText, mergedResources, POOL_COLUMNS, PS_COLUMNS, TABLE_COLUMNS, tableLines, tableSections } from '@machinist/hypervisor/text'
import { isMachinistError, machinistError } from '@machinist/api'
import { didYouMean } from '../command-line/suggest.ts'
import { hasColour } from '../command-line/style.ts'
import type { FleetCommand } from './arguments.ts'
import { runConsole, runLogs } from './console.ts'
import { type Fleet, loadFleet } from './file/fleet.ts'
import { attached, background, type Reached } from './reach.ts'
import { metricsText, serveMetrics } from './metrics.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import { runTop } from './top/top.ts'
import { failureText, lower, raiseFleet, runAttached, type UpTerminal } from './up.ts'

const say = (text: string): void => { process.stderr.write(`${text}\n`) }

function json(value: unknown): string {
  // What has no end is null in JSON; times of events are larger than its numbers.
  return `${JSON.stringify(value, (_, each: unknown) => typeof each === 'bigint' ? String(each) : each, 2)}\n`
}

/** Resolves at the first Ctrl-C or SIGTERM, which end the process no longer. */
function interruption(): { readonly came: Promise<void>; free(): void } {
  let resolve: () => void = () => {}
  const came = new Promise<void>((done) => { resolve = done })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, resolve)
  return { came, free() { for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, resolve) } }
}

function upTerminal(): UpTerminal {
  return {
    write(text) { process.stdout.write(text) },
    note: say,
    colour: hasColour(process.stdout),
    interrupts(stop) {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop)
      return () => { for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop) }
    },
  }
}

/** What is done to machines by their names. */
type Acting = Extract<FleetCommand, { readonly names: readonly string[] }>

/** What is done to one machine. */
async function act(hypervisor: Hypervisor, { action, within, from }: Acting, name: string): Promise<void> {
  switch (action) {
    case 'start': return from === undefined ? hypervisor.start(name) : hypervisor.start(name, resolve(from))
    case 'stop': return hypervisor.stop(name, within)
    case 'kill': return hypervisor.stop(name, 0)
    case 'pause': return hypervisor.pause(name)
    case 'resume': return hypervisor.resume(name)
    case 'reset': return hypervisor.reset(name)
    case 'rm': return hypervisor.remove(name)
  }
}

function namesOf(hypervisor: Hypervisor): Promise<readonly string[]> {
  return hypervisor.machines().then((all) => all.map(({ name }) => name), () => [])
}

/** An error; of a machine that is not known, with what was meant. */
function hinted(error: unknown, names: readonly string[]): unknown {
  if (!isMachinistError(error) || error.code !== 'machine-unknown' || error.value === undefined) return error
  const part = String(error.value)
  return machinistError({ code: error.code, part, remedy: `${didYouMean(part, names)}machinist ps lists them.` }, 'there is no such machine')
}

/** Does it to all of them, and says what failed. @returns the exit status */
export async function actOnAll(hypervisor: Hypervisor, command: Acting, failed: (text: string) => void): Promise<number> {
  const results = await Promise.allSettled(command.names.map((name) => act(hypervisor, command, name)))
  const failures = results.filter((result) => result.status === 'rejected')
  const known = failures.length === 0 ? [] : await namesOf(hypervisor)
  for (const { reason } of failures) failed(`machinist: ${failureText(hinted(reason, known))}`)
  return failures.length === 0 ? 0 : 1
}

async function change(hypervisor: Hypervisor, name: string, changes: Changes): Promise<void> {
  if (changes.resources === undefined) return hypervisor.set(name, changes)
  return hypervisor.set(name, { ...changes, resources: mergedResources(await hypervisor.table(), 'machine', name, changes.resources) })
}

function show<Row>(terminal: Terminal, columns: readonly Column<Row>[], rows: readonly Row[], none: string): void {
  if (rows.length === 0) say(none)
  else terminal.write(tableLines(columns, rows, terminal.width).map((line) => `${line}\n`).join(''))
}

async function showTable(hypervisor: Hypervisor, terminal: Terminal): Promise<void> {
  const sections = tableSections(await hypervisor.table())
  terminal.write(sections.map(({ title, rows }) => `${title}\n${tableLines(TABLE_COLUMNS, rows, terminal.width).map((line) => `  ${line}\n`).join('')}`).join('\n'))
}

async function events(hypervisor: Hypervisor, { name, follow, json: asJson }: Extract<FleetCommand, { action: 'events' }>, terminal: Terminal): Promise<void> {
  const tell = (event: Parameters<typeof eventText>[0]): void => { terminal.write(asJson ? `${JSON.stringify({ ...event, at: String(event.at) })}\n` : `${eventText(event)}\n`) }
  const stop = follow ? hypervisor.on((event) => { if (name === null || event.name === name) tell(event) }) : null
  for (const event of await hypervisor.events(name ?? undefined)) tell(event)
  if (stop === null) return
  const { came, free } = interruption()
  await came
  stop()
  free()
}

async function metrics(hypervisor: Hypervisor, listen: Extract<FleetCommand, { action: 'metrics' }>['listen'], terminal: Terminal): Promise<void> {
  if (listen === null) {
    terminal.write(await metricsText(hypervisor))
    return
  }
  const server = await serveMetrics(hypervisor, listen)
  const address = server.address()
  say(`Metrics are at http://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${typeof address === 'object' ? address?.port ?? listen.port : listen.port}/metrics. Ctrl-C ends this.`)
  const { came, free } = interruption()
  await came
  free()
  server.closeAllConnections()
  server.close()
}

async function up({ file, detach, choice }: Extract<FleetCommand, { action: 'up' }>): Promise<number> {
  const fleet = await loadFleet(file)
  if (!detach) {
    const reached = await attached(choice, say)
    try {
      return await runAttached(reached.hypervisor, fleet, upTerminal())
    } finally {
      await reached.close()
    }
  }
  const reached = await background(true, choice)
  try {
    const { known, started } = await raiseFleet(reached.hypervisor, fleet)
    say(`${started.length} machine${started.length === 1 ? '' : 's'} started${known.length === 0 ? '' : `; ${known.length} known already, which have the terms of the file now`}. machinist ps lists them, machinist down ${file} stops them.`)
    return 0
  } finally {
    await reached.close()
  }
}

/** Stops machines of a file and forgets them, with the pools in which nothing is left; or all, with the hypervisor. */
async function down({ hypervisor, end }: Reached, fleet: Fleet | null, within: number): Promise<number> {
  const reports = await hypervisor.machines()
  const own = fleet === null ? reports.map(({ name }) => ({ name, entry: name, machine: { file: '' } })) : fleet.machines.filter(({ name }) => reports.some((report) => report.name === name))
  let status = 0
  const failed = (name: string, error: unknown): void => {
    status = 1
    say(`machinist: ${name}: ${failureText(error)}`)
  }
  const running = own.filter(({ name }) => reports.some((report) => report.name === name && (report.state === 'running' || report.state === 'paused')))
  if (fleet === null) await Promise.all(running.map(({ name }) => hypervisor.stop(name, within).catch((error: unknown) => { failed(name, error) })))
  else await lower(hypervisor, running, within, failed)
  for (const { name } of own) await hypervisor.remove(name).catch((error: unknown) => { failed(name, error) })
  const pools = fleet?.pools ?? await hypervisor.pools()
  for (const { path } of [...pools].reverse()) await hypervisor.removePool(path).catch(() => undefined)
  if (fleet === null) await end()
  return status
}

async function ask(reached: Reached, command: Exclude<FleetCommand, { action: 'up' }>, terminal: Terminal): Promise<number> {
  const { hypervisor } = reached
  switch (command.action) {
    case 'down':
      return down(reached, command.file === null ? null : await loadFleet(command.file), command.within)
    case 'ps': {
      const machines = await hypervisor.machines()
      if (command.json) terminal.write(json(machines))
      else if (command.names) terminal.write(machines.map(({ name }) => `${name}\n`).join(''))
      else show(terminal, PS_COLUMNS, machines, 'There are no machines. machinist up -d FILE starts some.')
      return 0
    }
    case 'table':
      if (command.json) terminal.write(json(await hypervisor.table()))
      else await showTable(hypervisor, terminal)
      return 0
    case 'pool list': {
      const pools: readonly PoolSpec[] = await hypervisor.pools()
      if (command.json) terminal.write(json(pools))
      else show(terminal, POOL_COLUMNS, pools, 'There are no pools.')
      return 0
    }
    case 'top':
      await runTop(hypervisor, command.options, terminal)
      return 0
    case 'console':
      await runConsole(hypervisor, command.name)
      return 0
    case 'logs': {
      const { came, free } = interruption()
      await runLogs(hypervisor, command.name, command.follow, (bytes) => process.stdout.write(bytes), came).finally(free)
      return 0
    }
    case 'events':
      await events(hypervisor, command, terminal)
      return 0
    case 'set':
      await change(hypervisor, command.name, command.changes)
      return 0
    case 'fork':
      await hypervisor.fork(command.name, { name: command.copy, ...(command.pool !== null && { pool: command.pool }) })
      return 0
    case 'move':
      await hypervisor.move(command.name, command.processor)
      return 0
    case 'save':
      await hypervisor.save(command.name, resolve(command.file))
      return 0
    case 'pool add':
      await hypervisor.addPool({ path: command.path, resources: command.resources })
      return 0
    case 'pool set':
      await hypervisor.setPool(command.path, mergedResources(await hypervisor.table(), 'pool', command.path, command.resources))
      return 0
    case 'pool remove':
      await hypervisor.removePool(command.path)
      return 0
    case 'metrics':
      if (command.detach) await reached.metrics(command.listen)
      else await metrics(hypervisor, command.listen, terminal)
      return 0
    default:
      return actOnAll(hypervisor, command, say)
  }
}

/**
 * A command about machines of a hypervisor.
 *
 * @returns the exit status
 * @throws typed errors
 */
export async function runFleet(command: FleetCommand): Promise<number> {
  if (command.action === 'up') return up(command)
  const reached = await background(false)
  try {
    return await ask(reached, command, processTerminal())
  } catch (error) {
    throw hinted(error, await namesOf(reached.hypervisor))
  } finally {
    await reached.close()
  }
}
