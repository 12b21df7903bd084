import { connect } from 'node:net'
import { resolve } from 'node:path'
import { machinistError } from '@machinist/api'
import { connectHypervisor, type RemoteHypervisor } from '@machinist/hypervisor'
import { fileError, systemCode } from '../system/errors.ts'
import { checkSocketPath, daemonPaths } from './paths.ts'
import { socketDuplex } from './socket-duplex.ts'

/** How a hypervisor in the background ends. */
export interface ShutDownOptions {
  /**
   * What becomes of machines that run: `'save'` keeps each with its memory, and the next hypervisor goes on with it; `'off'` switches them off. `'save'` unless given.
   */
  readonly machines?: 'save' | 'off'
  /** With `'off'`: milliseconds that guests have to switch themselves off. 0 unless given. */
  readonly within?: number
}

/** What a hypervisor in the background says of itself. */
export interface DaemonStatus {
  readonly pid: number
  /** Of its program. */
  readonly version: string
  /** Nanoseconds since 1970 at which it began. */
  readonly since: bigint
  readonly socket: string
  /** The folder of what it remembers. */
  readonly state: string
  /** Clients that are connected, this one among them. */
  readonly clients: number
}

/** A connection with the hypervisor in the background. */
export interface DaemonClient extends RemoteHypervisor {
  status(): Promise<DaemonStatus>
  /** Ends the hypervisor; resolves when its machines are saved or off, and it takes no more clients. */
  shutDown(options?: ShutDownOptions): Promise<void>
}

/** Options of {@link connectDaemon}. */
export interface ConnectOptions {
  /** Path of the socket; that of this user's hypervisor ({@link daemonPaths}) unless given. */
  readonly socket?: string
}

/**
 * Connects with the hypervisor that runs in the background. What it is told of files (a machine's file, a snapshot, where to save) goes by this process's folder.
 *
 * @throws typed errors: `'daemon-off'` when there is none; `'version'` for one of another version; `'file-…'`
 */
export async function connectDaemon({ socket: path = daemonPaths().socket }: ConnectOptions = {}): Promise<DaemonClient> {
  const socket = connect(checkSocketPath(path))
  try {
    await new Promise<void>((done, failed) => {
      socket.once('connect', done)
      socket.once('error', failed)
    })
  } catch (error) {
    socket.destroy()
    if (['ENOENT', 'ECONNREFUSED', 'ENOTDIR'].includes(systemCode(error) ?? '')) {
      throw machinistError({ code: 'daemon-off', part: 'hypervisor', value: path, remedy: 'Start it with: machinist daemon start' }, 'none runs in the background')
    }
    throw fileError(error, 'socket', path)
  }
  const remote = connectHypervisor(socketDuplex(socket))
  const client: DaemonClient = Object.assign(remote, {
    async add(spec: Parameters<RemoteHypervisor['add']>[0]) {
      const { machine, snapshots } = spec
      // A definition has neither.
      const { file, snapshot } = machine as { readonly file?: string; readonly snapshot?: string }
      await remote.call('add', { ...spec, ...(snapshots !== undefined && { snapshots: resolve(snapshots) }), machine: typeof file === 'string' ? { file: resolve(file) } : typeof snapshot === 'string' ? { snapshot: resolve(snapshot) } : machine })
    },
    async start(name: string, snapshot?: string) { await remote.call('start', name, snapshot === undefined ? undefined : resolve(snapshot)) },
    async save(name: string, file: string) { await remote.call('save', name, resolve(file)) },
    // Both are calls of the daemon of the same version.
    status: () => remote.call('status') as Promise<DaemonStatus>,
    async shutDown(options: ShutDownOptions = {}) { await remote.call('shutDown', options) },
  })
  try {
    // A hypervisor of another version is told at once, not by the first call.
    await client.status()
  } catch (error) {
    client.close()
    throw error
  }
  return client
}
