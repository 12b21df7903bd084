/** What a NAT must not hide of what it stands for: sizes, and that something does not get through. */
import type { BackendClock, NetPort } from '@machinist/api'
import { checksum, get16, ipProtocol, parseIp, set16 } from '@machinist/packets'
import { expect, test } from 'vitest'
import { type Address, parseAddress } from './address.ts'
import { nat } from './nat.ts'
import { fragments, newPacket } from './packet.ts'
import type { Endpoint, HostSockets } from './sockets.ts'

const address = (text: string): Address => parseAddress(text)!
const MAC = 0x5254_0012_3456
const GUEST = { 4: address('10.0.2.15'), 6: address('fd00:6d61:6368:696e::15') } as const
const WORLD = { 4: address('192.0.2.1'), 6: address('2001:db8::1') } as const

function bench(answer: Uint8Array | null = null) {
  const sent: { to: Endpoint, bytes: Uint8Array }[] = []
  const echo: ((bytes: Uint8Array) => void)[] = []
  let now = 0
  let alarm: { at: number, expired: () => void } = { at: Infinity, expired: () => {} }
  const clock: BackendClock = {
    now: () => now,
    timer: (expired) => ({ arm(at) { alarm = { at, expired } }, cancel() { alarm = { at: Infinity, expired } } }),
  }
  const sockets: HostSockets = {
    connect: () => { throw new Error('not here') },
    listen: () => ({ port: 1, close() {} }),
    datagrams: (to, events) => {
      echo.push((bytes) => { events.message(bytes, to) })
      return { send(bytes) { sent.push({ to, bytes: bytes.slice() }) }, close() {} }
    },
    bind: () => ({ send() {}, close() {} }),
    resolve: (_query, done) => { done(answer) },
    addresses: () => [],
    after: () => () => {},
    random: () => 1,
    close() {},
  }
  const network = nat(sockets)
  let queue: (() => void)[] = []
  const port: NetPort = network.connect((work) => { queue.push(work) }, clock)
  const settle = (): void => {
    while (queue.length > 0) {
      const now = queue
      queue = []
      for (const work of now) work()
    }
  }
  /** Sends a packet, in as many frames as it takes. */
  const send = (protocol: number, body: Uint8Array, options: { to?: Address, six?: boolean, hops?: number, mtu?: number } = {}): void => {
    const version = options.six === true ? 6 : 4
    const { bytes, transport } = newPacket({
      source: GUEST[version], destination: options.to ?? WORLD[version], protocol, sourceMac: MAC, destinationMac: 0x5255_0a00_0202, ...(options.hops !== undefined && { hops: options.hops }),
    }, body.length)
    bytes.set(body, transport)
    for (const piece of fragments(bytes, options.mtu ?? 1500, sent.length + 1)) port.send({ bytes: piece, trusted: true })
    settle()
  }
  /** Headers and payloads of what came. */
  const received = (): { protocol: number, bytes: Uint8Array, body: Uint8Array, mac: number }[] => {
    const all: { protocol: number, bytes: Uint8Array, body: Uint8Array, mac: number }[] = []
    for (let frame = port.receive(); frame !== null; frame = port.receive()) {
      const parsed = parseIp(frame.bytes)
      if (parsed !== null && parsed.transport !== null) all.push({ protocol: parsed.protocol, bytes: frame.bytes, body: frame.bytes.slice(parsed.transport, parsed.end), mac: get16(frame.bytes, 0) * 2 ** 32 })
    }
    return all
  }
  const advance = (seconds: number): void => {
    for (const end = now + seconds * 1e9; ;) {
      if (alarm.at > end) {
        now = end
        return
      }
      now = Math.max(now, alarm.at)
      const { expired } = alarm
      alarm = { at: Infinity, expired }
      expired()
      settle()
    }
  }
  return { port, sent, echo, send, received, advance, settle }
}

const udp = (to: number, payload: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(8 + payload.length)
  set16(bytes, 0, 7000)
  set16(bytes, 2, to)
  set16(bytes, 4, bytes.length)
  bytes.set(payload, 8)
  return bytes
}

test.each([[false, 1500, 65_507], [true, 1500, 65_527], [false, 576, 65_507], [true, 1280, 65_527]])('datagrams up to the largest go to the host (IPv6: %s, MTU %i)', (six, mtu, most) => {
  const { sent, send } = bench()
  const sizes = [0, 1, 1472, 1473, 65_467, 65_468, 65_500, most - 1, most]
  for (const size of sizes) send(ipProtocol.udp, udp(9, Uint8Array.from({ length: size }, (_, index) => index * 7)), { six, mtu })
  expect(sent.map(({ bytes }) => bytes.length)).toEqual(sizes)
  expect(sent.every(({ bytes }) => bytes.every((byte, index) => byte === (index * 7 & 255)))).toBe(true)
})

test('what the NAT cannot carry is refused: that protocol is unreachable', () => {
  const { send, received } = bench()
  const SCTP = 132
  send(SCTP, new Uint8Array(100))
  send(SCTP, new Uint8Array(100), { six: true })
  const [four, six, ...more] = received()
  expect(more).toEqual([])
  // RFC 792: destination unreachable, protocol; RFC 4443, 3.4: unrecognized next header, which is byte 6 of the packet.
  expect([four?.protocol, ...four?.body.subarray(0, 2) ?? []]).toEqual([ipProtocol.icmp, 3, 2])
  expect([six?.protocol, ...six?.body.subarray(0, 2) ?? [], ...six?.body.subarray(4, 8) ?? []]).toEqual([ipProtocol.icmpv6, 4, 1, 0, 0, 0, 6])
  expect(four?.body[8]).toBe(0x45)
  expect(checksum(four?.body ?? new Uint8Array(1), 0, four?.body.length ?? 0)).toBe(0)
  // Nothing is said of nothing, of a group, or of a message that may be an error itself.
  send(59, new Uint8Array(0), { six: true })
  send(SCTP, new Uint8Array(100), { to: address('10.0.2.255') })
  send(ipProtocol.icmp, Uint8Array.of(3, 1, 0, 0, 0, 0, 0, 0), { hops: 1 })
  expect(received()).toEqual([])
  send(ipProtocol.udp, udp(9, new Uint8Array(1)), { hops: 1 })
  expect([...received()[0]?.body.subarray(0, 2) ?? []]).toEqual([11, 0])
})

test('an answer of the resolver by UDP is as long as the client takes, for IPv4 and IPv6', () => {
  const name = [1, 97, 0]
  const question = [...name, 0, 28, 0, 1]
  const records = Array.from({ length: 57 }, (_, index) => [0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16, ...Array<number>(15).fill(0x20), index])
  const answer = Uint8Array.from([0, 1, 0x81, 0x80, 0, 1, 0, records.length, 0, 0, 0, 0, ...question, ...records.flat()])
  const query = (edns: number[]): Uint8Array => Uint8Array.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns.length === 0 ? 0 : 1, ...question, ...edns])
  const { send, received } = bench(answer)
  for (const six of [false, true]) {
    for (const [edns, most] of [[[], 512], [[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0], 1232]] as const) {
      send(ipProtocol.udp, udp(53, query([...edns])), { six, to: address(six ? 'fd00:6d61:6368:696e::3' : '10.0.2.3') })
      const [{ body } = { body: new Uint8Array(0) }] = received()
      expect(body.length - 8).toBeLessThanOrEqual(most)
      expect(body.length - 8).toBeGreaterThan(most - 28)
      expect((body[10] ?? 0) & 2).toBe(2)
    }
  }
})

test('a guest stays in reach of its IPv6 router: what it was told is told again before it lapses', () => {
  const { send, received, advance } = bench()
  advance(4000)
  expect(received()).toEqual([]) // nobody uses IPv6
  send(ipProtocol.icmpv6, Uint8Array.of(133, 0, 0, 0, 0, 0, 0, 0), { six: true, to: address('ff02::2'), hops: 255 })
  const [first] = received()
  const lifetime = get16(first?.body ?? new Uint8Array(8), 6)
  expect(lifetime).toBe(9000)
  let told = 0
  for (let hours = 0; hours < 24; hours++) {
    advance(1800)
    // Something else goes on at times.
    if (hours % 3 === 0) send(ipProtocol.udp, udp(9, new Uint8Array(1)), { six: true })
    advance(1800)
    const all = received().filter(({ body }) => body[0] === 134)
    for (const { body, mac, bytes } of all) {
      told++
      expect(body).toEqual(first?.body)
      expect([mac / 2 ** 32, bytes[21]]).toEqual([0x3333, 255])
    }
    expect(all.length).toBeGreaterThan(0)
  }
  expect(told).toBeGreaterThan(40)
  expect(told).toBeLessThan(50)
})
