import { machinistError, type Vcpu, type VcpuSample } from '@machinist/api'

/** What a machine did for `duration` nanoseconds of virtual time. All samples together make up the time since sampling began. */
export type MachineSample =
  /** A hart ran, and is now where the sample says. The time need not be of one piece. */
  | { readonly kind: 'run'; readonly duration: number; readonly hart: number; readonly instructions: number; readonly at: VcpuSample }
  /** All harts waited. */
  | { readonly kind: 'idle'; readonly duration: number }

/** How a machine is sampled. */
export interface SampleOptions {
  /** Nanoseconds of virtual time that a hart runs from one sample to the next, about. A millisecond unless given. */
  readonly interval?: number
  /** Most addresses of a stack, 1 or more; 64 unless given. */
  readonly depth?: number
}

const INTERVAL = 1_000_000
const DEPTH = 64
/** Instructions from one sample to the next. */
const LEAST_GAP = 1000
const MOST_GAP = 2 ** 30
/** Most instructions that a hart strays from where its turn ended. */
const STRAY = 256
/** Its multiples, modulo 1, spread evenly and never repeat. */
const GOLDEN_RATIO = 0.618_033_988_749_895

interface Sampled {
  /** Of {@link Vcpu.retired}: at the last sample, and at the next. */
  last: number
  next: number
  /** How long it ran since the last sample. */
  duration: number
}

/**
 * Books virtual time to harts and to waiting, and looks at a hart after so many instructions. Counting instructions, not
 * time, keeps the last instruction before a hart waits from being seen more often than others. How many follows from
 * how long the last ones took.
 */
export class Sampler {
  readonly #harts = new Map<Vcpu, Sampled>()
  readonly #interval: number
  readonly #depth: number
  readonly #listener: (sample: MachineSample) => void
  /** Virtual time up to which everything is booked. */
  #booked: number
  /** At first, for before a hart runs images are loaded. */
  #idle = true
  #phase = 0

  /**
   * @param now - virtual time
   * @throws a typed error `'no-sampling'` when a hart cannot tell where it is
   */
  constructor(vcpus: readonly Vcpu[], now: number, options: SampleOptions, listener: (sample: MachineSample) => void) {
    const { interval = INTERVAL, depth = DEPTH } = options
    if (vcpus.some((vcpu) => vcpu.sample === undefined)) {
      throw machinistError({ code: 'no-sampling', part: 'cpu', remedy: 'Use a CPU whose harts have `sample`.' }, 'its harts cannot tell where they are')
    }
    this.#interval = interval
    this.#depth = depth
    this.#listener = listener
    this.#booked = now
    for (const vcpu of vcpus) this.#harts.set(vcpu, { last: vcpu.retired, next: vcpu.retired + LEAST_GAP, duration: 0 })
  }

  #book(now: number): number {
    const duration = now - this.#booked
    this.#booked = now
    return duration
  }

  /** From now on all harts wait. */
  idle(): void {
    this.#idle = true
  }

  /** Waiting, if there was some, is over. */
  wake(now: number): void {
    if (!this.#idle) return
    this.#idle = false
    const duration = this.#book(now)
    if (duration > 0) this.#listener({ kind: 'idle', duration })
  }

  /** A hart is about to run. Returns after how many instructions it is to be sampled. */
  begin(vcpu: Vcpu, now: number): number {
    this.wake(now)
    const next = this.#harts.get(vcpu)?.next ?? Infinity
    return Math.max(1, next - vcpu.retired)
  }

  /**
   * How many instructions more, exactly, a hart is to run before it is sampled, where turns end after about so many: they
   * end where code goes back, and what code goes back from would not be seen.
   */
  get stray(): number {
    return 1 + Math.floor(this.#phase * STRAY)
  }

  /**
   * It ran, and what happened since somebody last did is booked to it: deliveries are a cost of running.
   *
   * @param due - whether it ran as far as {@link Sampler.begin} said
   */
  end(vcpu: Vcpu, now: number, due: boolean): void {
    const hart = this.#harts.get(vcpu)
    if (hart === undefined) return
    hart.duration += this.#book(now)
    const at = due ? vcpu.sample?.(this.#depth) : undefined
    if (at === undefined) return
    const { retired } = vcpu
    const { last, next, duration } = hart
    this.#phase = (this.#phase + GOLDEN_RATIO) % 1
    // Never in step with what the guest repeats.
    const gap = ((next - last) / Math.max(1, duration)) * this.#interval * (0.5 + this.#phase)
    hart.last = retired
    hart.next = retired + Math.ceil(Math.min(MOST_GAP, Math.max(LEAST_GAP, gap)))
    hart.duration = 0
    this.#listener({ kind: 'run', duration, hart: vcpu.index, instructions: retired - last, at })
  }
}
