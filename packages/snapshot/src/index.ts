export type { SnapshotCodec, SnapshotCompression } from './codec.ts'
export type { SnapshotInput, SnapshotOutput } from './file.ts'
export { openSnapshot, type OpenSnapshot } from './reader.ts'
export { writeSnapshot, type WriteOptions } from './writer.ts'
