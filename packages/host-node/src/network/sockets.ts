import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { getServers } from 'node:dns'
import { connect, createServer, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import {
  type Address, addressText, type DatagramEvents, type HostDatagrams, type HostSockets, type HostStream, parseAddress, type SocketError, type StreamEvents,
} from '@machinist/network'
import { systemCode } from '../system/errors.ts'
import { Pings } from './ping.ts'
import { resolver } from './resolver.ts'

/** A peer that says nothing is asked whether it is there after this long. */
const KEEP_ALIVE_MS = 120_000
/** For how long a connection may be coming about. */
const CONNECT_MS = 60_000
/** Connections that a port of the host holds before they are taken. */
const BACKLOG = 128
/** Bytes of datagrams that may wait in one socket. */
const DATAGRAMS_WAITING = 1 << 20
/** For how long the list of the host's addresses is believed. */
const ADDRESSES_MS = 1000

const meaning: Readonly<Record<string, SocketError>> = {
  ECONNREFUSED: 'refused', ECONNRESET: 'reset', EPIPE: 'reset', ETIMEDOUT: 'timeout', EHOSTUNREACH: 'unreachable', ENETUNREACH: 'unreachable',
  EADDRNOTAVAIL: 'unreachable', EAFNOSUPPORT: 'unreachable', ENETDOWN: 'unreachable', EHOSTDOWN: 'unreachable', EACCES: 'denied', EPERM: 'denied', EADDRINUSE: 'in-use',
}

function socketError(error: unknown): SocketError {
  return meaning[systemCode(error) ?? ''] ?? 'failed'
}

/** A socket of Node as a stream for a NAT. */
function stream(socket: Socket, events: () => StreamEvents | null): HostStream {
  let credit = 0
  let reported: SocketError | null = null
  let ended = false
  let dead = false
  socket.setNoDelay(true)
  socket.pause()
  socket.on('data', (bytes: Buffer) => {
    credit -= bytes.length
    if (credit <= 0) socket.pause()
    events()?.data(bytes)
  })
  socket.on('end', () => { events()?.end() })
  socket.on('error', (error) => { reported = socketError(error) })
  socket.on('close', () => {
    const finished = socket.readableEnded && ended
    if (!dead) events()?.closed(reported ?? (finished ? null : 'reset'))
    dead = true
  })
  return {
    write(bytes) {
      if (dead || !socket.writable) return
      socket.write(bytes, (error) => {
        if (!error && !dead) events()?.sent(bytes.length)
      })
    },
    grant(count) {
      const waiting = credit <= 0
      credit += count
      if (waiting && credit > 0 && !dead) socket.resume()
    },
    end() {
      ended = true
      socket.end()
    },
    abort() {
      dead = true
      // Before it is established there is nothing to reset, and a handle that waits to be shut down cannot be: Node.js would never close it.
      if (socket.connecting || (socket.writableEnded && !socket.writableFinished)) socket.destroy()
      else socket.resetAndDestroy()
    },
  }
}

function datagrams(
  events: DatagramEvents, family: 4 | 6, begin: (socket: ReturnType<typeof createSocket>, ready: () => void) => void, connected: boolean,
  failed: (error: SocketError) => void = (error) => { events.error(error) },
): HostDatagrams {
  const socket = createSocket({ type: family === 4 ? 'udp4' : 'udp6', ...(family === 6 && { ipv6Only: true }) })
  let ready = false
  let closed = false
  let early: (() => void)[] = []
  let waiting = 0
  const fail = (error: Error): void => {
    if (closed) return
    if (ready) events.error(socketError(error))
    else failed(socketError(error))
  }
  socket.on('error', fail)
  socket.on('message', (bytes, from) => {
    const address = parseAddress(from.address.replace(/%.*$/, ''))
    if (!closed && address !== null) events.message(bytes, { address, port: from.port })
  })
  begin(socket, () => {
    ready = true
    for (const send of early.splice(0)) send()
  })
  return {
    send(bytes, to) {
      if (closed || waiting + bytes.length > DATAGRAMS_WAITING || early.length > 64) return
      const done = (error: Error | null): void => {
        waiting -= bytes.length
        if (error !== null) fail(error)
      }
      waiting += bytes.length
      const send = (): void => {
        if (connected) socket.send(bytes, done)
        else if (to !== undefined) socket.send(bytes, to.port, addressText(to.address), done)
      }
      if (ready) send()
      else early.push(send)
    },
    close() {
      if (closed) return
      closed = true
      early = []
      socket.close()
    },
  }
}

/** Options of {@link nodeSockets}. */
export interface NodeSocketsOptions {
  /** Where names are asked for, as `ADDRESS` or `ADDRESS:PORT`; the system's resolvers unless given. */
  readonly resolvers?: readonly string[]
}

/**
 * Sockets of this process for a NAT: `node:net`, `node:dgram`, and DNS messages to the system's resolvers. Echo requests need Linux,
 * the package koffi, and a user to whom the system gives such sockets (net.ipv4.ping_group_range, or root).
 */
export function nodeSockets(options: NodeSocketsOptions = {}): HostSockets {
  const open = new Set<{ close(): void }>()
  const pings = new Pings()
  const names = resolver(() => options.resolvers ?? getServers())
  let own: { readonly at: number; readonly addresses: readonly Address[] } = { at: -Infinity, addresses: [] }
  const keep = <T extends { close(): void }>(socket: T): T => {
    open.add(socket)
    const { close } = socket
    socket.close = () => {
      open.delete(socket)
      close.call(socket)
    }
    return socket
  }
  const track = (socket: Socket): void => {
    const handle = { close: () => { socket.destroy() } }
    open.add(handle)
    socket.on('close', () => { open.delete(handle) })
  }
  return {
    connect(to, events) {
      const socket = connect({ host: addressText(to.address), port: to.port, allowHalfOpen: true })
      track(socket)
      const result = stream(socket, () => events)
      socket.setTimeout(CONNECT_MS, () => { socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })) })
      socket.on('connect', () => {
        socket.setTimeout(0)
        socket.setKeepAlive(true, KEEP_ALIVE_MS)
        events.open()
      })
      return result
    },
    listen(at, accept, failed) {
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
        track(socket)
        let events: StreamEvents | null = null
        const inner = stream(socket, () => events)
        const address = parseAddress(socket.remoteAddress ?? '')
        events = address === null ? null : accept({ address, port: socket.remotePort ?? 0 }, inner)
        if (events === null) inner.abort()
      })
      // Later ones are of a connection that was not to be (EMFILE): the next may be.
      server.on('error', (error) => { if (!server.listening) failed(socketError(error)) })
      server.listen({ host: addressText(at.address), port: at.port, backlog: BACKLOG, exclusive: true, ipv6Only: true })
      return keep({
        get port() {
          const address = server.address()
          return typeof address === 'object' && address !== null ? address.port : at.port
        },
        close() { server.close() },
      })
    },
    datagrams: (to, events) => keep(datagrams(events, to.address.length === 4 ? 4 : 6, (socket, ready) => { socket.connect(to.port, addressText(to.address), ready) }, true)),
    bind: (at, events, failed) => keep(datagrams(events, at.address.length === 4 ? 4 : 6, (socket, ready) => {
      socket.bind({ address: addressText(at.address), port: at.port, exclusive: true }, ready)
    }, false, failed)),
    resolve: (query, done) => { names.ask(query, done) },
    ping: (to, payload, done) => pings.ask(to, payload, done),
    addresses() {
      const now = performance.now()
      if (now - own.at > ADDRESSES_MS) {
        const list = Object.values(networkInterfaces()).flatMap((all) => all ?? []).flatMap(({ address }) => parseAddress(address.replace(/%.*$/, '')) ?? [])
        own = { at: now, addresses: list }
      }
      return own.addresses
    },
    after(ms, callback) {
      const handle = setTimeout(callback, ms)
      return () => { clearTimeout(handle) }
    },
    random: () => randomBytes(4).readUInt32LE(),
    fork: () => nodeSockets(options),
    close() {
      names.close()
      pings.close()
      for (const each of [...open]) each.close()
    },
  }
}
