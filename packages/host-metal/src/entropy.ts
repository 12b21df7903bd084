import type { EntropyPort } from '@machinist/api'

const ROUNDS = 10
/** Bytes of output for one key: the first 32 of each batch are the next key, so that what was given out cannot be worked out later (fast key erasure). */
const BATCH = 16 * 64
const KEY_WORDS = 8

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by))

/** One block of ChaCha20 (RFC 8439, 2.3) into `out`, as words. */
export function chachaBlock(key: Uint32Array, counter: number, out: Uint32Array, at: number): void {
  const start = new Uint32Array(16)
  start.set([0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574])
  start.set(key, 4)
  start[12] = counter
  const x = start.slice()
  const quarter = (a: number, b: number, c: number, d: number): void => {
    const add = (to: number, from: number): number => (x[to] = ((x[to] ?? 0) + (x[from] ?? 0)) >>> 0)
    const mix = (to: number, from: number, by: number): void => { x[to] = rotate((x[to] ?? 0) ^ add(from, to === d ? b : d), by) }
    mix(d, a, 16)
    mix(b, c, 12)
    mix(d, a, 8)
    mix(b, c, 7)
  }
  for (let round = 0; round < ROUNDS; round++) {
    quarter(0, 4, 8, 12)
    quarter(1, 5, 9, 13)
    quarter(2, 6, 10, 14)
    quarter(3, 7, 11, 15)
    quarter(0, 5, 10, 15)
    quarter(1, 6, 11, 12)
    quarter(2, 7, 8, 13)
    quarter(3, 4, 9, 14)
  }
  for (let i = 0; i < 16; i++) out[at + i] = ((x[i] ?? 0) + (start[i] ?? 0)) >>> 0
}

/**
 * Random bytes from a seed that firmware handed over, by ChaCha20. As good as the seed: 16 bytes at least.
 *
 * @throws RangeError for a shorter seed
 */
export function seededByFirmware(seed: Uint8Array): EntropyPort & { stir(word: number): void } {
  if (seed.length < 16) throw new RangeError(`a seed of ${seed.length} bytes`)
  const key = new Uint32Array(KEY_WORDS)
  const batch = new Uint32Array(BATCH / 4)
  let left = 0
  const refill = (): void => {
    for (let block = 0; block < BATCH / 64; block++) chachaBlock(key, block, batch, block * 16)
    key.set(batch.subarray(0, KEY_WORDS))
    batch.fill(0, 0, KEY_WORDS)
    left = BATCH - KEY_WORDS * 4
  }
  // All of the seed goes in, 32 bytes at a time.
  for (let from = 0; from < seed.length; from += 32) {
    for (let i = from; i < Math.min(seed.length, from + 32); i++) key[(i % 32) >> 2] = ((key[(i % 32) >> 2] ?? 0) ^ ((seed[i] ?? 0) << (8 * (i & 3)))) >>> 0
    refill()
  }
  const bytes = new Uint8Array(batch.buffer)
  return {
    fill(into) {
      for (let i = 0; i < into.length; i++) {
        if (left === 0) refill()
        const at = BATCH - left--
        into[i] = bytes[at] ?? 0
        bytes[at] = 0
      }
    },
    stir(word) {
      key[0] = ((key[0] ?? 0) ^ word) >>> 0
      left = 0
    },
  }
}
