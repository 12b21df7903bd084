/**
 * UTF-8 without `TextEncoder`: these packages also run where the host offers ECMAScript and nothing else.
 */

const REPLACEMENT = 0xfffd

/** The UTF-8 bytes of `text`; a lone surrogate becomes U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  // A UTF-16 unit needs three bytes at most (a pair needs four, which is two for each).
  const out = new Uint8Array(text.length * 3)
  let length = 0
  for (let index = 0; index < text.length; ) {
    let point = text.codePointAt(index) ?? REPLACEMENT
    index += point > 0xffff ? 2 : 1
    if (point >= 0xd800 && point <= 0xdfff) point = REPLACEMENT
    if (point < 0x80) {
      out[length++] = point
    } else if (point < 0x800) {
      out[length++] = 0xc0 | (point >> 6)
      out[length++] = 0x80 | (point & 0x3f)
    } else if (point < 0x10000) {
      out[length++] = 0xe0 | (point >> 12)
      out[length++] = 0x80 | ((point >> 6) & 0x3f)
      out[length++] = 0x80 | (point & 0x3f)
    } else {
      out[length++] = 0xf0 | (point >> 18)
      out[length++] = 0x80 | ((point >> 12) & 0x3f)
      out[length++] = 0x80 | ((point >> 6) & 0x3f)
      out[length++] = 0x80 | (point & 0x3f)
    }
  }
  return out.slice(0, length)
}

/** The text of UTF-8 `bytes`; every byte that is not part of a well-formed sequence becomes U+FFFD. */
export function decodeUtf8(bytes: Uint8Array): string {
  let text = ''
  for (let index = 0; index < bytes.length; ) {
    const first = bytes[index++] ?? 0
    if (first < 0x80) {
      text += String.fromCharCode(first)
      continue
    }
    const more = first >= 0xf0 && first < 0xf5 ? 3 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xc2 && first < 0xe0 ? 1 : 0
    let point = first & (0x3f >> more)
    let taken = 0
    while (taken < more) {
      const next = bytes[index + taken] ?? 0
      if ((next & 0xc0) !== 0x80) break
      point = (point << 6) | (next & 0x3f)
      taken++
    }
    const least = more === 3 ? 0x10000 : more === 2 ? 0x800 : 0x80
    const valid = more > 0 && taken === more && point >= least && point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff)
    text += String.fromCodePoint(valid ? point : REPLACEMENT)
    if (valid) index += more
  }
  return text
}
