/** Total bytes of a list of buffers. */
export function lengthOf(buffers: readonly Uint8Array[]): number {
  let total = 0
  for (let index = 0; index < buffers.length; index++) total += buffers[index]?.length ?? 0
  return total
}
