/** Bytes that a copy of a disk holds or does not hold: the unit of copying. */
export const clusterSize = 16384

/** Clusters that are marked as zeroes together, so that zeroing a large range is little work. */
export const group = 1024
/** What an entry of a table costs, about. */
const entryCost = 64

/** Content of a cluster. Several tables may have it; then nobody writes to it. */
export interface Cluster {
  readonly bytes: Uint8Array
  /** Tables that have it. */
  owners: number
  /** A snapshot has it, too. */
  saved?: boolean
}

/** Bytes of host memory that tables may hold together. */
export class Room {
  #left: number

  constructor(limit: number) {
    this.#left = limit
  }

  /** Takes so many bytes, if there are. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false
    this.#left -= bytes
    return true
  }

  /** Takes more than there is, if need be. */
  force(bytes: number): void {
    this.#left -= bytes
  }

  give(bytes: number): void {
    this.#left += bytes
  }
}

/** Clusters with content, and clusters of zeroes; others are somewhere else. */
export class ClusterTable {
  /** Null: zeroes. */
  readonly #clusters: Map<number, Cluster | null>
  /** Numbers of groups in which what is not in the map is zeroes. */
  readonly #zeroed: Set<number>
  readonly #room: Room

  constructor(room: Room, clusters: Map<number, Cluster | null> = new Map<number, Cluster | null>(), zeroed: Set<number> = new Set<number>()) {
    this.#room = room
    this.#clusters = clusters
    this.#zeroed = zeroed
  }

  get empty(): boolean {
    return this.#clusters.size + this.#zeroed.size === 0
  }

  /** Numbers of groups in which what is not in {@link entries} is zeroes. */
  get zeroed(): Iterable<number> {
    return this.#zeroed
  }

  /** Clusters with their content, null for zeroes. */
  get entries(): Iterable<readonly [cluster: number, content: Cluster | null]> {
    return this.#clusters
  }

  /** The content of a cluster, null for zeroes; undefined when it is somewhere else. */
  get(cluster: number): Cluster | null | undefined {
    const found = this.#clusters.get(cluster)
    return found === undefined && this.#zeroed.has(Math.floor(cluster / group)) ? null : found
  }

  /** Sets the content of a cluster. False, and nothing happens, when there is no room for it. */
  set(cluster: number, content: Cluster | null): boolean {
    const before = this.#clusters.get(cluster)
    const cost = (before === undefined ? entryCost : 0) + (content?.owners === 0 ? clusterSize : 0)
    if (!this.#room.take(cost)) return false
    this.#clusters.set(cluster, content)
    if (content !== null) content.owners += 1
    this.#release(before)
    return true
  }

  /** Makes clusters `first` up to, not including, `past` zeroes. False when there is no room; what came before is zeroed then. */
  zero(first: number, past: number): boolean {
    for (let at = first; at < past;) {
      const whole = Math.min((Math.floor(at / group) + 1) * group, past)
      if (whole - at === group) {
        if (!this.#zeroed.has(at / group) && !this.#room.take(entryCost)) return false
        this.#zeroed.add(at / group)
        this.#forget(at, whole)
      } else {
        for (let cluster = at; cluster < whole; cluster++) if (this.get(cluster) !== null && !this.set(cluster, null)) return false
      }
      at = whole
    }
    return true
  }

  /** A table with the same content, which both share until one of them changes it. */
  copy(): ClusterTable {
    for (const cluster of this.#clusters.values()) if (cluster !== null) cluster.owners += 1
    this.#room.force((this.#clusters.size + this.#zeroed.size) * entryCost)
    return new ClusterTable(this.#room, new Map(this.#clusters), new Set(this.#zeroed))
  }

  /** Gives all back. */
  clear(): void {
    for (const cluster of this.#clusters.values()) this.#release(cluster)
    this.#room.give((this.#clusters.size + this.#zeroed.size) * entryCost)
    this.#clusters.clear()
    this.#zeroed.clear()
  }

  #forget(first: number, past: number): void {
    for (let cluster = first; cluster < past; cluster++) {
      const found = this.#clusters.get(cluster)
      if (found === undefined) continue
      this.#clusters.delete(cluster)
      this.#room.give(entryCost)
      this.#release(found)
    }
  }

  #release(cluster: Cluster | null | undefined): void {
    if (cluster === null || cluster === undefined) return
    cluster.owners -= 1
    if (cluster.owners === 0) this.#room.give(clusterSize)
  }
}

/** Whether all bytes are zeroes. */
export function isZero(bytes: Uint8Array): boolean {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2)
  for (const word of words) if (word !== 0) return false
  return bytes.subarray(words.length * 4).every((byte) => byte === 0)
}
