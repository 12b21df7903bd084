/** Where the content of a cluster is. */
export const clusterState: {
  /** In the base. */
  readonly base: 0
  /** In the store. */
  readonly stored: 1
  /** Nowhere: it reads as zeroes. */
  readonly zero: 2
} = { base: 0, stored: 1, zero: 2 }

/** One of {@link clusterState}. */
export type ClusterState = 0 | 1 | 2

/** The state of every cluster, two bits each, the lowest bits of a byte first: the overlay file's own format. */
export class ClusterMap {
  readonly bytes: Uint8Array
  readonly count: number

  constructor(count: number, bytes: Uint8Array = new Uint8Array(Math.ceil(count / 4))) {
    this.count = count
    this.bytes = bytes
  }

  get(cluster: number): ClusterState {
    const bits = ((this.bytes[cluster >>> 2] ?? 0) >>> ((cluster & 3) * 2)) & 3
    return bits === 1 ? clusterState.stored : bits === 2 ? clusterState.zero : clusterState.base
  }

  set(cluster: number, state: ClusterState): void {
    const shift = (cluster & 3) * 2
    const index = cluster >>> 2
    this.bytes[index] = ((this.bytes[index] ?? 0) & ~(3 << shift)) | (state << shift)
  }

  /** The first cluster from `cluster` whose state is not that of `cluster`, at most `limit`. */
  runEnd(cluster: number, limit: number): number {
    const state = this.get(cluster)
    let end = cluster + 1
    while (end < limit && this.get(end) === state) end += 1
    return end
  }

  /** Whether every pair of bits is a state, and the bits past the last cluster are clear. */
  get valid(): boolean {
    for (let index = 0; index < this.bytes.length; index++) {
      const byte = this.bytes[index] ?? 0
      if ((byte & (byte >>> 1) & 0x55) !== 0) return false
    }
    const spare = this.bytes.length * 4 - this.count
    return spare === 0 || ((this.bytes[this.bytes.length - 1] ?? 0) >>> ((4 - spare) * 2)) === 0
  }
}
