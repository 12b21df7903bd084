import { macBytes } from '@machinist/packets'
import type { Address, Prefix } from './address.ts'
import type { Router } from './icmp.ts'
import type { NatSettings } from './options.ts'

/** fe80::/64. */
export const linkLocal: Prefix = { address: Uint8Array.from({ length: 16 }, (_, index) => [0xfe, 0x80][index] ?? 0), bits: 64 }

/** The router as neighbour discovery sees it. Its link-local address is made of its Ethernet address (RFC 4291, appendix A). */
export function routerOf({ mac, network6, gateway6, resolver6, mode, mtu }: NatSettings, owns: (address: Address) => boolean): Router {
  const bytes = macBytes(mac)
  const [first = 0] = bytes
  const address = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, first ^ 2, ...bytes.subarray(1, 3), 0xff, 0xfe, ...bytes.subarray(3))
  const routes = mode === 'nat'
  return { mac: bytes, prefix: network6?.address ?? new Uint8Array(16), gateway: gateway6, linkLocal: address, resolver: routes ? resolver6 : null, routes, mtu, owns }
}
