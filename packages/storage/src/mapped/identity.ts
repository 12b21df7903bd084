import { machinistError } from '@machinist/api'
import type { CreateOptions } from '../format.ts'

const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Help for the parameter that {@link identityOf} reads. */
export const identityHelp = "the image's UUID; by default one that follows from its name and size"

/** 16 bytes that depend on a text, spread evenly. Not for secrets: this floor has no source of randomness. */
function digest(text: string): Uint8Array {
  const bytes = new Uint8Array(16)
  for (let word = 0; word < 4; word++) {
    let hash = 0x811c9dc5 ^ (word * 0x9e3779b9)
    for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    new DataView(bytes.buffer).setUint32(word * 4, hash ^ (hash >>> 16), true)
  }
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes
}

/** Another identity that follows from one, as formats want when an image begins to change. */
export function successor(identity: Uint8Array): Uint8Array {
  return digest(`after ${identity.join(' ')}`)
}

/**
 * The identity of a new image, in the order in which a UUID is written.
 *
 * @throws a typed error, `'disk-parameter'`, for a parameter `uuid` that is none
 */
export function identityOf(size: number, options: CreateOptions): Uint8Array {
  const given = options.parameters?.['uuid']
  if (given === undefined) return digest(`${options.name} ${String(size)}`)
  if (!pattern.test(given)) {
    throw machinistError({ code: 'disk-parameter', part: options.name, value: given, remedy: 'Write it as 8-4-4-4-12 hexadecimal digits' }, 'is not a UUID')
  }
  return uuidBytes(given)
}

/** The bytes of a UUID, in the order in which it is written. */
export function uuidBytes(text: string): Uint8Array {
  const digits = text.replaceAll('-', '')
  return Uint8Array.from({ length: 16 }, (_, index) => parseInt(digits.slice(index * 2, index * 2 + 2), 16))
}

/** The order of bytes in which Microsoft's formats keep a GUID: its first three fields little-endian. And back. */
export function mixedEndian(uuid: Uint8Array): Uint8Array {
  return Uint8Array.from([3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15], (index) => uuid[index] ?? 0)
}

/** As a UUID is written. */
export function uuidText(uuid: Uint8Array): string {
  const digits = Array.from(uuid, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join('-')
}
