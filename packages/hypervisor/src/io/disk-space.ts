import type { Backend, BlockPort } from '@machinist/api'

/** What a disk takes of a datastore, as a controller sees it. */
export interface DiskSpace {
  /** Bytes that its own image takes. */
  readonly used: number
  /** Bytes that it may take without asking. */
  readonly taken: number
  /** Asked before it takes more: bytes that it may take besides. Null: as many as the datastore has. */
  room: (() => number) | null
  /** Whether writes wait for room. */
  readonly waiting: boolean
  /** Told when writes begin to wait, and when none does any more. */
  onWaiting: ((waiting: boolean) => void) | null
  /** There may be room: what waits is tried again. */
  retry(): void
}

/** A disk on a datastore. */
export interface DatastoreDisk extends Backend<BlockPort> {
  readonly space: DiskSpace
  close(): Promise<void>
}
