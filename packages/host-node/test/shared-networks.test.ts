import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type Backend, type Frame, isMachinistError, type MachinistError, type NetPort, noOffloads } from '@machinist/api'
import { type Channel, localChannel } from '@machinist/hypervisor'
import { ipProtocol } from '@machinist/packets'
import { afterEach, expect, test } from 'vitest'
import { Station, udpOf, World } from '../../network/test/wire.ts'
import { type FromNetworks, networkMembers, type NetworkMembers, nodeLoop, sharedNetworks, type SharedNetworks, type ToNetworks } from '../src/index.ts'
import { type Carried, FrameCarrier } from '../src/network/frame-carrier.ts'

const UDP = ipProtocol.udp
const closing: (() => void)[] = []
afterEach(() => { for (const close of closing.splice(0)) close() })

/** A thread of machines, as far as a network sees it. */
function thread(networks: SharedNetworks): { readonly members: NetworkMembers, readonly line: Channel<ToNetworks, FromNetworks> } {
  const [line, control] = localChannel<ToNetworks, FromNetworks>(nodeLoop)
  closing.push(networks.serve(control))
  return { members: networkMembers(line), line }
}

/** A machine: what is thrown in its gate ends it. */
class Machine extends World {
  error: MachinistError | null = null
  override settle(): void {
    try {
      super.settle()
    } catch (error) {
      if (!isMachinistError(error)) throw error
      this.error = error
    }
  }
}

interface Guest {
  readonly machine: Machine
  readonly backend: Backend<NetPort>
  readonly station: Station
  readonly texts: () => string[]
}

const guests: Guest[] = []
function guest({ members }: { readonly members: NetworkMembers }, network: Parameters<NetworkMembers['backend']>[0], address: string, gateway: string | null = '10.0.2.2'): Guest {
  const machine = new Machine(1)
  const backend = members.backend(network, 'net0.net', address)!
  const station = new Station(machine, backend, address, gateway, 0x5254_0000_0000 + Number(address.split('.')[3]))
  const made = { machine, backend, station, texts: () => station.got.filter(({ protocol }) => protocol === UDP).map(({ from, body }) => `${from} ${new TextDecoder().decode(body.subarray(8))}`) }
  guests.push(made)
  closing.push(() => { backend.close?.() })
  return made
}
afterEach(() => { guests.length = 0 })

/** Lets time pass until something holds. */
async function until(is: () => boolean, doing: () => void = () => undefined): Promise<void> {
  for (let round = 0; !is(); round++) {
    if (round % 50 === 0) doing()
    for (const { machine } of guests) machine.settle()
    await new Promise((resolve) => { setTimeout(resolve, round % 16 === 0 ? 1 : 0) })
  }
}

/** A socket of this host, with what came. */
async function host(port = 0): Promise<{ readonly socket: Socket, readonly port: number, readonly got: string[], close(): Promise<void> }> {
  const socket = createSocket('udp4')
  const got: string[] = []
  socket.on('message', (bytes) => { got.push(bytes.toString()) })
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  const close = (): void => { socket.close() }
  closing.push(close)
  return { socket, port: (socket.address() as AddressInfo).port, got, async close() {
    closing.splice(closing.indexOf(close), 1)
    close()
    await once(socket, 'close')
  } }
}

/** A port of this host that was free a moment ago. */
async function freePort(): Promise<number> {
  const { port, close } = await host()
  await close()
  return port
}

/** What a client asks a DHCP server, and asks it for. */
function dhcp(type: number, mac: number, wanted: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(308)
  bytes.set([0, 68, 0, 67, 1, 52])
  bytes.set([1, 1, 6], 8)
  bytes.set([0x52, 0x54, 0, 0, 0, mac], 36)
  bytes.set([0x63, 0x82, 0x53, 0x63, 53, 1, type, 50, 4, ...wanted, 255], 244)
  return bytes
}

test('guests of several threads are behind one NAT: they reach each other and the world, which reaches what is forwarded', async () => {
  const networks = sharedNetworks()
  const outside = await host()
  const forwarded = await freePort()
  const lan = { type: 'nat', switch: 'lan', forward: [`udp:127.0.0.1:${forwarded}-10.0.2.16:7`], rules: [`allow udp:127.0.0.1:${outside.port}`] }
  const one = guest(thread(networks), lan, '10.0.2.15')
  const two = guest(thread(networks), { ...lan, switch: 'lan' }, '10.0.2.16')
  const alone = guest(thread(networks), { ...lan, switch: 'another', forward: [] }, '10.0.2.16')
  await until(() => one.texts().length > 0, () => { two.station.send(UDP, '10.0.2.15', udpOf(1, 7, 'neighbour')) })
  await until(() => outside.got.length > 0, () => { one.station.send(UDP, '127.0.0.1', udpOf(1, outside.port, 'world')) })
  await until(() => two.texts().length > 0, () => {
    two.station.meet('10.0.2.2')
    outside.socket.send('inward', forwarded, '127.0.0.1')
  })
  expect([new Set(one.texts()), new Set(two.texts()), new Set(outside.got)].map((each) => [...each])).toEqual([['10.0.2.16 neighbour'], ['10.0.2.2 inward'], ['world']])
  expect(alone.texts()).toEqual([])
  // An address that one got is not for the other.
  for (const type of [1, 3]) one.station.send(UDP, '10.0.2.2', dhcp(type, 15, [10, 0, 2, 15]), { from: '0.0.0.0' })
  await until(() => one.station.got.some(({ protocol, body }) => protocol === UDP && body[250] === 5))
  const before = outside.got.length
  two.station.send(UDP, '127.0.0.1', udpOf(1, outside.port, 'not its own'), { from: '10.0.2.15' })
  two.station.send(UDP, '127.0.0.1', udpOf(1, outside.port, 'its own'))
  await until(() => outside.got.includes('its own'))
  expect(outside.got.slice(before)).toEqual(['its own'])
})

test('a network is told what the device of a member is called, and nobody else is called so', async () => {
  const networks = sharedNetworks()
  const [here, there] = [thread(networks), thread(networks)]
  const port = (members: NetworkMembers, station: string): NetPort => members.backend({ type: 'switch', name: 'lan' }, 'net0.net', station)!.connect(queueMicrotask)
  const [one, two, thief] = [port(here.members, 'one/net0'), port(there.members, 'two/net0'), port(there.members, 'thief/net0')]
  const from = (address: string | undefined, last: number): Frame => {
    const bytes = new Uint8Array(60).fill(255, 0, 6)
    bytes.set((address ?? '').split(':').map((each) => Number.parseInt(each, 16)), 6)
    bytes[59] = last
    return { bytes }
  }
  const got: number[] = []
  two.listen({ readable: () => { for (let frame = two.receive(); frame !== null; frame = two.receive()) got.push(frame.bytes[59] ?? 0) }, writable: () => undefined, linkChanged: () => undefined })
  await until(() => got.includes(1), () => { one.send(from(one.address, 1)) })
  thief.send(from(one.address, 2))
  await until(() => got.includes(3), () => { thief.send(from(thief.address, 3)) })
  expect(got).not.toContain(2)
})

test('who says something else of a network than others is refused, at once where it is wrong in itself', async () => {
  const networks = sharedNetworks()
  const [here, there] = [thread(networks), thread(networks)]
  const one = guest(here, { type: 'switch', name: 'lan' }, '10.0.2.15', null)
  const two = guest(there, { type: 'nat', switch: 'lan' }, '10.0.2.16')
  await until(() => two.machine.error !== null)
  expect(two.machine.error).toMatchObject({ code: 'backend-option', part: 'net0.net', value: 'lan', message: expect.stringMatching(/other options/) as string })
  expect(one.machine.error).toBeNull()
  for (const [code, wrong] of [
    ['backend-option', { type: 'switch' }], ['backend-option', { type: 'switch', name: 'lan', mtu: 9000 }], ['backend-option', { type: 'nat', switch: 7 }], ['backend-option', { type: 'nat', switch: '' }],
    ['backend-option', { type: 'nat', switch: 'lan', shared: false }], ['nat-option', { type: 'nat', switch: 'lan', forward: ['no'] }],
  ] as const) expect(() => here.members.backend(wrong, 'net0.net'), JSON.stringify(wrong)).toThrow(expect.objectContaining({ code, part: expect.stringMatching(/^n/) as string }))
  expect([here.members.backend('nat', 'net0.net'), here.members.backend({ type: 'tap', name: 'x' }, 'net0.net')]).toEqual([null, null])
})

test('a port of the host that is taken ends all that are in the network; one that is given back can be taken', async () => {
  const networks = sharedNetworks()
  const taken = await host()
  const lan = { type: 'nat', switch: 'lan', forward: [`udp:127.0.0.1:${taken.port}-10.0.2.15:7`] }
  const [here, there] = [thread(networks), thread(networks)]
  const lost = [guest(here, lan, '10.0.2.15'), guest(there, lan, '10.0.2.16')]
  await until(() => lost.every(({ machine }) => machine.error !== null))
  expect(lost.map(({ machine }) => machine.error?.code)).toEqual(['nat-forward', 'nat-forward'])
  await taken.close()
  const outside = await host()
  // A thread that has gone takes its ports with it, and the last one the network.
  const first = guest(here, lan, '10.0.2.15')
  const second = guest(there, lan, '10.0.2.16')
  await until(() => first.texts().length > 0, () => {
    first.station.meet('10.0.2.2')
    outside.socket.send('inward', taken.port, '127.0.0.1')
  })
  here.line.close()
  let told = 0
  await until(() => told++ > 20)
  await expect(host(taken.port)).rejects.toMatchObject({ code: 'EADDRINUSE' })
  expect(second.machine.error).toBeNull()
  there.line.close()
  await until(() => told++ > 40)
  expect((await host(taken.port)).port).toBe(taken.port)
})

test('only so much is under way between threads, and no more than the bytes of its frames', () => {
  const whole = new Uint8Array(1 << 16)
  let left = 100_000
  const sent: Frame[] = []
  let readable = (): void => undefined
  const port: NetPort = {
    mtu: 1500, link: true, offloads: noOffloads, accept: () => undefined,
    listen: (listener) => { readable = () => { listener.readable() } },
    receive: () => (left-- > 0 ? { bytes: whole.subarray(100, 1100) } : null),
    send: (frame) => { sent.push(frame); return true },
  }
  const said: Carried[] = []
  const carrier = new FrameCarrier(port, (message) => { said.push(message) })
  const frames = (): readonly Frame[] => said.flatMap((message) => (message.type === 'frames' ? message.frames : []))
  readable()
  readable()
  const most = frames().length
  expect([most, frames().every(({ bytes }) => bytes.buffer.byteLength === 1000)]).toEqual([Math.ceil(2 ** 20 / 1000), true])
  carrier.hear({ type: 'taken', count: 5000 })
  expect(frames().length).toBe(most + 5)
  said.length = 0
  carrier.hear({ type: 'frames', frames: [{ bytes: new Uint8Array(60) }, { bytes: new Uint8Array(1000) }] })
  expect([sent.length, said]).toEqual([2, [{ type: 'taken', count: 1256 }]])
})
