import { lstatSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { type Backend, type Deliver, machinistError, type VsockPort, type VsockStream } from '@machinist/api'
import { fileError } from '../system/errors.ts'
import { SocketStream } from './socket-stream.ts'

/** Most programs of the host that are connected or about to be. */
const mostClients = 256
/** Longest `CONNECT` line. */
const longestLine = 32
/** How long a program has for its line, in milliseconds. */
const patience = 10_000
const LINE_FEED = 0x0a

type Accept = (port: number, stream: VsockStream, answered: (hostPort: number | null) => void) => void

/** Options of {@link unixSockets}. */
export interface UnixSocketsOptions {
  /** How errors name the path; itself unless given. */
  readonly name?: string
}

/**
 * The host's side of a socket device by Unix sockets, as other virtual machine monitors have it. What the guest sends to
 * port P of the host (CID 2) goes to the socket `PATH_P`, on which a program of the host listens. At `PATH` the machine
 * listens: a program connects there, writes `CONNECT P` and a line feed, and after the answer `OK H`, H being the host's
 * port, is connected with what listens on port P in the guest. A refused connection is closed.
 *
 * Snapshots have nothing of it: connections are over where a machine goes on, and the guest is told. A copy of the machine reaches the same ports of the
 * host, with new connections; `PATH` stays with the machine.
 *
 * @throws a typed error `'vsock-path'` for a path that is in use or too long for a socket, `'file-…'`
 */
export function unixSockets(path: string, options: UnixSocketsOptions = {}): Backend<VsockPort> {
  const part = options.name ?? path
  // sockaddr_un holds 108 bytes, and the guest's ports have up to ten digits.
  if (Buffer.byteLength(path) > 96 || path === '') {
    throw machinistError({ code: 'vsock-path', part, value: path, remedy: 'Use a path of 1 to 96 bytes.' }, 'no path for a socket')
  }
  try {
    lstatSync(path)
    throw machinistError({ code: 'vsock-path', part, value: path, remedy: 'Remove it, or name another path.' }, 'something is there already')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw fileError(error, part, path)
  }
  return socketsAt(path, true)
}

function socketsAt(path: string, listens: boolean): Backend<VsockPort> {
  const sockets = new Set<Socket>()
  let server: Server | null = null
  let listen = (): void => {}
  const track = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.on('close', () => { sockets.delete(socket) })
    return socket
  }
  let closed = false
  /** The path is free for others: what is there afterwards is not ours. */
  const leave = (): void => {
    if (server === null) return
    server.close()
    server = null
    rmSync(path, { force: true })
  }
  return {
    kind: 'vsock',
    connect(deliver): VsockPort {
      return {
        connect(port, done) {
          const socket = track(createConnection({ path: `${path}_${port}`, allowHalfOpen: true }))
          const refused = (): void => { deliver(() => { done(null) }) }
          socket.once('error', refused)
          socket.once('connect', () => {
            socket.off('error', refused)
            const stream = new SocketStream(socket, deliver)
            deliver(() => { done(stream) })
          })
        },
        listen(accept) {
          if (!listens) return
          listen = () => {
            server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => { greet(track(socket), deliver, accept) })
            server.maxConnections = mostClients
            server.on('error', () => undefined)
            server.listen(path)
            // The machine keeps the process alive, if anything does.
            server.unref()
          }
          listen()
        },
      }
    },
    fork: () => socketsAt(path, false),
    park() {
      leave()
      return () => { if (!closed) listen() }
    },
    close() {
      closed = true
      leave()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Reads which port of the guest a program wants, and asks the guest. */
function greet(socket: Socket, deliver: Deliver, accept: Accept): void {
  let line: Uint8Array = new Uint8Array(0)
  const refuse = (): void => { socket.destroy() }
  const onData = (chunk: Buffer): void => {
    line = Buffer.concat([line, chunk])
    const end = line.indexOf(LINE_FEED)
    if (end < 0 && line.length < longestLine) return
    socket.off('data', onData)
    socket.off('end', refuse)
    socket.setTimeout(0)
    socket.pause()
    const port = Number(/^CONNECT (\d{1,10})\r?$/.exec(Buffer.from(line.subarray(0, Math.max(end, 0))).toString('latin1'))?.[1] ?? NaN)
    if (!(port < 2 ** 32)) return refuse()
    const stream = new SocketStream(socket, deliver, line.slice(end + 1))
    deliver(() => {
      accept(port, stream, (hostPort) => {
        if (hostPort === null) stream.destroy()
        else socket.write(`OK ${hostPort}\n`)
      })
    })
  }
  socket.setTimeout(patience, refuse)
  socket.on('error', () => undefined)
  socket.on('data', onData)
  socket.on('end', refuse)
  socket.resume()
}
