import { Heap, Slot } from '../heap.ts'
import { Member } from '../policy.ts'
import { MILLION } from '../refuse.ts'
import type { Work } from '../scheduler.ts'

/**
 * An entity or a pool among its siblings. Its tags are virtual times: what it has been given, divided by what it is due. What it runs now counts in full from the moment of
 * the decision (`inFlight`), so that many processors that decide one after the other do not all choose the same pool; what was not used is given back when it is charged.
 */
export abstract class Node {
  parent: Pool | null = null
  shares: number
  /** What it was promised of its own, and what that or its children's promises come to, in millionths of a processor. */
  own: number
  promised = 0
  /** The most that it gets, in processors. */
  limit: number
  /** What one run of it takes, usually (ns). */
  abstract readonly grain: number

  /** How many entities below it have something to do. */
  active = 0
  /** What it may claim now: {@link promised}, less what children who have nothing to do were promised. */
  rate = 0

  /** CPU time given, in all. */
  used = 0
  /** CPU time given, divided by shares: as in start-time fair queueing, the least start tag runs. */
  shareTag = 0
  /** By when, on the clock of capacity, its promise would have given it what it got by its promise. */
  promiseTag = 0
  /** By when its limit would have given it what it got. */
  limitTag = 0
  inFlight = 0
  inFlightPromised = 0

  readonly byShare: Slot<Node> = new Slot<Node>(this)
  readonly byPromise: Slot<Node> = new Slot<Node>(this)

  constructor(shares: number, own: number, limit: number) {
    this.shares = shares
    this.own = own
    this.limit = limit
  }

  /** Whether it could run, if its limit lets it. */
  abstract get wants(): boolean

  get shareKey(): number {
    return this.shareTag + this.inFlight / this.shares
  }

  get promiseKey(): number {
    return this.promiseTag + (this.inFlightPromised * MILLION) / this.rate
  }

  get limitKey(): number {
    return this.limitTag + this.inFlight / this.limit
  }
}

/** An entity. */
export class Leaf<E> extends Node {
  readonly member: Seat<E>
  grain: number

  constructor(member: Seat<E>, shares: number, own: number, limit: number, grain: number) {
    super(shares, own, limit)
    this.member = member
    this.grain = grain
    this.promised = own
  }

  override get wants(): boolean {
    return this.member.state === 'ready'
  }
}

/** An entity, as the policy knows it. */
export class Seat<E> extends Member<E> {
  /** Set at once after it is made. */
  leaf: Leaf<E> | null = null
  /** For each level from the entity upwards, one bit: whether it was chosen there for its promise. */
  byPromise = 0
}

/** A group of entities and pools, which is to its parent what an entity is. */
export class Pool extends Node {
  readonly name: string
  readonly grain: number
  expandable: boolean
  /** What its children were promised, and what those of them may claim now that have something to do. */
  childrenPromised = 0
  childrenRate = 0
  children = 0
  /** How many pools are above it. */
  depth = 0
  /** The virtual time of its children: the greatest start tag that was chosen by shares. */
  virtualTime = 0
  /** The least start tag of a child that is being passed over. */
  passed: number = Infinity
  /** Children that may run, by share tag. */
  readonly queue: Heap<Node>
  /** Those of them that have a promise and have had enough of it, by when that changes; those that have not, by deadline. */
  readonly later: Heap<Node>
  readonly due: Heap<Node>

  constructor(name: string, shares: number, own: number, limit: number, expandable: boolean, grain: number, work: Work) {
    super(shares, own, limit)
    this.name = name
    this.expandable = expandable
    this.grain = grain
    this.promised = own
    this.queue = new Heap(work)
    this.later = new Heap(work)
    this.due = new Heap(work)
  }

  override get wants(): boolean {
    return this.queue.size > 0
  }
}
