/**
 * What a host has to share out:
 *
 * | | unit |
 * |---|---|
 * | `cpu` | processors: 0.5 is half of the CPU time of one |
 * | `memory` | bytes of the host's memory |
 * | `disk` | bytes a second, read or written; a request counts as at least 4096 bytes |
 * | `space` | bytes on datastores |
 * | `network` | bytes a second, sent or received, with 24 more for each frame, as on an Ethernet wire |
 */
export type ResourceKind = 'cpu' | 'memory' | 'disk' | 'space' | 'network'

/** All of them, in the order of tables. */
export const RESOURCE_KINDS: readonly ResourceKind[] = ['cpu', 'memory', 'disk', 'space', 'network']

/** What a machine or a pool was promised of one resource, in its unit. */
export interface Terms {
  /** Its weight among its siblings, which are those in the same pool. 1000 unless given. */
  readonly shares?: number
  /** What it gets before others get anything by their shares, when it wants it. Admission sees to it that it can be kept. 0 unless given. */
  readonly reservation?: number
  /** The most that it gets, even when nobody else wants it. `Infinity` unless given; null in JSON. */
  readonly limit?: number
}

/** The terms of a machine or a pool. Plain data. */
export type Resources = Readonly<Partial<Record<ResourceKind, Terms>>>

/** What a host has of each resource, to be shared out. What is not given is not shared out: there is no shortage of it. */
export type Capacity = Readonly<Partial<Record<ResourceKind, number>>>

/** What a machine wants and uses of one resource, as last measured. */
export interface Usage {
  /** What it would take if there were no others, in the unit of the resource. */
  readonly demand: number
  /** What it takes. */
  readonly used: number
  /** What it takes and has not used lately, where that is known: it gives way before what is in use. 0 unless given. */
  readonly idle?: number
}

/** One cell of the allocation table: a machine or a pool, and a resource. */
export interface Allotment extends Usage {
  readonly shares: number
  readonly reservation: number
  readonly limit: number
  /** What is its due: by its terms, those of its siblings and its pools, and what all of them want. */
  readonly entitled: number
  /** What it wants and is not given: demand less what it uses, where that is less than its due or the host is short. */
  readonly lacking: number
}
