import { dirname } from 'node:path'
import { machinistError } from '@machinist/api'
import type { Hypervisor, RemoteCall } from '@machinist/hypervisor'
import type { DaemonStatus, ShutDownOptions } from './connect.ts'
import { KeptHypervisor, type OwnedHypervisor } from './kept-hypervisor.ts'
import { checkSocketPath, type DaemonPaths, daemonPaths, privateFolder } from './paths.ts'
import { takeFolder } from './process-lock.ts'
import { serveAtSocket } from './socket-server.ts'
import { StateFolder } from './state-folder.ts'

/** Options of {@link runDaemon}. */
export interface DaemonOptions {
  /** Of the program. */
  readonly version: string
  /** Makes the hypervisor, when this process is the only one. */
  readonly make: () => OwnedHypervisor | Promise<OwnedHypervisor>
  /** Where it has its files; {@link daemonPaths} unless given. */
  readonly paths?: DaemonPaths
  /** What clients may call besides: `RemoteHypervisor.call`. */
  readonly calls?: (hypervisor: Hypervisor) => Readonly<Record<string, RemoteCall>>
}

/** A hypervisor that is served to the programs of its user. */
export interface Daemon {
  readonly paths: DaemonPaths
  /** The hypervisor, for programs that run it themselves. */
  readonly hypervisor: Hypervisor
  /** Ends it: machines are saved or switched off, clients sent away. Once; more callers wait for the same. */
  shutDown(options?: ShutDownOptions): Promise<void>
  /** Resolves when it has ended. */
  readonly closed: Promise<void>
}

function takeBoth(folders: readonly string[]): () => void {
  const given: (() => void)[] = []
  for (const folder of new Set(folders)) {
    const taken = takeFolder(folder)
    if (typeof taken === 'number') {
      for (const giveBack of given) giveBack()
      throw machinistError({ code: 'daemon-runs', part: 'hypervisor', value: taken, remedy: 'Use that one: machinist daemon status' }, 'one runs already, in the process')
    }
    given.push(taken)
  }
  return () => { for (const giveBack of given) giveBack() }
}

function readShutDown(input: unknown): ShutDownOptions {
  const { machines, within } = (input ?? {}) as Readonly<Record<string, unknown>>
  if ((machines !== undefined && machines !== 'save' && machines !== 'off') || (within !== undefined && !(typeof within === 'number' && within >= 0 && within < 2 ** 31))) {
    throw machinistError({ code: 'parameter', part: 'shutDown', remedy: "Give machines as 'save' or 'off', and within in milliseconds." }, 'no way to end a hypervisor')
  }
  return { ...(machines !== undefined && { machines }), ...(typeof within === 'number' && { within }) }
}

/**
 * Runs this user's hypervisor in this process: takes its folders, has again what it had, serves clients at its socket, and starts machines that are to be started. It goes on until it is told to
 * end; clients come and go.
 *
 * @throws typed errors: `'daemon-runs'` when another process is this user's hypervisor; `'daemon-path'`, `'daemon-folder'`, `'file-…'`; what `make` throws
 */
export async function runDaemon({ version, make, paths = daemonPaths(), calls = () => ({}) }: DaemonOptions): Promise<Daemon> {
  const { socket, state } = paths
  checkSocketPath(socket)
  for (const folder of [state, dirname(socket)]) privateFolder(folder)
  const giveBack = takeBoth([state, dirname(socket)])
  let own: OwnedHypervisor | null = null
  try {
    own = await make()
    const kept = await KeptHypervisor.open(own, new StateFolder(state))
    return await serve(kept, paths, version, giveBack, calls(kept))
  } catch (error) {
    own?.close()
    giveBack()
    throw error
  }
}

async function serve(hypervisor: KeptHypervisor, paths: DaemonPaths, version: string, giveBack: () => void, more: Readonly<Record<string, RemoteCall>>): Promise<Daemon> {
  const since = BigInt(Date.now()) * 1_000_000n
  let begun: Promise<void> = Promise.resolve()
  let over: Promise<void> | null = null
  let end: () => void = () => undefined
  const closed = new Promise<void>((resolve) => { end = resolve })
  const shutDown = (options: ShutDownOptions = {}): Promise<void> => {
    over ??= (async () => {
      try {
        await begun
        await hypervisor.shutDown(options)
      } finally {
        server.stop()
        // Another may begin from here on; who asked for the end is answered before the connection ends.
        giveBack()
        setImmediate(() => { void server.close().then(end) })
      }
    })()
    return over
  }
  const server = await serveAtSocket(hypervisor, paths.socket, {
    calls: {
      ...more,
      status: async () => ({ pid: process.pid, version, since, ...paths, clients: server.clients }) satisfies DaemonStatus,
      shutDown: async (options) => shutDown(readShutDown(options)),
    },
  })
  begun = hypervisor.begin()
  return { paths, hypervisor, closed, shutDown }
}
