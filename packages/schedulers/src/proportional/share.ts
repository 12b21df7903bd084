import { Heap, type Slot } from '../heap.ts'
import { Policy } from '../policy.ts'
import { MILLION, millionths, notNegative, positive, refused } from '../refuse.ts'
import { promise, promiseItself } from './admission.ts'
import { Leaf, Pool, Seat, type Node } from './node.ts'
import type { Allocation, EntityParameters, PoolParameters, ProportionalShareOptions } from './parameters.ts'

/** The pool that all others are in. */
const ROOT = 'root'

/** How many pools may be inside one another: one bit for each level. */
const DEEPEST = 30

/** How many runs somebody may be ahead or behind of the virtual time before it is forgotten; a pool: on each processor that it could use. */
const MOST_LAG = 4

/** How many runs long a time may be that a limit could not use, and makes up for. */
const LIMIT_SLACK = 8

/**
 * Proportional shares by virtual time, with pools in pools, reservations and limits.
 *
 * *Shares*: start-time fair queueing at each level (P. Goyal, X. Guo, H. M. Vin, "A Hierarchical CPU Scheduler for Multimedia Operating Systems", OSDI 1996), which stays fair when the host
 * gives more or less of its CPU. Between two that both want to run, what they got divided by their shares never differs by more than a run of each.
 *
 * *Reservations and limits*: three tags for each, as in A. Gulati, A. Merchant, P. Varman, "mClock: Handling Throughput Variability for Hypervisor IO Scheduling" (OSDI 2010), on the clock of capacity.
 * Who has had less than its reservation is due and comes first, the earliest deadline before others; what it is given that way does not count against the reservation to come, nor can it be
 * saved up by sleeping. Who has had its limit is held back.
 *
 * A processor's time that nobody is promised goes by shares, all of it: the policy is work conserving up to limits.
 */
export class ProportionalShare<E> extends Policy<E, EntityParameters, Seat<E>> {
  readonly #root: Pool
  readonly #pools: Map<string, Pool> = new Map()
  readonly #seats: Set<Leaf<E>> = new Set()
  /** Those that have had their limit, by when it allows more. */
  readonly #held: Heap<Node> = new Heap(this.work)
  readonly #slice: number
  readonly #reservable: number

  /** @throws a `MachinistError`: `'parameter'` */
  constructor({ processors, slice = 1e6, reservable = 0.95 }: ProportionalShareOptions) {
    super(processors)
    this.#slice = positive('the slice', slice)
    this.#reservable = positive('the part that may be promised', reservable, 1)
    this.#root = new Pool(ROOT, 1, this.#promisable(processors), Infinity, false, slice, this.work)
    this.#pools.set(ROOT, this.#root)
  }

  /**
   * Makes a pool.
   * @throws a `MachinistError`: `'pool-known'`, `'pool-unknown'`, `'pool-depth'`, `'parameter'`, `'not-admitted'`
   */
  addPool(name: string, { parent = ROOT, shares = 1000, reservation = 0, limit = Infinity, expandable = true }: PoolParameters & { readonly parent?: string | undefined } = {}): void {
    if (this.#pools.has(name)) throw refused('pool-known', name, 'this pool has been made before', 'Change it with `setPool`.')
    const above = this.#pool(parent)
    if (above.depth >= DEEPEST - 1) throw refused('pool-depth', name, `pools are at most ${String(DEEPEST)} deep`, 'Make it in a pool further up.')
    const pool = new Pool(name, positive('shares', shares), 0, positive('the limit', limit, Infinity), expandable, this.#slice, this.work)
    pool.depth = above.depth + 1
    pool.parent = above
    promiseItself(pool, millionths(notNegative('the reservation', reservation)), limit, 0, false)
    above.children += 1
    this.#pools.set(name, pool)
  }

  /** Changes a pool, at any time. When it is refused, nothing has changed. @throws a `MachinistError`: `'pool-unknown'`, `'parameter'`, `'not-admitted'` */
  setPool(name: string, changes: PoolParameters): void {
    const pool = this.#pool(name)
    if (pool === this.#root) throw refused('parameter', name, 'the root is all that there is', 'Use `resize`, or make a pool in it.')
    const { shares = pool.shares, reservation = pool.own / MILLION, limit = pool.limit, expandable = pool.expandable } = changes
    positive('shares', shares)
    const own = millionths(notNegative('the reservation', reservation))
    const before = pool.limit
    promiseItself(pool, own, positive('the limit', limit, Infinity), pool.childrenPromised, !expandable)
    pool.expandable = expandable
    this.#relimit(pool, before)
    this.#reweigh(pool, shares)
    this.#spread(pool, this.#rateOf(pool))
    this.#file(pool)
    this.wakeIdle()
  }

  /** Removes a pool in which there is nothing. @throws a `MachinistError`: `'pool-unknown'`, `'pool-used'` */
  removePool(name: string): void {
    const pool = this.#pool(name)
    if (pool === this.#root || pool.children > 0) throw refused('pool-used', name, 'a pool that has something in it cannot go', 'Remove what is in it first.')
    promise(pool.parent, pool.promised, 0)
    if (pool.parent !== null) pool.parent.children -= 1
    this.#pools.delete(name)
  }

  /** What each pool and each entity was promised and got. */
  allocations(): Allocation<E>[] {
    const row = (node: Node, entity: E | null, pool: string): Allocation<E> => ({
      entity, pool, parent: node.parent?.name ?? null, shares: node.shares, reservation: node.own / MILLION, limit: node.limit, promised: node.promised / MILLION, used: node.used,
    })
    return [
      ...[...this.#pools.values()].map((pool) => row(pool, null, pool.name)),
      ...[...this.#seats].map((leaf) => row(leaf, leaf.member.entity, leaf.parent?.name ?? ROOT)),
    ]
  }

  protected override admit(entity: E, { shares = 1000, reservation = 0, limit = Infinity, slice = this.#slice, pool = ROOT }: EntityParameters): Seat<E> {
    const seat = new Seat(entity)
    const leaf = new Leaf(seat, positive('shares', shares), 0, positive('the limit', limit, Infinity), positive('the slice', slice))
    leaf.parent = this.#pool(pool)
    promiseItself(leaf, reservationOf(reservation), limit, 0, false)
    leaf.parent.children += 1
    seat.leaf = leaf
    this.#seats.add(leaf)
    return seat
  }

  protected override change(seat: Seat<E>, changes: EntityParameters): void {
    const leaf = leafOf(seat)
    const { shares = leaf.shares, reservation = leaf.own / MILLION, limit = leaf.limit, slice = leaf.grain, pool } = changes
    positive('shares', shares)
    positive('the slice', slice)
    const own = reservationOf(reservation)
    positive('the limit', limit, Infinity)
    const before = leaf.limit
    const target = pool === undefined ? leaf.parent : this.#pool(pool)
    if (target === leaf.parent) promiseItself(leaf, own, limit, 0, false)
    else this.#move(leaf, target, own, limit)
    this.#relimit(leaf, before)
    leaf.grain = slice
    this.#reweigh(leaf, shares)
    this.#spread(leaf, this.#rateOf(leaf))
    this.#file(leaf)
  }

  protected override dismiss(seat: Seat<E>): void {
    const leaf = leafOf(seat)
    promise(leaf.parent, leaf.promised, 0)
    if (leaf.parent !== null) leaf.parent.children -= 1
    this.#seats.delete(leaf)
  }

  protected override enqueue(seat: Seat<E>, woken: boolean): void {
    const leaf = leafOf(seat)
    if (woken) this.#activate(leaf, 1)
    this.#file(leaf)
  }

  protected override dequeue(seat: Seat<E>): void {
    this.#file(leafOf(seat), false)
  }

  protected override rest(seat: Seat<E>): void {
    const leaf = leafOf(seat)
    this.#activate(leaf, -1)
    this.#file(leaf)
  }

  protected override waiting(): boolean {
    return this.#root.wants
  }

  protected override release(): void {
    for (let slot = this.#held.first; slot !== undefined && slot.key <= this.capacity.now; slot = this.#held.first) {
      const node = slot.item
      node.shareTag = Math.max(node.shareTag, node.parent?.virtualTime ?? 0)
      this.#file(node)
    }
  }

  protected override nextRelease(): number {
    return this.#held.first?.key ?? Infinity
  }

  protected override choose(): Seat<E> | null {
    let node: Node = this.#root
    let path = 0
    for (let level = 1; node instanceof Pool; level++) {
      this.work.steps += 1
      const pool: Pool = node
      const due = this.#due(pool)
      const first = due ?? pool.queue.first?.item
      if (first === undefined) return null
      path = (path << 1) | (due === undefined ? 0 : 1)
      if (due === undefined) pool.virtualTime = Math.max(pool.virtualTime, Math.min(first.shareKey, pool.passed))
      node = first
    }
    if (!(node instanceof Leaf)) return null
    const leaf = node as Leaf<E>
    const seat = leaf.member
    seat.slice = leaf.grain
    seat.byPromise = path
    for (let at: Node | null = leaf, bits = path; at !== null; at = at.parent, bits >>>= 1) {
      at.inFlight += seat.slice
      if ((bits & 1) !== 0) at.inFlightPromised += seat.slice
    }
    this.#file(leaf, false)
    return seat
  }

  protected override pass(seat: Seat<E>): void {
    const leaf = leafOf(seat)
    for (let node: Node = leaf, bits = seat.byPromise, pool = leaf.parent; pool !== null; node = pool, pool = node.parent, bits >>>= 1) {
      node.inFlight -= seat.slice
      if ((bits & 1) !== 0) node.inFlightPromised -= seat.slice
      pool.passed = Math.min(pool.passed, node.shareKey)
    }
    this.#root.inFlight -= seat.slice
    this.#file(leaf, false)
  }

  /** Those that were passed over do not fall behind for ever: all of their kind, whether they wait or run, come as much nearer, so that among them their shares hold. */
  protected override passed(chosen: Seat<E> | null, waiting: readonly Seat<E>[], running: readonly Seat<E>[]): void {
    for (let node: Node | null = chosen?.leaf ?? null; node !== null; node = node.parent) {
      const pool = node.parent
      const behind = pool === null ? 0 : node.shareKey - ((chosen?.slice ?? 0) + this.#lag(node)) / node.shares - pool.passed
      if (pool === null || behind <= 0) continue
      const nearer = new Set<Node>()
      for (const seat of [...waiting, ...running]) {
        const child = ancestorIn(pool, leafOf(seat))
        // Some of what is in a pool that could be chosen is not of the kind.
        if (child !== null && child !== node && child.byShare.heap === null) nearer.add(child)
      }
      for (const child of nearer) child.shareTag += behind
    }
    for (const seat of waiting) for (let pool = leafOf(seat).parent; pool !== null; pool = pool.parent) pool.passed = Infinity
  }

  /** How far a node may be ahead or behind, in CPU time. */
  #lag(node: Node): number {
    return MOST_LAG * node.grain * Math.max(1, Math.min(node.active, this.processors))
  }

  protected override spend(seat: Seat<E>, ran: number): void {
    for (let node: Node | null = leafOf(seat), bits = seat.byPromise; node !== null; node = node.parent, bits >>>= 1) {
      const virtualTime = node.parent?.virtualTime ?? 0
      const lag = this.#lag(node) / node.shares
      const byPromise = (bits & 1) !== 0
      node.used += ran
      node.inFlight -= seat.slice
      const after = node.shareTag + ran / node.shares
      // What was due anyway puts it ahead of others for a while only; what it could not use does not put it far behind.
      node.shareTag = Math.max(byPromise ? Math.min(after, Math.max(node.shareTag, virtualTime + lag)) : after, virtualTime - lag)
      if (byPromise) {
        node.inFlightPromised -= seat.slice
        if (node.rate > 0) node.promiseTag += (ran * MILLION) / node.rate
      }
      node.limitTag = Math.max(node.limitTag + ran / node.limit, this.#limitFloor(node))
      if (node.rate > 0) node.promiseTag = Math.max(node.promiseTag, this.capacity.now - (node.grain * MILLION) / node.rate - 2 * MOST_LAG * node.grain)
    }
  }

  protected override resized(processors: number): void {
    const promisable = this.#promisable(processors)
    if (this.#root.childrenPromised > promisable) {
      throw refused('not-admitted', processors, `${String(this.#root.childrenPromised / MILLION)} processors were promised, more than that many may promise`, 'Reserve less first.')
    }
    this.#root.own = promisable
    this.#root.promised = promisable
  }

  #promisable(processors: number): number {
    return Math.floor(processors * this.#reservable * MILLION)
  }

  #pool(name: string): Pool {
    const pool = this.#pools.get(name)
    if (pool === undefined) throw refused('pool-unknown', name, 'there is no such pool', 'Make it with `addPool`.')
    return pool
  }

  /** A child that has had less than its reservation: the one with the earliest deadline. */
  #due(pool: Pool): Node | undefined {
    const { later, due } = pool
    for (let slot = later.first; slot !== undefined && slot.key <= this.capacity.now; slot = later.first) this.#fileDue(pool, slot.item, slot)
    return due.first?.item
  }

  #fileDue(pool: Pool, node: Node, slot: Slot<Node>): void {
    pool.due.put(slot, node.promiseKey + (node.grain * MILLION) / node.rate)
  }

  /** Puts a node where it belongs now, and the pools above it: among its siblings, held back, or nowhere. */
  #file(from: Node, wants: boolean = from.wants): void {
    let wanting = wants
    for (let node = from, pool = from.parent; pool !== null; node = pool, pool = node.parent, wanting = node.wants) {
      this.work.steps += 1
      const held = wanting && node.limitKey > this.capacity.now
      if (!wanting || held) {
        if (held) this.#held.put(node.byShare, node.limitKey)
        else node.byShare.heap?.remove(node.byShare)
        node.byPromise.heap?.remove(node.byPromise)
        continue
      }
      pool.queue.put(node.byShare, node.shareKey)
      if (node.rate === 0) node.byPromise.heap?.remove(node.byPromise)
      else if (node.promiseKey > this.capacity.now) pool.later.put(node.byPromise, node.promiseKey)
      else this.#fileDue(pool, node, node.byPromise)
    }
  }

  /** One entity more or less has something to do. Who was away starts where others are now, less one run if it is owed that: so it comes before those that never sleep. */
  #activate(leaf: Leaf<E>, change: 1 | -1): void {
    for (let node: Node | null = leaf; node !== null; node = node.parent) {
      node.active += change
      if (change === 1 && node.active === 1) this.#catchUp(node)
    }
    this.#spread(leaf, this.#rateOf(leaf))
  }

  #catchUp(node: Node): void {
    node.shareTag = Math.max(node.shareTag, (node.parent?.virtualTime ?? 0) - node.grain / node.shares)
    node.limitTag = Math.max(node.limitTag, this.#limitFloor(node))
  }

  /** What a limit did not give, since somebody else ran a little longer, is made up for; more is lost. */
  #limitFloor(node: Node): number {
    return this.capacity.now - LIMIT_SLACK * node.grain
  }

  #rateOf(node: Node): number {
    if (node.active === 0) return 0
    return node instanceof Pool ? Math.max(node.own, node.childrenRate) : node.own
  }

  /** What a node may claim now is another rate: so it is for the pools above. */
  #spread(from: Node, rate: number): void {
    let [node, next] = [from, rate]
    for (;;) {
      const change = next - node.rate
      // A promise that begins, or wakes, begins now.
      const now = this.capacity.now
      if (node.rate === 0 && next > 0) node.promiseTag = Math.max(node.promiseTag, now)
      // At another rate the same CPU time is another time.
      else if (next > 0 && change !== 0) node.promiseTag = now + ((node.promiseTag - now) * node.rate) / next
      node.rate = next
      const pool: Pool | null = node.parent
      if (pool === null) return
      pool.childrenRate += change
      node = pool
      next = this.#rateOf(pool)
    }
  }

  /** Other shares: how far it is ahead or behind, in runs, stays as it is. */
  #reweigh(node: Node, shares: number): void {
    const virtualTime = node.parent?.virtualTime ?? 0
    node.shareTag = virtualTime + ((node.shareTag - virtualTime) * node.shares) / shares
    node.shares = shares
  }

  /** Another limit: CPU time that it had too much of stays what it is. */
  #relimit(node: Node, before: number): void {
    if (before === node.limit) return
    const now = this.capacity.now
    node.limitTag = before === Infinity ? now : now + ((node.limitTag - now) * before) / node.limit
  }

  /** Takes a leaf out of its pool and into another, with what it runs now. */
  #move(leaf: Leaf<E>, target: Pool | null, own: number, limit: number): void {
    const source = leaf.parent
    const before = leaf.promised
    promise(source, before, 0)
    leaf.parent = target
    leaf.promised = 0
    try {
      promiseItself(leaf, own, limit, 0, false)
    } catch (error) {
      leaf.parent = source
      leaf.promised = before
      promise(source, 0, before)
      throw error
    }
    const seat = leaf.member
    const running = seat.state === 'running'
    const active = leaf.active
    leaf.parent = source
    if (running) this.#carry(leaf, -1)
    if (active > 0) this.#activate(leaf, -1)
    if (source !== null) {
      this.#file(source)
      source.children -= 1
    }
    leaf.parent = target
    seat.byPromise = 0
    leaf.shareTag = target?.virtualTime ?? 0
    leaf.promiseTag = this.capacity.now
    if (active > 0) this.#activate(leaf, 1)
    if (running) this.#carry(leaf, 1)
    if (target !== null) {
      this.#file(target)
      target.children += 1
    }
  }

  /** A run in flight counts for the pools above, or does not any more. */
  #carry(leaf: Leaf<E>, sign: 1 | -1): void {
    for (let node: Node | null = leaf, bits = leaf.member.byPromise; node !== null; node = node.parent, bits >>>= 1) {
      node.inFlight += sign * leaf.member.slice
      if (sign < 0 && (bits & 1) !== 0) node.inFlightPromised -= leaf.member.slice
    }
  }
}

function leafOf<E>(seat: Seat<E>): Leaf<E> {
  if (seat.leaf === null) throw refused('entity-unknown', seat.entity, 'there is no such entity', 'Add it first.')
  return seat.leaf
}

/** That child of a pool in which a leaf is, or which it is. */
function ancestorIn(pool: Pool, leaf: Node): Node | null {
  let node: Node | null = leaf
  while (node !== null && node.parent !== pool) node = node.parent
  return node
}

function reservationOf(processors: number): number {
  if (!(processors >= 0 && processors <= 1)) throw refused('parameter', processors, 'the reservation is out of its range', 'Give a number of processors from 0 to 1: an entity runs on one at a time.')
  return millionths(processors)
}
