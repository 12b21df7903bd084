import { inflateUpTo } from '@machinist/boot'
import type { Codec } from '@machinist/storage'

/** All that a stream of bytes gives, at most `limit` of them. @throws what the stream fails with, or a RangeError when there is more */
export async function gather(stream: { getReader(): { read(): Promise<{ readonly value?: Uint8Array | undefined }>; cancel(): Promise<void> } }, limit: number, progress: (loaded: number) => void = () => {}): Promise<Uint8Array> {
  const reader = stream.getReader()
  const pieces: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { value } = await reader.read()
    if (value === undefined) break
    pieces.push(value)
    length += value.length
    progress(length)
    if (length <= limit) continue
    await reader.cancel().catch(() => undefined)
    throw new RangeError('more comes out than there is room for')
  }
  const all = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}

/** Bytes as a stream. */
function streamOf(bytes: Uint8Array): ReturnType<Blob['stream']> {
  return new Blob([new Uint8Array(bytes)]).stream()
}

/** All that comes out of a stream of browsers for bytes, at most `limit` of them. @throws a TypeError for damaged data, a RangeError when there is more */
export function streamed(bytes: Uint8Array, through: CompressionStream | DecompressionStream, limit: number = Infinity): Promise<Uint8Array> {
  return gather(streamOf(bytes).pipeThrough(through) as Parameters<typeof gather>[0], limit)
}

/** What a stream of browsers decompresses to, at most `limit` bytes of it. @throws a TypeError for damaged data, a RangeError when there is more */
export function decompressed(kind: 'deflate' | 'deflate-raw' | 'gzip', bytes: Uint8Array, limit: number): Promise<Uint8Array> {
  return streamed(bytes, new DecompressionStream(kind), limit)
}

/** Bytes of the header of zlib (RFC 1950, 2.2). */
const ZLIB_HEADER = 2

/** For disk images. Streams of browsers refuse what follows the end of the data, as the padding of a cluster does; so ECMAScript does it. */
export const browserCodec: Codec = {
  inflates: ['deflate', 'zlib'],
  async inflate(compression, from, size) {
    if (compression === 'zstd') throw new Error('there is no Zstandard here')
    return await Promise.resolve(inflateUpTo(compression === 'zlib' ? from.subarray(ZLIB_HEADER) : from, size))
  },
}
