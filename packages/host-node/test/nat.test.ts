import { createSocket } from 'node:dgram'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { allOffloads, type Frame, type NetPort, noOffloads } from '@machinist/api'
import { nat, type Nat, type NatOptions, parseAddress } from '@machinist/network'
import { adapt } from '@machinist/packets'
import { afterEach, describe, expect, test } from 'vitest'
import { nodeSockets } from '../src/index.ts'
import { drain, GUEST, GuestTcp, packetFrame, ports, Random, TestClock, tcpFrame, turn, udpFrame } from './guest.ts'

const HOST = [127, 0, 0, 1] as const
const closing: (() => void)[] = []
afterEach(() => { for (const close of closing.splice(0)) close() })

interface Bench {
  readonly nat: Nat
  readonly port: NetPort
  readonly clock: TestClock
  /** Lets the host do what it has to, and time pass. */
  step(ms?: number): Promise<void>
}

function bench(options: NatOptions = {}, resolvers: string[] = []): Bench {
  const network = nat(nodeSockets({ resolvers }), { rules: ['allow 127.0.0.0/8'], ...options })
  const clock = new TestClock()
  let queue: (() => void)[] = []
  const port = network.connect((callback) => { queue.push(callback) }, clock)
  closing.push(() => { network.close() })
  return {
    nat: network, port, clock,
    async step(ms = 0) {
      await turn()
      clock.advance(ms)
      for (let round = 0; round < 4; round++) for (const callback of queue.splice(0)) callback()
      queue = queue.slice()
    },
  }
}

async function serve(talk: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    talk(socket)
  })
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', done) })
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const fill = (random: Random, length: number): Uint8Array => Uint8Array.from({ length }, () => random.below(256))
const join = (pieces: readonly Uint8Array[]): Uint8Array => Buffer.concat(pieces)

/** A link that loses, repeats and reorders. */
class Line {
  readonly #held: Frame[] = []
  readonly #random: Random
  readonly #trouble: number
  constructor(random: Random, trouble: number) {
    this.#random = random
    this.#trouble = trouble
  }

  pass(frames: readonly Frame[], to: (frame: Frame) => void): void {
    const random = this.#random
    const now = [...this.#held.splice(0), ...frames]
    for (const frame of now) {
      if (random.chance(this.#trouble)) continue
      if (random.chance(this.#trouble)) this.#held.push(frame)
      else to(frame)
      if (random.chance(this.#trouble)) to(frame)
    }
  }
}

describe('TCP', () => {
  const seeds = [1, 2, 3, 4, 5, 6, 7, 8]
  test.each(seeds)('every byte arrives in order both ways, and ends are seen, whatever the link does (%i)', async (seed) => {
    const random = new Random(seed)
    const trouble = [0, 0.02, 0.1, 0.25][seed % 4] ?? 0
    const large = seed % 2 === 0
    const up = fill(random, random.between(1, trouble > 0.05 ? 60_000 : 600_000))
    const down = fill(random, random.between(1, trouble > 0.05 ? 60_000 : 600_000))
    const atServer: Uint8Array[] = []
    let serverEnded = false
    let serverClosed = false
    const port = await serve((socket) => {
      socket.on('data', (bytes) => { atServer.push(bytes) })
      socket.on('end', () => { serverEnded = true })
      socket.on('close', () => { serverClosed = true })
      const rest = [...Array(Math.ceil(down.length / 10_000)).keys()].map((index) => down.subarray(index * 10_000, (index + 1) * 10_000))
      const write = (): void => {
        const piece = rest.shift()
        if (piece === undefined) socket.end()
        else socket.write(piece, () => { setImmediate(write) })
      }
      write()
    })
    const { nat: network, port: link, clock, step } = bench()
    link.accept(large ? allOffloads : noOffloads)
    const [out, back] = [new Line(random, trouble), new Line(random, trouble)]
    const sending: Frame[] = []
    const guest = new GuestTcp(random, random.between(2000, 1 << 20), (segment) => {
      sending.push({ bytes: tcpFrame(HOST, [4000 + seed, port], segment) })
    }, random.below(8))
    guest.write(up)
    guest.end()
    let rounds = 0
    while (!guest.done || !serverClosed) {
      expect(rounds++, `up ${join(atServer).length}/${up.length} down ${join(guest.received).length}/${down.length} ${guest.state} fin ${guest.finAcked} ${guest.peerEnded}`).toBeLessThan(200_000)
      guest.pump(clock.now() / 1e6, random.between(1, large ? 60_000 : 1460))
      out.pass(sending.splice(0), (frame) => { link.send(frame) })
      await step(random.below(60))
      const frames = drain(link).flatMap((frame) => adapt(frame, noOffloads))
      back.pass(frames, ({ bytes }) => {
        const at = ports(bytes)
        if (at !== null && at.protocol === 6) guest.segment(bytes, at.transport, at.payload, at.end)
      })
      if (guest.state === 'reset') break
    }
    expect(guest.state).toBe('open')
    expect(serverEnded).toBe(true)
    expect(Buffer.compare(join(atServer), up)).toBe(0)
    expect(Buffer.compare(join(guest.received), down)).toBe(0)
    // Nothing is left but what TIME-WAIT keeps, and that not for long.
    for (let seconds = 0; seconds < 90 && network.stats.connections > 0; seconds++) {
      await step(1000)
      for (const { bytes } of drain(link)) guest.segment(bytes, 34, 34 + ((bytes[46] ?? 0) >>> 4) * 4, bytes.length)
      for (const frame of sending.splice(0)) link.send(frame)
    }
    expect(network.stats.connections).toBe(0)
  })

  test('a guest hears of refused and of forbidden ports, and of a peer that resets', async () => {
    const { port: link, step } = bench({ rules: ['allow tcp:127.0.0.1:1-65535', 'deny any'] })
    link.accept(allOffloads)
    let frames: Frame[] = []
    const attempt = async (to: readonly number[], port: number): Promise<Uint8Array> => {
      link.send({ bytes: tcpFrame(to, [5000, port], { seq: 7, ack: 0, flags: 2, window: 1000, payload: new Uint8Array(0) }) })
      for (let tries = 0; tries < 20_000; tries++) {
        await step()
        frames = drain(link)
        if (frames[0] !== undefined) return frames[0].bytes
      }
      throw new Error('no answer')
    }
    // An ephemeral port that was just free.
    const free = await serve(() => {})
    for (const close of closing.splice(1)) close()
    await turn()
    const refused = await attempt(HOST, free)
    expect(refused[47]).toBe(0x14)
    const forbidden = await attempt([192, 0, 2, 1], 80)
    expect([forbidden[23], forbidden[34], forbidden[35]]).toEqual([1, 3, 13])
    const port = await serve((socket) => { socket.resetAndDestroy() })
    const guest = new GuestTcp(new Random(1), 65_535, (segment) => { link.send({ bytes: tcpFrame(HOST, [5001, port], segment) }) })
    for (let tries = 0; tries < 20_000 && guest.state !== 'reset'; tries++) {
      await step(10)
      for (const { bytes } of drain(link)) guest.segment(bytes, 34, 54, bytes.length)
    }
    expect(guest.state).toBe('reset')
  })

  test('a stream that is cut off in the moment of its end is closed: nothing of it stays open', async () => {
    const port = await serve((socket) => {
      socket.on('end', () => { socket.end() })
      socket.resume()
    })
    const sockets = nodeSockets()
    closing.push(() => { sockets.close() })
    const count = (): number => process.getActiveResourcesInfo().filter((each) => each === 'TCPSocketWrap').length
    const before = count()
    let opened = 0
    const none = (): void => {}
    const streams = Array.from({ length: 20 }, () =>
      sockets.connect({ address: Uint8Array.from(HOST), port }, { open: () => { opened++ }, data: none, end: none, sent: none, closed: none }))
    const pause = (): Promise<void> => new Promise((done) => { setTimeout(done, 10) })
    for (let tries = 0; tries < 6000 && opened < streams.length; tries++) await pause()
    for (const stream of streams) {
      stream.end()
      stream.abort()
    }
    for (let tries = 0; tries < 6000 && count() > before; tries++) await pause()
    expect([opened, count()]).toEqual([streams.length, before])
  })

  test('a host that does not read makes the guest wait, and a guest that does not read makes the host wait', async () => {
    let socket: Socket | null = null
    const port = await serve((each) => {
      socket = each
      each.pause()
      const block = Buffer.alloc(1 << 20)
      for (let count = 0; count < 32; count++) each.write(block)
    })
    const { port: link, clock, step } = bench()
    const guest = new GuestTcp(new Random(3), 100_000, (segment) => { link.send({ bytes: tcpFrame(HOST, [5002, port], segment) }) })
    guest.write(new Uint8Array(24 << 20))
    const before = process.memoryUsage().arrayBuffers
    let left = 0
    for (let round = 0; round < 400; round++) {
      guest.pump(clock.now() / 1e6, 60_000)
      await step(5)
      for (const { bytes } of drain(link)) {
        const at = ports(bytes)
        if (at === null) continue
        // Its application reads nothing: the window closes.
        const size = at.end - at.payload
        if (size <= guest.window) guest.segment(bytes, at.transport, at.payload, at.end)
        guest.window = Math.max(0, guest.window - size)
      }
      if (round === 300) left = guest.queued
    }
    expect(socket).not.toBeNull()
    expect(guest.window).toBeLessThan(2000)
    // The kernel's buffers and ours are full; the rest stays with the guest, which still has its copy.
    expect(guest.queued).toBe(left)
    expect(guest.queued).toBeGreaterThan(4 << 20)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 << 20)
  })
})

test('UDP goes and comes back, and is forgotten in time', async () => {
  const server = createSocket('udp4')
  server.on('message', (bytes, from) => { server.send(Buffer.concat([Buffer.from('echo '), bytes]), from.port, from.address) })
  await new Promise<void>((done) => { server.bind(0, '127.0.0.1', done) })
  closing.push(() => { server.close() })
  const { nat: network, port: link, step } = bench({ conversations: 4 })
  const payload = fill(new Random(5), 3000)
  for (let port = 6000; port < 6008; port++) link.send({ bytes: udpFrame(HOST, [port, server.address().port], payload) })
  const frames: Frame[] = []
  for (let tries = 0; tries < 20_000 && (tries < 100 || frames.length < 12); tries++) {
    await step()
    frames.push(...drain(link))
  }
  // Each answer is longer than the link allows, so it comes in three fragments; the four oldest conversations had to give way.
  expect(network.stats.conversations).toBe(4)
  expect(frames.length).toBeGreaterThanOrEqual(12)
  expect(frames.length % 3).toBe(0)
  for (const { bytes } of frames) expect(bytes.length).toBeLessThanOrEqual(1514)
  await step(40_000)
  for (let tries = 0; tries < 150; tries++) await step(1000)
  expect(network.stats.conversations).toBe(0)
})

const six = (text: string): Uint8Array => parseAddress(text) ?? new Uint8Array(16)
const GUEST6 = six('fd00:6d61:6368:696e::15')
const GATEWAY6 = six('fd00:6d61:6368:696e::2')

/** Tells a NAT where the guest is, as its first packet does. */
async function introduce({ port, step }: Bench): Promise<void> {
  port.send({ bytes: packetFrame(17, Uint8Array.from(GUEST), Uint8Array.of(10, 0, 2, 2), Uint8Array.of(0, 9, 0, 9, 0, 8, 0, 0), 6) })
  port.send({ bytes: packetFrame(17, GUEST6, GATEWAY6, Uint8Array.of(0, 9, 0, 9, 0, 8, 0, 0), 6) })
  await step()
  drain(port)
}

test.each([['127.0.0.1', '10.0.2.15'], ['[::1]', '[fd00:6d61:6368:696e::15]']])('datagrams come in through a forward of %s, and answers go to whoever sent', async (host, guest) => {
  const family = host === '127.0.0.1' ? 4 : 6
  const at = family === 4 ? 34 : 54
  const clients = [0, 1].map(() => createSocket(family === 4 ? 'udp4' : 'udp6'))
  closing.push(() => { for (const client of clients) client.close() })
  const probe = createSocket(family === 4 ? 'udp4' : 'udp6')
  await new Promise<void>((done) => { probe.bind(0, host.replace(/[[\]]/g, ''), done) })
  const { port } = probe.address()
  await new Promise<void>((done) => { probe.close(done) })
  const behind = bench({ forward: [`udp:${host}:${port}-${guest}:53`] })
  await introduce(behind)
  const answers: string[][] = [[], []]
  for (const [index, client] of clients.entries()) {
    client.on('message', (bytes, from) => { answers[index]?.push(`${bytes.toString()} from ${from.port}`) })
    client.send(`question ${index}`, port, host.replace(/[[\]]/g, ''))
  }
  for (let tries = 0; tries < 20_000 && answers.flat().length < 2; tries++) {
    await behind.step(1)
    for (const { bytes } of drain(behind.port)) {
      const udp = ports(bytes)
      if (udp?.protocol !== 17 || udp.to !== 53) continue
      const text = Buffer.concat([Buffer.from('answer to '), bytes.subarray(udp.payload, udp.end)])
      const body = new Uint8Array(8 + text.length)
      body.set([0, 53, udp.from >> 8, udp.from & 255, 0, body.length])
      body.set(text, 8)
      const source = bytes.subarray(at - (family === 4 ? 8 : 32), at - (family === 4 ? 4 : 16))
      behind.port.send({ bytes: packetFrame(17, family === 4 ? Uint8Array.from(GUEST) : GUEST6, source, body, 6) })
    }
  }
  expect(answers).toEqual([[`answer to question 0 from ${port}`], [`answer to question 1 from ${port}`]])
})

const LOOPBACK = { 4: Uint8Array.from(HOST), 6: six('::1') } as const
/** Whether the system lets us send echo requests; its sockets of a kind may be missing. */
const pings = (family: 4 | 6): boolean => {
  const sockets = nodeSockets()
  const may = sockets.ping?.(LOOPBACK[family], new Uint8Array(8), () => {}) === true
  sockets.close()
  return may
}

test.each([4, 6] as const)('an echo request of IPv%i goes to where the rules allow, and its answer comes back', async (family) => {
  const allowed = bench({ rules: ['allow icmp:127.0.0.1', 'allow icmp:[::1]'] })
  const closed = bench({ rules: [] })
  const source = family === 4 ? Uint8Array.from(GUEST) : GUEST6
  const at = family === 4 ? 34 : 54
  const body = Uint8Array.of(family === 4 ? 8 : 128, 0, 0, 0, 1, 2, 3, 4, ...Buffer.from('are you there?'))
  const ask = async ({ port, step }: Bench): Promise<readonly number[]> => {
    port.send({ bytes: packetFrame(family === 4 ? 1 : 58, source, LOOPBACK[family], body, 2) })
    for (let tries = 0; tries < 20_000; tries++) {
      await step()
      await new Promise((done) => { setTimeout(done, 2) })
      for (const { bytes } of drain(port)) {
        if (bytes[at - (family === 4 ? 11 : 34)] !== (family === 4 ? 1 : 58) || [133, 134, 135, 136].includes(bytes[at] ?? 0)) continue
        expect(bytes[at] !== (family === 4 ? 0 : 129) || Buffer.compare(bytes.subarray(at + 4, at + body.length), body.subarray(4)) === 0).toBe(true)
        return [...bytes.subarray(at, at + 2)]
      }
    }
    throw new Error('no answer')
  }
  const prohibited = family === 4 ? [3, 13] : [1, 1]
  expect(await ask(closed)).toEqual(prohibited)
  // Where the system has no sockets for it (no koffi, or neither root nor net.ipv4.ping_group_range), the guest is told so.
  expect(await ask(allowed)).toEqual(pings(family) ? [family === 4 ? 0 : 129, 0] : prohibited)
})

test('names are asked of the resolver that is given, and an answer comes even when there is none', async () => {
  const server = createSocket('udp4')
  server.on('message', (bytes, from) => {
    const answer = Buffer.from(bytes)
    answer[2] = (answer[2] ?? 0) | 0x80
    server.send(answer, from.port, from.address)
  })
  await new Promise<void>((done) => { server.bind(0, '127.0.0.1', done) })
  closing.push(() => { server.close() })
  const query = Uint8Array.of(0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 0, 0, 1, 0, 1)
  const { port: link, step } = bench({}, [`127.0.0.1:${server.address().port}`])
  const ask = async (to: readonly number[]): Promise<Uint8Array> => {
    link.send({ bytes: udpFrame(to, [7000, 53], query) })
    for (let tries = 0; tries < 20_000; tries++) {
      await step(1)
      const [frame] = drain(link)
      if (frame !== undefined) return frame.bytes
    }
    throw new Error('no answer')
  }
  const answer = await ask([10, 0, 2, 3])
  expect([...answer.subarray(26, 34)]).toEqual([10, 0, 2, 3, ...GUEST])
  expect([answer[42], answer[43], answer[44]]).toEqual([0x12, 0x34, 0x81])
  const nobody = bench({}, [])
  nobody.port.send({ bytes: udpFrame([10, 0, 2, 3], [7000, 53], query) })
  await nobody.step()
  const [failed] = drain(nobody.port)
  expect((failed?.bytes[45] ?? 0) & 15).toBe(2)
})
