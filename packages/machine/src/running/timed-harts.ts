import { type Exit, machinistError, type ParallelHarts, type TimedCpu, type TimedVcpu } from '@machinist/api'

/** The turn of a hart that runs here while others want to, too, in nanoseconds. */
const SHARED_TURN = 200_000
/** The same where those others have processors lent to them: they need not wait for this one. Each turn costs the thread of the host as much as a hart does in a tenth of a millisecond. */
const LENT_TURN = 1_000_000
/** Least time that is worth a turn. */
const LEAST_TURN = 5000

/** What harts that go by the clock are run by. */
export interface TimedLoop {
  /** The host's time, in nanoseconds. */
  hostNow(): number
  /** A hart ran for `took` nanoseconds of the host's time. */
  ran(took: number): void
  /** All that a run came to is done. */
  exited(hart: number, exit: Exit): void
  /** Delivers what waits, between two runs. False: there is more to look at before a hart may run until then. */
  goesOn(until: number): boolean
  /** This one runs here, or does what it came back for; null for none any more. */
  current(vcpu: TimedVcpu | null): void
  fault(part: string, error: unknown): void
}

/** A processor that was lent, and is not any more. */
export interface ReturnedProcessor {
  readonly processor: number
  /** Nanoseconds for which harts ran there, as their CPU counts it. */
  readonly ran: number
}

/** A processor that is lent until a time of the host. */
interface Loan {
  readonly until: number
  /** A hart has been there. */
  used: boolean
  /** The hart that is there, and what it had run before; null between two. */
  hart: number | null
  before: number
  ran: number
}

/** Harts of a {@link TimedCpu}: which of them are away, and which come back. */
export class TimedHarts {
  readonly #cpu: TimedCpu
  readonly #parallel: ParallelHarts | null
  readonly #loop: TimedLoop
  /** Since when each is away (host time), and until when (virtual time); those that are not are not in it. */
  readonly #away = new Map<number, { readonly since: number; readonly until: number }>()
  /** Harts that came back and have yet to be finished with. */
  #back: number[] = []
  /** The hart that had a turn first, the last time. */
  #first = -1
  /** Whether harts go away to processors that were lent alone, and those. */
  lent = false
  readonly #loans = new Map<number, Loan>()
  /** Whether the hart that runs here goes on after what it would leave for: nobody else is to run. */
  readonly #goesOn: (until: number) => boolean
  readonly #returned: ReturnedProcessor[] = []

  constructor(cpu: TimedCpu, loop: TimedLoop) {
    this.#cpu = cpu
    this.#parallel = cpu.parallel ?? null
    this.#loop = loop
    this.#goesOn = (until) => this.#away.size === 0 && loop.goesOn(until) && (cpu.vcpus.length === 1 || this.wanting <= 1)
    for (const vcpu of cpu.vcpus) vcpu.goesOn = this.#goesOn
  }

  /** Virtual time at which the first of those that are away comes back by itself, about; `Infinity` when none is. */
  get until(): number {
    let first = Infinity
    for (const { until } of this.#away.values()) first = Math.min(first, until)
    return first
  }

  get anyAway(): boolean {
    return this.#away.size > 0
  }

  /** Most harts that can be away at once. */
  get parallel(): number {
    return this.#parallel === null ? 0 : this.#cpu.vcpus.length
  }

  /** Harts that could run, and are not away. */
  get wanting(): number {
    const { vcpus } = this.#cpu
    let count = 0
    for (let index = 0; index < vcpus.length; index++) {
      const vcpu = vcpus[index]
      if (vcpu !== undefined && !this.#isAway(vcpu.index) && vcpu.runnable) count++
    }
    return count
  }

  /** Whether all of those had better run here. */
  get restless(): boolean {
    for (const vcpu of this.#cpu.vcpus) if (vcpu.restless !== true && !this.#isAway(vcpu.index) && vcpu.runnable) return false
    return true
  }

  /** Lends a processor until a time of the host. */
  lend(processor: number, until: number): void {
    this.#loans.set(processor, { until, used: false, hart: null, before: 0, ran: 0 })
  }

  /** Processors that were lent, and are free again since this was asked last. */
  takeBack(): readonly ReturnedProcessor[] {
    return this.#returned.splice(0)
  }

  /** Gives back the processors that nobody is on. */
  giveBack(): void {
    for (const [processor, { hart, ran }] of this.#loans) {
      if (hart !== null) continue
      this.#loans.delete(processor)
      this.#returned.push({ processor, ran })
    }
  }

  /** When one of those that are not away wants to be looked at. What a hart that could run waits for, where none may run here, is a processor, and no time. */
  deadline(here: boolean): number {
    let first = Infinity
    const { vcpus } = this.#cpu
    for (let index = 0; index < vcpus.length; index++) {
      const vcpu = vcpus[index]
      if (vcpu !== undefined && !this.#isAway(vcpu.index) && (here || !vcpu.runnable)) first = Math.min(first, vcpu.deadline())
    }
    return first
  }

  #isAway(hart: number): boolean {
    return this.#parallel !== null && this.#away.has(hart)
  }

  /** Takes back those that have come back, and does what they came for. Returns how many. */
  collect(): number {
    if (this.#parallel === null) return 0
    let count = 0
    if (this.#away.size > 0) while (this.#take(false)) { /* All of them. */ }
    for (let hart = this.#back.shift(); hart !== undefined; hart = this.#back.shift()) {
      this.#finish(hart)
      count++
    }
    return count
  }

  /** Has all that are away come back. What they came for is done by {@link TimedHarts.collect}. */
  recall(): void {
    if (this.#away.size === 0) return
    for (const hart of this.#away.keys()) this.#cpu.vcpus[hart]?.kick()
    while (this.#away.size > 0 && this.#take(true)) { /* All of them. */ }
    if (this.#away.size === 0) return
    const [hart = 0] = this.#away.keys()
    for (const lost of this.#away.keys()) this.#leaves(lost)
    this.#away.clear()
    this.#loop.fault(`cpu.hart${hart}`, machinistError({ code: 'hart-lost', part: `cpu.hart${hart}`, remedy: 'Have `exited` wait until a hart that was kicked is back.' }, 'a hart that was sent away does not come back'))
  }

  /** Recalls them, and forgets what they came for: they are to be reset. */
  forget(): void {
    this.recall()
    this.#back.length = 0
  }

  /**
   * Sends harts that can run away, in turn, until a time; one for which no processor is free runs here. Returns how its run ended; `'halt'` when all that can run are away, null when none can.
   *
   * @param now - virtual time
   * @param end - virtual time at which it is for somebody else to run
   * @param timers - and at which something is to be done here
   * @param here - whether one may run here
   */
  run(now: number, end: number, timers: number, here: boolean = true): Exit | null {
    const { vcpus } = this.#cpu
    let deadline = timers
    let stays: TimedVcpu | null = null
    let wanting = 0
    const { size } = this.#away
    this.#first = (this.#first + 1) % vcpus.length
    // Of several that could be sent away, those go that stay there.
    if (this.#loans.size > 0 && vcpus.some(({ restless }) => restless === true)) this.#lendCalm(now)
    for (let step = 0; step < vcpus.length; step++) {
      const vcpu = vcpus[(this.#first + step) % vcpus.length]
      if (vcpu === undefined || this.#isAway(vcpu.index)) continue
      if (!vcpu.runnable) {
        deadline = Math.min(deadline, vcpu.deadline())
        continue
      }
      const until = Math.max(end, now + LEAST_TURN)
      if (this.lent ? this.#startLent(vcpu, now) : stays === null && this.#start(vcpu.index, until)) continue
      stays ??= vcpu
      wanting++
    }
    if (stays === null || !here) return this.#away.size > size ? 'halt' : null
    const turn = wanting > 1 ? now + (this.lent ? LENT_TURN : SHARED_TURN) : end
    return this.#here(stays, Math.max(now + LEAST_TURN, Math.min(turn, end, deadline)))
  }

  #lendCalm(now: number): void {
    const { vcpus } = this.#cpu
    for (let step = 0; step < vcpus.length; step++) {
      const vcpu = vcpus[(this.#first + step) % vcpus.length]
      if (vcpu !== undefined && vcpu.restless !== true && !this.#isAway(vcpu.index) && vcpu.runnable) this.#startLent(vcpu, now)
    }
  }

  /** Has a hart run on a processor that was lent, until that is over. */
  #startLent(vcpu: TimedVcpu, now: number): boolean {
    for (const [processor, loan] of this.#loans) {
      const left = loan.until - this.#loop.hostNow()
      if (loan.hart !== null || left < LEAST_TURN || (loan.used && vcpu.restless === true)) continue
      const before = vcpu.ran ?? 0
      if (!this.#start(vcpu.index, now + left, processor)) return false
      loan.hart = vcpu.index
      loan.used = true
      loan.before = before
      return true
    }
    return false
  }

  #start(hart: number, until: number, processor?: number): boolean {
    if (this.#parallel === null) return false
    const since = this.#loop.hostNow()
    if (!this.#contain(hart, () => this.#parallel?.start(hart, until, processor)) === true) return false
    this.#away.set(hart, { since, until })
    return true
  }

  #here(vcpu: TimedVcpu, until: number): Exit {
    for (;;) {
      const began = this.#loop.hostNow()
      this.#loop.current(vcpu)
      let exit: Exit = 'yield'
      try {
        exit = vcpu.run(until)
      } catch (error) {
        this.#loop.fault(`cpu.hart${vcpu.index}`, error)
      }
      this.#loop.current(null)
      this.#loop.ran(this.#loop.hostNow() - began)
      this.#loop.exited(vcpu.index, exit)
      // Nearly always it left for something that is delivered at once.
      if (exit !== 'yield' || !this.#goesOn(until) || !vcpu.runnable) return exit
    }
  }

  #take(wait: boolean): boolean {
    const hart = this.#contain(this.#first, () => this.#parallel?.exited(wait)) ?? -1
    const away = this.#away.get(hart)
    if (away === undefined) return false
    this.#leaves(hart)
    this.#away.delete(hart)
    this.#back.push(hart)
    this.#loop.ran(this.#loop.hostNow() - away.since)
    return true
  }

  /** It is not on the processor any more that was lent for it. */
  #leaves(hart: number): void {
    for (const loan of this.#loans.values()) {
      if (loan.hart !== hart) continue
      const ran = this.#cpu.vcpus[hart]?.ran
      loan.ran += ran === undefined ? this.#loop.hostNow() - (this.#away.get(hart)?.since ?? 0) : ran - loan.before
      loan.hart = null
    }
  }

  #finish(hart: number): void {
    const vcpu = this.#cpu.vcpus[hart]
    if (vcpu === undefined) return
    this.#loop.current(vcpu)
    const exit = this.#contain(hart, () => this.#parallel?.finish(hart)) ?? 'yield'
    this.#loop.current(null)
    this.#loop.exited(hart, exit)
  }

  #contain<T>(hart: number, work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.#loop.fault(`cpu.hart${hart}`, error)
      return undefined
    }
  }
}
