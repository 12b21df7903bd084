/** How parts of a file are compressed: `'brotli'` (RFC 7932) or `'deflate'` (RFC 1951, no header). */
export type SnapshotCompression = 'brotli' | 'deflate'

/** Compression and checksums, which hosts have. */
export interface SnapshotCodec {
  /** What `compress` makes. */
  readonly compression: SnapshotCompression
  compress(bytes: Uint8Array): Uint8Array
  /** The same where a host takes its time, and files are written that may wait: it is asked in the place of `compress`. */
  compressLater?(bytes: Uint8Array): Promise<Uint8Array>
  /**
   * @param length - bytes that come out: never more are made
   * @throws anything for damaged data, or another compression than it knows
   */
  decompress(compression: SnapshotCompression, bytes: Uint8Array, length: number): Uint8Array
  /** CRC-32 as zlib and PNG have it (ISO 3309): unsigned. */
  crc32(bytes: Uint8Array): number
}
