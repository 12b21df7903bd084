/** The polynomial of ISO 3309, its bits reversed. */
const POLYNOMIAL = 0xedb8_8320

/** Tables for four bytes at a time: what a byte comes to that is followed by so many zeros. */
const TABLES = tables()

function tables(): readonly [Uint32Array, Uint32Array, Uint32Array, Uint32Array] {
  const first = Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0)
    return crc
  })
  const followed = (table: Uint32Array): Uint32Array => table.map((crc) => (crc >>> 8) ^ (first[crc & 255] ?? 0))
  const second = followed(first)
  const third = followed(second)
  return [first, second, third, followed(third)]
}

/** CRC-32 as zlib and PNG have it (ISO 3309). */
export function crc32(bytes: Uint8Array): number {
  const [a, b, c, d] = TABLES
  let crc = 0xffff_ffff
  let at = 0
  for (; at + 4 <= bytes.length; at += 4) {
    crc ^= (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)
    crc = (d[crc & 255] ?? 0) ^ (c[(crc >>> 8) & 255] ?? 0) ^ (b[(crc >>> 16) & 255] ?? 0) ^ (a[crc >>> 24] ?? 0)
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ (a[(crc ^ (bytes[at] ?? 0)) & 255] ?? 0)
  return (crc ^ 0xffff_ffff) >>> 0
}
