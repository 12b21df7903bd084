import { machinistError } from '@machinist/api'
import type { PoolSpec } from '../contract/machines.ts'
import { type Capacity, RESOURCE_KINDS, type ResourceKind, type Resources } from '../contract/resources.ts'
import { parameter, termsOf } from './terms.ts'

/** Whoever has terms. */
export interface Member {
  readonly name: string
  /** The pool that it is in; `''` for the host itself. */
  readonly pool: string
  readonly resources: Resources
}

const PATH = /^[a-z0-9][a-z0-9._-]{0,63}(\/[a-z0-9][a-z0-9._-]{0,63}){0,15}$/i

/** The part of a host's CPU time that may be promised, so that those without a promise do not starve. Of the rest, all may be. */
const RESERVABLE: Readonly<Partial<Record<ResourceKind, number>>> = { cpu: 0.95 }

/** What a processor may promise of each hart that it has, and so to one machine. */
export const PROCESSOR_RESERVABLE = 0.95

/** Amounts that are equal but for rounding. */
const NEARLY = 1 + 1e-9

/** The path of the pool above; `''` for the host. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

/** The tree of pools and machines, with what they were promised. Every change is admitted as a whole, or refused and nothing has changed. */
export class Tree {
  readonly capacity: Capacity
  /** Harts that each processor has. */
  readonly width: number
  #pools: ReadonlyMap<string, PoolSpec> = new Map()
  #machines: ReadonlyMap<string, Member> = new Map()

  constructor(capacity: Capacity, width: number = 1) {
    this.capacity = capacity
    this.width = width
  }

  /** Parents come before children. */
  get pools(): readonly PoolSpec[] {
    return [...this.#pools.values()]
  }

  get machines(): readonly Member[] {
    return [...this.#machines.values()]
  }

  /** @throws typed errors `'pool-unknown'` */
  pool(path: string): PoolSpec {
    const pool = this.#pools.get(path)
    if (pool === undefined) throw machinistError({ code: 'pool-unknown', part: 'pools', value: path, remedy: 'Add it first.' }, 'there is no such pool')
    return pool
  }

  /** @throws typed errors `'parameter'`, `'pool-known'`, `'pool-unknown'`, `'not-admitted'` */
  addPool(path: string, resources: Resources): void {
    if (!PATH.test(path)) throw parameter('pools', path, 'not the path of a pool', "Use names of letters, digits, '.', '_' and '-', with '/' between them, at most 16.")
    if (this.#pools.has(path)) throw machinistError({ code: 'pool-known', part: 'pools', value: path, remedy: 'Change it with setPool.' }, 'there is such a pool')
    const parent = parentOf(path)
    if (parent !== '') this.pool(parent)
    this.#admit(new Map([...this.#pools, [path, { path, resources }]]), this.#machines)
  }

  /** @throws typed errors `'pool-unknown'`, `'not-admitted'` */
  setPool(path: string, resources: Resources): void {
    this.pool(path)
    this.#admit(new Map(this.#pools).set(path, { path, resources }), this.#machines)
  }

  /** @throws typed errors `'pool-unknown'`, `'pool-used'` */
  removePool(path: string): void {
    this.pool(path)
    if (this.pools.some((each) => parentOf(each.path) === path) || this.machines.some(({ pool }) => pool === path)) {
      throw machinistError({ code: 'pool-used', part: 'pools', value: path, remedy: 'Remove what is in it, or put it elsewhere.' }, 'something is in this pool')
    }
    const pools = new Map(this.#pools)
    pools.delete(path)
    this.#pools = pools
  }

  /** Adds a machine, or changes what is known of it. @throws typed errors `'pool-unknown'`, `'not-admitted'` */
  put(member: Member): void {
    if (member.pool !== '') this.pool(member.pool)
    const { reservation } = termsOf(member.resources, 'cpu')
    if (reservation > PROCESSOR_RESERVABLE) throw refused(member.name, reservation, `more than the ${String(PROCESSOR_RESERVABLE)} that a processor may promise, and a machine is on one at a time`)
    this.#admit(this.#pools, new Map(this.#machines).set(member.name, member))
  }

  remove(name: string): void {
    const machines = new Map(this.#machines)
    machines.delete(name)
    this.#machines = machines
  }

  #admit(pools: ReadonlyMap<string, PoolSpec>, machines: ReadonlyMap<string, Member>): void {
    for (const kind of RESOURCE_KINDS) checkPromises(kind, pools, machines, this.capacity[kind])
    this.#pools = pools
    this.#machines = machines
  }
}

function checkPromises(kind: ResourceKind, pools: ReadonlyMap<string, PoolSpec>, machines: ReadonlyMap<string, Member>, capacity: number | undefined): void {
  /** What was promised to the children of each pool, in all. */
  const sums = new Map<string, number>()
  const add = (pool: string, promised: number): void => { sums.set(pool, (sums.get(pool) ?? 0) + promised) }
  for (const { pool, resources } of machines.values()) add(pool, termsOf(resources, kind).reservation)
  // Children come before parents.
  for (const { path, resources } of [...pools.values()].reverse()) {
    const { reservation, limit } = termsOf(resources, kind)
    const promised = Math.max(reservation, sums.get(path) ?? 0)
    if (promised > limit * NEARLY) throw refused(path, promised, `more of ${kind} is reserved in this pool than its limit of ${String(limit)}`)
    add(parentOf(path), promised)
  }
  const most = (capacity ?? Infinity) * (RESERVABLE[kind] ?? 1)
  const all = sums.get('') ?? 0
  if (all > most * NEARLY) throw refused('host', all, `more of ${kind} would be reserved than the ${String(most)} that may be`)
}

function refused(part: string, value: number, problem: string): Error {
  return machinistError({ code: 'not-admitted', part, value, remedy: 'Reserve less.' }, problem)
}
