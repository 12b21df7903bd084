import { ipProtocol, tcpFlag } from '@machinist/packets'
import type { Forward } from '../nat/options.ts'

/** For how long a session is kept that nothing passes through, in milliseconds (RFC 5382, 5; RFC 4787, 4.3; RFC 5508, 3.2). */
const PATIENCE = { established: 7_440_000, transitory: 240_000, udp: 300_000, unanswered: 120_000, echo: 60_000 } as const
/** Sessions of all networks, and outside ports of one protocol: of each range of ports half stays free, so that one is found soon. */
const MOST_SESSIONS = 24_576
const MOST_PORTS = 32_256
const TRIES = 64
/** Of those that one has too many of, this part ends at once. */
const PART = 16
/** The first port that anybody may have (RFC 6335, 6). */
const FIRST_PORT = 1024

/** What TCP was seen to do. */
const seen = { callOut: 1, callIn: 2, endOut: 4, endIn: 8, reset: 16 } as const

/** What one endpoint of a guest is to the outside: one port, whoever it talks to (RFC 4787, 4.1). */
export interface Mapping {
  readonly side: Side
  readonly protocol: number
  readonly address: number
  readonly port: number
  readonly outside: number
  /** It is there without sessions, and lets in whoever comes. */
  readonly forward: Forward | null
  /** What the guest sees is a service in its network. */
  readonly service: Forward | null
  /** By {@link endpointKey} of the other end. */
  readonly sessions: Map<number, Session>
}

/** What passes between one endpoint of a guest and one outside. */
export interface Session {
  readonly mapping: Mapping
  readonly owner: Owner
  readonly remote: number
  readonly remotePort: number
  /** When it ends, unless something passes. */
  until: number
  flags: number
}

/** One address of a guest. */
export interface Owner {
  /** Where it was last. */
  mac: number
  readonly tcp: Set<Session>
  readonly other: Set<Session>
}

/** One network inside: its mappings, and who has how many sessions. */
export class Side {
  /** Most TCP sessions, and most of others. */
  readonly most: { readonly tcp: number; readonly other: number }
  readonly mappings: Map<number, Mapping[]> = new Map()
  readonly owners: Map<number, Owner> = new Map()
  tcp: number = 0
  other: number = 0
  /** Whose an Ethernet address is. */
  readonly holderOf: (mac: number) => unknown

  constructor(most: { readonly tcp: number; readonly other: number }, holderOf: (mac: number) => unknown) {
    this.most = most
    this.holderOf = holderOf
  }
}

/** An address and a port as one number: a key for maps. */
export function endpointKey(address: number, port: number): number {
  return address * 65_536 + port
}

function insideKey(protocol: number, address: number, port: number): number {
  return protocol * 2 ** 48 + endpointKey(address, port)
}

/** All that passes between networks inside and one address outside. */
export class Table {
  readonly #random: () => number
  readonly #now: () => number
  /** By protocol and outside port. */
  readonly #outside = new Map<number, Mapping | null>()
  readonly #ports = new Map<number, number>()
  readonly #sides = new Set<Side>()
  #sessions = 0

  constructor(random: () => number, now: () => number) {
    this.#random = random
    this.#now = now
  }

  get size(): number {
    return this.#sessions
  }

  /** The mapping that has an outside port; null for one that is kept, undefined for one that is free. */
  at(protocol: number, port: number): Mapping | null | undefined {
    return this.#outside.get(protocol * 65_536 + port)
  }

  /** Keeps a port, for use of the outside address itself; false when it is taken. */
  reserve(protocol: number, port: number): boolean {
    if (this.#outside.has(protocol * 65_536 + port)) return false
    this.#outside.set(protocol * 65_536 + port, null)
    return true
  }

  /** Gives back what {@link Table.reserve} kept. */
  release(protocol: number, port: number): void {
    if (this.at(protocol, port) === null) this.#outside.delete(protocol * 65_536 + port)
  }

  /** The session of a guest with somebody; null when there is none. */
  find(side: Side, protocol: number, address: number, port: number, service: Forward | null, remote: number, remotePort: number): Session | null {
    for (const mapping of side.mappings.get(insideKey(protocol, address, port)) ?? []) {
      if (mapping.service !== service) continue
      const session = this.of(mapping, remote, remotePort)
      if (session !== null) return session
    }
    return null
  }

  /** The session of a mapping with somebody. */
  of({ sessions }: Mapping, remote: number, remotePort: number): Session | null {
    const session = sessions.get(endpointKey(remote, remotePort))
    if (session === undefined) return null
    if (session.until > this.#now()) return session
    this.end(session)
    return null
  }

  /** Begins a session of a guest with somebody outside; null when there is no room. The guest's other sessions from there have the same outside port. */
  begin(side: Side, protocol: number, address: number, port: number, service: Forward | null, remote: number, remotePort: number): Session | null {
    this.#room(side, protocol)
    const known = (side.mappings.get(insideKey(protocol, address, port)) ?? []).find((each) => each.service === service)
    const mapping = known ?? this.#map(side, protocol, address, port, service, null, this.#freePort(protocol, port))
    return mapping === null ? null : this.#add(mapping, remote, remotePort)
  }

  /** Begins a session that somebody outside asks for, at a port that leads to a guest. */
  admit(mapping: Mapping, remote: number, remotePort: number): Session {
    this.#room(mapping.side, mapping.protocol)
    return this.#add(mapping, remote, remotePort)
  }

  /** Has a port lead to a guest, until the network is gone; false when the port is taken. */
  open(side: Side, protocol: number, outside: number, address: number, port: number, forward: Forward): boolean {
    if (this.at(protocol, outside) !== undefined) return false
    return this.#map(side, protocol, address, port, null, forward, outside) !== null
  }

  /** Something passed. `flags` are those of TCP. */
  touch(session: Session, outward: boolean, flags: number): void {
    const { protocol } = session.mapping
    session.until = this.#now() + (protocol === ipProtocol.tcp ? track(session, outward, flags) : protocol === ipProtocol.udp ? answered(session, outward) : PATIENCE.echo)
  }

  end(session: Session): void {
    const { mapping, owner, remote, remotePort } = session
    const { side, protocol } = mapping
    if (!mapping.sessions.delete(endpointKey(remote, remotePort))) return
    const kind = kindOf(protocol)
    owner[kind].delete(session)
    side[kind]--
    this.#sessions--
    if (owner.tcp.size + owner.other.size === 0) side.owners.delete(mapping.address)
    if (mapping.sessions.size === 0 && mapping.forward === null) this.#unmap(mapping)
  }

  /** Ends what nothing has passed through for long. */
  expire(): void {
    const now = this.#now()
    for (const session of [...this.#all()]) if (session.until <= now) this.end(session)
  }

  /** Ends all sessions: the outside address is another. */
  clear(): void {
    for (const session of [...this.#all()]) this.end(session)
  }

  /** Forgets a network. */
  remove(side: Side): void {
    for (const mapping of [...side.mappings.values()].flat()) {
      for (const session of [...mapping.sessions.values()]) this.end(session)
      if (mapping.forward !== null) this.#unmap(mapping)
    }
    this.#sides.delete(side)
  }

  * #all(): Generator<Session> {
    for (const side of this.#sides) for (const owner of side.owners.values()) yield* [...owner.tcp, ...owner.other]
  }

  #add(mapping: Mapping, remote: number, remotePort: number): Session {
    const { side, address, protocol } = mapping
    let owner = side.owners.get(address)
    if (owner === undefined) side.owners.set(address, owner = { mac: 0, tcp: new Set(), other: new Set() })
    const session: Session = { mapping, owner, remote, remotePort, until: Infinity, flags: 0 }
    mapping.sessions.set(endpointKey(remote, remotePort), session)
    const kind = kindOf(protocol)
    owner[kind].add(session)
    side[kind]++
    this.#sessions++
    return session
  }

  #map(side: Side, protocol: number, address: number, port: number, service: Forward | null, forward: Forward | null, outside: number): Mapping | null {
    if (outside === 0) return null
    const mapping: Mapping = { side, protocol, address, port, outside, forward, service, sessions: new Map() }
    const key = insideKey(protocol, address, port)
    side.mappings.set(key, [...side.mappings.get(key) ?? [], mapping])
    this.#outside.set(protocol * 65_536 + outside, mapping)
    this.#ports.set(protocol, (this.#ports.get(protocol) ?? 0) + 1)
    this.#sides.add(side)
    return mapping
  }

  #unmap(mapping: Mapping): void {
    const { side, protocol, address, port, outside } = mapping
    const key = insideKey(protocol, address, port)
    const others = (side.mappings.get(key) ?? []).filter((each) => each !== mapping)
    if (others.length === 0) side.mappings.delete(key)
    else side.mappings.set(key, others)
    this.#outside.delete(protocol * 65_536 + outside)
    this.#ports.set(protocol, (this.#ports.get(protocol) ?? 1) - 1)
  }

  /** A port that nobody guesses (RFC 6056, 3.3.1), of the same range as the guest's, and in UDP of the same parity (RFC 4787, 4.2.1 and 4.2.2); 0 when none is found. */
  #freePort(protocol: number, port: number): number {
    const step = protocol === ipProtocol.udp ? 2 : 1
    for (let tries = 0; tries < TRIES; tries++) {
      const low = port < FIRST_PORT && port > 1 && tries < TRIES / 2 && protocol !== ipProtocol.icmp
      const from = low ? 2 : FIRST_PORT
      const count = (low ? FIRST_PORT - 2 : 65_536 - FIRST_PORT) / step
      const found = from + (this.#random() % count) * step + (step === 2 ? port & 1 : 0)
      if (this.at(protocol, found) === undefined) return found
    }
    return 0
  }

  /** Sees to it that there is room for one more: what is over concerns who has most. */
  #room(side: Side, protocol: number): void {
    const kind = kindOf(protocol)
    if (side[kind] >= side.most[kind]) this.#thin(side, kind)
    if (this.#sessions >= MOST_SESSIONS || (this.#ports.get(protocol) ?? 0) >= MOST_PORTS) {
      let largest = side
      for (const each of this.#sides) if (each[kind] > largest[kind]) largest = each
      this.#thin(largest, kind)
    }
  }

  /** Ends some of the sessions of the machine that has most, whatever addresses it uses: those that would end first. */
  #thin({ owners, holderOf }: Side, kind: 'tcp' | 'other'): void {
    const held = new Map<unknown, Session[]>()
    for (const owner of owners.values()) {
      const holder = holderOf(owner.mac)
      const sessions = held.get(holder) ?? []
      sessions.push(...owner[kind])
      held.set(holder, sessions)
    }
    const most = [...held.values()].reduce<Session[]>((most, each) => (each.length > most.length ? each : most), [])
    const sorted = most.sort((one, other) => one.until - other.until)
    for (const session of sorted.slice(0, Math.ceil(sorted.length / PART))) this.end(session)
  }
}

function kindOf(protocol: number): 'tcp' | 'other' {
  return protocol === ipProtocol.tcp ? 'tcp' : 'other'
}

function answered(session: Session, outward: boolean): number {
  session.flags |= outward ? seen.callOut : seen.callIn
  return session.flags === (seen.callOut | seen.callIn) ? PATIENCE.udp : PATIENCE.unanswered
}

/** How long a TCP session stays after a segment (RFC 5382, 5; RFC 7857, 2). A reset may be made up by somebody: what goes on afterwards goes on. */
function track(session: Session, outward: boolean, flags: number): number {
  let state = session.flags
  if ((flags & tcpFlag.syn) !== 0) {
    // A new connection after one that has ended.
    if ((flags & tcpFlag.ack) === 0 && (state & (seen.endOut | seen.endIn | seen.reset)) !== 0) state = 0
    state |= outward ? seen.callOut : seen.callIn
  }
  if ((flags & tcpFlag.fin) !== 0) state |= outward ? seen.endOut : seen.endIn
  state = (flags & tcpFlag.rst) !== 0 ? state | seen.reset : state & ~seen.reset
  session.flags = state
  const open = (state & (seen.callOut | seen.callIn)) === (seen.callOut | seen.callIn)
  const over = (state & seen.reset) !== 0 || (state & (seen.endOut | seen.endIn)) === (seen.endOut | seen.endIn)
  return open && !over ? PATIENCE.established : PATIENCE.transitory
}
