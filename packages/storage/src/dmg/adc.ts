/**
 * Decompresses Apple Data Compression: runs of plain bytes (`1lllllll`, one more than `l`), and copies of what was written before, near
 * (`00llllDD DDDDDDDD`, three more than `l`) and far (`01llllll DDDDDDDD DDDDDDDD`, four more), from one more than `D` bytes back.
 *
 * @param size - the most that it may be, in bytes
 * @throws an `Error` when it is not that, or longer
 */
export function unadc(from: Uint8Array, size: number): Uint8Array {
  const into = new Uint8Array(size)
  let length = 0
  for (let at = 0; at < from.length && length < size;) {
    const code = from[at] ?? 0
    const [next, low] = [from[at + 1] ?? 0, from[at + 2] ?? 0]
    if ((code & 0x80) !== 0) {
      const count = (code & 0x7f) + 1
      if (at + 1 + count > from.length || length + count > size) throw new Error('compressed data is damaged')
      into.set(from.subarray(at + 1, at + 1 + count), length)
      length += count
      at += 1 + count
      continue
    }
    const far = (code & 0x40) !== 0
    const count = far ? (code & 0x3f) + 4 : (code >>> 2) + 3
    const back = (far ? next << 8 | low : (code & 3) << 8 | next) + 1
    at += far ? 3 : 2
    if (at > from.length || back > length || length + count > size) throw new Error('compressed data is damaged')
    // Byte by byte: a copy may reach into itself.
    for (const end = length + count; length < end; length++) into[length] = into[length - back] ?? 0
  }
  return into.subarray(0, length)
}
