import { chmodSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { machinistError } from '@machinist/api'
import { type GdbSession, gdbSession } from '@machinist/gdb'
import { type Machine, Seeker } from '@machinist/machine'

/** The mode of a socket that its owner alone may connect to. */
const OWNER_ONLY = 0o600

/** Where a debugger finds a machine. */
export type GdbAddress = { readonly host: string; readonly port: number } | { readonly path: string }

/** An open door for debuggers. */
export interface GdbListener {
  /** Where it is; with the port that was taken when 0 was asked for. */
  readonly address: GdbAddress
  /** Ends the session, if there is one, and listens no more. */
  close(): void
}

/** One debugger at a time; while it does not take what it is sent, nothing more is read from it. */
function serve(target: Machine | Seeker, socket: Socket, ended: () => void): void {
  let session: GdbSession | null = null
  const over = (): void => {
    session?.end()
    session = null
    ended()
  }
  socket.setNoDelay(true)
  session = gdbSession(target, {
    send(bytes) {
      if (!socket.writable || socket.write(bytes)) return
      socket.pause()
    },
    close() { socket.end() },
  })
  socket.on('drain', () => { socket.resume() })
  socket.on('data', (bytes) => { session?.receive(bytes) })
  socket.on('close', over)
  // A connection that breaks is closed next.
  socket.on('error', () => {})
}

/** Told when a debugger connects, and when it has gone. */
export interface GdbListenOptions {
  readonly onSession?: (open: boolean) => void
}

/**
 * Lets debuggers connect to a machine, or to a recording: `target remote` in GDB. One at a time; others are turned away. Nobody is asked who he is, and whoever
 * connects rules the machine: listen on this host alone, or at a path that only you can reach.
 *
 * @throws a typed error `'gdb-address'` when nobody can listen there
 */
export function listenForGdb(target: Machine | Seeker, address: GdbAddress, { onSession }: GdbListenOptions = {}): Promise<GdbListener> {
  let taken: Socket | null = null
  const server: Server = createServer((socket) => {
    if (taken !== null || (target instanceof Seeker ? target.machine : target).state === 'disposed') {
      socket.destroy()
      return
    }
    taken = socket
    try {
      serve(target, socket, () => {
        taken = null
        onSession?.(false)
      })
      onSession?.(true)
    } catch {
      // Harts without `debug`: nothing to talk about.
      taken = null
      socket.destroy()
    }
  })
  return new Promise((resolved, rejected) => {
    const text = 'path' in address ? address.path : `${address.host}:${address.port}`
    server.once('error', (error) => {
      rejected(machinistError({ code: 'gdb-address', part: 'gdb', value: text, remedy: 'Use another port or path.' }, `debuggers cannot connect there: ${error.message}`))
    })
    const listening = (): void => {
      if ('path' in address) chmodSync(address.path, OWNER_ONLY)
      const at = server.address()
      resolved({
        address: typeof at === 'object' && at !== null ? { host: at.address, port: at.port } : address,
        close() {
          server.close()
          // What was sent last still arrives.
          taken?.end().unref()
        },
      })
    }
    if ('path' in address) server.listen(address.path, listening)
    else server.listen(address.port, address.host, listening)
  })
}
