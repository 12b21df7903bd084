import { allOffloads, type BackendClock, type Deliver, type Frame, machinistError, type NetPort, noOffloads, type Offloads } from '@machinist/api'
import { adapt, ethernet, etherType, get16, ipProtocol, ipv6, isGroup, segments, udp } from '@machinist/packets'
import { natClock, type NatClock } from './clock.ts'
import { type Address, addressText, contains, sameAddress } from './address.ts'
import { sendArpRequest, takeArp } from './arp.ts'
import { guestOf, type NatContext } from './context.ts'
import { datagram, DhcpServer } from './dhcp.ts'
import { DnsRelay } from './dns.ts'
import { advertisementInterval, echoOf, hopsOf, neighborDiscovery, quoteOf, type Router, sendAdvertisement, sendEchoReply, sendSolicitation, sendTrouble, type Trouble } from './icmp.ts'
import { forUs, holds, packetOf } from './ingress.ts'
import { Link } from './link.ts'
import type { Forward, NatSettings } from './options.ts'
import type { JoinOutside, Outside } from './outside.ts'
import type { Packet } from './packet.ts'
import { Policy } from './policy.ts'
import { Reassembly } from './reassembly.ts'
import { linkLocal, routerOf } from './router.ts'
import type { NatState } from './saved.ts'
import type { HostDatagrams, HostListener, HostSockets, SocketError, StreamEvents } from './sockets.ts'
import type { TcpFlow } from './tcp-flow.ts'
import { Stations } from './stations.ts'
import { TcpFlows } from './tcp-flows.ts'
import { UdpFlows } from './udp-flows.ts'

/** Steps of the NAT's clock in milliseconds, as something is near or far. */
const FINE = 100
const COARSE = 1000
/** And when all that is to come is the next advertisement. */
const REST = 60_000
const DHCP_SERVER = 67
const DHCP_CLIENT = 68
/** Of IPv6: there is nothing behind the headers. */
const NO_NEXT_HEADER = 59
const BROADCAST: Address = Uint8Array.of(255, 255, 255, 255)
/** Echo requests under way through the host. */
const MOST_PINGS = 32

/** Why a forward's socket is not there, in words. */
const trouble: Readonly<Record<SocketError, string>> = {
  'in-use': 'it is taken', 'denied': 'the system forbids it', 'unreachable': 'this host has no such address',
  'refused': 'refused', 'reset': 'reset', 'timeout': 'no answer', 'failed': 'the system cannot',
}

/** What a NAT holds at the moment. */
export interface NatStats {
  readonly connections: number
  readonly conversations: number
  /** Frames of guests that made no sense, or were none of ours. */
  readonly dropped: number
}

/** The gateway: sorts what guests send, and gives them what comes for them. */
export class Engine implements NetPort {
  readonly mtu: number
  readonly link = true
  readonly offloads: Offloads
  readonly #settings: NatSettings
  readonly #sockets: HostSockets
  readonly #deliver: Deliver
  readonly #link: Link
  readonly #context: NatContext
  readonly #stations: Stations
  readonly #router: Router
  readonly #tcp: TcpFlows
  readonly #udp: UdpFlows
  /** What carries packets on as they are, where that is not done by sockets. */
  readonly #outside: Outside | null
  readonly #reassembly = new Reassembly()
  readonly #listeners: (HostListener | HostDatagrams)[] = []
  #listener: Parameters<NetPort['listen']>[0] = { readable() {}, writable() {}, linkChanged() {} }
  /** There is something to take, and the listener does not know. */
  #untold = false
  #told = false
  #closed = false
  readonly #clock: NatClock
  /** The clock is armed for the next advertisement only. */
  #resting = false
  /** When what a guest knows of the router is told again: never, before one has used IPv6. */
  #advertiseAt = Infinity
  #pings = 0
  #dropped = 0

  constructor(sockets: HostSockets, settings: NatSettings, deliver: Deliver, clock: BackendClock | undefined, restored: NatState | null, joinOutside: JoinOutside | null = null) {
    this.#settings = settings
    this.#sockets = sockets
    this.#deliver = deliver
    this.#clock = natClock(clock, sockets, (work) => { this.#gate(work) }, () => { this.#expire() })
    this.mtu = settings.mtu
    this.#link = new Link(settings.mac, settings.mtu)
    this.#stations = new Stations({
      find: (address) => this.#link.find(address),
      leased: (address) => (address.length === 4 ? this.#context.dhcp.stationOf(address) : null),
      ask: (address) => { this.#ask(address) },
      now: () => this.#clock.now(),
    })
    this.#router = routerOf(settings, (address) => this.#owns(address))
    const own = (): readonly Address[] => sockets.addresses()
    const holderOf = settings.shared || joinOutside !== null ? (mac: number): unknown => settings.machineAt(mac) ?? mac : () => null
    const dhcp = new DhcpServer(settings, holderOf)
    for (const { from } of settings.services) dhcp.reserve(from.address)
    this.#context = {
      settings, sockets, dhcp, holderOf,
      link: this.#link,
      policy: new Policy({ rules: settings.rules, otherwise: settings.otherwise, permit: settings.permit, own }),
      now: () => this.#clock.now(),
      gate: (work) => { this.#gate(work) },
      gatewayFor: (address) => (address.length === 4 ? settings.gateway : settings.gateway6),
    }
    const dns = new DnsRelay(sockets, (work) => { this.#gate(work) })
    this.#tcp = new TcpFlows(this.#context, dns)
    this.#udp = new UdpFlows(this.#context, dns)
    this.#link.holderOf = holderOf
    this.#link.onReady = () => { this.#untold = true }
    this.#link.onUnknown = (address) => { this.#ask(address) }
    this.#link.onLearned = (address) => { this.#tcp.wake(address) }
    this.offloads = joinOutside === null ? allOffloads : noOffloads
    this.#outside = joinOutside?.({ context: this.#context, push: (frames) => { this.#gate(() => { for (const frame of frames.splice(0)) this.#link.push(frame) }) } }) ?? null
    if (this.#outside === null) for (const forward of settings.forwards) this.#open(forward)
    if (restored !== null) this.#restore(restored)
  }

  save(): NatState {
    return { leases: this.#context.dhcp.leases, neighbors: this.#link.neighbors, advertises: this.#advertiseAt !== Infinity, connections: this.#tcp.save() }
  }

  /** Goes on where another was: guests keep their addresses, and their connections are gone. */
  #restore({ leases, neighbors, advertises, connections }: NatState): void {
    this.#context.dhcp.restore(leases)
    for (const [address, mac] of neighbors) if (this.#inside(address) && !this.#owns(address)) this.#link.learn(address, mac)
    for (const each of connections) if (this.#inside(each.guest.address)) this.#tcp.lost(each)
    if (advertises && this.#settings.network6 !== null) this.#advertiseAt = this.#clock.now()
    this.#settle()
  }

  get stats(): NatStats {
    const { connections = 0, conversations = 0 } = this.#outside?.stats ?? {}
    return { connections: this.#tcp.size + connections, conversations: this.#udp.size + conversations, dropped: this.#dropped }
  }

  listen(listener: Parameters<NetPort['listen']>[0]): void {
    this.#listener = listener
  }

  accept(offloads: Offloads): void {
    this.#link.offloads = offloads
  }

  receive(): Frame | null {
    // A connection may have to ask first where its guest is.
    const frame = this.#link.shift() ?? this.#tcp.next() ?? this.#link.shift()
    // Taking a frame can end a connection and make way for the next, but asks for nothing new.
    if (frame === null) this.#untold = false
    else this.#arm()
    return frame
  }

  send(frame: Frame): boolean {
    if (this.#closed) return true
    // What goes out as it is has whole checksums.
    if (this.#outside !== null && frame.checksum !== undefined) for (const each of adapt(frame, noOffloads)) this.#take(each)
    else if (frame.segmentation?.kind === 'udp') for (const each of segments(frame)) this.#take(each)
    else this.#take(frame)
    this.#settle()
    return true
  }

  /** Lets something of the host in. */
  #gate(work: () => void): void {
    if (this.#closed) return
    this.#deliver(() => {
      if (this.#closed) return
      work()
      this.#tell()
      this.#arm()
    })
  }

  /** The guest is in the middle of something: the listener hears later of what there is to take. */
  #settle(): void {
    this.#arm()
    if (!this.#untold || this.#told) return
    this.#told = true
    this.#deliver(() => {
      this.#told = false
      this.#tell()
    })
  }

  #tell(): void {
    if (this.#closed || !this.#untold) return
    this.#untold = false
    this.#listener.readable()
  }

  #arm(): void {
    if (this.#closed || (this.#clock.armed && !this.#resting)) return
    const first = Math.min(this.#tcp.deadline, this.#udp.deadline, this.#reassembly.deadline)
    const resting = first === Infinity
    const due = Math.min(first, this.#advertiseAt)
    if (due === Infinity || (this.#clock.armed && resting)) return
    // What is soon does not wait for the end of a rest.
    if (this.#clock.armed) this.#clock.cancel()
    this.#resting = resting
    this.#clock.arm(Math.min(resting ? REST : COARSE, Math.max(FINE, due - this.#clock.now())))
  }

  #expire(): void {
    const now = this.#clock.now()
    this.#tcp.expire(now)
    this.#udp.expire(now)
    this.#reassembly.expire(now)
    if (now >= this.#advertiseAt) {
      this.#advertiseAt = now + advertisementInterval
      sendAdvertisement(this.#link, this.#router)
    }
    this.#tell()
    this.#arm()
  }

  /** Whether an address can be a guest's. */
  #inside(address: Address): boolean {
    const { network, network6 } = this.#settings
    if (address.length === 4) return contains(network, address)
    return network6 !== null && (contains(network6, address) || contains(linkLocal, address))
  }

  /** Where one device is all that there is, it may call itself what it likes. */
  #mayUse(address: Address, mac: number): boolean {
    return (this.#outside === null && !this.#settings.shared) || this.#stations.mayUse(address, mac)
  }

  #owns(address: Address): boolean {
    const { gateway, resolver, gateway6, resolver6, services } = this.#settings
    return [gateway, resolver, gateway6, resolver6, this.#router.linkLocal].some((each) => sameAddress(each, address))
      || services.some(({ from }) => sameAddress(from.address, address))
  }

  #ask(address: Address): void {
    const { gateway, gateway6 } = this.#settings
    if (address.length === 4) sendArpRequest(this.#link, gateway, address)
    else sendSolicitation(this.#link, this.#router.mac, gateway6, address)
  }

  #take(frame: Frame): void {
    const { bytes } = frame
    if (!forUs(frame, this.#link.mac)) {
      this.#dropped++
      return
    }
    if (get16(bytes, ethernet.type) === etherType.arp) {
      const sender = takeArp(this.#link, bytes, (address) => this.#owns(address))
      if (sender !== null && contains(this.#settings.network, sender.ip) && !this.#owns(sender.ip) && this.#mayUse(sender.ip, sender.mac)) this.#link.learn(sender.ip, sender.mac)
      return
    }
    if (this.#outside?.known(bytes) === true) return
    const packet = packetOf(frame, this.#reassembly, this.#clock.now(), this.#outside === null)
    if (packet === null || !this.#packet(packet)) this.#dropped++
  }

  /** Handles a packet; false when it is to be dropped. */
  #packet(packet: Packet): boolean {
    const { version, source, destination, protocol, bytes, transport } = packet
    const { network, network6 } = this.#settings
    if (version === 4 && protocol === ipProtocol.udp && packet.payload !== null && get16(bytes, transport + udp.destination) === DHCP_SERVER) return this.#dhcp(packet)
    if (version === 6 && network6 === null) return false
    if (version === 6 && this.#advertiseAt === Infinity) this.#advertiseAt = this.#clock.now() + advertisementInterval
    const local = version === 6 && contains(linkLocal, source)
    const unspecified = version === 6 && source.every((byte) => byte === 0)
    if (this.#inside(source) && !this.#owns(source) && this.#mayUse(source, packet.mac)) this.#link.learn(source, packet.mac)
    else if (!unspecified || protocol !== ipProtocol.icmpv6) return false
    if (protocol === ipProtocol.icmpv6 && neighborDiscovery(this.#link, this.#router, packet)) return true
    // What is for a group, or for a neighbour, is nothing that a router has to do with.
    const mine = this.#owns(destination)
    if (unspecified || isGroup(get16(bytes, ethernet.destination) * 2 ** 32)) return false
    if (!mine && (local || contains(network, destination) || (network6 !== null && contains(network6, destination)))) return false
    if (!mine && hopsOf(packet) <= 1) {
      return this.#refuse(packet, 'hops')
    }
    if (this.#outside !== null) {
      if (version === 4 && this.#outside.take(packet, mine)) return true
      if (!holds(packet)) return false
    }
    switch (protocol) {
      case ipProtocol.tcp:
        this.#tcp.take(packet)
        return true
      case ipProtocol.udp:
        this.#udp.take(packet)
        return true
      case ipProtocol.icmp:
      case ipProtocol.icmpv6:
        return (protocol === ipProtocol.icmp) === (version === 4) && this.#echo(packet, mine)
      default:
        return this.#refuse(packet, 'protocol')
    }
  }

  /** Says that a packet goes no further; not of an ICMP message that may be an error itself (RFC 1122, 3.2.2; RFC 4443, 2.4). */
  #refuse(packet: Packet, trouble: Trouble): boolean {
    const messages = packet.protocol === ipProtocol.icmp || packet.protocol === ipProtocol.icmpv6
    // Behind IPv6's extension headers the field in trouble is another.
    const plain = trouble !== 'protocol' || packet.version === 4 || packet.transport === packet.network + ipv6.length
    if ((messages && echoOf(packet) === null) || packet.protocol === NO_NEXT_HEADER || !plain) return false
    sendTrouble(this.#link, this.#context.gatewayFor(packet.source), quoteOf(packet), trouble)
    return true
  }

  #dhcp({ bytes, payload, end, mac }: Packet): boolean {
    const { gateway } = this.#settings
    const answer = payload === null ? null : this.#context.dhcp.take(bytes.subarray(payload, end), mac)
    if (answer === null) return false
    const lease = this.#context.dhcp.leaseOf(mac)
    if (lease !== null) this.#link.learn(lease, mac)
    // It has no address yet, but this is its Ethernet address.
    this.#link.sendTo(mac, gateway, answer.to ?? BROADCAST, ipProtocol.udp, datagram(DHCP_SERVER, DHCP_CLIENT, answer.bytes), udp.checksum)
    return true
  }

  #echo(packet: Packet, mine: boolean): boolean {
    const { source, destination } = packet
    const request = echoOf(packet)
    if (request === null) return false
    if (mine) {
      sendEchoReply(this.#link, destination, source, request)
      return true
    }
    const { settings, policy, sockets } = this.#context
    if (settings.mode !== 'nat' || !policy.allows({ protocol: 'icmp', address: destination, port: 0 })) return this.#prohibit(packet)
    if (this.#pings >= MOST_PINGS) return false
    const kept = request.slice()
    const asked = sockets.ping?.(destination, kept.subarray(8), (answered) => {
      this.#gate(() => {
        this.#pings--
        if (answered) sendEchoReply(this.#link, destination, source, kept)
      })
    })
    if (asked !== true) return this.#prohibit(packet)
    this.#pings++
    return true
  }

  #prohibit(packet: Packet): true {
    sendTrouble(this.#link, this.#context.gatewayFor(packet.source), quoteOf(packet), 'prohibited')
    return true
  }

  /** Opens a port of the host. */
  #open(forward: Forward): void {
    const failed = (why: SocketError): void => {
      // A machine that is not where it is looked for had better not be: what is thrown in the gate ends it.
      this.#gate(() => {
        throw machinistError({ code: 'nat-forward', part: `forward ${forward.text}`, value: `${addressText(forward.from.address)} port ${forward.from.port}`, remedy: 'Take another port or address, or end what has it.' }, `the host does not give its port: ${trouble[why]}`)
      })
    }
    if (forward.protocol === 'udp') {
      const socket = this.#sockets.bind(forward.from, {
        message: (bytes, from) => { this.#gate(() => { this.#udp.inward(forward, socket, from, bytes) }) },
        error: (why) => { this.#settings.warn(`forward ${forward.text}: a datagram could not be sent (${trouble[why]})`) },
      }, failed)
      this.#listeners.push(socket)
      return
    }
    this.#listeners.push(this.#sockets.listen(forward.from, (_from, stream) => {
      let flow: TcpFlow | null = null
      if (this.#closed) return null
      this.#gate(() => {
        flow = this.#tcp.call(guestOf(this.#context, forward), stream)
        if (flow === null) stream.abort()
      })
      return this.#tcp.gated(late(() => flow))
    }, failed))
  }

  /** Gives back the ports of the host, which another NAT may have meanwhile; returns what takes them again. */
  park(): () => void {
    if (this.#outside !== null) return () => {}
    for (const each of this.#listeners.splice(0)) each.close()
    return () => { if (!this.#closed) for (const forward of this.#settings.forwards) this.#open(forward) }
  }

  /** Closes everything; nothing comes any more. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#clock.cancel()
    for (const each of this.#listeners) each.close()
    this.#tcp.close()
    this.#udp.close()
    this.#outside?.close()
  }
}

/** Events for somebody who comes to be on the way through the gate, before them. */
function late(events: () => StreamEvents | null): StreamEvents {
  return {
    open() { events()?.open() },
    data(bytes) { events()?.data(bytes) },
    end() { events()?.end() },
    sent(count) { events()?.sent(count) },
    closed(error) { events()?.closed(error) },
  }
}
