/** Bounds of everything that holds frames for somebody who may never take them. */
export const networkLimits: {
  /** Frames that wait in one direction of one port. */
  readonly frames: number
  /** Their bytes. */
  readonly bytes: number
} = { frames: 1024, bytes: 4 << 20 }
