import type { DhcpServer } from './dhcp.ts'
import type { Link } from './link.ts'
import type { Forward, NatSettings } from './options.ts'
import type { Policy } from './policy.ts'
import { type Address, sameAddress } from './address.ts'
import type { Endpoint, HostSockets } from './sockets.ts'

/** What the parts of a NAT share. */
export interface NatContext {
  readonly settings: NatSettings
  readonly sockets: HostSockets
  readonly link: Link
  readonly policy: Policy
  readonly dhcp: DhcpServer
  /** Whose an Ethernet address is, of those who share what there is. */
  holderOf(mac: number): unknown
  /** Milliseconds that have passed through the gate. */
  now(): number
  /** Runs something when the machine's gate lets it in; not after the end. */
  gate(work: () => void): void
  /** The gateway's address in the family of another. */
  gatewayFor(address: Address): Address
}

/** Where something that a guest sends to `to` goes. */
export type Route = { readonly kind: 'host'; readonly to: Endpoint } | { readonly kind: 'dns' } | { readonly kind: 'denied' } | { readonly kind: 'nobody' }

const DNS_PORT = 53

/** Finds where a guest's packet is to go, and whether it may. */
export function route({ settings, policy }: NatContext, protocol: 'tcp' | 'udp', to: Endpoint): Route {
  const { mode, services, resolver, resolver6, gateway, gateway6 } = settings
  const service = services.find((each) => each.protocol === protocol && each.from.port === to.port && sameAddress(each.from.address, to.address))
  const address = service?.to.address ?? null
  if (service !== undefined && address !== null) return { kind: 'host', to: { address, port: service.to.port } }
  const own = [gateway, gateway6].some((each) => sameAddress(each, to.address))
  const names = [resolver, resolver6].some((each) => sameAddress(each, to.address))
  if (mode === 'nat' && (own || names) && to.port === DNS_PORT) return { kind: 'dns' }
  if (own || names || services.some(({ from }) => sameAddress(from.address, to.address))) return { kind: 'nobody' }
  if (mode !== 'nat' || !policy.allows({ protocol, ...to })) return { kind: 'denied' }
  return { kind: 'host', to }
}

/** The guest that a forward leads to. */
export function guestOf({ settings }: NatContext, { to }: Forward): Endpoint {
  return { address: to.address ?? settings.pool.first, port: to.port }
}
