import type { Native } from '../native.ts'

const known = new WeakMap<Native, OtherHarts>()

/** Longest wait for a hart, in nanoseconds: then somebody looks. */
const MOST_WAIT = 1_000_000

/** Harts of the hardware besides the one that JavaScript runs on: which of them is free, and who is to be told when a guest's hart comes back. Numbers are those of {@link Native.dispatch}. */
export class OtherHarts {
  readonly count: number
  readonly #native: Native
  readonly #free: Set<number>
  readonly #away = new Map<number, { readonly hart: number; readonly back: () => void }>()
  readonly #looks = new Set<() => void>()
  /** See `OtherProcessors` of `@machinist/hypervisor`. */
  attend: (() => boolean) | null = null
  found = 0
  /** Does what the hardware wants while a hart of a guest runs here. False: that hart is to leave, so that the event loop turns. */
  interlude: () => boolean = () => false

  get running(): number {
    return this.#away.size
  }

  /** Those of the hardware, which all machines share. */
  static of(native: Native): OtherHarts {
    const harts = known.get(native) ?? new OtherHarts(native)
    known.set(native, harts)
    return harts
  }

  private constructor(native: Native) {
    this.#native = native
    this.count = native.harts - 1
    this.#free = new Set(Array.from({ length: this.count }, (_, index) => native.harts - 1 - index))
  }

  /**
   * Has a hart of a guest run elsewhere.
   *
   * @param leave - it leaves now; says until when it runs, by the time of the hardware
   * @param wanted - the hart of the hardware; any that is free unless given
   * @returns false when no hart is free, or not that one
   */
  start(vcpu: number, leave: () => number, back: () => void, wanted?: number): boolean {
    const [hart = wanted] = wanted === undefined ? this.#free : []
    if (hart === undefined || !this.#free.has(hart)) return false
    this.#native.dispatch(vcpu, hart, leave())
    this.#free.delete(hart)
    this.#away.set(vcpu, { hart, back })
    return true
  }

  /** One that has been destroyed comes back no more, and the hart that it was on is free. */
  forget(vcpu: number): void {
    const away = this.#away.get(vcpu)
    if (away === undefined) return
    this.#away.delete(vcpu)
    this.#free.add(away.hart)
  }

  /** Tells of those that have come back, and has machines look whether one that is away wants something without coming back: an IPI to a hart that waits, a doorbell. */
  poll(): void {
    for (let vcpu = this.#native.exited(); vcpu >= 0; vcpu = this.#native.exited()) {
      const away = this.#away.get(vcpu)
      if (away === undefined) continue
      this.#away.delete(vcpu)
      this.#free.add(away.hart)
      away.back()
    }
    for (const look of this.#looks) look()
  }

  /** Waits for something of the hardware, or a hart, or a time. */
  wait(until: number): void {
    this.#native.idle(until)
    this.poll()
  }

  /** Waits a little for a hart that was kicked. */
  waitForKicked(): void {
    this.wait(this.#native.now() + MOST_WAIT)
  }

  /** Calls back whenever there may be something to look at, until what is returned is called. */
  watch(look: () => void): () => void {
    this.#looks.add(look)
    return () => { this.#looks.delete(look) }
  }
}
