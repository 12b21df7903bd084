import { get16, set16 } from '@machinist/packets'

/** An IP address: 4 or 16 bytes. */
export type Address = Uint8Array

/** Reads `192.0.2.1`: four decimal numbers, without zeros before them; null when it is something else. */
function parseIpv4(text: string): Address | null {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256)) return null
  return Uint8Array.from(parts, Number)
}

/** Reads an IPv6 address in any form of RFC 4291, 2.2, without zone; null when it is something else. */
function parseIpv6(text: string): Address | null {
  let words = text
  const dotted = /^(.*:)([0-9.]+)$/.exec(text)
  if (dotted?.[2]?.includes('.') === true) {
    const low = parseIpv4(dotted[2])
    if (low === null) return null
    words = `${dotted[1] ?? ''}${get16(low, 0).toString(16)}:${get16(low, 2).toString(16)}`
  }
  const halves = words.split('::')
  if (halves.length > 2) return null
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const zeros = 8 - head.length - tail.length
  if (halves.length === 1 ? zeros !== 0 : zeros < 1) return null
  const all = [...head, ...Array<string>(zeros).fill('0'), ...tail]
  if (!all.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return null
  const address = new Uint8Array(16)
  all.forEach((word, index) => { set16(address, 2 * index, parseInt(word, 16)) })
  return address
}

/** Reads an IPv4 or IPv6 address; null when the text is no address. */
export function parseAddress(text: string): Address | null {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text)
}

/** An address as text; IPv6 as RFC 5952 wants it. */
export function addressText(address: Address): string {
  if (address.length === 4) return address.join('.')
  const words = Array.from({ length: 8 }, (_, index) => get16(address, 2 * index))
  if (words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff) return `::ffff:${address.subarray(12).join('.')}`
  let best = { at: 0, length: 1 }
  for (let at = 0; at < 8; at++) {
    let length = 0
    while (words[at + length] === 0) length++
    if (length > best.length) best = { at, length }
  }
  const hex = words.map((word) => word.toString(16))
  if (best.length === 1) return hex.join(':')
  return `${hex.slice(0, best.at).join(':')}::${hex.slice(best.at + best.length).join(':')}`
}

/** A key for maps: one character for each byte. */
export function addressKey(address: Address): string {
  return String.fromCharCode(...address)
}

/** Whether two addresses are the same. */
export function sameAddress(one: Address, other: Address): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index])
}

/** A range of addresses: those whose first `bits` bits are those of `address`. */
export interface Prefix {
  readonly address: Address
  readonly bits: number
}

/** Reads `10.0.0.0/8`, or an address alone, which is a range of one; null when it is something else, or has bits set behind the prefix. */
export function parsePrefix(text: string): Prefix | null {
  const [, place = '', length] = /^([^/]*)(?:\/([0-9]{1,3}))?$/.exec(text) ?? []
  const address = parseAddress(place)
  if (address === null) return null
  const bits = length === undefined ? address.length * 8 : Number(length)
  if (bits > address.length * 8) return null
  const prefix = { address, bits }
  return sameAddress(network(prefix), address) ? prefix : null
}

/** A prefix as text. */
export function prefixText({ address, bits }: Prefix): string {
  return `${addressText(address)}/${bits}`
}

/** The first address of a prefix. */
export function network({ address, bits }: Prefix): Address {
  return address.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - index * 8))))
}

/** Whether an address is in a range. One of the other family is not. */
export function contains({ address: base, bits }: Prefix, address: Address): boolean {
  if (base.length !== address.length) return false
  for (let index = 0, left = bits; left > 0; index++, left -= 8) {
    if ((((base[index] ?? 0) ^ (address[index] ?? 0)) & (0xff00 >> Math.min(8, left)) & 0xff) !== 0) return false
  }
  return true
}

/** Whether all of one range is in another. */
export function within(inner: Prefix, outer: Prefix): boolean {
  return inner.bits >= outer.bits && contains(outer, inner.address)
}
