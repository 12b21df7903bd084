/** A link with time and stations, for tests of what stands between two links. */
import type { Backend, NetPort } from '@machinist/api'
import { arp, checksum, fillChecksum, get16, get32, ipProtocol, macBytes, onesSum, parseIp, pseudoHeaderSum, set16, set32, tcp } from '@machinist/packets'
import { type Address, addressText, parseAddress } from '../src/nat/address.ts'
import { newPacket, putEthernet } from '../src/nat/packet.ts'
import { Endpoint } from '../src/nat/tcp/endpoint.ts'
import { optionBytes, readSegment } from '../src/nat/tcp/segment.ts'
import type { UplinkHost } from '../src/index.ts'

export const address = (text: string): Address => parseAddress(text)!

/** Numbers that look random, the same for each seed. */
export function generator(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

/** A host whose time passes when the test says so, in milliseconds. */
export class World implements UplinkHost {
  readonly below: (limit: number) => number
  #now = 0
  #queue: (() => void)[] = []
  readonly #alarms = new Set<{ at: number, callback: () => void }>()

  constructor(seed: number) {
    this.below = generator(seed)
  }

  readonly deliver = (callback: () => void): void => { this.#queue.push(callback) }
  now(): number { return this.#now }
  random(): number { return this.below(2 ** 32) }
  after(milliseconds: number, callback: () => void): () => void {
    const alarm = { at: this.#now + milliseconds, callback }
    this.#alarms.add(alarm)
    return () => { this.#alarms.delete(alarm) }
  }

  /** Does what is to be done now. */
  settle(): void {
    while (this.#queue.length > 0) for (const callback of this.#queue.splice(0)) callback()
  }

  /** Lets time pass, until something holds if that is said. */
  run(milliseconds: number, until: () => boolean = () => false): void {
    const end = this.#now + milliseconds
    this.settle()
    while (!until()) {
      const next = [...this.#alarms].reduce((first, each) => (each.at < first.at ? each : first), { at: Infinity, callback: () => {} })
      if (next.at > end) {
        this.#now = end
        return
      }
      this.#alarms.delete(next)
      this.#now = next.at
      next.callback()
      this.settle()
    }
  }
}

/** A packet as a station got it. */
export interface Got {
  readonly from: string
  readonly to: string
  readonly protocol: number
  readonly hops: number
  /** What is above IP. */
  readonly body: Uint8Array
}

/** A host on a link that is as simple as can be: it checks all that it gets. */
export class Station {
  readonly got: Got[] = []
  readonly port: NetPort
  readonly #world: World
  readonly #mac: number
  readonly #gateway: string | null
  readonly #macs = new Map<string, number>()
  address: string
  bad = 0
  /** Given each packet, before it is kept; true: it is not. */
  taker: (got: Got, payload: number) => boolean = () => false

  constructor(world: World, network: Backend<NetPort>, own: string, gateway: string | null, mac: number) {
    this.#world = world
    this.address = own
    this.#gateway = gateway
    this.#mac = mac
    this.port = network.connect(world.deliver)
    this.port.listen({ readable: () => { this.#pump() }, writable: () => undefined, linkChanged: () => undefined })
  }

  #pump(): void {
    for (let frame = this.port.receive(); frame !== null; frame = this.port.receive()) this.#take(frame.bytes)
  }

  #take(bytes: Uint8Array): void {
    if (get16(bytes, 12) === 0x806) {
      this.#macs.set(addressText(bytes.slice(28, 32)), Number(get16(bytes, 22)) * 2 ** 32 + get32(bytes, 24))
      if (get16(bytes, 20) === 1 && addressText(bytes.slice(38, 42)) === this.address) this.#arp(2, bytes.slice(28, 32), bytes.slice(22, 28))
      return
    }
    const packet = parseIp(bytes)
    if (packet === null || packet.version !== 4) return
    const to = addressText(bytes.slice(30, 34))
    if (to !== this.address && to !== '255.255.255.255') return
    const { transport, end, protocol, network } = packet
    const sum = (from: number, initial = 0): boolean => onesSum(bytes, from, end, initial) === 0xffff
    const holds = checksum(bytes, network, transport ?? end) === 0 && (transport === null || (protocol === ipProtocol.icmp ? sum(transport)
      : (protocol === ipProtocol.udp && get16(bytes, transport + 6) === 0) || sum(transport, pseudoHeaderSum(bytes, packet, end - transport))))
    if (transport !== null && !holds) {
      this.bad++
      return
    }
    const got = { from: addressText(bytes.slice(26, 30)), to, protocol, hops: bytes[22]!, body: bytes.slice(transport ?? 34, end) }
    if (!this.taker(got, (packet.payload ?? end) - (transport ?? 34))) this.got.push(got)
  }

  #arp(operation: number, target: Address, targetMac: Uint8Array): void {
    const bytes = new Uint8Array(14 + arp.length)
    putEthernet(bytes, 0xffff_ffff_ffff, this.#mac, 0x806)
    bytes.set([0, 1, 8, 0, 6, 4, 0, operation, ...macBytes(this.#mac), ...address(this.address), ...targetMac, ...target], 14)
    this.port.send({ bytes })
  }

  /** Tells and asks where somebody is. */
  meet(target: string): void {
    this.#arp(1, address(target), new Uint8Array(6))
    this.#world.settle()
  }

  /** Sends a packet, asking before where the next hop is. */
  send(protocol: number, to: string, body: Uint8Array, options: { from?: string, hops?: number, mac?: number, change?: (bytes: Uint8Array) => void } = {}): void {
    const near = this.#gateway === null || to.split('.').slice(0, 3).join() === this.address.split('.').slice(0, 3).join()
    const hop = near ? to : this.#gateway ?? ''
    if (!this.#macs.has(hop)) this.meet(hop)
    const { bytes, transport } = newPacket({ source: address(options.from ?? this.address), destination: address(to), protocol, sourceMac: options.mac ?? this.#mac, destinationMac: this.#macs.get(hop) ?? 1, ...(options.hops !== undefined && { hops: options.hops }) }, body.length)
    bytes.set(body, transport)
    if (protocol === ipProtocol.icmp) fillChecksum(bytes, { start: transport, offset: 2 })
    else {
      const offset = protocol === ipProtocol.tcp ? 16 : 6
      set16(bytes, transport + offset, pseudoHeaderSum(bytes, { version: 4, network: 14, protocol }, body.length))
      fillChecksum(bytes, { start: transport, offset })
    }
    options.change?.(bytes)
    this.port.send({ bytes })
  }
}

/** A UDP datagram whose checksum is open. */
export function udpOf(from: number, to: number, text: string): Uint8Array {
  const data = new TextEncoder().encode(text)
  const bytes = new Uint8Array(8 + data.length)
  set16(bytes, 0, from)
  set16(bytes, 2, to)
  set16(bytes, 4, bytes.length)
  bytes.set(data, 8)
  return bytes
}

/** A TCP connection of a station: the real thing, with what it was sent. */
export class Connection {
  readonly data: number[] = []
  ended = false
  closed: boolean | null = null
  readonly endpoint: Endpoint
  readonly #world: World
  readonly #station: Station
  /** Where the other end is: of a listener, who comes. */
  remote: string
  remotePort: number
  readonly port: number

  constructor(world: World, station: Station, port: number, remote: string | null, remotePort: number) {
    this.#world = world
    this.#station = station
    this.port = port
    this.remote = remote ?? ''
    this.remotePort = remotePort
    this.endpoint = new Endpoint({
      ready: () => { world.deliver(() => { this.pump() }) },
      established: () => undefined,
      data: (bytes) => {
        this.data.push(...bytes)
        world.deliver(() => { this.endpoint.passed(bytes.length) })
      },
      end: () => { this.ended = true },
      acknowledged: () => undefined,
      closed: (clean) => { this.closed = clean },
    }, { limit: 32_768, mss: 1460, initial: world.random() })
    station.taker = ({ from, protocol, body }, payload) => {
      if (protocol !== ipProtocol.tcp || get16(body, 2) !== port || (this.remote !== '' && (from !== this.remote || get16(body, 0) !== this.remotePort))) return false
      const segment = readSegment(body, 0, payload, body.length)
      if (this.remote === '') {
        this.remote = from
        this.remotePort = get16(body, 0)
        this.endpoint.called(segment)
        this.endpoint.accept(world.now())
      } else this.endpoint.segment(segment, world.now())
      this.pump()
      return true
    }
    if (remote !== null) this.endpoint.connect(world.now())
    const tick = (): void => {
      if (this.endpoint.deadline <= world.now()) this.endpoint.expire(world.now())
      this.pump()
      if (this.closed === null) world.after(50, tick)
    }
    tick()
  }

  pump(): void {
    for (let out = this.endpoint.next(1400, this.#world.now()); out !== null; out = this.endpoint.next(1400, this.#world.now())) {
      const options = out.options === undefined ? new Uint8Array(0) : optionBytes(out.options)
      const header = tcp.length + options.length
      const body = new Uint8Array(header + out.length)
      set16(body, 0, this.port)
      set16(body, 2, this.remotePort)
      set32(body, tcp.sequence, out.sequence)
      set32(body, tcp.acknowledgment, out.acknowledgment)
      body[tcp.dataOffset] = header << 2
      body[tcp.flags] = out.flags
      set16(body, tcp.window, out.window)
      body.set(options, tcp.length)
      if (out.length > 0) this.endpoint.copy(out, body, header)
      this.#station.send(ipProtocol.tcp, this.remote, body)
    }
  }
}
