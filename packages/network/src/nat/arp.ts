import { arp, broadcast, ethernet, etherType, get16, macAt, macBytes, set16 } from '@machinist/packets'
import type { Address } from './address.ts'
import type { Link } from './link.ts'
import { putEthernet } from './packet.ts'

const request = 1
const reply = 2
const ETHERNET = 1

/** Where ARP is spoken. */
export type ArpLink = Pick<Link, 'mac' | 'push'>

function sendArp(link: ArpLink, operation: number, to: { readonly mac: number; readonly ip: Address }, from: Address): void {
  const bytes = new Uint8Array(ethernet.length + arp.length)
  const at = putEthernet(bytes, to.mac, link.mac, etherType.arp)
  set16(bytes, at + arp.hardwareType, ETHERNET)
  set16(bytes, at + arp.protocolType, etherType.ipv4)
  bytes[at + arp.hardwareLength] = 6
  bytes[at + arp.protocolLength] = 4
  set16(bytes, at + arp.operation, operation)
  bytes.set(macBytes(link.mac), at + arp.senderMac)
  bytes.set(from, at + arp.senderIp)
  if (operation === reply) bytes.set(macBytes(to.mac), at + arp.targetMac)
  bytes.set(to.ip, at + arp.targetIp)
  link.push({ bytes })
}

/** Asks who has an address. */
export function sendArpRequest(link: ArpLink, from: Address, target: Address): void {
  sendArp(link, request, { mac: broadcast, ip: target }, from)
}

/**
 * Takes an ARP packet (RFC 826): answers for what is ours, and tells who the sender is.
 *
 * @param owns - whether an address is ours
 * @returns the sender's addresses, or null when it gives none
 */
export function takeArp(link: ArpLink, bytes: Uint8Array, owns: (address: Address) => boolean): { ip: Address; mac: number } | null {
  const at = ethernet.length
  if (bytes.length < at + arp.length || get16(bytes, at + arp.hardwareType) !== ETHERNET || get16(bytes, at + arp.protocolType) !== etherType.ipv4) return null
  if (bytes[at + arp.hardwareLength] !== 6 || bytes[at + arp.protocolLength] !== 4) return null
  const mac = macAt(bytes, at + arp.senderMac)
  const ip = bytes.slice(at + arp.senderIp, at + arp.senderIp + 4)
  const target = bytes.slice(at + arp.targetIp, at + arp.targetIp + 4)
  if (get16(bytes, at + arp.operation) === request && owns(target)) sendArp(link, reply, { mac, ip }, target)
  // Who only asks whether an address is free has none yet (RFC 5227).
  return ip.every((byte) => byte === 0) ? null : { ip, mac }
}
