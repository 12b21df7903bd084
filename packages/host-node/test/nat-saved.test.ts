/** A NAT in a machine that is saved, or copied, and goes on elsewhere: what guests keep, and how they hear of what is gone. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type Backend, type BackendState, isMachinistError, type NetPort, noOffloads } from '@machinist/api'
import { nat, type NatOptions, virtualSwitch } from '@machinist/network'
import { adapt, get16, get32 } from '@machinist/packets'
import { afterEach, expect, test } from 'vitest'
import { nodeSockets } from '../src/index.ts'
import { drain, GUEST, GUEST_MAC, GuestTcp, ports, Random, TestClock, tcpFrame, turn, udpFrame } from './guest.ts'

const HOST = [127, 0, 0, 1] as const
const GATEWAY = [10, 0, 2, 2] as const
const closing: (() => void)[] = []
afterEach(() => { for (const close of closing.splice(0)) close() })

interface Bench {
  readonly backend: Backend<NetPort>
  readonly port: NetPort
  readonly clock: TestClock
  /** Lets the host do what it has to. */
  step(): Promise<void>
}

const network = (options: NatOptions = {}): Backend<NetPort> => nat(nodeSockets(), { rules: ['allow 127.0.0.0/8'], ...options })

function bench(backend: Backend<NetPort>): Bench {
  const clock = new TestClock()
  const queue: (() => void)[] = []
  const port = backend.connect((callback) => { queue.push(callback) }, clock)
  closing.push(() => { backend.close?.() })
  return {
    backend, port, clock,
    async step() {
      await turn()
      clock.advance(10)
      for (let round = 0; round < 4; round++) for (const callback of queue.splice(0)) callback()
    },
  }
}

/** Echoes. */
async function serve(): Promise<{ readonly port: number; readonly sockets: Set<Socket> }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => { sockets.delete(socket) })
    socket.pipe(socket)
  })
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', done) })
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, sockets }
}

/** A connection of the guest by way of whatever NAT it is behind now. */
function guestAt(at: { link: Bench }, from: number, to: number, seed: number): { readonly tcp: GuestTcp; readonly heard: { flags: number; sequence: number }[]; step(): Promise<void>; until(what: () => boolean): Promise<void> } {
  const heard: { flags: number; sequence: number }[] = []
  const out: Uint8Array[] = []
  const tcp = new GuestTcp(new Random(seed), 65_535, (segment) => { out.push(tcpFrame(HOST, [from, to], segment)) })
  const step = async (): Promise<void> => {
    const { link } = at
    tcp.pump(link.clock.now() / 1e6, 1000)
    for (const bytes of out.splice(0)) link.port.send({ bytes })
    await link.step()
    for (const { bytes } of drain(link.port).flatMap((frame) => adapt(frame, noOffloads))) {
      const place = ports(bytes)
      if (place?.protocol !== 6 || place.to !== from) continue
      heard.push({ flags: bytes[place.transport + 13] ?? 0, sequence: get32(bytes, place.transport + 4) })
      tcp.segment(bytes, place.transport, place.payload, place.end)
    }
  }
  return {
    tcp, heard, step,
    async until(what) {
      for (let tries = 0; !what(); tries++) {
        expect(tries).toBeLessThan(50_000)
        await step()
      }
    },
  }
}

const text = (tcp: GuestTcp): string => Buffer.concat(tcp.received).toString()
const say = (tcp: GuestTcp, what: string): void => { tcp.write(Buffer.from(what)) }
const saved = (from: Backend<NetPort>): readonly BackendState[] => structuredClone(from.save?.() ?? [])

function restored(states: readonly BackendState[], options: NatOptions = {}): Bench {
  const backend = network(options)
  for (const state of states) expect(backend.restore?.(state, 'net0.net')).toBe(true)
  return bench(backend)
}

const RST = 4

test.each(['restored', 'a copy'] as const)('%s: a connection is reset at the number that the guest waits for, new ones are made, and the first NAT goes on', async (way) => {
  const { port, sockets } = await serve()
  const first = bench(network())
  const at = { link: first }
  const guest = guestAt(at, 4000, port, 1)
  say(guest.tcp, 'hello')
  await guest.until(() => text(guest.tcp) === 'hello')
  // One that has yet to be answered is no connection yet.
  first.port.send({ bytes: tcpFrame(HOST, [4001, port], { seq: 7, ack: 0, flags: 2, window: 1000, payload: new Uint8Array(0) }) })
  const copy = way === 'restored' ? restored(saved(first.backend)) : bench(first.backend.fork?.() ?? network())
  let told = 0
  copy.port.listen({ readable() { told++ }, writable() {}, linkChanged() {} })
  await copy.step()
  expect(told).toBe(1)
  const [reset, ...more] = drain(copy.port)
  const place = reset === undefined ? null : ports(reset.bytes)
  if (reset === undefined || place === null) throw new Error('no reset')
  const [, ...data] = guest.heard
  // The server's SYN is one, its answer five bytes.
  expect([more.length, place.from, place.to, (reset.bytes[place.transport + 13] ?? 0) & RST, get32(reset.bytes, place.transport + 4)]).toEqual([0, port, 4000, RST, ((guest.heard[0]?.sequence ?? 0) + 1 + 5) >>> 0])
  expect([data.length > 0, get16(reset.bytes, 12), (copy.backend as ReturnType<typeof nat>).stats.connections]).toEqual([true, 0x0800, 0])
  // In the copy all else works; what was asked for is asked for again.
  const again = guestAt({ link: copy }, 4001, port, 2)
  say(again.tcp, 'anew')
  await again.until(() => text(again.tcp) === 'anew')
  // The first one has lost nothing.
  say(guest.tcp, ' world')
  await guest.until(() => text(guest.tcp) === 'hello world')
  expect([guest.tcp.state, sockets.size]).toEqual(['open', 3])
})

test('a guest that speaks on a connection that is gone is answered with a reset, also one that was beyond the limit', async () => {
  const { port } = await serve()
  const first = bench(network())
  const guests = [1, 2, 3].map((index) => guestAt({ link: first }, 4000 + index, port, index))
  for (const guest of guests) {
    say(guest.tcp, 'x')
    await guest.until(() => text(guest.tcp) === 'x')
  }
  const copy = restored(saved(first.backend), { connections: 2 })
  await copy.step()
  expect(drain(copy.port)).toHaveLength(2)
  copy.port.send({ bytes: tcpFrame(HOST, [4003, port], { seq: 5, ack: 77, flags: 0x10, window: 1000, payload: new Uint8Array(3) }) })
  await copy.step()
  expect(drain(copy.port).map(({ bytes }) => [ports(bytes)?.to, bytes[47], get32(bytes, 38)])).toEqual([[4003, RST, 77]])
})

/** A DHCP message of a station, and the address that it is told. */
async function ask(link: Bench, mac: number, type: 1 | 3, wanted?: readonly number[]): Promise<string> {
  const message = new Uint8Array(260)
  message.set([1, 1, 6, 0, 1, 2, 3, 4])
  message.set([0x52, 0x54, 0, 0x12, 0x34, mac], 28)
  message.set([0x63, 0x82, 0x53, 0x63, 53, 1, type, ...(wanted === undefined ? [] : [50, 4, ...wanted]), 255], 236)
  const frame = udpFrame([255, 255, 255, 255], [68, 67], message, [0, 0, 0, 0])
  frame.fill(0xff, 0, 6)
  frame[11] = mac
  link.port.send({ bytes: frame })
  await link.step()
  for (const { bytes } of drain(link.port)) if (get16(bytes, 34) === 67) return `${bytes[42 + 242] === 5 ? 'ack' : bytes[42 + 242] === 2 ? 'offer' : 'nak'} ${bytes.slice(58, 62).join('.')}`
  return 'nothing'
}

test('stations keep the addresses that they were given, and where they are is known', async () => {
  const first = bench(network())
  expect([await ask(first, 1, 1), await ask(first, 2, 1), await ask(first, 3, 1)]).toEqual(['offer 10.0.2.15', 'offer 10.0.2.16', 'offer 10.0.2.17'])
  expect(await ask(first, 2, 3, [10, 0, 2, 16])).toBe('ack 10.0.2.16')
  const copy = restored(saved(first.backend), { forward: ['tcp:127.0.0.1:0-10.0.2.16:22'] })
  expect([await ask(copy, 2, 3, [10, 0, 2, 16]), await ask(copy, 1, 1), await ask(copy, 9, 1)]).toEqual(['ack 10.0.2.16', 'offer 10.0.2.15', 'offer 10.0.2.18'])
  // Other networks have other addresses.
  const other = restored(saved(first.backend), { network: '10.9.0.0/24' })
  expect([await ask(other, 2, 3, [10, 0, 2, 16]), await ask(other, 2, 1)]).toEqual(['nak 0.0.0.0', 'offer 10.9.0.15'])
})

test('ports of the host are opened anew where the machine goes on, and stay with the machine that is copied', async () => {
  const probe = createServer()
  await new Promise<void>((done) => { probe.listen(0, '127.0.0.1', done) })
  const { port } = probe.address() as AddressInfo
  await new Promise((done) => { probe.close(done) })
  const forward = [`tcp:127.0.0.1:${port}-:22`]
  const first = bench(network({ forward }))
  expect(await ask(first, 0x56, 1)).toBe('offer 10.0.2.15')
  const calls = async (link: Bench): Promise<boolean> => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.on('error', () => {})
    try {
      for (let tries = 0; tries < 200; tries++) {
        await link.step()
        if (drain(link.port).some(({ bytes }) => ports(bytes)?.to === 22)) return true
      }
      return false
    } finally {
      socket.destroy()
    }
  }
  expect(await calls(first)).toBe(true)
  // The copy lives, though its parent has the port.
  const copy = bench(first.backend.fork?.() ?? network())
  for (let i = 0; i < 20; i++) await copy.step()
  expect([await calls(first), await ask(copy, 0x56, 3, [10, 0, 2, 15])]).toEqual([true, 'ack 10.0.2.15'])
  const states = saved(first.backend)
  first.backend.close?.()
  const open = (): Promise<boolean> => new Promise((done) => {
    const socket = connect({ host: '127.0.0.1', port }, () => { done(true) })
    socket.on('error', () => { done(false) })
    socket.on('connect', () => { socket.destroy() })
  })
  while (await open()) await new Promise((done) => { setImmediate(done) })
  expect(await calls(restored(states, { forward }))).toBe(true)
})

test('states from anywhere are refused with typed errors, or do no harm', async () => {
  const { port } = await serve()
  const first = bench(network())
  const guest = guestAt({ link: first }, 4000, port, 1)
  say(guest.tcp, 'hello')
  await guest.until(() => text(guest.tcp) === 'hello')
  const [state] = saved(first.backend)
  if (state === undefined) throw new Error('no state')
  const fields = state.state as Record<string, unknown>
  const address = Uint8Array.from(GUEST)
  const end = { address, port: 1 }
  const connection = { guest: end, remote: end, sequence: 0, acknowledgment: 0 }
  for (const changes of [
    { leases: 1 }, { leases: [[1]] }, { leases: [[2 ** 48, address]] }, { leases: [[1, new Uint8Array(16)]] }, { leases: new Array(1025).fill([1, address]) }, { advertises: 1 },
    { neighbors: [[address, -1]] }, { neighbors: [[new Uint8Array(5), 1]] }, { neighbors: null }, { connections: [null] }, { connections: [{ ...connection, sequence: 2 ** 32 }] },
    { connections: [{ ...connection, guest: { address, port: 0 } }] }, { connections: [{ ...connection, remote: { address: new Uint8Array(16), port: 1 } }] }, { connections: new Array(16_385).fill(connection) },
  ]) {
    expect(() => network().restore?.({ ...state, state: { ...fields, ...changes } }, 'net0.net'), JSON.stringify(changes).slice(0, 80)).toThrow(expect.toSatisfy((error) => isMachinistError(error) && error.code === 'state' && error.part === 'net0.net') as Error)
  }
  expect(network().restore?.({ ...state, kind: 'disk' }, 'net0.net')).toBe(false)
  // What is well formed and makes no sense: addresses of others, and connections of nobody.
  const odd = restored([{
    ...state,
    state: {
      advertises: true, leases: [[1, Uint8Array.of(9, 9, 9, 9)], [2, Uint8Array.from(GATEWAY)]], neighbors: [[Uint8Array.from(GATEWAY), GUEST_MAC], [new Uint8Array(16), 5], [Uint8Array.of(9, 9, 9, 9), 5]],
      connections: [{ ...connection, guest: { address: Uint8Array.of(9, 9, 9, 9), port: 1 } }, connection, connection],
    },
  }])
  await odd.step()
  // Nobody knows where that guest is: it is asked for.
  expect(drain(odd.port).map(({ bytes }) => get16(bytes, 12))).toContain(0x0806)
})

test('a port of a switch keeps what was heard there, unless another has it, and how far its limits are used', () => {
  const clock = new TestClock()
  const station = (mac: number): Uint8Array => {
    const bytes = new Uint8Array(60)
    bytes.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, mac])
    return bytes
  }
  const limits = { sendLimit: { rate: 1000, burst: 100 } }
  const lan = virtualSwitch()
  const first = lan.port({ name: 'first', ...limits })
  const port = first.connect((callback) => { callback() }, clock)
  expect([1, 2, 3].map((mac) => port.send({ bytes: station(mac) }))).toEqual([true, true, false])
  const states = structuredClone(first.save?.() ?? [])
  expect(states.map(({ kind }) => kind)).toEqual(['bandwidth', 'stations'])
  const give = (to: Backend<NetPort>): NetPort => {
    for (const state of states) expect(to.restore?.(state, 'net0.net')).toBe(true)
    return to.connect((callback) => { callback() }, clock)
  }
  const elsewhere = virtualSwitch()
  const again = give(elsewhere.port({ name: 'again', ...limits }))
  expect([...elsewhere.addresses]).toEqual([[0x0200_0000_0001, 'again'], [0x0200_0000_0002, 'again']])
  expect(again.send({ bytes: station(3) })).toBe(false)
  clock.advance(21)
  expect([again.send({ bytes: station(3) }), port.send({ bytes: station(3) })]).toEqual([true, true])
  // A copy at the same switch does not take the address of the first one.
  give(lan.port({ name: 'copy', sources: ['02:00:00:00:00:09', '02:00:00:00:00:02'] }))
  expect([...lan.addresses.values()]).toEqual(['first', 'first', 'first'])
  const wrong: readonly BackendState[] = [
    { kind: 'bandwidth', version: 1, state: { send: { tokens: NaN, at: 0 }, receive: null } }, { kind: 'bandwidth', version: 1, state: { send: 5, receive: null } }, { kind: 'bandwidth', version: 1, state: { send: { tokens: 1, at: -1 }, receive: null } },
    { kind: 'stations', version: 1, state: {} }, { kind: 'stations', version: 1, state: { stations: [[0x0100_0000_0000, 0]] } }, { kind: 'stations', version: 1, state: { stations: [[2 ** 48, 0]] } }, { kind: 'stations', version: 2, state: { stations: [] } },
  ]
  for (const state of wrong) expect(() => lan.port().restore?.(state, 'net0.net'), JSON.stringify(state)).toThrow(expect.toSatisfy((error) => isMachinistError(error) && error.code === 'state') as Error)
})
