const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** Base 64 (RFC 4648, section 4) of whole groups, as ECMAScript has none: for what the build writes. */
export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 3) {
    const group = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0)
    const digits = [18, 12, 6, 0].map((shift) => DIGITS[(group >> shift) & 63] ?? '').join('')
    text += at + 3 <= bytes.length ? digits : digits.slice(0, bytes.length - at + 1).padEnd(4, '=')
  }
  return text
}

/** The bytes of what {@link toBase64} gave. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const values = new Uint8Array(128)
  for (let value = 0; value < DIGITS.length; value++) values[DIGITS.charCodeAt(value)] = value
  const length = (text.length / 4) * 3 - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0)
  const bytes = new Uint8Array(length)
  for (let from = 0, at = 0; from < text.length; from += 4, at += 3) {
    const group = ((values[text.charCodeAt(from)] ?? 0) << 18) | ((values[text.charCodeAt(from + 1)] ?? 0) << 12) | ((values[text.charCodeAt(from + 2)] ?? 0) << 6) | (values[text.charCodeAt(from + 3)] ?? 0)
    bytes[at] = group >> 16
    bytes[at + 1] = group >> 8
    bytes[at + 2] = group
  }
  return bytes
}
