import { badBackendState, type BackendState, backendStateFields } from '@machinist/api'
import type { Address } from './address.ts'
import type { Endpoint } from './sockets.ts'

/** What a NAT keeps in a snapshot. */
export interface NatState {
  /** Ethernet addresses that have an address by DHCP, the longest unused first. */
  readonly leases: readonly (readonly [mac: number, address: Address])[]
  /** Where addresses are, the oldest first. */
  readonly neighbors: readonly (readonly [address: Address, mac: number])[]
  /** A guest uses IPv6, and is told of the router. */
  readonly advertises: boolean
  /** TCP connections, which are gone: with the next sequence number that each side has to hear. */
  readonly connections: readonly LostConnection[]
}

/** A TCP connection that the guest believes to have. */
export interface LostConnection {
  readonly guest: Endpoint
  readonly remote: Endpoint
  readonly sequence: number
  readonly acknowledgment: number
}

const kind = 'nat'
const version = 1
/** More than options allow. */
const mostConnections = 16_384
const mostStations = 1024
const mostMac = 2 ** 48 - 1

export function natState(state: NatState): BackendState {
  return { kind, version, state }
}

/** The state of a NAT from anywhere; null for that of something else. @throws a typed error `'state'` */
export function natStateOf(saved: BackendState, part: string): NatState | null {
  if (saved.kind !== kind) return null
  const fields = backendStateFields(saved, version, part)
  const bad = (what: string): Error => badBackendState(part, `the saved ${what} are none`)
  const list = <T>(what: string, most: number, read: (entry: unknown) => T | null): T[] => {
    const entries = fields[what]
    if (!Array.isArray(entries) || entries.length > most) throw bad(what)
    return entries.map((entry: unknown) => {
      const result = read(entry)
      if (result === null) throw bad(what)
      return result
    })
  }
  const { advertises } = fields
  if (typeof advertises !== 'boolean') throw bad('addresses')
  return {
    advertises,
    leases: list('leases', mostStations, (entry) => {
      const [mac, address] = pair(entry)
      return isWithin(mac, mostMac) && isAddress(address) && address.length === 4 ? [mac, address] : null
    }),
    neighbors: list('neighbors', mostStations, (entry) => {
      const [address, mac] = pair(entry)
      return isWithin(mac, mostMac) && isAddress(address) ? [address, mac] : null
    }),
    connections: list('connections', mostConnections, (entry) => {
      const { guest, remote, sequence, acknowledgment } = objectOf(entry)
      const [one, other] = [endpoint(guest), endpoint(remote)]
      if (one === null || other === null || one.address.length !== other.address.length || !isWithin(sequence, 0xffff_ffff) || !isWithin(acknowledgment, 0xffff_ffff)) return null
      return { guest: one, remote: other, sequence, acknowledgment }
    }),
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? value as Readonly<Record<string, unknown>> : {}
}

function pair(value: unknown): readonly unknown[] {
  return Array.isArray(value) && value.length === 2 ? value as readonly unknown[] : []
}

function isWithin(value: unknown, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most
}

function isAddress(value: unknown): value is Address {
  return value instanceof Uint8Array && (value.length === 4 || value.length === 16)
}

function endpoint(value: unknown): Endpoint | null {
  const { address, port } = objectOf(value)
  return isAddress(address) && isWithin(port, 65_535) && port > 0 ? { address, port } : null
}
