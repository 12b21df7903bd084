import type { HostLoop } from '@machinist/machine'
import type { TaskTime } from './runner.ts'

/** For how long a turn of the event loop runs tasks, at least, in nanoseconds. */
export const TURN = 1_000_000

/** Who may wait for a processor. */
export interface Waiter {
  /** Since when it has been waiting, or was accounted for; null while it does not. */
  since: number | null
  readonly time: { -readonly [Part in keyof TaskTime]: number }
}

/** Work that is done between slices. */
class Chores {
  readonly #chores: { readonly work: (now: number) => number; at: number }[] = []

  add(work: (now: number) => number): void {
    this.#chores.push({ work, at: 0 })
  }

  /** All are due. False when there are none. */
  stir(): boolean {
    for (const chore of this.#chores) chore.at = 0
    return this.#chores.length > 0
  }

  /** Does those that are due; returns when the next one is. */
  work(now: number): number {
    let next = Infinity
    for (const chore of this.#chores) {
      if (chore.at <= now) chore.at = Math.max(now, chore.work(now))
      next = Math.min(next, chore.at)
    }
    return next
  }
}

/** What a runner does in its turns. */
export interface TurnsOf {
  /** Runs tasks until a time, or a bit longer, with the next chore at another; returns when to look again if nobody has anything to do until then, and else null. */
  run(end: number, chore: number): number | null
  /** A rest of so many nanoseconds is over. */
  rested?(took: number): void
}

/** Turns of the event loop in which somebody runs tasks, with chores between them; rests, while nobody has anything to do; and those who wait meanwhile. */
export class Turns<Seat extends Waiter> {
  readonly #loop: HostLoop
  readonly #of: TurnsOf
  readonly #chores = new Chores()
  readonly #waiting = new Set<Seat>()
  #turning = false
  #stopped = false
  /** How the next turn comes: as soon as may be, at its time, or not at all. */
  #coming: 'soon' | 'later' | 'never' = 'never'
  #cancel: () => void = () => {}
  /** Since when nobody has been running. */
  #resting = 0

  constructor(loop: HostLoop, of: TurnsOf) {
    this.#loop = loop
    this.#of = of
  }

  get stopped(): boolean {
    return this.#stopped
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** For how long nobody has been running, in nanoseconds. */
  restedAt(now: number): number {
    return this.#coming === 'later' ? Math.max(0, now - this.#resting) : 0
  }

  /** It waits from now on, if it did not. */
  wait(seat: Seat, now: number): void {
    if (seat.since !== null) return
    seat.since = now
    this.#waiting.add(seat)
  }

  /** It waits no more. */
  end(seat: Seat, now: number): void {
    this.settle(seat, now)
    seat.since = null
    this.#waiting.delete(seat)
  }

  /** Accounts for the time in which it was waiting. While nobody ran, what kept it was its limit. */
  settle(seat: Seat, now: number): void {
    if (seat.since === null) return
    const held = this.#coming === 'later' && seat.since <= this.#resting ? now - this.#resting : 0
    seat.time.held += held
    seat.time.ready += now - seat.since - held
    seat.since = now
  }

  addChore(work: (now: number) => number): void {
    this.#chores.add(work)
    this.soon()
  }

  /** All chores are due. */
  stir(): void {
    if (this.#chores.stir()) this.soon()
  }

  /** The next turn comes as soon as may be. Within one, there is another look anyway. */
  soon(): void {
    if (this.#turning || this.#stopped || this.#coming === 'soon') return
    this.#cancel()
    this.#wakeUp(this.#loop.now())
    this.#coming = 'soon'
    let cancelled = false
    this.#cancel = () => { cancelled = true }
    this.#loop.soon(() => { if (!cancelled) this.#turn() })
  }

  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  #turn(): void {
    const begin = this.#loop.now()
    this.#wakeUp(begin)
    this.#turning = true
    const chore = this.#chores.work(begin)
    const until = this.#of.run(begin + TURN, chore)
    this.#turning = false
    if (this.#stopped) return
    if (until === null) this.soon()
    else this.#rest(Math.min(until, chore), this.#loop.now())
  }

  #rest(until: number, now: number): void {
    this.#resting = now
    for (const seat of this.#waiting) this.settle(seat, now)
    this.#coming = 'later'
    this.#cancel = until === Infinity ? () => {} : this.#loop.after(Math.max(0, until - now), () => { this.#turn() })
  }

  #wakeUp(now: number): void {
    if (this.#coming === 'later') {
      for (const seat of this.#waiting) this.settle(seat, now)
      this.#of.rested?.(this.restedAt(now))
    }
    this.#coming = 'never'
  }
}
