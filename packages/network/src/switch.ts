import { badBackendState, backendStateFields, type BackendState, type Frame } from '@machinist/api'
import { ethernet, isGroup, macAt, parseMac } from '@machinist/packets'
import { End } from './end.ts'
import { checkRange, parseStation } from './port.ts'
import type { Port, PortOptions } from './port.ts'

/** What a switch may be told. */
export interface SwitchOptions {
  /** Addresses that are remembered for each port, 1 to 65536; beyond that the oldest is forgotten. Default: 256. */
  readonly addressesPerPort?: number
  /** Nanoseconds of the port's machine after which an address that was not heard of is forgotten. Default: 300 seconds. */
  readonly ageing?: number
  /** For errors. Default: `switch`. */
  readonly name?: string
}

/** What a port of a switch may be told. */
export interface SwitchPortOptions extends PortOptions {
  /** Isolated ports reach only ports that are not. Default: false. */
  readonly isolated?: boolean
  /** Drops frames from any other source address, so that a guest cannot pass for another. Default: all may pass. */
  readonly sources?: readonly string[]
}

/**
 * An Ethernet switch between the machines of one process. Snapshots of a machine have the addresses that were heard at its port, and how far its limits are
 * used; frames that wait are lost.
 */
export interface Switch {
  /** Adds a port. @throws a typed error `'port-option'` */
  port(options?: SwitchPortOptions): Port
  /** Addresses that it remembers, with the names of their ports. */
  readonly addresses: ReadonlyMap<number, string>
  /** The port at which an address was heard last; null when it is not remembered. */
  portAt(mac: number): Port | null
}

interface Member {
  readonly end: End
  readonly isolated: boolean
  readonly sources: ReadonlySet<number> | null
  /** What the station is called, if it goes by what the port says: see {@link PortOptions.address}. */
  own: number
  /** Whether its configuration says so, and not the port. */
  claimed: boolean
  /** Addresses heard at this port, oldest first. */
  readonly heard: Map<number, Entry>
}

interface Entry {
  readonly member: Member
  seen: number
}

type Station = readonly [mac: number, seen: number]

/** Addresses of a port's share, as a snapshot has them. @throws a typed error `'state'` */
function stationsOf(saved: BackendState, part: string, most: number): Station[] {
  const { stations } = backendStateFields(saved, 1, part)
  if (!Array.isArray(stations) || stations.length > mostStations) throw badBackendState(part, 'the saved addresses are none')
  return stations.slice(-most).map((each: unknown) => {
    const [mac, seen] = Array.isArray(each) ? each as readonly unknown[] : []
    if (typeof mac !== 'number' || !Number.isInteger(mac) || mac < 0 || mac >= 2 ** 48 || isGroup(mac) || typeof seen !== 'number' || !(seen >= 0 && seen <= Number.MAX_SAFE_INTEGER)) {
      throw badBackendState(part, 'the saved addresses are none')
    }
    return [mac, seen]
  })
}

const mostStations = 65536
const defaultAgeing = 300e9
/** Addresses that no bridge forwards, 01-80-C2-00-00-00 to -0F (IEEE 802.1Q, 8.6.3). */
const reserved = 0x0180_c200_0000

/**
 * Makes a switch: it learns at which port an address is, sends frames there, and those for groups or for addresses unknown to
 * all other ports. A port has its own share of the table, so none can make it forget the addresses of another. The address of a port (`PortOptions.address`) is that of ports alone that are given it, and so is the one that a device claims (`NetPort.claim`), unless a port has it: frames of others from there are dropped. Devices that claim the same address share it: it is protected against those that do not claim it.
 *
 * @throws a typed error `'port-option'`
 */
export function virtualSwitch(options: SwitchOptions = {}): Switch {
  const { addressesPerPort = 256, ageing = defaultAgeing, name = 'switch' } = options
  checkRange(`${name}.addressesPerPort`, addressesPerPort, 1, mostStations)
  checkRange(`${name}.ageing`, ageing, 1, Number.MAX_SAFE_INTEGER)
  const members = new Map<End, Member>()
  /** What was heard at ports before their machines were saved. */
  const restored = new Map<End, Station[]>()
  const table = new Map<number, Entry>()
  /** How many ports were given an address. A machine that moves has two for a while. */
  const owners = new Map<number, number>()
  let made = 0

  const forget = (mac: number, entry: Entry): void => {
    entry.member.heard.delete(mac)
    table.delete(mac)
  }

  const learn = (mac: number, member: Member): void => {
    const known = table.get(mac)
    const now = member.end.now ?? 0
    if (known?.member === member) {
      known.seen = now
      return
    }
    if (known !== undefined) forget(mac, known)
    if (member.heard.size >= addressesPerPort) {
      for (const [oldest, entry] of member.heard) {
        forget(oldest, entry)
        break
      }
    }
    const entry = { member, seen: now }
    member.heard.set(mac, entry)
    table.set(mac, entry)
  }

  const mayUse = (mac: number, { own, sources }: Member): boolean => (sources === null ? mac === own || !owners.has(mac) : sources.has(mac))

  const assign = (member: Member, own: number): void => {
    member.own = own
    owners.set(own, (owners.get(own) ?? 0) + 1)
    const known = table.get(own)
    if (known !== undefined && known.member.own !== own) forget(own, known)
  }

  const disown = ({ own }: Member): void => {
    const others = (owners.get(own) ?? 1) - 1
    if (others > 0) owners.set(own, others)
    else owners.delete(own)
  }

  const move = (member: Member, own: number, claimed: boolean): void => {
    const before = member.own
    disown(member)
    assign(member, own)
    member.claimed = claimed
    const known = table.get(before)
    if (known?.member === member && !mayUse(before, member)) forget(before, known)
  }

  const portAddress = ({ end }: Member): number => parseMac(end.options.address) ?? 0

  /** What a port was given is for no definition to take: those that claimed it go by what their ports say. */
  const putBack = (owner: Member): void => {
    for (const other of members.values()) if (other !== owner && other.claimed && other.own === owner.own) move(other, portAddress(other), false)
  }

  const lookUp = (mac: number): Member | null => {
    const entry = table.get(mac)
    if (entry === undefined) return null
    // Time is that of the machine where it was heard: another's says nothing about it.
    if ((entry.member.end.now ?? 0) - entry.seen <= ageing) return entry.member
    forget(mac, entry)
    return null
  }

  const forward = (frame: Frame, from: Member): void => {
    const source = macAt(frame.bytes, ethernet.source)
    const destination = macAt(frame.bytes, ethernet.destination)
    if (isGroup(source) || !mayUse(source, from) || (destination >= reserved && destination < reserved + 16)) return
    learn(source, from)
    const to = isGroup(destination) ? null : lookUp(destination)
    if (to === null) {
      for (const other of members.values()) if (other !== from && !(from.isolated && other.isolated)) other.end.offer(frame)
    } else if (to !== from && !(from.isolated && to.isolated)) {
      to.end.offer(frame)
    }
  }

  return {
    port(given = {}) {
      const { isolated = false, sources } = given
      const allowed = sources === undefined ? null : new Set(sources.map((text) => parseStation(`${given.name ?? name}.sources`, text)))
      const end: End = new End({
        forward: (frame, sender) => {
          const member = members.get(sender)
          if (member !== undefined) forward(frame, member)
        },
        connected(which) {
          const own = parseMac(which.options.address) ?? 0
          const member = { end: which, isolated, sources: allowed, own: 0, claimed: false, heard: new Map<number, Entry>() }
          members.set(which, member)
          assign(member, own)
          putBack(member)
          for (const [mac, seen] of restored.get(which) ?? []) {
            // Another machine may have it by now: this one may be its copy.
            if (table.has(mac) || !mayUse(mac, member)) continue
            const entry = { member, seen }
            member.heard.set(mac, entry)
            table.set(mac, entry)
          }
          restored.delete(which)
        },
        save(which) {
          const stations = [...members.get(which)?.heard ?? []].map(([mac, { seen }]): Station => [mac, seen])
          return stations.length === 0 ? [] : [{ kind: 'stations', version: 1, state: { stations } }]
        },
        restore(which, saved, part) {
          if (saved.kind !== 'stations') return false
          restored.set(which, stationsOf(saved, part, addressesPerPort))
          return true
        },
        closed: (which) => {
          const member = members.get(which)
          if (member === undefined) return
          for (const mac of member.heard.keys()) table.delete(mac)
          members.delete(which)
          disown(member)
        },
        claimed(which, mac) {
          const member = members.get(which)
          if (member === undefined) return
          const given = portAddress(member)
          const taken = [...members.values()].some((other) => other !== member && other.own === mac && !other.claimed)
          if (mac === given || taken) {
            move(member, given, false)
            putBack(member)
          } else move(member, mac, true)
        },
      }, { ...given, ...(given.address === undefined && sources?.[0] !== undefined && { address: sources[0] }) }, `${name}.port${String(made++)}`)
      return end
    },
    portAt: (mac) => table.get(mac)?.member.end ?? null,
    get addresses() {
      return new Map([...table].map(([mac, { member }]) => [mac, member.end.name]))
    },
  }
}
