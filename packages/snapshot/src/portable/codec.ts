import { crc32, inflate } from '@machinist/boot'
import type { SnapshotCodec } from '../codec.ts'
import { unpackBrotli } from './brotli.ts'

/** A codec of ECMAScript alone, for hosts that have none, as browsers: it reads what others write, and stores what it writes as it is. */
export const portableCodec: SnapshotCodec = {
  compression: 'deflate',
  compress: (bytes) => bytes,
  decompress: (compression, bytes, length) => compression === 'brotli' ? unpackBrotli(bytes, length) : inflate(bytes, length),
  crc32,
}
