import { type CountedVcpu, type Exit, machinistError, type VcpuSample } from '@machinist/api'
import type { VirtualTime } from './virtual-time.ts'

/**
 * What a machine did for `duration` nanoseconds of virtual time, which need not be of one piece. All samples together make up the time
 * since sampling began, but for what harts ran since each was looked at last.
 */
export type MachineSample =
  /** A hart ran, and is now where the sample says. */
  | { readonly kind: 'run'; readonly duration: number; readonly hart: number; readonly instructions: number; readonly at: VcpuSample }
  /** All harts waited, and nothing had come in for them. */
  | { readonly kind: 'idle'; readonly duration: number }
  /** The host was busy between the runs of harts: it delivered events, served backends, took samples. */
  | { readonly kind: 'host'; readonly duration: number }

/** How a machine is sampled. */
export interface SampleOptions {
  /** Nanoseconds of virtual time that a hart runs from one sample to the next, about. A millisecond unless given. */
  readonly interval?: number
  /** Most addresses of a stack, 1 or more; 64 unless given. */
  readonly depth?: number
}

const INTERVAL = 1_000_000
const DEPTH = 64
/** Real time: instructions from one stop to the next, about. Neighbours closer than the least are not told apart by how slow they are. */
const LEAST_STRIDE = 400
const MOST_STRIDE = 32_000
/** Real time: nanoseconds that a stride takes at least, about, or stops would cost more than what is between. */
const LEAST_STRIDE_TIME = 4000
/** Real time: strides from a stop to when a sample is due. Code may become so many times slower at once, and is seen all the same. */
const APPROACH = 6
/** Most instructions that a hart strays from where a run ended. */
const STRAY = 256
/** How much of what is known of a hart's speed is kept from one run to the next. */
const MEMORY = 0.75

interface Sampled {
  readonly vcpu: CountedVcpu
  /** Instructions to the next stop: they go on where a halt or an event cuts a run short. */
  left: number
  /** Whether it was due at the last stop and strays from there. */
  straying: boolean
  /** How long it ran since the last sample, how long it is to run until the next, and what it retired meanwhile. */
  duration: number
  due: number
  retired: number
  /** For its speed: instructions, and the nanoseconds that they took. */
  recent: number
  recentTime: number
}

/**
 * Books virtual time to harts, to waiting and to the host, and looks at a hart after it ran for so long. Where it is looked at must
 * not depend on what it does there, so it is not where a halt or an event ended a run: it stops after numbers of instructions that
 * are drawn at random and counted across halts, and is looked at at the first stop for which it is time. Stops get closer as the
 * time comes closer.
 */
export class Sampler {
  readonly #harts: ReadonlyMap<CountedVcpu, Sampled>
  readonly #time: VirtualTime
  readonly #interval: number
  readonly #depth: number
  readonly #listener: (sample: MachineSample) => void
  /** Virtual time up to which everything is booked. */
  #booked: number
  #waiting = false
  readonly #spent = { idle: 0, host: 0 }
  #random = 0x2545_f491

  /** @throws a typed error `'no-sampling'` when a hart cannot tell where it is, `'bad-sampling'` for options out of range */
  constructor(vcpus: readonly CountedVcpu[], time: VirtualTime, options: SampleOptions, listener: (sample: MachineSample) => void) {
    const { interval = INTERVAL, depth = DEPTH } = options
    if (vcpus.some((vcpu) => vcpu.sample === undefined)) {
      throw machinistError({ code: 'no-sampling', part: 'cpu', remedy: 'Use a CPU whose harts have `sample`.' }, 'its harts cannot tell where they are')
    }
    const refuse = (name: keyof SampleOptions, value: number, remedy: string): void => {
      throw machinistError({ code: 'bad-sampling', part: `sample.${name}`, value, remedy }, 'is out of range')
    }
    if (!(interval > 0 && interval < Infinity)) refuse('interval', interval, 'Use nanoseconds above 0.')
    if (!(Number.isInteger(depth) && depth > 0)) refuse('depth', depth, 'Use a whole number from 1.')
    this.#time = time
    this.#interval = interval
    this.#depth = depth
    this.#listener = listener
    this.#booked = time.sample()
    this.#harts = new Map(vcpus.map((vcpu) => [vcpu, { vcpu, left: 1, straying: false, duration: 0, due: interval * this.#draw(), retired: 0, recent: 0, recentTime: 0 }]))
  }

  /** From 0 on, below 1: xorshift (Marsaglia, 2003). The same in every run. */
  #draw(): number {
    this.#random ^= this.#random << 13
    this.#random ^= this.#random >>> 17
    this.#random ^= this.#random << 5
    return (this.#random >>> 0) / 2 ** 32
  }

  /** What passed since it was asked last. */
  #passed(): number {
    const now = this.#time.sample()
    const duration = now - this.#booked
    this.#booked = now
    return duration
  }

  #tell(kind: 'idle' | 'host', least: number): void {
    const duration = this.#spent[kind]
    if (duration < least || duration === 0) return
    this.#spent[kind] = 0
    this.#listener({ kind, duration })
  }

  #book(kind: 'idle' | 'host'): void {
    this.#spent[kind] += this.#passed()
    this.#tell(kind, this.#interval)
  }

  /** From now on all harts wait. */
  idle(): void {
    this.wake()
    this.#book('host')
    this.#waiting = true
  }

  /** Waiting, if there was some, is over. */
  wake(): void {
    if (!this.#waiting) return
    this.#waiting = false
    this.#book('idle')
  }

  /** Tells what is left, and is done. */
  end(): void {
    this.wake()
    this.#book('host')
    this.#tell('idle', 0)
    this.#tell('host', 0)
  }

  /**
   * Runs a hart in the place of {@link CountedVcpu.run}.
   *
   * @param interrupted - whether something came in that the run should end for
   */
  run(vcpu: CountedVcpu, budget: number, exact: boolean, again: boolean, interrupted: () => boolean): Exit {
    const hart = this.#harts.get(vcpu)
    if (hart === undefined) return vcpu.run(budget, exact, again)
    this.#book('host')
    let rest = budget
    do {
      const part = Math.min(rest, hart.left)
      const before = vcpu.retired
      let used = part
      let exit: Exit = 'yield'
      try {
        exit = vcpu.run(part, exact || hart.straying, again || rest < budget)
      } finally {
        const retired = vcpu.retired - before
        // Instructions that trap do not retire, but a budget that is used up is.
        used = exit === 'budget' ? Math.max(part, retired) : retired
        this.#ran(hart, used, retired)
      }
      rest -= used
      hart.left -= used
      if (hart.left <= 0) this.#stop(hart)
      if (exit !== 'budget') return exit
    } while (rest > 0 && !interrupted())
    return 'budget'
  }

  #ran(hart: Sampled, used: number, retired: number): void {
    const took = this.#passed()
    hart.duration += took
    hart.retired += retired
    hart.recent = hart.recent * MEMORY + used
    hart.recentTime = hart.recentTime * MEMORY + took
  }

  #stop(hart: Sampled): void {
    const { vcpu, duration, due, retired } = hart
    if (duration >= due) {
      // In real time runs end where code goes back, and what it goes back from would not be seen. But not into an interrupt that waits
      // for the end of a run: its first instructions would be seen far too often.
      if (!hart.straying && !this.#time.counted && vcpu.deadline() > this.#booked) {
        hart.straying = true
        hart.left = 1 + Math.floor(this.#draw() * STRAY)
        return
      }
      const at = vcpu.sample?.(this.#depth)
      hart.straying = false
      hart.duration = hart.retired = 0
      // Never in step with what the guest repeats.
      hart.due = this.#interval * (0.5 + this.#draw())
      if (at !== undefined) this.#listener({ kind: 'run', duration, hart: vcpu.index, instructions: retired, at })
      // Looking is not the guest's doing.
      this.#book('host')
    }
    hart.left = this.#stride(hart)
  }

  #stride({ recent, recentTime, due, duration }: Sampled): number {
    const speed = recent / Math.max(1, recentTime)
    const left = Math.max(0, due - duration) * speed
    // All instructions take the same.
    if (this.#time.counted) return Math.max(1, Math.ceil(left))
    const least = Math.max(LEAST_STRIDE, LEAST_STRIDE_TIME * speed)
    return Math.ceil(Math.min(MOST_STRIDE, Math.max(least, left / APPROACH)) * (0.5 + this.#draw()))
  }
}
