import { portableCodec, type SnapshotCodec } from '@machinist/snapshot'
import { streamed } from '../disks/codec.ts'

/** Reads at once what others write; packs with the browser's streams, which take their time. */
export const snapshotCodec: SnapshotCodec = { ...portableCodec, compressLater: (bytes) => streamed(bytes, new CompressionStream('deflate-raw')) }

/** Stores what it writes as it is: quicker, for what is read again at once. */
export const plainCodec: SnapshotCodec = portableCodec
