import type { EntityParameters, ProportionalShare } from '@machinist/schedulers'

/** A machine in the policy: one entity for each of its harts that can run at the same time, which are in a pool of theirs when there are several. Which hart has which entity is nobody's affair. */
export class Claims {
  readonly names: readonly string[]
  /** Those that run now. */
  readonly running: Set<string> = new Set<string>()
  readonly #policy: ProportionalShare<string>
  readonly #name: string
  #pool: string | null = null
  #parent: string | undefined
  #pools = 0

  /** @throws as `ProportionalShare.add` */
  constructor(policy: ProportionalShare<string>, name: string, count: number, parameters: EntityParameters) {
    this.#policy = policy
    this.#name = name
    this.names = count === 1 ? [name] : Array.from({ length: count }, (_, index) => `${name} ${String(index)}`)
    if (count === 1) {
      policy.add(name, parameters)
      return
    }
    this.#pool = this.#makePool(parameters)
    for (const entity of this.names) policy.add(entity, { pool: this.#pool })
  }

  #makePool({ pool, shares, reservation, limit }: EntityParameters): string {
    const path = `machine ${this.#name} ${String(this.#pools++)}`
    this.#policy.addPool(path, { parent: pool, shares, reservation, limit })
    this.#parent = pool
    return path
  }

  /** @throws as `ProportionalShare.set` */
  set(changes: EntityParameters): void {
    const before = this.#pool
    if (before === null) this.#policy.set(this.#name, changes)
    else if (changes.pool === undefined || changes.pool === this.#parent) {
      const { shares, reservation, limit } = changes
      this.#policy.setPool(before, { shares, reservation, limit })
    } else {
      const after = this.#makePool(changes)
      for (const entity of this.names) this.#policy.set(entity, { pool: after })
      this.#policy.removePool(before)
      this.#pool = after
    }
  }

  /** So many, of those that do not run, have something to do. */
  want(count: number, now: number): void {
    let left = count
    for (const entity of this.names) {
      if (this.running.has(entity)) continue
      if (left > 0) this.#policy.wake(entity, now)
      else this.#policy.block(entity, now)
      left--
    }
  }

  remove(): void {
    for (const entity of this.names) this.#policy.remove(entity)
    if (this.#pool !== null) this.#policy.removePool(this.#pool)
  }
}
