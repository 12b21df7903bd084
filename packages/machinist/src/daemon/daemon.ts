import { isMachinistError } from '@machinist/api'
import { connectDaemon, type DaemonClient, OTHER_RUNS, runDaemon, startDaemon } from '@machinist/host-node'
import type { RemoteCall } from '@machinist/hypervisor'
import { plainText } from '../disk/text.ts'
import { daemonProgram } from '../own-program.ts'
import type { DaemonChoice, DaemonCommand } from './arguments.ts'
import { ownHypervisor } from './own-hypervisor.ts'

/** The status that says that there is none, as service managers have it. */
const NOT_RUNNING = 3
/** Milliseconds after which what does not end by itself is ended. */
const PATIENCE = 5000

/** What was found is told before a hypervisor takes clients, in nanoseconds. */
const FOUND_BEFORE = 60_000_000_000n

async function status(client: DaemonClient, json: boolean): Promise<void> {
  const [{ since, ...about }, machines, events] = await Promise.all([client.status(), client.machines(), client.events()])
  const began = new Date(Number(since / 1_000_000n))
  const found = events.filter(({ kind, at }) => kind === 'found' && at >= since - FOUND_BEFORE)
  const running = machines.filter(({ state }) => state === 'running' || state === 'paused').length
  if (json) {
    process.stdout.write(`${JSON.stringify({ ...about, since: began.toISOString(), machines: machines.length, running, found: found.map(({ name, text }) => ({ name, text })) }, null, 2)}\n`)
    return
  }
  const lines = [
    `process ${about.pid}, version ${about.version}, since ${began.toLocaleString()}`, `${machines.length} machines, ${running} of them running; ${about.clients} clients`,
    `socket ${about.socket}`, `state ${about.state}`, ...found.map(({ name, text }) => `found: ${name === '' ? '' : `${plainText(name)}: `}${plainText(text)}`),
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

async function run(version: string, choice: DaemonChoice): Promise<number> {
  let daemon
  try {
    daemon = await runDaemon({
      version, make: () => ownHypervisor(choice),
      // Loaded when somebody wants it.
      calls: (hypervisor) => {
        let metrics: RemoteCall | null = null
        return { metrics: async (listen) => (metrics ??= (await import('../fleet/metrics.ts')).metricsCall(hypervisor).call)(listen) }
      },
    })
  } catch (error) {
    if (!isMachinistError(error) || error.code !== 'daemon-runs') throw error
    process.stderr.write(`machinist: ${error.message}\n`)
    return OTHER_RUNS
  }
  const end = (): void => { daemon.shutDown({ machines: choice.atEnd ?? 'save' }).catch((error: unknown) => { process.stderr.write(`machinist: ${error instanceof Error ? error.message : String(error)}\n`) }) }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, end)
  await daemon.closed
  setTimeout(() => { process.exit(0) }, PATIENCE).unref()
  return 0
}

/**
 * The command `machinist daemon`.
 *
 * @param version - of this program
 * @returns the exit status
 * @throws typed errors
 */
export async function runDaemonCommand(command: DaemonCommand, version: string): Promise<number> {
  switch (command.action) {
    case 'run':
      return run(version, command.choice)
    case 'start': {
      const client = await startDaemon({ command: daemonProgram(command.choice) })
      await status(client, false)
      client.close()
      return 0
    }
    case 'status':
    case 'stop': {
      let client: DaemonClient
      try {
        client = await connectDaemon()
      } catch (error) {
        if (!isMachinistError(error) || error.code !== 'daemon-off') throw error
        process.stderr.write(`machinist: ${error.message}\n`)
        return NOT_RUNNING
      }
      if (command.action === 'status') await status(client, command.json)
      else await client.shutDown(command.how)
      client.close()
      return 0
    }
  }
}
