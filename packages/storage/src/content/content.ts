import { badBackendState, type BackendState, backendStateFields } from '@machinist/api'
import { ClusterMap, clusterState, type ClusterState } from '../cluster-map.ts'
import { sectorSize } from '../disk.ts'

/** What a disk that keeps what was written in host memory has of its own: it lies over what is below. */
export interface DiskContent {
  /** Bytes of the disk. */
  readonly size: number
  /** Bytes of a cluster, a power of two from 4096. */
  readonly unit: number
  /** States of clusters, as a `ClusterMap` has them, in segments of {@link segmentClusters}: number and bytes. Segments that are absent are in the base. */
  readonly map: readonly (readonly [segment: number, bytes: Uint8Array])[]
  /** Bytes by offset, upwards. What is stored and not here is zeroes. */
  readonly content: readonly (readonly [offset: number, bytes: Uint8Array])[]
}

/** Clusters whose states stand together. */
export const segmentClusters = 65536

const kind = 'disk'
const version = 1
const leastUnit = 4096
const mostUnit = 2 ** 40

/** The content as a state: guests rely on it, unless there is none. */
export function contentState(content: DiskContent): BackendState {
  return { kind, version, state: content, vital: content.map.length > 0 }
}

/** The segments of a map that are not all in the base; copies. */
export function segmentsOf(map: ClusterMap): DiskContent['map'] {
  const segments: (readonly [number, Uint8Array])[] = []
  for (let segment = 0; segment * segmentClusters < map.count; segment++) {
    const bytes = map.bytes.slice(segment * segmentClusters / 4, (segment + 1) * segmentClusters / 4)
    if (bytes.some((byte) => byte !== 0)) segments.push([segment, bytes])
  }
  return segments
}

/**
 * Content from anywhere, checked; null when the state is of another kind.
 *
 * @throws a typed error `'state'`
 */
export function contentOf(saved: BackendState, part: string): DiskContent | null {
  if (saved.kind !== kind) return null
  const { size, unit, map, content } = backendStateFields(saved, version, part)
  const bad = (problem: string, value: unknown): never => { throw badBackendState(part, problem, String(value).slice(0, 80)) }
  if (!isWhole(size) || size === 0 || size % sectorSize !== 0) return bad('the saved disk has no such size', size)
  if (!isWhole(unit) || unit < leastUnit || unit > mostUnit || 2 ** Math.round(Math.log2(unit)) !== unit) return bad('the saved disk has no such clusters', unit)
  if (!Array.isArray(map) || !Array.isArray(content)) return bad('the saved disk has no content', typeof map)
  const clusters = Math.ceil(size / unit)
  let after = 0
  for (const each of map as readonly unknown[]) {
    const [segment, bytes] = pair(each)
    if (!isWhole(segment) || segment < after || segment * segmentClusters >= clusters || bytes === null) return bad('the saved disk has no such map', segment)
    const count = Math.min(segmentClusters, clusters - segment * segmentClusters)
    if (bytes.length !== Math.ceil(count / 4) || !new ClusterMap(count, bytes).valid) return bad('the saved disk has no such map', segment)
    after = segment + 1
  }
  let end = 0
  for (const each of content as readonly unknown[]) {
    const [offset, bytes] = pair(each)
    if (!isWhole(offset) || offset < end || bytes === null || bytes.length > size - offset) return bad('the saved disk has content where it has no room', offset)
    end = offset + bytes.length
  }
  return { size, unit, map: map as DiskContent['map'], content: content as DiskContent['content'] }
}

function isWhole(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function pair(value: unknown): readonly [unknown, Uint8Array | null] {
  const [first, second] = Array.isArray(value) && value.length === 2 ? value as readonly unknown[] : []
  return [first, second instanceof Uint8Array ? second : null]
}

/** A stretch of clusters in one state, in bytes. */
export interface Stretch {
  readonly state: ClusterState
  readonly start: number
  readonly end: number
}

/** What content has to say of a disk: stretches that are not in the base. */
export function* stretchesOf({ size, unit, map }: DiskContent): Generator<Stretch> {
  const clusters = Math.ceil(size / unit)
  for (const [segment, bytes] of map) {
    const first = segment * segmentClusters
    const states = new ClusterMap(Math.min(segmentClusters, clusters - first), bytes)
    for (let at = 0; at < states.count;) {
      const end = states.runEnd(at, states.count)
      const state = states.get(at)
      if (state !== clusterState.base) yield { state, start: (first + at) * unit, end: Math.min((first + end) * unit, size) }
      at = end
    }
  }
}

/** @throws a typed error `'state'` unless the content is of a disk of that size */
export function checkContentSize(part: string, content: DiskContent, size: number): void {
  if (content.size !== size) throw badBackendState(part, `the saved disk has another size than this one, ${String(size)} bytes`, content.size)
}
