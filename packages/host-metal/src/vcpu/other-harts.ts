import type { Native } from '../native.ts'

const known = new WeakMap<Native, OtherHarts>()

/** Harts of the hardware besides the one that JavaScript runs on: which of them is free, and who is to be told when a guest's hart comes back. */
export class OtherHarts {
  readonly count: number
  readonly #native: Native
  readonly #free: number[]
  readonly #away = new Map<number, { readonly hart: number; readonly back: () => void }>()

  readonly #watchers = new Set<() => void>()

  /** Those of the hardware, which all machines share. */
  static of(native: Native): OtherHarts {
    const harts = known.get(native) ?? new OtherHarts(native)
    known.set(native, harts)
    return harts
  }

  private constructor(native: Native) {
    this.#native = native
    this.count = native.harts - 1
    this.#free = Array.from({ length: this.count }, (_, index) => native.harts - 1 - index)
  }

  /**
   * Has a hart of a guest run elsewhere.
   *
   * @param leave - it leaves now; says until when it runs, by the time of the hardware
   * @returns false when no hart is free
   */
  start(vcpu: number, leave: () => number, back: () => void): boolean {
    const hart = this.#free.pop()
    if (hart === undefined) return false
    this.#away.set(vcpu, { hart, back })
    this.#native.dispatch(vcpu, hart, leave())
    return true
  }

  /** Has somebody look whenever {@link OtherHarts.collect} does: a hart that is away may want something without coming back. Returns what ends that. */
  watch(look: () => void): () => void {
    this.#watchers.add(look)
    return () => this.#watchers.delete(look)
  }

  /** Tells of those that have come back. */
  collect(): void {
    for (let vcpu = this.#native.exited(); vcpu >= 0; vcpu = this.#native.exited()) {
      const away = this.#away.get(vcpu)
      if (away === undefined) continue
      this.#away.delete(vcpu)
      this.#free.push(away.hart)
      away.back()
    }
    for (const look of this.#watchers) look()
  }
}
