import { timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, BlockList, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { maximumFrame, machinistError } from '@machinist/api'
import { nodeSockets } from '@machinist/host-node'
import { nat, type NatOptions } from '@machinist/network'
import { WebSocketServer } from 'ws'
import { serveStation } from './station.ts'

/** What is spoken, as WebSockets tell it (RFC 6455, 1.9): each binary message is a frame of Ethernet. */
export const PROTOCOL = 'machinist.ethernet.1'
/** A page tells its token as another protocol: it can set no header, and addresses are written into logs. */
const TOKEN = 'machinist.token.'
/** Pages at once, unless told otherwise. */
const CLIENTS = 32
/** What the network of one page may hold. */
const LIMITS = { connections: 128, conversations: 64, buffers: 8 << 20 } as const
/** Connections of those that are no pages yet, besides. */
const SPARE = 64
/** Milliseconds for a request to come, and how often it is looked; and for a refusal to go. */
const HASTE = { headersTimeout: 10_000, requestTimeout: 10_000, connectionsCheckingInterval: 5000, refusal: 5000 } as const
/** Least characters of a token. */
const LEAST_TOKEN = 16

/** Options of {@link serveRelay}. */
export interface RelayOptions {
  /** An address of this host; 127.0.0.1 unless given. Any other than loopback's needs a {@link RelayOptions.token}. */
  readonly host?: string
  /** 0 for one that is free. */
  readonly port: number
  /** Origins of pages that may connect, as `'https://example.org'`; unless given those of this host alone: `localhost`, `127.0.0.1` and `[::1]`, at any port. */
  readonly origins?: readonly string[]
  /** What a page must tell: 16 characters or more, letters, digits and `-._~`. */
  readonly token?: string
  /** Most pages at once; 32 unless given. */
  readonly clients?: number
  /** What each page's machine may reach, by `rules` and `service`; nothing unless given. The rest is as of `nat` of `@machinist/network`, with fewer connections. */
  readonly network?: Omit<NatOptions, 'forward' | 'shared' | 'machineAt' | 'warn'>
  /** Whom machines ask for names, as `ADDRESS` or `ADDRESS:PORT`; nobody unless given. */
  readonly resolvers?: readonly string[]
  /** Told of pages that come, are refused, and go. */
  readonly log?: (message: string) => void
}

/** A relay that runs. */
export interface Relay {
  readonly port: number
  /** Pages that are connected. */
  readonly clients: number
  /** Ends all connections. */
  close(): Promise<void>
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

function isLoopback(host: string): boolean {
  const version = isIP(host)
  return host === 'localhost' || (version !== 0 && loopback.check(host, version === 6 ? 'ipv6' : 'ipv4'))
}

function mayCome(origin: string | undefined, origins: readonly string[] | undefined): boolean {
  if (origin === undefined || !URL.canParse(origin)) return false
  const { protocol, hostname } = new URL(origin)
  if (origins !== undefined) return origins.some((each) => new URL(each).origin === new URL(origin).origin)
  return (protocol === 'http:' || protocol === 'https:') && ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
}

function isToken(told: string | undefined, token: string): boolean {
  const [one, other] = [Buffer.from(told ?? ''), Buffer.from(token)]
  return one.length === other.length && timingSafeEqual(one, other)
}

function check({ host = '127.0.0.1', origins = [], token }: RelayOptions): void {
  const refuse = (part: string, value: string, problem: string, remedy: string): never => { throw machinistError({ code: 'relay-option', part, value, remedy }, problem) }
  for (const origin of origins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) refuse('origin', origin, 'it is no origin of pages', 'Give one as https://example.org, with a port where it is not the usual one.')
  }
  if (token !== undefined && (token.length < LEAST_TOKEN || !/^[\w.~-]+$/.test(token))) refuse('token', `${token.length} characters`, 'it is no token', `Use ${LEAST_TOKEN} letters, digits and -._~ or more.`)
  if (token === undefined && !isLoopback(host)) refuse('host', host, 'everybody who reaches this address could use the relay', 'Give a token, or an address of loopback.')
}

/**
 * A relay for machines in pages, which have no sockets: a page connects by a WebSocket, and its machine is on a network of its own, whose NAT is in this process. Pages of other origins are refused, and machines reach
 * what they are told to, and nothing else.
 *
 * @throws typed errors `'relay-option'`, `'relay-listen'`, `'nat-option'`
 */
export async function serveRelay(options: RelayOptions): Promise<Relay> {
  const { host = '127.0.0.1', port, origins, token, clients: most = CLIENTS, network = {}, resolvers = [], log = () => undefined } = options
  check(options)
  const made = (): ReturnType<typeof nat> => nat(nodeSockets({ resolvers }), { otherwise: 'deny', ...LIMITS, ...network, warn: log })
  // Options that are wrong are told now.
  made().close()
  const sockets = new WebSocketServer({ noServer: true, maxPayload: maximumFrame, perMessageDeflate: false, handleProtocols: (offered) => offered.has(PROTOCOL) && PROTOCOL })
  const server = createServer(HASTE, (_, response) => { response.writeHead(426, { 'content-type': 'text/plain', 'upgrade': 'websocket' }).end('Machines in pages connect here, by WebSocket.\n') })
  // An upgraded connection is none of the server's any more, but keeps it from ending.
  const connections = new Set<Socket>()
  server.maxConnections = most + SPARE
  server.on('connection', (connection) => {
    connections.add(connection)
    connection.once('close', () => { connections.delete(connection) })
  })
  server.on('upgrade', (request: IncomingMessage, connection: Duplex, head: Buffer) => {
    const { origin } = request.headers
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim())
    const refuse = (status: string, why: string): void => {
      log(`A page of ${JSON.stringify(origin ?? 'no origin')} is refused: ${why}.`)
      // Whoever is refused need not end its half.
      const destroy = (): void => { connection.destroy() }
      const late = setTimeout(destroy, HASTE.refusal)
      connection.on('error', () => undefined).once('finish', destroy).once('close', () => { clearTimeout(late) })
      connection.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    }
    if (!mayCome(origin, origins)) refuse('403 Forbidden', 'it is of another origin')
    else if (!offered.includes(PROTOCOL)) refuse('400 Bad Request', 'it speaks another protocol')
    else if (token !== undefined && !isToken(offered.find((each) => each.startsWith(TOKEN))?.slice(TOKEN.length), token)) refuse('401 Unauthorized', 'it has not the token')
    else if (sockets.clients.size >= most) refuse('503 Service Unavailable', 'there are as many as may be')
    else {
      sockets.handleUpgrade(request, connection, head, (socket) => {
        serveStation(socket, made())
        log(`A page of ${JSON.stringify(origin)} is connected.`)
        socket.on('close', () => { log(`A page of ${JSON.stringify(origin)} is gone.`) })
      })
    }
  })
  await listen(server, host, port)
  return {
    port: (server.address() as AddressInfo).port,
    get clients() { return sockets.clients.size },
    async close() {
      for (const each of sockets.clients) each.terminate()
      const closed = [server, sockets].map((each) => new Promise<void>((resolve) => { each.close(() => { resolve() }) }))
      for (const each of connections) each.destroy()
      await Promise.all(closed)
    },
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(machinistError({ code: 'relay-listen', part: 'relay', value: `${host}:${port}`, remedy: 'Choose another port or address.' }, error.code === 'EADDRINUSE' ? 'the port is taken' : error.message))
    })
    server.listen(port, host, resolve)
  })
}
