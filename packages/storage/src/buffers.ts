/** Total bytes of a list of buffers. */
export function lengthOf(buffers: readonly Uint8Array[]): number {
  let total = 0
  for (const buffer of buffers) total += buffer.length
  return total
}
