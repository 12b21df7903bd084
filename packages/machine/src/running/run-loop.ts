import type { CountedVcpu, Exit, Vcpu } from '@machinist/api'
import type { Parts } from '../assembly/parts.ts'
import type { Tape } from '../tape/tape.ts'
import type { Sampler } from './sampler.ts'
import type { SavedTurns, Turn } from './turn.ts'
import { type ReturnedProcessor, TimedHarts } from './timed-harts.ts'
import { stretch, Turns } from './turns.ts'

/**
 * How a slice of a machine's life ended. An idle machine has nothing to do until something comes in, or until a time: `until` is virtual, `at` the host's (`HostLoop.now`), both in
 * nanoseconds, and `Infinity` when only an event will do.
 */
export type SliceResult = { readonly kind: 'runnable' } | { readonly kind: 'idle'; readonly until: number; readonly at: number } | { readonly kind: 'stopped' }

const RUNNABLE: SliceResult = { kind: 'runnable' }
const STOPPED: SliceResult = { kind: 'stopped' }
const FOR_GOOD: SliceResult = { kind: 'idle', until: Infinity, at: Infinity }

/** What a guest asked for that comes when all that it said has reached the host. */
export type Leaving = { readonly kind: 'off'; readonly status: number } | { readonly kind: 'reset' }

/** A place in the life of a machine: the instructions that its harts have retired in all, or the steps that they, or one of them, have taken (`Vcpu.steps`). */
export type StopAt = { readonly retired: number } | { readonly steps: number; readonly hart?: number }

/** Runs the harts in turn, and delivers between turns. Knows nothing of the host's event loop. */
export class RunLoop {
  readonly #parts: Parts
  readonly #vcpus: readonly Vcpu[]
  readonly #turns: Turns
  /** Instead of turns, harts that go by the clock. */
  readonly #timed: TimedHarts | null
  readonly #hostNow: () => number
  /** Whether the machine may go on. */
  readonly #mayRun: () => boolean
  readonly #fault: (part: string, error: unknown) => void
  readonly #pushTimer: (name: string, fire: () => void) => void
  readonly #countRetired = (): number => this.retired
  #current: Vcpu | null = null
  #turnEnd = Infinity
  #interrupted = false
  #left = false
  /** A device of the host has something to do. */
  #hostWants = false
  /** A slice of harts that go by the clock is in progress, or a delivery: what they came back for waits. */
  #working = false
  /** What waited for the next turn has been delivered. */
  #delivered = false
  #stop: StopAt | null = null
  /** Host time at which the slice ends. */
  #end = 0
  /** Host time at which a turn began, or went on. */
  #began = 0
  /** Turns that harts began, and jumps of time. */
  passes = 0
  runTime = 0
  readonly exits: Record<Exit, number> = { budget: 0, halt: 0, yield: 0, debug: 0, interrupt: 0 }
  /** While true no hart runs, but events are delivered: a reset waits for what is in flight. */
  held = false
  /** What comes when all output has reached the host. Until then no hart runs, but devices do: the guest has had its last word. */
  leaving: Leaving | null = null
  /** The same, while so many wait for it to stand still, to copy it. */
  copying = 0
  /** While true nothing at all happens: all of the machine may be going on elsewhere. */
  away = false
  /** Told when a hart stopped for a debugger. */
  onDebug: ((hart: number) => void) | null = null
  /** Told when it has come to where it was to stop. */
  onStop: (() => void) | null = null
  sampler: Sampler | null = null
  /** Looks at the machine between turns, when it records or replays it. */
  tape: Tape | null = null

  constructor(parts: Parts, hostNow: () => number, mayRun: () => boolean, fault: (part: string, error: unknown) => void) {
    this.#parts = parts
    this.#vcpus = parts.cpu.vcpus
    const { cpu } = parts
    this.#turns = new Turns(cpu.budget === 'time' ? [] : cpu.vcpus, parts.time)
    this.#timed = cpu.budget !== 'time' ? null : new TimedHarts(cpu, {
      hostNow, fault,
      ran: (took) => { this.runTime += took },
      exited: (hart, exit) => {
        this.exits[exit]++
        if (exit === 'interrupt') this.#hostWants = true
        if (exit === 'debug') this.onDebug?.(hart)
      },
      current: (vcpu) => { this.#current = vcpu },
      goesOn: (until) => this.#goesOn(until),
    })
    this.#hostNow = hostNow
    this.#mayRun = mayRun
    this.#fault = fault
    this.#pushTimer = (name, fire) => { parts.gate.push(name, fire) }
    // What comes in while a hart runs should not wait for the end of a long turn.
    parts.gate.onPush = () => { this.interrupt() }
    parts.timers.onEarlier = parts.backendTimers.onEarlier = (at) => {
      if (at < this.#turnEnd) this.interrupt()
    }
  }

  /** Whose turn it is. */
  save(): SavedTurns {
    return { ...this.#turns.save(), delivered: this.#delivered }
  }

  /** Takes back what {@link RunLoop.save} gave, once harts and time have their states. @throws as {@link Turns.restore} */
  restore(saved: SavedTurns): void {
    this.#turns.restore(saved)
    this.#delivered = saved.delivered ?? false
  }

  /** Forgets a turn that was left in the middle: harts begin anew. */
  forget(): void {
    this.#timed?.forget()
    if (this.#turns.current !== null) this.#turns.end()
    this.#delivered = false
  }

  /** Has harts that run elsewhere come back, and none go before the next slice. Unless it is beneath one, all that they began is complete then. */
  settle(): void {
    this.#timed?.recall()
    if (!this.#working) this.#timed?.collect()
    this.#timed?.giveBack()
  }

  /** Most harts that can run on processors that are lent, at once. */
  get parallel(): number {
    return this.#timed?.parallel ?? 0
  }

  /** Whether harts run elsewhere on processors that are lent, and nowhere else. */
  get lent(): boolean {
    return this.#timed?.lent ?? false
  }

  set lent(lent: boolean) {
    if (this.#timed !== null) this.#timed.lent = lent
  }

  /** Harts that could run, and are not away. */
  get wanting(): number {
    return this.away || this.#resting ? 0 : this.#timed?.wanting ?? 0
  }

  /** Whether all of those had better run here. */
  get restless(): boolean {
    return this.#timed?.restless ?? false
  }

  /** Lends a processor for so many nanoseconds of the host's time. */
  lend(processor: number, limit: number): void {
    this.#timed?.lend(processor, this.#hostNow() + limit)
  }

  takeBack(): readonly ReturnedProcessor[] {
    return this.#timed?.takeBack() ?? []
  }

  /** Where harts are to stop, exactly; null for nowhere. What has been passed is never come to. */
  set stop(at: StopAt | null) {
    this.#stop = at
    this.leave()
  }

  /** Whether a hart is running right now, further down the stack. */
  get running(): boolean {
    return this.#current !== null
  }

  /** Ends the turn in progress after the current instruction. */
  interrupt(): void {
    this.#interrupted = true
    this.#current?.kick()
  }

  /** Leaves the turn in progress after the current instruction, to go on with it later. */
  leave(): void {
    this.#left = true
    this.#current?.kick()
  }

  /** Ends the slice in progress soon. */
  preempt(): void {
    this.#end = -Infinity
    // A recorded turn ends where it would have ended.
    if (this.tape === null || this.tape.replaying) this.leave()
  }

  get retired(): number {
    let sum = 0
    for (const vcpu of this.#vcpus) sum += vcpu.retired
    return sum
  }

  get steps(): number {
    let sum = 0
    for (const vcpu of this.#vcpus) sum += vcpu.steps
    return sum
  }

  /**
   * Runs for about `limit` nanoseconds of host time.
   *
   * @param here - whether a hart that goes by the clock may run here; else what waits is done, and harts are sent away
   */
  run(limit: number, here: boolean = true): SliceResult {
    if (this.away) {
      this.#timed?.giveBack()
      return FOR_GOOD
    }
    const { time } = this.#parts
    this.#end = this.#hostNow() + limit
    time.wake()
    this.sampler?.wake()
    if (this.#timed !== null) return this.#working ? STOPPED : this.#work(this.#timed, here)
    while (this.#mayRun()) {
      if (this.#between && this.tape?.top() === false) return FOR_GOOD
      if (!this.#mayRun()) break
      const turn = this.#next(this.#end)
      if (!this.#mayRun()) break
      if (turn !== null) {
        // A debugger may hold the hart by now.
        if (turn.vcpu.runnable) this.#advance(turn)
        else this.#turns.end()
      } else if (this.#parts.gate.pending === 0) {
        // Delivering may have brought more to deliver, but has not.
        const until = this.#wait()
        if (until > time.now) {
          this.sampler?.idle()
          if (this.tape?.idle(until) === true) continue
          time.rest(until)
          if (!time.counted || until === Infinity || this.tape?.paced === true) return { kind: 'idle', until, at: this.#hostNow() + until - time.now }
          time.wake()
          time.jumpTo(until)
          this.passes++
          // The host gets its turn: what a disk has to say should not come hours of virtual time late.
          return RUNNABLE
        }
      }
      if (this.#hostNow() >= this.#end) return this.#mayRun() ? RUNNABLE : STOPPED
    }
    return STOPPED
  }

  #work(harts: TimedHarts, here: boolean): SliceResult {
    this.#working = true
    this.#hostWants = false
    try {
      return this.#runTimed(harts, here)
    } finally {
      this.#working = false
      if (!this.#mayRun()) this.settle()
      harts.giveBack()
    }
  }

  #runTimed(harts: TimedHarts, here: boolean): SliceResult {
    const { time, gate, timers, backendTimers } = this.#parts
    while (this.#mayRun()) {
      harts.collect()
      if (this.#mayRun()) this.#deliver(time.sample())
      if (this.#resting) {
        harts.recall()
        harts.collect()
      }
      if (!this.#mayRun()) break
      const left = this.#end - this.#hostNow()
      const now = time.sample()
      const exit = this.#resting ? null : harts.run(now, now + left, Math.min(timers.next, backendTimers.next), here)
      const cameBack = harts.collect() > 0
      if (this.#hostWants && this.#mayRun() && here) return RUNNABLE
      // That one waits says nothing of the others, which may have had no turn yet.
      if ((exit === null || exit === 'halt') && (!here || this.wanting === 0) && !cameBack && gate.pending === 0 && this.#mayRun()) {
        const until = Math.min(this.#wait(here), harts.until)
        if (until > time.sample()) {
          if (!harts.anyAway) time.rest(until)
          return { kind: 'idle', until, at: this.#hostNow() + until - time.now }
        }
      }
      if (!here || this.#hostNow() >= this.#end) return this.#mayRun() ? RUNNABLE : STOPPED
    }
    return STOPPED
  }

  /** The same as a round of {@link RunLoop.#runTimed}, where that has nothing else to do. */
  #goesOn(until: number): boolean {
    if (!this.#mayRun()) return false
    const { time, timers, backendTimers, gate } = this.#parts
    const current = this.#current
    // None runs meanwhile, though one may have asked.
    this.#current = null
    this.#deliver(time.sample())
    this.#current = current
    return gate.pending === 0 && this.#hostNow() < this.#end && this.#mayRun() && !this.#resting && !this.#hostWants && timers.next >= until && backendTimers.next >= until
  }

  /** The turn that was left in the middle, or else the next one, for which is delivered what waits; null when no hart is to run. */
  #next(end: number): Turn | null {
    let runnable = 1
    if (this.#turns.current === null || this.#resting) {
      if (this.#between) this.#deliver(this.#parts.time.sample())
      this.#delivered = !this.#mayRun()
      if (this.#delivered) return null
      runnable = this.#runnable()
      if (runnable === 0) return null
    }
    this.#began = this.#hostNow()
    if (this.#turns.current !== null) return this.#turns.current
    this.passes++
    return this.#turns.begin(runnable, this.#nextDeadline(), end - this.#began)
  }

  /** Whether what waits is to be delivered before anything else. */
  get #between(): boolean {
    return (this.#turns.current === null || this.#resting) && !this.#delivered
  }

  /** Whether a turn was left in the middle. */
  get amid(): boolean {
    return this.#turns.current !== null
  }

  /** Delivers what waits, while no hart runs. False: only when the host's event loop has turned. */
  deliver(): boolean {
    if (this.tape?.top() === false) return false
    this.#deliver(this.#parts.time.sample())
    return true
  }

  #deliver(now: number): void {
    const { gate, timers, backendTimers } = this.#parts
    if (timers.next <= now) timers.expire(now, this.#pushTimer)
    if (backendTimers.next <= now) backendTimers.expire(now, this.#pushTimer)
    if (gate.pending > 0) gate.deliver(now, this.#countRetired)
  }

  /** Whether no hart is to run for now. */
  get #resting(): boolean {
    return this.held || this.copying > 0 || this.#stalled
  }

  #runnable(): number {
    let count = 0
    if (!this.#resting) for (const vcpu of this.#vcpus) if (vcpu.runnable) count++
    return count
  }

  /** Whether harts wait for the host to take output. */
  get #stalled(): boolean {
    return this.leaving !== null || this.#parts.connector.output.stalled
  }

  /** When to look again while no hart runs. Counted time stands still until the host has taken output that is in the way. */
  #wait(here: boolean = true): number {
    const { timers, backendTimers, time } = this.#parts
    if (this.held || this.copying > 0) return backendTimers.next
    if (!this.#stalled) return this.#timed === null ? this.#nextDeadline() : Math.min(timers.next, backendTimers.next, this.#timed.deadline(here))
    const next = Math.min(timers.next, backendTimers.next)
    return time.counted && next > time.now ? Infinity : next
  }

  /** The first time at which a timer expires or an idle hart wants to be looked at. */
  #nextDeadline(): number {
    let first = Math.min(this.#parts.timers.next, this.#parts.backendTimers.next)
    // A deadline that has just passed counts too: the hart was asked a moment earlier, and must be asked again.
    for (const vcpu of this.#vcpus) first = Math.min(first, vcpu.deadline())
    return first
  }

  /** Goes on with a turn, to its end if nothing is in the way. */
  #advance(turn: Turn): void {
    const { vcpu } = turn
    const before = vcpu.retired
    this.#current = vcpu
    this.#turnEnd = turn.deadline
    this.#interrupted = this.#left = this.#delivered = false
    let exit: Exit | null = 'yield'
    try {
      exit = this.#go(turn)
    } catch (error) {
      this.#fault(`cpu.hart${vcpu.index}`, error)
    }
    // Else it goes on later.
    if (exit !== null && exit !== 'debug') this.#turns.end()
    else this.#parts.time.sample()
    this.#current = null
    this.#turnEnd = Infinity
    const took = this.#hostNow() - this.#began
    this.runTime += took
    this.#turns.speed.add(vcpu.retired - before, took)
    if (exit !== null) this.exits[exit]++
    if (exit === 'debug') this.onDebug?.(vcpu.index)
    if (this.#stop === null || this.#room > 0) return
    this.#stop = null
    this.onStop?.()
  }

  /** How a turn ended; null when it was left in the middle. */
  #go(turn: Turn): Exit | null {
    for (;;) {
      if (!turn.asking) {
        const exit = this.#piece(turn)
        if (exit !== 'budget' || turn.stretch === 0) return exit
        turn.asking = true
      }
      const answer = this.#ask(turn)
      if (answer === null) return null
      if (answer === 'yield') this.#turns.spins(turn.vcpu)
      if (answer !== 'budget') return answer
      stretch(turn, turn.stretch * turn.growth)
    }
  }

  #piece(turn: Turn): Exit | null {
    const left = Math.max(0, turn.mark - turn.vcpu.steps)
    const part = Math.min(left, this.#room)
    if (part <= 0 && left > 0) return null
    const { again } = turn
    if (left === 0 && !again) return 'budget'
    turn.again = true
    const exit = this.#run(turn.vcpu, part, again)
    const leaves = this.#leaves && (exit === 'yield' || (exit === 'budget' && turn.vcpu.steps < turn.mark))
    return leaves || (exit === 'budget' && part < left) ? null : exit
  }

  /** Whether the hart of a shared turn spins. */
  #ask({ vcpu }: Turn): Exit | null {
    const room = this.#room
    if (room <= 0) return null
    const answer = vcpu.spin?.(this.#exact, room) ?? 'budget'
    return answer === 'more' || (answer === 'yield' && this.#leaves) ? null : answer
  }

  /** Whether a run that was kicked is to be gone on with later. */
  get #leaves(): boolean {
    return this.#left && !this.#interrupted
  }

  /** Steps that may be taken before the machine is perhaps where it is to stop. */
  get #room(): number {
    const stop = this.#stop
    if (stop === null) return Infinity
    if ('retired' in stop) return stop.retired - this.retired
    if (stop.hart === undefined) return stop.steps - this.steps
    const vcpu = this.#vcpus[stop.hart]
    const left = stop.steps - (vcpu?.steps ?? 0)
    return left <= 0 || vcpu === this.#turns.current?.vcpu ? left : Infinity
  }

  get #exact(): boolean {
    return this.#parts.time.counted || this.#stop !== null
  }

  #run(vcpu: CountedVcpu, budget: number, again: boolean): Exit {
    if (this.sampler === null) return vcpu.run(budget, this.#exact, again)
    return this.sampler.run(vcpu, budget, this.#exact, again, () => this.#interrupted || this.#left)
  }
}
