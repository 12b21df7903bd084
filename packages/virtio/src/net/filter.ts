import { broadcast, ethernet, etherType, get16, isGroup, macAt } from '@machinist/packets'
import type { PlainData } from '@machinist/registers'
import { rxCommand } from './layout.ts'

/** Addresses that each of the two tables holds. A driver that wants more gets all of that kind. */
export const mostAddresses = 64
const vlans = 4096
const modeNames = Object.keys(rxCommand) as (keyof typeof rxCommand)[]

/** What the filters of a device save. */
export interface FilterState {
  /** Names of the modes that are on. */
  readonly modes: readonly string[]
  readonly unicast: readonly number[]
  readonly multicast: readonly number[]
  /** A bit for each VLAN. */
  readonly vlans: readonly number[]
}

/** Which frames the driver wants (5.1.6.5.1 to 5.1.6.5.3). Until it says so, all. */
export class ReceiveFilter {
  mac = 0
  /** VLANs are filtered: VIRTIO_NET_F_CTRL_VLAN was accepted. */
  filtersVlans = false
  readonly #modes = new Set<keyof typeof rxCommand>()
  #unicast: ReadonlySet<number> | 'all' = new Set<number>()
  #multicast: ReadonlySet<number> | 'all' = new Set<number>()
  readonly #vlans = new Uint8Array(vlans / 8)

  constructor() {
    this.reset()
  }

  reset(): void {
    this.#modes.clear()
    this.#modes.add('promisc')
    this.#unicast = this.#multicast = new Set()
    this.#vlans.fill(0)
  }

  /** False when there is no such mode. */
  setMode(command: number, on: boolean): boolean {
    const name = modeNames.find((each) => rxCommand[each] === command)
    if (name === undefined) return false
    if (on) this.#modes.add(name)
    else this.#modes.delete(name)
    return true
  }

  /** @param unicast - null for too many: then all pass */
  setTables(unicast: readonly number[] | null, multicast: readonly number[] | null): void {
    this.#unicast = unicast === null ? 'all' : new Set(unicast)
    this.#multicast = multicast === null ? 'all' : new Set(multicast)
  }

  /** False when there is no such VLAN. */
  setVlan(id: number, on: boolean): boolean {
    if (id >= vlans) return false
    const bit = 1 << (id & 7)
    const before = this.#vlans[id >>> 3] ?? 0
    this.#vlans[id >>> 3] = on ? before | bit : before & ~bit
    return true
  }

  accepts(bytes: Uint8Array): boolean {
    if (this.filtersVlans && get16(bytes, ethernet.type) === etherType.vlan) {
      const id = get16(bytes, ethernet.length) & (vlans - 1)
      if (((this.#vlans[id >>> 3] ?? 0) & (1 << (id & 7))) === 0) return false
    }
    const modes = this.#modes
    if (modes.has('promisc')) return true
    const destination = macAt(bytes, ethernet.destination)
    if (destination === broadcast) return !modes.has('nobcast')
    if (isGroup(destination)) return !modes.has('nomulti') && (modes.has('allmulti') || has(this.#multicast, destination))
    return !modes.has('nouni') && (modes.has('alluni') || destination === this.mac || has(this.#unicast, destination))
  }

  save(): FilterState {
    const list = (table: ReadonlySet<number> | 'all'): number[] => table === 'all' ? [all] : [...table]
    return { modes: modeNames.filter((name) => this.#modes.has(name)), unicast: list(this.#unicast), multicast: list(this.#multicast), vlans: [...this.#vlans] }
  }

  /** Reads a saved state; throws a typed error, or returns what takes it over. */
  load(data: PlainData): () => void {
    const modes = data.unknown('modes')
    const on = modeNames.filter((name) => Array.isArray(modes) && modes.includes(name))
    const table = (field: string): ReadonlySet<number> | 'all' => {
      const given = data.unknown(field)
      const list = data.integers(field, Array.isArray(given) ? Math.min(given.length, mostAddresses) : 0, all, broadcast)
      return list[0] === all ? 'all' : new Set(list)
    }
    const unicast = table('unicast')
    const multicast = table('multicast')
    const bits = data.integers('vlans', vlans / 8, 0, 255)
    data.done()
    return () => {
      this.#modes.clear()
      for (const name of on) this.#modes.add(name)
      this.#unicast = unicast
      this.#multicast = multicast
      this.#vlans.set(bits)
    }
  }
}

/** Stands in a saved table for all addresses. */
const all = -1

function has(table: ReadonlySet<number> | 'all', mac: number): boolean {
  return table === 'all' || table.has(mac)
}
