/** Byte offsets of an Ethernet II header (IEEE 802.3, 3.1.1), and its length without a VLAN tag. */
export const ethernet: {
  readonly destination: 0
  readonly source: 6
  readonly type: 12
  readonly length: 14
} = { destination: 0, source: 6, type: 12, length: 14 }

/** EtherTypes. */
export const etherType: {
  readonly ipv4: 0x0800
  readonly arp: 0x0806
  readonly vlan: 0x8100
  readonly ipv6: 0x86dd
  readonly serviceVlan: 0x88a8
} = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, serviceVlan: 0x88a8 }

/** Bytes of an address, and of a VLAN tag (IEEE 802.1Q, 9.3). */
export const addressLength = 6
export const vlanTagLength = 4

/** The 48-bit address at `offset` as a number: a key for maps. Bytes past the end count as zero. */
export function macAt(bytes: Uint8Array, offset: number): number {
  const high = ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0)
  const low = (((bytes[offset + 2] ?? 0) << 24) | ((bytes[offset + 3] ?? 0) << 16) | ((bytes[offset + 4] ?? 0) << 8) | (bytes[offset + 5] ?? 0)) >>> 0
  return high * 2 ** 32 + low
}

/** The address of all stations. */
export const broadcast = 0xffff_ffff_ffff

/** Whether an address names a group, broadcast included (IEEE 802, 8.2: the I/G bit). */
export function isGroup(mac: number): boolean {
  return (Math.floor(mac / 2 ** 40) & 1) !== 0
}

/** Its six bytes. */
export function macBytes(mac: number): Uint8Array {
  return Uint8Array.from({ length: addressLength }, (_, index) => Math.floor(mac / 2 ** (8 * (5 - index))) % 256)
}

/** `52:54:00:12:34:56`. */
export function macText(mac: number): string {
  return Array.from(macBytes(mac), (byte) => byte.toString(16).padStart(2, '0')).join(':')
}

/** Reads six hexadecimal bytes between colons or hyphens; null when it is something else. */
export function parseMac(text: string): number | null {
  if (!/^[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}$/i.test(text)) return null
  return parseInt(text.replaceAll(/[:-]/g, ''), 16)
}

/** An address made of a name by a hash (FNV-1a): of one station, and locally administered (IEEE 802, 8.4). */
export function macOfName(name: string): number {
  let [low, high] = [0x811c_9dc5, 0x811c_9dc5]
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index)
    low = Math.imul(low ^ code, 0x0100_0193)
    high = Math.imul(high ^ code ^ 0x5a, 0x0100_0193)
  }
  const first = (((high >>> 24) & 0xfc) | 2) * 2 ** 40
  return first + ((high >>> 16) & 0xff) * 2 ** 32 + (low >>> 0)
}
