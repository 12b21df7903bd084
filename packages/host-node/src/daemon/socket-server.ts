import { chmodSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { isMainThread } from 'node:worker_threads'
import { type Hypervisor, type ServedClient, serveHypervisor, type ServeOptions } from '@machinist/hypervisor'
import { fileError, systemCode } from '../system/errors.ts'
import { checkSocketPath } from './paths.ts'
import { socketDuplex } from './socket-duplex.ts'

/** Clients at once. */
const MOST_CLIENTS = 256
/** Milliseconds that a client has to say that it is one. */
const PATIENCE = 10_000
const OWNER_ONLY = 0o600
/** What others may not do, nor anybody execute. */
const OTHERS = 0o177

/** A hypervisor that is reached at a Unix socket. */
export interface SocketServer {
  /** Clients that are connected. */
  readonly clients: number
  /** Takes no more clients, and removes the socket. */
  stop(): void
  /** The same, and sends those away that there are. */
  close(): Promise<void>
}

function listen(server: Server, path: string): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => {
      if (systemCode(error) === 'EADDRINUSE') resolve('in use')
      else reject(error)
    }
    server.once('error', failed)
    // It is there when this returns, and its user's alone from the first moment on. Threads besides the first cannot see to that.
    const before = isMainThread ? process.umask(OTHERS) : null
    server.listen(path, () => {
      server.off('error', failed)
      resolve(null)
    })
    if (before !== null) process.umask(before)
  })
}

/** Whether somebody answers at a socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const end = (is: boolean): void => {
      socket.destroy()
      resolve(is)
    }
    socket.once('connect', () => { end(true) })
    socket.once('error', () => { end(false) })
  })
}

/**
 * Serves a hypervisor at a Unix socket, which its user alone may reach. A socket that somebody left behind is replaced.
 *
 * @param options - as for `serveHypervisor`
 * @throws typed errors: `'daemon-path'` for a path that is too long; `'file-eaddrinuse'` when somebody else answers there; `'file-…'`
 */
export async function serveAtSocket(hypervisor: Hypervisor, path: string, options: ServeOptions = {}): Promise<SocketServer> {
  const clients = new Map<Socket, ServedClient>()
  checkSocketPath(path)
  const server = createServer((socket) => {
    const client = serveHypervisor(hypervisor, socketDuplex(socket), options)
    clients.set(socket, client)
    const late = setTimeout(() => { client.close() }, PATIENCE)
    void client.greeted.then(() => { clearTimeout(late) })
    void client.closed.then(() => {
      clearTimeout(late)
      clients.delete(socket)
    })
  })
  server.maxConnections = MOST_CLIENTS
  try {
    if (await listen(server, path) !== null) {
      if (await answers(path)) throw Object.assign(new Error('in use'), { code: 'EADDRINUSE' })
      rmSync(path, { force: true })
      if (await listen(server, path) !== null) throw Object.assign(new Error('in use'), { code: 'EADDRINUSE' })
    }
    chmodSync(path, OWNER_ONLY)
  } catch (error) {
    server.close()
    throw fileError(error, 'socket', path)
  }
  let stopped: Promise<void> | null = null
  const stop = (): Promise<void> => {
    if (stopped === null) {
      stopped = new Promise((resolve) => { server.close(() => { resolve() }) })
      rmSync(path, { force: true })
    }
    return stopped
  }
  return {
    get clients() {
      return clients.size
    },
    stop: () => { void stop() },
    async close() {
      const over = stop()
      for (const client of [...clients.values()]) client.close()
      await over
    },
  }
}
