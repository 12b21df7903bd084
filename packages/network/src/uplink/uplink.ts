import { type Backend, type Deliver, machinistError, type NetPort } from '@machinist/api'
import { checksum, get16, get32, type IpPacket, ipProtocol, ipv4, isGroup, macOfName, parseIp, parseMac } from '@machinist/packets'
import { type Address, addressText, parseAddress } from '../nat/address.ts'
import { type Nat, natOf } from '../nat/nat.ts'
import type { NatOptions } from '../nat/options.ts'
import type { HostSockets } from '../nat/sockets.ts'
import { DhcpClient, type UplinkConfiguration } from './dhcp-client.ts'
import { ECHO_REQUEST } from './parts.ts'
import { quotedBy } from './quoted.ts'
import { Resolver } from './resolver.ts'
import { Station } from './station.ts'
import { Table } from './table.ts'
import { Translator, type TranslatorShared } from './translator.ts'

/** What {@link natUplink} needs of a host. */
export interface UplinkHost {
  /** Runs callbacks soon and in order, never at once. */
  readonly deliver: Deliver
  /** Milliseconds, which only grow. */
  now(): number
  /** Calls back after so many milliseconds; what it returns calls that off. */
  after(milliseconds: number, callback: () => void): () => void
  /** 32 random bits that nobody guesses. */
  random(): number
}

/** Options of {@link natUplink}. */
export interface UplinkOptions {
  /** The station's Ethernet address; that of the network unless given. */
  readonly mac?: string
  /** Its address with the prefix of its network, such as `'192.0.2.7/24'`. By DHCP unless given. */
  readonly address?: string
  /** The way out, where `address` is given. */
  readonly gateway?: string
  /** Whom to ask for names: those that DHCP tells unless given. */
  readonly resolvers?: readonly string[]
  /** Told, in a sentence, when an address was got or lost, and what cannot be. */
  readonly warn?: (message: string) => void
}

/** One station on an Ethernet link that stands for all guests behind it. */
export interface NatUplink {
  /** The address that it has now, such as `'192.0.2.7'`; null when it has none. */
  readonly address: string | null
  /** Sessions of all networks. */
  readonly sessions: number
  /** A network behind the uplink, as `nat` makes one with sockets. Of IPv4 alone. `resolvers` are asked in the place of the uplink's. @throws typed errors `'nat-option'`, `'uplink-option'` */
  nat(options?: NatOptions & { readonly resolvers?: readonly string[] }): Nat
  /** Leaves the link. Networks behind it have no way out any more. */
  close(): void
}

/** Between looks at what has ended, in milliseconds, and for what is about to happen. */
const SWEEP = 10_000
const STEP = 250
const DHCP_CLIENT = 68
const DHCP_SERVER = 67

function optionError(what: string, value: string, remedy: string): Error {
  return machinistError({ code: 'uplink-option', part: `uplink ${what}`, value, remedy }, 'not understood')
}

function ipv4Of(text: string, what: string): Address {
  const address = parseAddress(text)
  if (address?.length === 4) return address
  throw optionError(what, text, 'Use one such as 192.0.2.1.')
}

function configurationOf({ address = '', gateway, resolvers = [] }: UplinkOptions): UplinkConfiguration {
  const [, place = '', bits = ''] = /^([0-9.]+)\/([0-9]{1,2})$/.exec(address) ?? []
  if (bits === '' || Number(bits) > 32) throw optionError('address', address, 'Use one such as 192.0.2.7/24.')
  return {
    address: ipv4Of(place, 'address'), bits: Number(bits), gateway: gateway === undefined ? null : ipv4Of(gateway, 'gateway'),
    resolvers: resolvers.map((each) => ipv4Of(each, 'resolvers')),
  }
}

/**
 * Networks behind one station on an Ethernet link, for hosts that have no sockets: packets of guests leave with the station's address and a port of it (RFC 3022), and answers come back the same way. Nobody outside
 * reaches a guest that has not asked for it, but by a forwarded port. No connection is ended here, and nothing is kept of what passes.
 *
 * @param network - the link: a TAP, a network device, a port of a switch
 * @throws a typed error `'uplink-option'`; what `connect` throws
 */
export function natUplink(network: Backend<NetPort>, host: UplinkHost, options: UplinkOptions = {}): NatUplink {
  const fixed = options.address === undefined ? null : configurationOf(options)
  const chosen = options.resolvers?.map((each) => ipv4Of(each, 'resolvers'))
  const { warn = () => {} } = options
  const port = network.connect(host.deliver)
  const mac = parseMac(options.mac ?? port.address ?? '') ?? (options.mac === undefined ? macOfName(`uplink ${host.random()}`) : null)
  if (mac === null || isGroup(mac)) throw optionError('mac', options.mac ?? '', 'Use one such as 02:00:00:00:00:01.')
  const random = (): number => host.random()
  const now = (): number => host.now()
  const table = new Table(random, now)
  const nats = new Set<Nat>()
  let closed = false
  let dhcp: DhcpClient | null = null

  const station: Station = new Station(port, {
    mac, now, deliver: host.deliver,
    after: (milliseconds, callback) => host.after(milliseconds, callback),
    packet: (bytes, packet) => { receive(bytes, packet) },
    listens: (at) => (dhcp !== null && at === DHCP_CLIENT) || resolver.listens(at),
    datagram: (at, bytes, from, fromPort) => {
      if (at === DHCP_CLIENT) dhcp?.take(bytes)
      else resolver.take(at, bytes, from, fromPort)
      arm()
    },
    lost: (frame) => { translatorOf(frame)?.lost(frame) },
    waits: () => { arm() },
    conflict: () => { dhcp?.conflict() },
  })
  const resolver = new Resolver({ station, table, now, random })
  const shared: TranslatorShared = { station, table, random, translators: new Map(), warn, receive: (bytes) => {
    const packet = parseIp(bytes)
    if (packet !== null) receive(bytes, packet)
  } }

  /** The network that a packet comes from which is about to leave. */
  const translatorOf = (bytes: Uint8Array): Translator | undefined => {
    const packet = parseIp(bytes)
    const transport = packet?.transport ?? null
    if (packet === null || transport === null) return undefined
    const own = table.at(packet.protocol, get16(bytes, transport + (packet.protocol === ipProtocol.icmp ? 4 : 0))) ?? null
    return own === null ? undefined : shared.translators.get(own.side)
  }

  /** Takes a packet for the station's address. */
  const receive = (bytes: Uint8Array, packet: IpPacket): void => {
    const { transport, protocol, end, network: at } = packet
    if (transport === null) return
    const echo = protocol === ipProtocol.icmp
    if (echo && bytes[transport] === ECHO_REQUEST && end - transport >= 8) {
      if (get32(bytes, at + ipv4.source) !== station.address) station.echo(bytes, packet)
      return
    }
    const quoted = echo && checksum(bytes, transport, end) === 0 ? quotedBy(bytes, transport, end) : null
    if (quoted !== null) {
      if (quoted.source !== station.address) return
      const mapping = table.at(quoted.protocol, quoted.sourcePort) ?? null
      const session = mapping === null ? null : table.of(mapping, quoted.destination, quoted.destinationPort)
      if (session !== null) shared.translators.get(session.mapping.side)?.errorInward(bytes, packet, quoted, session)
      return
    }
    if (!echo && packet.payload === null) return
    const mapping = table.at(protocol, get16(bytes, transport + (echo ? 4 : 2))) ?? null
    if (mapping === null || shared.translators.get(mapping.side)?.inward(bytes, packet, mapping) !== true) station.dropped++
  }

  const configure = (configuration: UplinkConfiguration | null): void => {
    const before = station.address
    station.configure(configuration)
    resolver.resolvers = chosen ?? configuration?.resolvers ?? []
    if (station.address === before) return
    // What went on with the old address does not with another (RFC 4787, 4.3).
    table.clear()
    warn(configuration === null ? 'uplink: there is no address any more.' : `uplink: the address is ${addressText(configuration.address)}.`)
  }

  let stop: (() => void) | null = null
  let due = Infinity
  let swept = now()
  const arm = (): void => {
    if (closed) return
    const soon = station.busy || resolver.busy ? now() + STEP : Infinity
    const next = Math.min(soon, dhcp?.deadline ?? Infinity, swept + SWEEP)
    if (next >= due) return
    stop?.()
    due = next
    stop = host.after(Math.max(1, next - now()), () => {
      stop = null
      due = Infinity
      poll()
    })
  }
  const poll = (): void => {
    if (closed) return
    dhcp?.poll()
    station.poll()
    resolver.poll()
    if (now() >= swept + SWEEP) {
      swept = now()
      table.expire()
    }
    arm()
  }
  if (fixed === null) {
    table.reserve(ipProtocol.udp, DHCP_CLIENT)
    dhcp = new DhcpClient({
      mac, now, random, configure,
      send: (bytes, from, to) => { station.sendDatagram(DHCP_CLIENT, to, DHCP_SERVER, bytes, from) },
      probe: (address, done) => { station.probe(address, (taken) => {
        done(taken)
        poll()
      }) },
    })
    host.deliver(poll)
  } else {
    configure(fixed)
    arm()
  }

  /** What guests' networks need of sockets: names. */
  const sockets = (whom: readonly Address[] | null): HostSockets => ({
    connect: (_to, events) => {
      host.deliver(() => { events.closed('unreachable') })
      return { write: () => {}, grant: () => {}, end: () => {}, abort: () => {} }
    },
    listen: () => ({ port: 0, close: () => {} }),
    datagrams: () => ({ send: () => {}, close: () => {} }),
    bind: () => ({ send: () => {}, close: () => {} }),
    resolve: (query, done) => {
      resolver.ask(query, whom, (answer) => { host.deliver(() => { done(answer) }) })
      arm()
    },
    addresses: () => (station.address === 0 ? [] : [addressBytes()]),
    after: (milliseconds, callback) => host.after(milliseconds, callback),
    random,
    close: () => {},
  })
  const addressBytes = (): Address => Uint8Array.of(station.address >>> 24, station.address >>> 16, station.address >>> 8, station.address)

  return {
    get address() { return station.address === 0 ? null : addressText(addressBytes()) },
    get sessions() { return table.size },
    nat({ resolvers, ...given } = {}) {
      const made = natOf(sockets(resolvers?.map((each) => ipv4Of(each, 'resolvers')) ?? null), { ...given, network6: false }, (inside) => {
        const translator = new Translator(shared, inside)
        arm()
        return translator
      })
      nats.add(made)
      const { close } = made
      return Object.assign(made, { close: () => {
        nats.delete(made)
        close()
      } })
    },
    close() {
      if (closed) return
      closed = true
      stop?.()
      for (const each of nats) each.close()
      station.close()
      network.close?.()
    },
  }
}
