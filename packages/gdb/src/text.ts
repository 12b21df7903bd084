/** Bytes as a string of characters 0 to 255, which is how packets are taken apart. */
export function latin(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}

/** The bytes of such a string. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

/** Two digits for each byte. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}

/** The bytes that pairs of digits stand for; null when they are not. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> | null {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return null
  return Uint8Array.from({ length: text.length / 2 }, (_, index) => parseInt(text.slice(2 * index, 2 * index + 2), 16))
}

/** Characters of ASCII as hexadecimal digits. */
export const textToHex = (text: string): string => toHex(bytesOf(text))

/** A number of at most 64 bits, in hexadecimal; null for anything else. */
export function parseHex(text: string): bigint | null {
  return /^[0-9a-fA-F]{1,16}$/.test(text) ? BigInt(`0x${text}`) : null
}

/** The same for a number that is small: null above 2^31. */
export function parseSmallHex(text: string): number | null {
  const value = parseHex(text)
  return value === null || value > 0x7fff_ffffn ? null : Number(value)
}

/** Registers travel in the order of their bytes in memory: little-endian. */
export function registerToHex(value: bigint, bits: number): string {
  return toHex(Uint8Array.from({ length: bits / 8 }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn)))
}

/** The value of a register of so many bits; null when the digits are not exactly so many. */
export function registerFromHex(text: string, bits: number): bigint | null {
  const bytes = fromHex(text)
  if (bytes === null || bytes.length !== bits / 8) return null
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n)
}
