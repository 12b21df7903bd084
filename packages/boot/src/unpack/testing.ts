/** Text with much that repeats, numbers, noise, runs, calls of x86: for tests. */
export function sample(seed: number, length: number): Uint8Array {
  let state = seed
  const random = (): number => (state = Math.imul(state, 1_103_515_245) + 12_345 & 0x7fff_ffff) >>> 8
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length;) {
    const kind = random() % 5
    const size = 1 + random() % 60
    if (kind === 0 && at > 0) bytes.copyWithin(at, random() % at, at)
    const part = kind === 1 ? Array.from({ length: size }, () => random() & 0xff) : kind === 2 ? new Array<number>(size * 5).fill(0x78)
      : kind === 3 ? [0xe8, random() & 0xff, random() & 0xff, random() % 3, random() % 2 === 0 ? 0 : 0xff] : [...`line ${random() % 50} of the kernel\n`].map((letter) => letter.charCodeAt(0))
    bytes.set(part.slice(0, length - at), at)
    at += part.length
  }
  return bytes
}
