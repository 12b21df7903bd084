/** What a pool or an entity gets among its siblings. */
export interface ShareParameters {
  /** Its weight: siblings that compete get CPU time in proportion; 1000 unless it is given. */
  readonly shares?: number | undefined
  /** What it gets whenever it wants it, in processors; for an entity at most 1; 0 unless it is given. */
  readonly reservation?: number | undefined
  /** The most that it gets, in processors; `Infinity` unless it is given. */
  readonly limit?: number | undefined
}

/** What proportional share wants to know of an entity. */
export interface EntityParameters extends ShareParameters {
  /** The pool it is in; `'root'` unless it is given. Changed, it moves, and starts there as one that is new. */
  readonly pool?: string | undefined
  /** The longest run, ns; that of the policy unless it is given. With a reservation r it is what it gets every `slice` / r. */
  readonly slice?: number | undefined
}

/** What proportional share wants to know of a pool. */
export interface PoolParameters extends ShareParameters {
  /** Whether children may be promised more than the pool reserves, which its parent then must have; true unless it is given. */
  readonly expandable?: boolean | undefined
}

/** How proportional share is set up. */
export interface ProportionalShareOptions {
  readonly processors: number
  /** The longest run, ns; 1 ms unless it is given. */
  readonly slice?: number | undefined
  /** What part of the processors may be promised, so that those without a promise do not starve; 0.95 unless it is given. */
  readonly reservable?: number | undefined
}

/** What the tree says of one entity or pool, in processors and ns. */
export interface Allocation<E> {
  /** The entity, or null for a pool. */
  readonly entity: E | null
  /** The pool, or the one that the entity is in. */
  readonly pool: string
  /** The pool above. */
  readonly parent: string | null
  readonly shares: number
  readonly reservation: number
  readonly limit: number
  /** What is kept for it: its reservation, or for an expandable pool what its children were promised. */
  readonly promised: number
  /** CPU time it was charged, ns. */
  readonly used: number
}
