import type { Backend, Frame, NetPort } from '@machinist/api'
import { get16, ipProtocol, set16 } from '@machinist/packets'
import { describe, expect, it } from 'vitest'
import { address, Connection, Station, udpOf, World } from '../../test/wire.ts'
import { join, nat, natUplink, type NatOptions, virtualSwitch } from '../index.ts'
import { fragments } from '../nat/packet.ts'

const { tcp: TCP, udp: UDP, icmp: ICMP } = ipProtocol
const OWN = '192.0.2.7'
const WEB = '192.0.2.9'
const GATEWAY = '10.0.2.2'

/** Loses some of what passes, and has some of it overtake. */
function lossy(network: Backend<NetPort>, world: World, loss: number): Backend<NetPort> {
  return { ...network, connect(deliver, clock) {
    const port = network.connect(deliver, clock)
    return { ...port, mtu: port.mtu, link: true, offloads: port.offloads, accept: (offloads) => { port.accept(offloads) }, receive: () => port.receive(), listen: (listener) => { port.listen(listener) }, send: (frame: Frame) => {
      if (world.below(1000) < loss) return true
      if (world.below(4) > 0) return port.send(frame)
      world.after(world.below(30), () => { port.send(frame) })
      return true
    } }
  } }
}

function bench({ seed = 1, options = {}, loss = 0, guests = 1 }: { seed?: number, options?: NatOptions, loss?: number, guests?: number } = {}) {
  const world = new World(seed)
  const wire = virtualSwitch()
  const warnings: string[] = []
  const uplink = natUplink(loss === 0 ? wire.port() : lossy(wire.port(), world, loss), world, { address: `${OWN}/24`, gateway: '192.0.2.1', mac: '02:00:00:00:00:07', warn: (text) => { warnings.push(text) } })
  const web = new Station(world, wire.port(), WEB, null, 0x0200_0000_0009)
  const inside = virtualSwitch()
  const network = uplink.nat(options)
  join(inside.port(), network, { deliver: world.deliver })
  const stations = Array.from({ length: guests }, (_, index) => new Station(world, inside.port(), `10.0.2.${15 + index}`, GATEWAY, 0x5254_0000_0015 + index))
  world.settle()
  return { world, wire, uplink, web, network, inside, guest: stations[0]!, guests: stations, warnings }
}

describe('packets of guests', () => {
  it.each([1, 2, 3])('carry two TCP connections at once, with loss and reordering, unchanged in both directions (seed %i)', (seed) => {
    const { world, web, guest, network, uplink } = bench({ seed: Number(process.env['NAT_SEED'] ?? seed), loss: 30 })
    const server = new Connection(world, web, 80, null, 0)
    const client = new Connection(world, guest, 40_000, WEB, 80)
    const sent = [client, server].map((each) => {
      const bytes = Array.from({ length: 60_000 }, () => world.below(256))
      world.after(300, () => { each.endpoint.send(Uint8Array.from(bytes)); each.endpoint.finish() })
      return bytes
    })
    world.run(600_000, () => client.closed !== null && server.closed !== null)
    expect(server.remote).toBe(OWN)
    expect(server.data).toEqual(sent[0])
    expect(client.data).toEqual(sent[1])
    expect([client.closed, server.closed]).toEqual([true, true])
    expect([web.bad, guest.bad]).toEqual([0, 0])
    // Four minutes after both ends said that they have ended (RFC 5382, 5), nothing is left.
    expect([network.stats.connections, uplink.sessions]).toEqual([1, 1])
    world.run(251_000)
    expect([network.stats.connections, uplink.sessions]).toEqual([0, 0])
  })

  it('have one outside port for one of theirs whoever they talk to, and only who was talked to answers', () => {
    const { world, wire, web, guest } = bench()
    const other = new Station(world, wire.port(), '192.0.2.10', null, 0x0200_0000_0010)
    guest.send(UDP, WEB, udpOf(5000, 7, 'one'))
    guest.send(UDP, other.address, udpOf(5000, 7, 'two'))
    world.settle()
    const ports = [web, other].map(({ got }) => get16(got[0]!.body, 0))
    expect(ports[0]).toBe(ports[1])
    expect(ports[0]! % 2).toBe(0)
    expect([web.got[0]!.from, web.got[0]!.hops]).toEqual([OWN, 63])
    web.send(UDP, OWN, udpOf(7, ports[0]!, 'answer'))
    web.send(UDP, OWN, udpOf(8, ports[0]!, 'another port'))
    const stranger = new Station(world, wire.port(), '192.0.2.11', null, 0x0200_0000_0011)
    stranger.send(UDP, OWN, udpOf(7, ports[0]!, 'stranger'))
    for (let port = 0; port < 3000; port++) stranger.send(world.below(2) === 0 ? UDP : TCP, OWN, udpOf(port, world.below(65_536), 'anything that comes in'))
    world.settle()
    expect(guest.got.map(({ body, from }) => [from, new TextDecoder().decode(body.subarray(8))])).toEqual([[WEB, 'answer']])
  })

  it('are forgotten by time: answered UDP after 5 minutes, unanswered after 2, echo after 1', () => {
    const { world, web, guest, uplink } = bench()
    guest.send(UDP, WEB, udpOf(5000, 7, 'one'))
    guest.send(UDP, WEB, udpOf(5001, 7, 'two'))
    guest.send(ICMP, WEB, Uint8Array.of(8, 0, 0, 0, 0x12, 0x34, 0, 1, 65, 66))
    world.settle()
    const [one, , echo] = web.got
    web.send(UDP, OWN, udpOf(7, get16(one!.body, 0), 'answer'))
    const reply = echo!.body.slice()
    expect(get16(reply, 4)).not.toBe(0x1234)
    reply[0] = 0
    set16(reply, 2, 0)
    web.send(ICMP, OWN, reply)
    world.settle()
    expect(guest.got.map(({ body }) => [...body.subarray(4)])).toEqual([expect.anything(), [0x12, 0x34, 0, 1, 65, 66]])
    expect(uplink.sessions).toBe(3)
    world.run(72_000)
    expect(uplink.sessions).toBe(2)
    world.run(60_000)
    expect(uplink.sessions).toBe(1)
    world.run(160_000)
    expect(uplink.sessions).toBe(1)
    world.run(30_000)
    expect(uplink.sessions).toBe(0)
  })

  it('that are long are cut, and come together, in both directions', () => {
    const { world, web, guest } = bench()
    const text = Array.from({ length: 5000 }, (_, index) => String.fromCharCode(97 + index % 26)).join('')
    const send = (station: Station, to: string, body: Uint8Array): void => {
      let frame = new Uint8Array(0)
      const { port } = station
      Object.assign(station, { port: { ...port, send: ({ bytes }: Frame) => { frame = Uint8Array.from(bytes); return true } } })
      station.send(UDP, to, body)
      Object.assign(station, { port })
      set16(frame, 14 + 6, 0)
      for (const piece of fragments(frame, 1280, 77).reverse()) port.send({ bytes: piece })
      world.settle()
    }
    guest.send(UDP, WEB, udpOf(5000, 7, ''))
    world.settle()
    send(guest, WEB, udpOf(5000, 7, text))
    const outside = get16(web.got[0]!.body, 0)
    expect(web.got.slice(1).reduce((sum, { body }) => sum + body.length, 0)).toBe(5008)
    web.got.length = guest.got.length = 0
    send(web, OWN, udpOf(7, outside, text))
    expect(guest.got.reduce((sum, { body }) => sum + body.length, 0)).toBe(5008)
  })

  it('that are refused outside are refused inside: the error quotes what the guest sent', () => {
    const { world, web, guest } = bench()
    guest.send(UDP, WEB, udpOf(5000, 7, 'one'))
    guest.send(UDP, '192.0.2.99', udpOf(5000, 7, 'nobody there'))
    world.settle()
    const got = web.got[0]!
    const quoted = new Uint8Array(20 + 8)
    quoted.set([0x45, 0, 0, 31, 0, 0, 0x40, 0, 63, 17, 0, 0, ...address(OWN), ...address(WEB)])
    quoted.set(got.body.subarray(0, 8), 20)
    for (const forged of [false, true]) {
      const body = Uint8Array.of(3, 3, 0, 0, 0, 0, 0, 0, ...quoted)
      if (forged) set16(body, 8 + 22, 9)
      web.send(ICMP, OWN, body)
    }
    world.settle()
    expect(guest.got).toHaveLength(1)
    const { from, body } = guest.got[0]!
    expect([from, body[0], body[1]]).toEqual([WEB, 3, 3])
    expect([...body.subarray(20, 28)]).toEqual([...address('10.0.2.15'), ...address(WEB)])
    expect([get16(body, 28), get16(body, 30)]).toEqual([5000, 7])
    // Nobody answers ARP.
    world.run(5000)
    expect(guest.got.map(({ from: by, body: said }) => [by, said[0], said[1]])).toEqual([[WEB, 3, 3], [GATEWAY, 3, 1]])
  })
})

describe('who may what', () => {
  it('a forward leads to a guest from outside and from its neighbours, with the callers\' own addresses; one of this host alone leads nowhere', () => {
    const { world, web, guests: [guest, neighbor], warnings } = bench({ guests: 2, options: { forward: ['tcp::2222-:22', 'tcp:127.0.0.1:2223-:22'] } })
    guest!.meet(GATEWAY)
    const server = new Connection(world, guest!, 22, null, 0)
    const client = new Connection(world, web, 40_000, OWN, 2222)
    client.endpoint.send(Uint8Array.of(1, 2, 3))
    world.run(5000, () => server.data.length === 3)
    expect([server.remote, server.remotePort, ...server.data]).toEqual([WEB, 40_000, 1, 2, 3])
    expect(warnings).toEqual([expect.stringContaining(OWN), expect.stringContaining('tcp:127.0.0.1:2223-:22')])
    const near = new Connection(world, neighbor!, 50_000, OWN, 2222)
    const again = new Connection(world, guest!, 22, null, 0)
    world.run(5000, () => again.remote !== '')
    expect([again.remote, near.closed]).toEqual([OWN, null])
  })

  it('rules hold, the address of another is not to be used, and what is not a guest\'s goes nowhere', () => {
    const { world, web, guests: [guest, other], uplink } = bench({ guests: 2, options: { rules: [`deny udp:${WEB}:9`] } })
    guest!.send(UDP, WEB, udpOf(1, 9, 'denied'))
    guest!.send(UDP, '127.0.0.1', udpOf(1, 10, 'reserved'))
    guest!.send(UDP, OWN, udpOf(1, 10, 'this host'))
    guest!.send(UDP, WEB, udpOf(1, 10, 'not its own'), { from: '192.0.2.50' })
    world.settle()
    expect(web.got).toEqual([])
    expect(guest!.got.map(({ body }) => [body[0], body[1]])).toEqual([[3, 13], [3, 13], [3, 13]])
    // Its neighbour asks for an address, and gets the first.
    const dhcp = new Uint8Array(300)
    dhcp.set([1, 1, 6])
    dhcp.set([0x52, 0x54, 0, 0, 0, 0x16], 28)
    for (const type of [1, 3]) {
      dhcp.set([0x63, 0x82, 0x53, 0x63, 53, 1, type, 50, 4, 10, 0, 2, 15, 255], 236)
      const message = new Uint8Array(308)
      message.set([0, 68, 0, 67, 1, 52])
      message.set(dhcp, 8)
      other!.send(UDP, '10.0.2.2', message, { from: '0.0.0.0' })
      world.settle()
    }
    guest!.send(UDP, WEB, udpOf(2000, 10, 'the other\'s address'))
    world.settle()
    expect([web.got.length, uplink.sessions]).toEqual([0, 0])
  })

  it('who opens more than there may be loses what is oldest of its own', () => {
    const { world, web, guests: [guest, other], network, uplink } = bench({ guests: 2, options: { conversations: 200 } })
    other!.send(UDP, WEB, udpOf(5000, 7, 'mine'))
    world.settle()
    const outside = get16(web.got[0]!.body, 0)
    for (let port = 1; port < 3000; port++) {
      guest!.send(UDP, WEB, udpOf(port, 1 + world.below(65_535), 'flood'))
      expect(network.stats.conversations).toBeLessThanOrEqual(200)
    }
    world.settle()
    web.send(UDP, OWN, udpOf(7, outside, 'answer'))
    world.settle()
    expect(new TextDecoder().decode(other!.got[0]!.body.subarray(8))).toBe('answer')
    network.close()
    expect(uplink.sessions).toBe(0)
  })
})

describe('an address by DHCP', () => {
  it('comes from a server, with a way out and names; is kept, and given up when somebody else has it', () => {
    const world = new World(5)
    const wire = virtualSwitch()
    const sockets = { connect: () => { throw new Error('none') }, listen: () => ({ port: 1, close() {} }), datagrams: () => ({ send() {}, close() {} }), bind: () => ({ send() {}, close() {} }),
      resolve: (query: Uint8Array, done: (answer: Uint8Array) => void) => { done(Uint8Array.of(...query.subarray(0, 2), 0x81, 0x80, ...query.subarray(4), 42)) },
      addresses: () => [], after: (ms: number, call: () => void) => world.after(ms, call), random: () => world.random(), close() {} }
    join(wire.port(), nat(sockets, { network: '192.0.2.0/24' }), { deliver: world.deliver })
    // Somebody has the first address already.
    const squatter = new Station(world, wire.port(), '192.0.2.15', null, 0x0200_0000_0099)
    const uplink = natUplink(wire.port(), world, { mac: '02:00:00:00:00:07' })
    const inside = virtualSwitch()
    join(inside.port(), uplink.nat(), { deliver: world.deliver })
    const guest = new Station(world, inside.port(), '10.0.2.15', GATEWAY, 0x5254_0000_0015)
    world.run(5000)
    expect(uplink.address).toBeNull()
    squatter.address = '192.0.2.77'
    world.run(30_000, () => uplink.address !== null)
    expect(uplink.address).toBe('192.0.2.15')
    guest.send(UDP, '10.0.2.3', udpOf(6000, 53, '\u0012\u0034\u0001\0\0\u0001\0\0\0\0\0\0\u0003www\0\0\u0001\0\u0001'))
    world.run(1000)
    expect(guest.got.map(({ from, body }) => [from, get16(body, 0), get16(body, 2), get16(body, 8), body.at(-1)])).toEqual([['10.0.2.3', 53, 6000, 0x1234, 42]])
    world.run(3 * 86_400_000)
    expect(uplink.address).toBe('192.0.2.15')
    squatter.address = '192.0.2.15'
    squatter.meet('192.0.2.2')
    squatter.meet('192.0.2.2')
    expect(uplink.address).toBeNull()
  })
})

it.each([1, 2])('frames of any kind from both sides neither throw nor stay, and what gets through has whole checksums (seed %i)', (seed) => {
  const { world, web, guest, network, uplink } = bench({ seed: Number(process.env['NAT_SEED'] ?? seed), options: { connections: 20, conversations: 10, forward: ['tcp::80-:80', 'udp::53-:53'], service: ['tcp:10.0.2.100:80-192.0.2.9:8080'] } })
  guest.send(UDP, WEB, udpOf(1, 1, ''))
  for (let round = 0; round < 4000; round++) {
    const station = world.below(2) === 0 ? web : guest
    const body = Uint8Array.from({ length: world.below(80) }, () => world.below(256))
    const protocol = [TCP, UDP, ICMP, 47][world.below(4)]!
    if (protocol !== ICMP) {
      set16(body, 0, world.below(4) === 0 ? world.below(65_536) : 80)
      set16(body, 2, world.below(4) === 0 ? world.below(65_536) : [53, 80, 68, 7][world.below(4)]!)
      if (protocol === TCP) body[12] = world.below(4) === 0 ? world.below(256) : 0x50
      if (protocol === UDP && body.length >= 8) set16(body, 4, world.below(4) === 0 ? world.below(100) : body.length)
    } else {
      body[0] = [0, 3, 8, 11, 12][world.below(5)]!
      if (body.length > 30) body.set([0x45, 0, 0, 60, 0, 0, 0, 0, 64, [1, 6, 17][world.below(3)]!, 0, 0, ...address(station === web ? OWN : WEB), ...address(station === web ? WEB : '10.0.2.15')], 8)
    }
    station.send(protocol, station === web ? OWN : [WEB, OWN, '10.0.2.100', '192.0.2.255', '192.0.2.44'][world.below(5)]!, body, {
      hops: world.below(20) === 0 ? world.below(3) : 64, ...(world.below(8) === 0 && { change: (bytes: Uint8Array) => { bytes[14 + world.below(Math.min(40, bytes.length - 14))] = world.below(256) } }),
    })
    if (world.below(10) === 0) world.run(world.below(2000))
    world.settle()
    expect(network.stats.connections).toBeLessThanOrEqual(20)
    expect(network.stats.conversations).toBeLessThanOrEqual(10)
  }
  expect(web.got.length).toBeGreaterThan(100)
  expect(guest.got.length).toBeGreaterThan(100)
  uplink.close()
  expect(uplink.sessions).toBe(0)
})
