import { badBackendState } from '@machinist/api'
import { ClusterMap, clusterState, type ClusterState } from '../cluster-map.ts'
import { checkContentSize, type DiskContent, segmentClusters, stretchesOf } from '../content/content.ts'
import { type ClusterTable, clusterSize, group } from './cluster-table.ts'

/** What tables have together, the later ones in the place of earlier ones. Their clusters stay as they are. */
export function contentOfTables(tables: readonly ClusterTable[], size: number): DiskContent {
  const segments = new Map<number, ClusterMap>()
  const content = new Map<number, Uint8Array>()
  const clusters = Math.ceil(size / clusterSize)
  const set = (cluster: number, state: ClusterState): void => {
    const segment = Math.floor(cluster / segmentClusters)
    const map = segments.get(segment) ?? new ClusterMap(Math.min(segmentClusters, clusters - segment * segmentClusters))
    segments.set(segment, map)
    map.set(cluster - segment * segmentClusters, state)
    if (state === clusterState.zero) content.delete(cluster)
  }
  for (const table of tables) {
    for (const number of table.zeroed) {
      for (let cluster = number * group; cluster < Math.min((number + 1) * group, clusters); cluster++) set(cluster, clusterState.zero)
    }
    for (const [cluster, found] of table.entries) {
      set(cluster, found === null ? clusterState.zero : clusterState.stored)
      if (found === null) continue
      found.saved = true
      content.set(cluster, found.bytes.subarray(0, size - cluster * clusterSize))
    }
  }
  const upwards = <T>(map: ReadonlyMap<number, T>): [number, T][] => [...map].sort(([a], [b]) => a - b)
  return {
    size, unit: clusterSize,
    map: upwards(segments).map(([segment, { bytes }]) => [segment, bytes]),
    content: upwards(content).map(([cluster, bytes]) => [cluster * clusterSize, bytes]),
  }
}

/**
 * Gives a table content that was checked.
 *
 * @param size - of the disk, in bytes
 * @throws a typed error `'state'` when that is not of such a disk, in too small clusters, or too much
 */
export function restoreTable(table: ClusterTable, content: DiskContent, size: number, part: string): void {
  checkContentSize(part, content, size)
  if (content.unit < clusterSize) throw badBackendState(part, 'clusters of the saved disk are smaller than those of a copy', content.unit)
  const most = (): Error => badBackendState(part, 'the disk may not hold so much in memory')
  for (const { start, end } of stretchesOf(content)) if (!table.zero(start / clusterSize, Math.ceil(end / clusterSize))) throw most()
  const made = new Map<number, Uint8Array>()
  for (const [offset, bytes] of content.content) {
    for (let done = 0; done < bytes.length;) {
      const at = (offset + done) % clusterSize
      const cluster = (offset + done - at) / clusterSize
      const count = Math.min(clusterSize - at, bytes.length - done)
      const piece = bytes.subarray(done, done + count)
      done += count
      const known = made.get(cluster)
      known?.set(piece, at)
      // What is not said to be stored is as it was.
      if (known !== undefined || table.get(cluster) !== null) continue
      const own = new Uint8Array(clusterSize)
      own.set(piece, at)
      if (!table.set(cluster, { bytes: own, owners: 0 })) throw most()
      made.set(cluster, own)
    }
  }
}
