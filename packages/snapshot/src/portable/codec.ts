import { crc32, inflate } from '@machinist/boot'
import type { SnapshotCodec } from '../codec.ts'

/** A codec of ECMAScript alone, for hosts that have none, as browsers: it reads deflate, and stores what it writes as it is. */
export const portableCodec: SnapshotCodec = {
  compression: 'deflate',
  compress: (bytes) => bytes,
  decompress(compression, bytes, length) {
    if (compression !== 'deflate') throw new Error(`${compression} is not known here`)
    return inflate(bytes, length)
  },
  crc32,
}
