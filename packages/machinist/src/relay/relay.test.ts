import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import { parseRelay } from './arguments.ts'
import { PROTOCOL, type Relay, type RelayOptions, serveRelay } from './relay.ts'

const open: (() => unknown)[] = []
afterEach(async () => { for (const close of open.splice(0)) await close() })

async function relayWith(options: Partial<RelayOptions> = {}): Promise<Relay> {
  const relay = await serveRelay({ port: 0, ...options })
  open.push(() => relay.close())
  return relay
}

interface Came {
  /** What the server said to the request: 101 is a WebSocket. */
  readonly status: number
  readonly socket: WebSocket
}

function come({ port }: Relay, origin: string | undefined = 'http://localhost:8080', protocols: readonly string[] = [PROTOCOL]): Promise<Came> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, [...protocols], { ...(origin !== '' && { origin }) })
  open.push(() => { socket.terminate() })
  return new Promise((resolve, reject) => {
    socket.on('error', () => undefined)
    socket.on('open', () => { resolve({ status: 101, socket }) })
    socket.on('unexpected-response', (_, response) => { resolve({ status: response.statusCode ?? 0, socket }) })
    socket.on('close', reject)
  })
}

describe('who may come', () => {
  it.each([
    ['http://localhost:8080', 101], ['https://127.0.0.1', 101], ['http://[::1]:5173', 101],
    ['http://example.org', 403], ['http://localhost.example.org', 403], ['http://127.0.0.1.example.org', 403], ['http://localhost@example.org', 403], ['null', 403], ['file://', 403], ['chrome-extension://localhost', 403], ['', 403],
  ])('a page of %j is answered with %i', async (origin, status) => {
    expect((await come(await relayWith(), origin)).status).toBe(status)
  })

  it('those of origins that are named, and no others', async () => {
    const relay = await relayWith({ origins: ['https://example.org', 'http://example.org:8080'] })
    for (const [origin, status] of [['https://example.org', 101], ['http://example.org:8080', 101], ['http://example.org', 403], ['https://example.org:444', 403], ['http://localhost', 403]] as const) expect((await come(relay, origin)).status, origin).toBe(status)
  })

  it('those that tell the token, where there is one', async () => {
    const token = 'a-token-of-some-length'
    const relay = await relayWith({ token })
    for (const [told, status] of [[[], 401], [[`machinist.token.${token}`], 101], [[`machinist.token.${token}x`], 401], [['machinist.token.a-token-of-some-lengtH'], 401]] as const) expect((await come(relay, undefined, [PROTOCOL, ...told])).status).toBe(status)
  })

  it('so many at once, and only those that speak it', async () => {
    const relay = await relayWith({ clients: 2 })
    expect((await come(relay, undefined, ['other'])).status).toBe(400)
    const [first] = await Promise.all([come(relay), come(relay)])
    expect((await come(relay)).status).toBe(503)
    first.socket.close()
    await expect.poll(() => relay.clients).toBe(1)
    expect((await come(relay)).status).toBe(101)
  })

  it.each<[string, Partial<RelayOptions>, string]>([
    ['an address that others reach, without a token', { host: '0.0.0.0' }, 'relay-option'], ['a short token', { token: 'short' }, 'relay-option'], ['an origin with a path', { origins: ['https://example.org/'] }, 'relay-option'],
    ['a rule that is none', { network: { rules: ['permit all'] } }, 'nat-option'],
  ])('%s is refused', async (_, options, code) => {
    await expect(relayWith(options)).rejects.toMatchObject({ code })
  })
})

/** One that does not end its half of a connection. @returns once it was answered */
async function halfOpen({ port }: Relay, origin: string): Promise<{ readonly socket: Socket; readonly said: string }> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => undefined)
  open.push(() => { socket.destroy() })
  socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: ${origin}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ${PROTOCOL}\r\n\r\n`)
  const [data] = await once(socket, 'data') as [Buffer]
  return { socket, said: data.toString('latin1') }
}

describe('the end', () => {
  it('comes to one that is refused, whether it ends its half or not', async () => {
    const { socket, said } = await halfOpen(await relayWith(), 'http://example.org')
    expect(said).toContain('403')
    await once(socket, 'end')
    const closed = new Promise((resolve) => { socket.on('close', resolve) })
    const writing = setInterval(() => { socket.write('x') }, 5)
    await closed
    clearInterval(writing)
  })

  it('comes to all with the relay: to pages, to those that were refused, and to those that say nothing', async () => {
    const relay = await relayWith()
    const page = await halfOpen(relay, 'http://localhost')
    expect(page.said).toContain('101')
    await halfOpen(relay, 'http://example.org')
    const silent = connect({ port: relay.port, host: '127.0.0.1', allowHalfOpen: true })
    open.push(() => { silent.destroy() })
    silent.on('error', () => undefined)
    await once(silent, 'connect')
    await relay.close()
    expect(relay.clients).toBe(0)
  })
})

it('tells a page that it is there, and lets go of one that does not answer', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  open.push(() => vi.useRealTimers())
  const relay = await relayWith()
  const { socket } = await come(relay)
  for (let beat = 0; beat < 4; beat++) {
    const told = once(socket, 'message')
    vi.advanceTimersByTime(15_000)
    expect((await told)[0]).toHaveLength(0)
    await new Promise((resolve) => { setTimeout(resolve, 20) })
  }
  expect(relay.clients).toBe(1)
  // It stops reading, as one does that has vanished.
  socket.pause()
  await new Promise((resolve) => { setTimeout(resolve, 20) })
  vi.advanceTimersByTime(45_000)
  await expect.poll(() => relay.clients).toBe(0)
})

/** A guest's frames: it asks the gateway for its address, and opens a connection. */
const GUEST = [0x02, 0, 0, 0, 0, 1]
const IP = [10, 0, 2, 15]
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

function arp(target: readonly number[]): Uint8Array {
  return Uint8Array.from([255, 255, 255, 255, 255, 255, ...GUEST, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...GUEST, ...IP, 0, 0, 0, 0, 0, 0, ...target])
}

function sum(bytes: readonly number[]): readonly [number, number] {
  let total = 0
  for (let at = 0; at < bytes.length; at += 2) total += ((bytes[at] ?? 0) << 8) + (bytes[at + 1] ?? 0)
  while (total > 0xffff) total = (total & 0xffff) + (total >> 16)
  return [(~total >> 8) & 255, ~total & 255]
}

function syn(gateway: readonly number[], to: readonly number[], port: number): Uint8Array {
  const tcp = [0x30, 0x39, port >> 8, port & 255, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff]
  const check = sum([...IP, ...to, 0, 6, 0, 20, ...tcp, 0, 0, 0, 0])
  const ip = [0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6]
  return Uint8Array.from([...gateway, ...GUEST, 8, 0, ...ip, ...sum([...ip, 0, 0, ...IP, ...to]), ...IP, ...to, ...tcp, ...check, 0, 0])
}

/** What TCP says to a connection that a guest opens: flags of the answer, null for none. */
async function knock(socket: WebSocket, to: readonly number[], port: number): Promise<string> {
  const seen: Buffer[] = []
  socket.on('message', (data: Buffer) => { seen.push(data) })
  socket.send(arp([10, 0, 2, 2]))
  await expect.poll(() => seen.find((frame) => frame.readUInt16BE(12) === 0x0806)).toBeDefined()
  const gateway = [...seen.find((frame) => frame.readUInt16BE(12) === 0x0806)?.subarray(22, 28) ?? []]
  socket.send(syn(gateway, to, port))
  const answers = (frame: Buffer): boolean => frame.readUInt16BE(12) === 0x0800 && [...frame.subarray(26, 30)].join('.') !== '0.0.0.0' && (frame[23] === 6 || frame[23] === 1)
  await expect.poll(() => seen.some(answers)).toBe(true)
  const answer = seen.find(answers) as Buffer
  return answer[23] === 1 ? 'icmp' : (answer[47] ?? 0) & 4 ? 'reset' : (answer[47] ?? 0) & 2 ? 'connected' : text(answer)
}

describe('what machines reach', () => {
  it('is the services and addresses that it was told, and nothing else', async () => {
    const server: Server = createServer((_, response) => { response.end('hello') })
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
    open.push(() => { server.close() })
    const { port } = server.address() as AddressInfo
    const relay = await relayWith({ network: { service: [`tcp:10.0.2.100:80-127.0.0.1:${port}`] } })
    expect(await knock((await come(relay)).socket, [10, 0, 2, 100], 80)).toBe('connected')
    for (const [to, at] of [[[10, 0, 2, 100], 81], [[127, 0, 0, 1], port], [[192, 0, 2, 1], 80]] as const) expect(await knock((await come(relay)).socket, to, at), to.join('.')).not.toBe('connected')
  })

  it('what is no frame ends the connection of its page alone', async () => {
    const relay = await relayWith()
    const [one, other] = await Promise.all([come(relay), come(relay)])
    for (const [message, code] of [['text', 1003], [Uint8Array.of(1, 2, 3), 1003], [new Uint8Array(200_000), 1009]] as const) {
      const { socket } = await come(relay)
      const closed = new Promise((resolve) => { socket.on('close', resolve) })
      socket.send(message)
      expect(await closed).toBe(code)
    }
    one.socket.terminate()
    other.socket.send(arp([10, 0, 2, 2]))
    await new Promise((resolve) => { other.socket.once('message', resolve) })
  })
})

it('the command line says where, what and who', () => {
  expect(parseRelay(['--deny', 'tcp:192.0.2.1', '[::1]:8022', '--allow=192.0.2.0/24:80', '--origin', 'https://example.org', '--clients', '3'])).toEqual({
    host: '::1', port: 8022, rules: ['deny tcp:192.0.2.1', 'allow 192.0.2.0/24:80'], service: [], resolvers: [], origins: ['https://example.org'], clients: 3,
  })
  for (const words of [[], ['x'], ['70000'], ['80', '81'], ['80', '--clients', '0'], ['80', '--forward', 'x']]) expect(() => parseRelay(words), words.join(' ')).toThrow()
})
