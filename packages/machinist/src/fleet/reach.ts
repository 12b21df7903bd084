import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { isMachinistError, machinistError } from '@machinist/api'
import { connectDaemon, daemonPaths, serveAtSocket, type SocketServer, startDaemon } from '@machinist/host-node'
import type { Hypervisor } from '@machinist/hypervisor'
import { type OwnChoice, ownHypervisor } from '../daemon/own-hypervisor.ts'
import { daemonProgram } from '../own-program.ts'
import { version } from '../version.ts'
import { metricsCall } from './metrics.ts'

/** A hypervisor that commands work with. */
export interface Reached {
  readonly hypervisor: Hypervisor
  /** Has the hypervisor itself answer Prometheus at an address, or, for null, not any more. @throws a typed error `'metrics-listen'` */
  metrics(listen: { readonly host: string; readonly port: number } | null): Promise<void>
  /** Ends the connection, or a hypervisor of this process. */
  close(): Promise<void>
  /** Ends the hypervisor; its machines are off. */
  end(): Promise<void>
}

/** Commands in other terminals reach a hypervisor of this process as they would reach one in the background, where there is none. */
async function reachable(hypervisor: Hypervisor): Promise<SocketServer | null> {
  const { socket, state } = daemonPaths()
  const since = BigInt(Date.now()) * 1_000_000n
  mkdirSync(dirname(socket), { recursive: true, mode: 0o700 })
  try {
    const server: SocketServer = await serveAtSocket(hypervisor, socket, {
      calls: {
        metrics: metricsCall(hypervisor).call,
        status: () => Promise.resolve({ pid: process.pid, version: version(), since, socket, state, clients: server.clients, attached: true }),
        // It ends when its machines are off.
        async shutDown() { for (const { name } of await hypervisor.machines()) await hypervisor.stop(name, 0) },
      },
    })
    return server
  } catch (error) {
    if (isMachinistError(error) && error.code === 'file-eaddrinuse') return null
    throw error
  }
}

/** A hypervisor in this process. @param note - told that other commands do not reach it */
export async function attached(choice: OwnChoice, note: (text: string) => void): Promise<Reached> {
  const hypervisor = ownHypervisor(choice)
  const end = async (server: SocketServer | null): Promise<void> => {
    await server?.close()
    hypervisor.close()
  }
  try {
    const server = await reachable(hypervisor)
    if (server === null) note('There is a hypervisor in the background, too: that one, not these machines, is what other commands reach.')
    const close = (): Promise<void> => end(server)
    return { hypervisor, close, end: close, metrics: metricsCall(hypervisor).serve }
  } catch (error) {
    await end(null)
    throw error
  }
}

/**
 * The hypervisor in the background, or that of a terminal where there is none.
 *
 * @param begin - starts one in the background, which goes on when this process ends
 * @throws typed errors: `'daemon-off'`, `'daemon-attached'`
 */
export async function background(begin: boolean, choice: OwnChoice = {}): Promise<Reached> {
  const client = await (begin ? startDaemon({ command: daemonProgram(choice) }) : connectDaemon())
  const close = (): Promise<void> => {
    client.close()
    return Promise.resolve()
  }
  if (begin) {
    const status = await client.status()
    if ('attached' in status) {
      client.close()
      throw machinistError({ code: 'daemon-attached', part: 'hypervisor', value: status.pid, remedy: 'End that one first, or give another MACHINIST_SOCKET.' }, 'machinist up runs at a terminal, and its machines end with it; it is the process')
    }
  }
  return { hypervisor: client, close, metrics: async (listen) => { await client.call('metrics', listen) }, end: () => client.shutDown({ machines: 'off' }) }
}
