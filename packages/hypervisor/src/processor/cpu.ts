import type { ResourceController } from '../contract/controller.ts'
import type { MachineReport } from '../contract/machines.ts'
import type { Usage } from '../contract/resources.ts'
import type { LocalTree } from '../table/local.ts'
import type { CpuRunner, TaskTime } from './runner.ts'

/** The names of pools in the policy. The policy has one of its own, which is the processor. */
const poolName = (path: string): string => (path === '' ? 'root' : `/${path}`)

type LocalPool = LocalTree['pools'][number]
type LocalMachine = LocalTree['machines'][number]

const same = (one: object, other: object): boolean => Object.entries(one).every(([key, value]) => value === (other as Record<string, unknown>)[key])

/**
 * CPU time of one processor. What machines may have is not one number, as for other resources, but a tree that the runner goes by from one slice to the next.
 */
export class CpuController implements ResourceController {
  readonly kind = 'cpu'
  readonly #runner: CpuRunner
  readonly #now: () => number
  readonly #pools = new Map<string, LocalPool>()
  /** Terms of machines, here or on their way. */
  #terms = new Map<string, LocalMachine>()
  /** Machines that are here, with what was last measured of them, and the terms that they have. */
  readonly #here = new Map<string, { at: number; time: TaskTime; terms: LocalMachine | null }>()

  constructor(runner: CpuRunner, now: () => number) {
    this.#runner = runner
    this.#now = now
  }

  /** Parameters of a machine that comes to the runner. */
  parameters(name: string): { readonly pool: string; readonly shares: number; readonly reservation: number; readonly limit: number } | object {
    const terms = this.#terms.get(name)
    if (terms === undefined) return {}
    const { pool, shares, reservation, limit } = terms
    return { pool: poolName(pool), shares, reservation, limit }
  }

  add(name: string): void {
    this.#here.set(name, { at: this.#now(), time: this.#runner.time(name), terms: this.#terms.get(name) ?? null })
  }

  remove(name: string): void {
    this.#here.delete(name)
  }

  /** What it would take is the time in which it was not asleep, whatever it got of it. */
  usage(name: string): Usage {
    const last = this.#here.get(name)
    if (last === undefined) return { demand: 0, used: 0 }
    const time = this.#runner.time(name)
    const at = this.#now()
    const elapsed = at - last.at
    const awake = time.ran + time.ready + time.held - last.time.ran - last.time.ready - last.time.held
    const used = time.used - last.time.used
    last.time = time
    last.at = at
    if (!(elapsed > 0)) return { demand: 0, used: 0 }
    // The clock of the thread and that of the host may differ by a little.
    const most = this.#runner.width(name)
    return { demand: Math.min(most, Math.max(awake, used) / elapsed), used: Math.min(most, used / elapsed) }
  }

  grant(): void {}

  report(name: string): Partial<MachineReport> {
    const { used, ready, held } = this.#runner.time(name)
    return { cpu: { used, ready, held } }
  }

  /**
   * The terms from now on. Promises are lowered before others are raised, so that each step is one that the policy admits.
   *
   * @throws as `ProportionalShare.set`, for a tree that promises more than a processor
   */
  apply({ pools, machines }: LocalTree): void {
    const { policy } = this.#runner
    const wanted = new Map(pools.map((pool) => [pool.path, pool]))
    const changed = pools.filter((pool) => !same(pool, this.#pools.get(pool.path) ?? {}))
    for (const pool of changed) {
      const { path } = pool
      if (this.#pools.has(path)) policy.setPool(poolName(path), { reservation: 0, limit: Infinity })
      else policy.addPool(poolName(path), { parent: poolName(path.slice(0, Math.max(0, path.lastIndexOf('/')))) })
      this.#pools.set(path, pool)
    }
    for (const path of this.#pools.keys()) if (!wanted.has(path)) policy.setPool(poolName(path), { reservation: 0, limit: Infinity })
    this.#terms = new Map(machines.map((machine) => [machine.name, machine]))
    const moved = [...this.#here].flatMap(([name, here]) => {
      const terms = this.#terms.get(name)
      if (terms === undefined || (here.terms !== null && same(terms, here.terms))) return []
      here.terms = terms
      return [terms]
    })
    for (const { name } of moved) this.#runner.set(name, { reservation: 0, limit: Infinity })
    for (const { name, pool, shares, reservation, limit } of moved) this.#runner.set(name, { pool: poolName(pool), shares, reservation, limit })
    for (const { path, shares, reservation, limit } of changed) policy.setPool(poolName(path), { shares, reservation, limit })
    this.#forget(wanted)
  }

  /** Removes the pools that are not wanted any more, the deepest first, but for those in which a machine still is. */
  #forget(wanted: ReadonlyMap<string, unknown>): void {
    const used = new Set<string>()
    for (const { terms } of this.#here.values()) {
      for (let path = terms?.pool ?? ''; path !== ''; path = path.slice(0, Math.max(0, path.lastIndexOf('/')))) used.add(path)
    }
    const unused = [...this.#pools.keys()].filter((path) => !wanted.has(path) && !used.has(path)).sort((one, other) => other.length - one.length)
    for (const path of unused) {
      this.#runner.policy.removePool(poolName(path))
      this.#pools.delete(path)
    }
  }
}
