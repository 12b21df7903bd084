/** What a guest's kernel says of its memory (virtio 1.2, 5.5.6.3). What it does not say is absent. */
export interface BalloonStatistics {
  /** Bytes swapped in, and out, since the guest started. */
  readonly swapIn?: number
  readonly swapOut?: number
  /** Page faults that needed the disk, and that did not, since the guest started. */
  readonly majorFaults?: number
  readonly minorFaults?: number
  /** Bytes that are used for nothing. */
  readonly free?: number
  /** Bytes that the kernel has. */
  readonly total?: number
  /** Bytes that could be had without swapping: what the kernel calls MemAvailable. */
  readonly available?: number
  /** Bytes of disk caches. */
  readonly caches?: number
  /** Huge pages given out, and wanted in vain, since the guest started. */
  readonly hugePages?: number
  readonly hugePagesFailed?: number
}

/** A host's side of a memory balloon. All numbers from the guest are its own claims. */
export interface BalloonPort {
  /** Bytes that the guest is asked to give up. Changes through the gate. */
  readonly target: number
  /** Registers the device's interest; both are called through the gate. */
  listen(listener: { targetChanged(): void, statisticsWanted(): void }): void
  /** The guest says how many bytes it has given up so far. */
  resized(bytes: number): void
  /** The guest's answer to `statisticsWanted`; and once, unasked, when its driver starts. */
  report(statistics: BalloonStatistics): void
}
