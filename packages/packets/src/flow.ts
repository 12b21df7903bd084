import { get16, get32, ipv4, ipv6, tcp } from './headers.ts'
import { parseIp } from './parse.ts'

/**
 * A number for the conversation that a frame belongs to, 0 to 2^32 - 1: the same in both directions, so that answers can be
 * taken where questions were sent. Addresses, protocol and, outside of fragments, ports count. 0 for what is not IP.
 */
export function flowHash(bytes: Uint8Array): number {
  const packet = parseIp(bytes)
  if (packet === null) return 0
  const { version, network, protocol, payload, transport } = packet
  let hash = protocol
  if (version === 4) {
    hash = mix(hash, get32(bytes, network + ipv4.source) ^ get32(bytes, network + ipv4.destination))
  } else {
    for (let word = 0; word < 16; word += 4) {
      hash = mix(hash, get32(bytes, network + ipv6.source + word) ^ get32(bytes, network + ipv6.destination + word))
    }
  }
  if (payload !== null && transport !== null) {
    const [source, destination] = [get16(bytes, transport + tcp.source), get16(bytes, transport + tcp.destination)]
    hash = mix(hash, Math.min(source, destination) * 65536 + Math.max(source, destination))
  }
  return (hash ^ (hash >>> 16)) >>> 0
}

/** A step of mixing, after MurmurHash3. */
function mix(hash: number, value: number): number {
  const scrambled = Math.imul(value, 0xcc9e_2d51)
  const turned = Math.imul((scrambled << 15) | (scrambled >>> 17), 0x1b87_3593) ^ hash
  return (Math.imul((turned << 13) | (turned >>> 19), 5) + 0xe654_6b64) | 0
}
