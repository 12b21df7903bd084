import type { HostLoop, SliceResult } from '@machinist/machine'
import { type EntityParameters, Heap, ProportionalShare, Slot } from '@machinist/schedulers'
import type { Lendable, OtherProcessors } from './parallel.ts'
import { Turns } from './turns.ts'

/**
 * The longest run of a task, in nanoseconds: each finds the CPU's caches as others left them. What comes in from outside waits for its end, so for some time after something did, or when a time is known at which something is to be
 * done, runs end sooner.
 */
export const LONG = 4_000_000
export const SHORT = 1_000_000
/** The same of one that runs alone, where the host ends a run as soon as anything comes in. */
export const ALONE = 20_000_000
export const SOME_TIME = 100_000_000

/** Where the time of a task went, in nanoseconds: totals. */
export interface TaskTime {
  /** CPU time that it was charged. */
  readonly used: number
  /** Time on the clock in which it ran, was ready while others ran, or was held back by a limit while nobody did. */
  readonly ran: number
  readonly ready: number
  readonly held: number
}

/** What a runner runs: a machine, for about so many nanoseconds. It does not throw. */
export type Task = (slice: number, here?: boolean) => SliceResult

/** Runs machines as a policy says. */
export interface CpuRunner {
  /** Says who runs, and for how long. */
  readonly policy: ProportionalShare<string>
  /** Takes in a task, which sleeps at first. @throws as `ProportionalShare.add` */
  add(name: string, task: Task, parameters: EntityParameters, harts: Lendable): void
  /** Other parameters of a task. @throws as `ProportionalShare.set` */
  set(name: string, changes: EntityParameters): void
  /** On how many processors a task can be at once. */
  width(name: string): number
  /** Forgets a task, not within its own slice. */
  remove(name: string): void
  /** Something came in for a task, which has something to do. */
  wake(name: string): void
  /** A task has nothing to do until it is woken. */
  block(name: string): void
  /** Where the time of a task went, until now. */
  time(name: string): TaskTime
  /** Adds work of a few hundred µs that is done between slices; it returns when to be called again, by the clock of the host. */
  addChore(work: (now: number) => number): void
  /** Something changed: all chores are due. */
  stir(): void
  /** Nobody runs any more. */
  stop(): void
}

/** A task among others. */
class Seat {
  readonly name: string
  readonly task: Task
  readonly time: { -readonly [Part in keyof TaskTime]: number } = { used: 0, ran: 0, ready: 0, held: 0 }
  /** Since when it has been waiting to run; null while it runs or sleeps. */
  since: number | null = null
  /** When it is to be looked at again of itself. */
  readonly alarm: Slot<Seat> = new Slot<Seat>(this)
  /** Time of this thread that it took while others ran, and was not charged for yet. */
  debt = 0

  constructor(name: string, task: Task) {
    this.name = name
    this.task = task
  }
}

/**
 * Runs tasks one after the other, as the policy says, in one callback of the event loop for all of them: between two turns of about a millisecond the host's I/O has its
 * turn. Each task is charged the CPU time of the thread that it took.
 */
export class Runner implements CpuRunner {
  readonly policy: ProportionalShare<string> = new ProportionalShare<string>({ processors: 1, slice: LONG, reservable: 1 })
  readonly #loop: HostLoop
  readonly #cpuTime: () => number
  readonly #seats = new Map<string, Seat>()
  readonly #alarms: Heap<Seat> = new Heap<Seat>({ steps: 0 })
  /** Those that are ready and do not run wait. The time that is rested could have been used, but for those that are kept by their limits. */
  readonly #turns: Turns<Seat>
  readonly #interrupts: Pick<OtherProcessors, 'found'>
  /** For whom something came in during the run. */
  readonly #woken = new Set<Seat>()
  /** Until when runs are short, since something came in. */
  #lively = 0
  /**
   * The time of the policy: CPU time that tasks took, and time in which there was nothing to do. That is what can be promised. By the clock of the host, a run during which the host had
   * other things to do would seem long, and those that were due meanwhile would lose what they had no part in.
   */
  #time = 0

  /**
   * @param cpuTime - CPU time of this thread, in nanoseconds
   * @param interrupts - what of it `cpuTime` leaves out
   */
  constructor(loop: HostLoop, cpuTime: () => number, interrupts: Pick<OtherProcessors, 'found'> = { found: 0 }) {
    this.#loop = loop
    this.#cpuTime = cpuTime
    this.#interrupts = interrupts
    this.#turns = new Turns(loop, { run: (end, chore) => this.#run(end, chore), rested: (took) => { this.#time += took } })
    this.policy.kick = () => { this.#turns.soon() }
    // Whoever is to be kicked has asked before.
    this.#turns.soon()
  }

  add(name: string, task: Task, parameters: EntityParameters): void {
    this.policy.add(name, parameters)
    this.#seats.set(name, new Seat(name, task))
  }

  set(name: string, changes: EntityParameters): void {
    this.policy.set(name, changes)
  }

  width(): number {
    return 1
  }

  remove(name: string): void {
    const seat = this.#seats.get(name)
    if (seat === undefined) return
    this.#alarms.remove(seat.alarm)
    this.#turns.end(seat, this.#loop.now())
    this.#woken.delete(seat)
    this.#seats.delete(name)
    this.policy.remove(name)
  }

  wake(name: string): void {
    const seat = this.#seats.get(name)
    if (seat === undefined) return
    const now = this.#loop.now()
    this.#lively = now + SOME_TIME
    this.#woken.add(seat)
    this.#rouse(seat, now)
  }

  block(name: string): void {
    const seat = this.#seats.get(name)
    if (seat === undefined) return
    const now = this.#loop.now()
    this.#alarms.remove(seat.alarm)
    this.#turns.end(seat, now)
    this.policy.block(name, this.#timeAt(now))
  }

  time(name: string): TaskTime {
    const seat = this.#seats.get(name)
    if (seat === undefined) return { used: 0, ran: 0, ready: 0, held: 0 }
    this.#turns.settle(seat, this.#loop.now())
    return { ...seat.time }
  }

  addChore(work: (now: number) => number): void {
    this.#turns.addChore(work)
  }

  stir(): void {
    this.#turns.stir()
  }

  stop(): void {
    this.#turns.stop()
  }

  #rouse(seat: Seat, now: number): void {
    this.#alarms.remove(seat.alarm)
    this.#turns.wait(seat, now)
    this.policy.wake(seat.name, this.#timeAt(now))
  }

  /** The time of the policy at a time of the host. */
  #timeAt(now: number): number {
    return this.#time + this.#turns.restedAt(now)
  }

  /**
   * Runs tasks until a time; returns when to look again if nobody has anything to do until then, and else null.
   *
   * @param chore - when the next chore is due
   */
  #run(end: number, chore: number): number | null {
    let clock = this.#cpuTime()
    let now: number
    do {
      now = this.#loop.now()
      for (let first = this.#alarms.first; first !== undefined && first.key <= now; first = this.#alarms.first) this.#rouse(first.item, now)
      const choice = this.policy.pick(0, this.#time)
      const alarm = this.#alarms.first?.key ?? Infinity
      if (!('entity' in choice)) return Math.min(now + choice.until - this.#time, alarm)
      clock = this.#slice(choice.entity, Math.max(SHORT, Math.min(this.#longest(choice.slice, now), alarm - now, chore - now)), now, clock)
    } while (!this.#turns.stopped && this.#loop.now() < end)
    return null
  }

  /** How long a run may be, as far as events from outside and other tasks go. */
  #longest(slice: number, now: number): number {
    const { due } = this.#loop
    if (due === undefined) return now < this.#lively ? SHORT : slice
    return Math.min(this.#turns.waiting === 1 && slice === LONG ? ALONE : slice, due - now)
  }

  /** Runs one task; returns the CPU time of the thread after it. */
  #slice(name: string, slice: number, begin: number, before: number): number {
    const seat = this.#seats.get(name)
    if (seat === undefined) throw new Error(`the policy chose '${name}', which was removed`)
    this.#turns.end(seat, begin)
    this.#woken.clear()
    const result = seat.task(slice)
    const after = this.#cpuTime()
    const now = this.#loop.now()
    for (const woken of this.#woken) woken.debt += this.#interrupts.found / this.#woken.size
    this.#interrupts.found = 0
    const used = Math.max(0, after - before) + seat.debt
    seat.debt = 0
    this.#time += used
    seat.time.used += used
    seat.time.ran += now - begin
    if (result.kind === 'runnable') this.#turns.wait(seat, now)
    else {
      this.policy.block(name, this.#time)
      if (result.kind === 'idle' && result.at < Infinity) this.#alarms.put(seat.alarm, result.at)
    }
    this.policy.charge(name, used, this.#time)
    return after
  }
}
