import type { HostLoop, SliceResult } from '@machinist/machine'
import { type Choice, type EntityParameters, Heap, ProportionalShare, Slot } from '@machinist/schedulers'
import { Claims } from './claims.ts'
import type { Lendable, OtherProcessors } from './parallel.ts'
import { LONG, SHORT, SOME_TIME, type CpuRunner, type Task, type TaskTime } from './runner.ts'
import { TURN, Turns } from './turns.ts'

/** This thread's processor. */
const HERE = 0
/** The longest run on another processor, in nanoseconds: between two of them it waits for this thread, which has much to do for that. */
const ELSEWHERE = 2 * LONG

/** A machine among others. */
class Seat {
  readonly name: string
  readonly task: Task
  readonly harts: Lendable
  readonly claims: Claims
  readonly time: { -readonly [Part in keyof TaskTime]: number } = { used: 0, ran: 0, ready: 0, held: 0 }
  /** Whether it may run at all. */
  on = false
  /** Since when it has been waiting, with nothing of it running; null while it does not. */
  since: number | null = null
  /** Time of this thread that it took, and was not charged for yet. */
  debt = 0
  /** When it is to be looked at again of itself. */
  readonly alarm: Slot<Seat> = new Slot<Seat>(this)

  constructor(name: string, task: Task, harts: Lendable, claims: Claims) {
    this.name = name
    this.task = task
    this.harts = harts
    this.claims = claims
  }
}

/** A processor, and who is on it. */
interface Place {
  readonly number: number
  on: { readonly seat: Seat; readonly claim: string } | null
  /** When the policy is to be asked again. */
  asks: number
}

/**
 * Runs machines on several processors of which one, this thread's, also does all that their harts come back for. The policy knows each hart that could run as one who wants a processor. A machine is charged what the processors worked for it, as they count it
 * themselves; the time in which this thread did something on its behalf, or found out that there is something, whoever ran here meanwhile; and the same again for each processor that waited for the
 * thread meanwhile, whoever had it.
 */
export class ParallelRunner implements CpuRunner {
  readonly policy: ProportionalShare<string>
  readonly #loop: HostLoop
  readonly #others: OtherProcessors
  readonly #cpuTime: () => number
  readonly #places: readonly Place[]
  readonly #seats = new Map<string, Seat>()
  readonly #owners = new Map<string, Seat>()
  /** Those for which something came in. */
  readonly #stirred = new Set<Seat>()
  /** Those of which nothing runs, though it could, wait. */
  readonly #turns: Turns<Seat>
  readonly #alarms: Heap<Seat> = new Heap<Seat>({ steps: 0 })
  /** Whose hart runs here, and the time meanwhile that was not its own. */
  #current: Seat | null = null
  #elsewhere = 0
  /** Until when the time of this thread is accounted for, but for that of runs here; and how many processors have been waiting for this thread since. */
  #charged = 0
  #waiting = 0
  #lively = 0

  /** @param cpuTime - time of this thread that its machines have, in nanoseconds */
  constructor(loop: HostLoop, others: OtherProcessors, cpuTime: () => number = () => loop.now()) {
    this.#loop = loop
    this.#others = others
    this.#cpuTime = cpuTime
    this.#turns = new Turns(loop, { run: (end, chore) => this.#run(end, chore) })
    const processors = 1 + others.count
    this.policy = new ProportionalShare<string>({ processors, slice: ELSEWHERE, reservable: 1 })
    this.#places = Array.from({ length: processors }, (_, number) => ({ number, on: null, asks: 0 }))
    this.policy.kick = (processor) => {
      const place = this.#places[processor]
      if (place !== undefined) place.asks = 0
      this.#turns.soon()
    }
    others.attend = () => {
      const began = this.#loop.now()
      this.#charged = began
      this.#count()
      const free = this.#look()
      this.#elsewhere += this.#loop.now() - began
      return free
    }
    this.#turns.soon()
  }

  add(name: string, task: Task, parameters: EntityParameters, harts: Lendable): void {
    const claims = new Claims(this.policy, name, Math.max(1, Math.min(harts.parallel, this.#places.length)), parameters)
    const seat = new Seat(name, task, harts, claims)
    this.#seats.set(name, seat)
    for (const claim of claims.names) this.#owners.set(claim, seat)
  }

  set(name: string, changes: EntityParameters): void {
    this.#seats.get(name)?.claims.set(changes)
  }

  width(name: string): number {
    return this.#seats.get(name)?.claims.names.length ?? 1
  }

  remove(name: string): void {
    const seat = this.#seats.get(name)
    if (seat === undefined) return
    this.block(name)
    this.#seats.delete(name)
    for (const claim of seat.claims.names) this.#owners.delete(claim)
    seat.claims.remove()
  }

  wake(name: string): void {
    const seat = this.#seats.get(name)
    if (seat === undefined) return
    seat.on = true
    this.#lively = this.#loop.now() + SOME_TIME
    this.#stirred.add(seat)
    this.#turns.soon()
  }

  block(name: string): void {
    const seat = this.#seats.get(name)
    if (seat === undefined) return
    seat.on = false
    this.#stirred.delete(seat)
    this.#after(seat, { kind: 'stopped' })
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
    this.#others.attend = null
    this.#turns.stop()
  }

  /** Runs machines until a time; returns when to look again if nobody has anything to do here until then, and else null. */
  #run(end: number, chore: number): number | null {
    let now: number
    do {
      this.#charged = this.#loop.now()
      this.#others.poll()
      this.#count()
      this.#look()
      now = this.#loop.now()
      const choice = this.policy.pick(HERE, now)
      if ('entity' in choice) {
        const alarm = this.#alarms.first?.key ?? Infinity
        this.#here(choice.entity, Math.max(SHORT, Math.min(this.#longest(Math.min(choice.slice, LONG), now), alarm - now, chore - now)))
        continue
      }
      if (this.#stirred.size > 0) continue
      const until = this.#places.reduce((first, { number, on, asks }) => (number !== HERE && on === null ? Math.min(first, asks) : first), Math.min(choice.until, this.#alarms.first?.key ?? Infinity))
      if (!this.#places.some(({ on }) => on !== null)) return until
      this.#others.wait(Math.min(until, end))
      if (this.#stirred.size === 0) return until
    } while (!this.#turns.stopped && this.#loop.now() < end)
    return null
  }

  /** How long a run here may be, as far as events from outside go: a host that knows when something is due also interrupts who runs for what comes in. */
  #longest(slice: number, now: number): number {
    const { due } = this.#loop
    if (due === undefined) return now < this.#lively ? SHORT : slice
    return Math.min(slice, due - now)
  }

  /** Does what came in for machines that run elsewhere, and gives processors that are free to who is next. False when it is for the machine a hart of which runs here. */
  #look(): boolean {
    const began = this.#loop.now()
    for (const seat of this.#stirred) seat.debt += this.#others.found / this.#stirred.size
    this.#others.found = 0
    for (let first = this.#alarms.first; first !== undefined && first.key <= began; first = this.#alarms.first) {
      this.#alarms.remove(first)
      this.#stirred.add(first.item)
    }
    // A hart of the machine that runs here may have been woken by that one.
    if (this.#current !== null) this.#want(this.#current, this.#current.harts.wanting - 1)
    // Nobody who wants a processor that is free waits for what others have to do.
    let free = this.#fillAll()
    for (const seat of this.#stirred) {
      // Others of the loop wait, too.
      if (this.#loop.now() > began + TURN) {
        free = false
        break
      }
      if (seat === this.#current) free = false
      else {
        this.#stirred.delete(seat)
        if (!seat.on) continue
        if (seat.claims.running.size > 0) this.#serve(seat)
        else this.#want(seat, 1)
        free = this.#fillAll() && free
        this.#owes(seat)
      }
    }
    return free
  }

  #fillAll(): boolean {
    let free = true
    for (const place of this.#places) if (place.number !== HERE && !this.#fill(place)) free = false
    return free
  }

  /** Has somebody run on a processor that is free. False when that would be who runs here. */
  #fill(place: Place): boolean {
    while (place.on === null) {
      const now = this.#loop.now()
      if (place.asks > now) return true
      // Those that would be back at once wait for this thread's, unless nobody else wants that one. Whoever has this thread's and had better go there makes room for them.
      const calm = this.#current !== null && this.#current.harts.parallel > 0 && this.#current.harts.restless !== true
      const choice = this.#pick(place, now, calm)
      if (!('entity' in choice)) {
        place.asks = choice.until
        return true
      }
      const seat = this.#owner(choice.entity)
      const leaves = seat === this.#current || (calm && seat.harts.restless === true)
      if (leaves || seat.harts.parallel === 0) {
        this.policy.charge(choice.entity, 0, now)
        if (leaves) return false
        // It can run here only, and is chosen here soon.
        place.asks = now + SHORT
        return true
      }
      this.#put(place, seat, choice.entity)
      seat.harts.lend(place.number, choice.slice)
      this.#serve(seat)
    }
    return true
  }

  /** Who is to run on another processor than this thread's: who can. Those that would be back at once do when nobody else wants it, or when they are welcome there. */
  #pick(place: Place, now: number, welcome: boolean): Choice<string> {
    const { policy } = this
    const stays = (claim: string): boolean => this.#owner(claim).harts.parallel === 0
    const choice = policy.pick(place.number, now, (claim) => stays(claim) || (!welcome && this.#owner(claim).harts.restless === true))
    if (welcome || !('entity' in choice) || !stays(choice.entity)) return choice
    policy.charge(choice.entity, 0, now)
    return policy.pick(place.number, now, stays)
  }

  #owner(claim: string): Seat {
    const seat = this.#owners.get(claim)
    if (seat === undefined) throw new Error(`the policy chose '${claim}', which was removed`)
    return seat
  }

  #put(place: Place, seat: Seat, claim: string): void {
    this.#turns.end(seat, this.#loop.now())
    place.on = { seat, claim }
    seat.claims.running.add(claim)
  }

  #serve(seat: Seat): void {
    const result = seat.task(SHORT, false)
    this.#owes(seat)
    this.#after(seat, result)
  }

  /** What this thread did since it was charged last was for a machine, and that is why processors waited meanwhile, whoever has them. */
  #owes(seat: Seat): void {
    const now = this.#loop.now()
    seat.debt += (now - this.#charged) * (1 + this.#waiting)
    this.#charged = now
    this.#count()
  }

  /** Those that were lent, and on which nothing runs, have somebody that wants something of this thread. */
  #count(): void {
    let lent = 0
    for (const { number, on } of this.#places) if (number !== HERE && on !== null) lent++
    this.#waiting = Math.max(0, lent - this.#others.running)
  }

  #here(claim: string, slice: number): void {
    const seat = this.#owner(claim)
    const place = this.#places[HERE]
    if (place === undefined) return
    this.#owes(seat)
    this.#put(place, seat, claim)
    this.#stirred.delete(seat)
    this.#current = seat
    this.#elsewhere = 0
    const before = this.#cpuTime()
    const result = seat.task(slice, true)
    this.#current = null
    this.#charged = this.#loop.now()
    this.#count()
    this.#end(place, Math.max(0, this.#cpuTime() - before - this.#elsewhere))
    this.#after(seat, result)
    this.#owes(seat)
  }

  /** The run on a processor is over. */
  #end(place: Place, ran: number): void {
    if (place.on === null) return
    const { seat, claim } = place.on
    const used = ran + seat.debt
    seat.debt = 0
    seat.time.used += used
    seat.time.ran += used
    seat.claims.running.delete(claim)
    place.on = null
    place.asks = 0
    this.policy.charge(claim, used, this.#loop.now())
  }

  /** Takes back the processors that a machine does not want any more, and says what it wants now. */
  #after(seat: Seat, result: SliceResult): void {
    for (const { processor, ran } of seat.harts.takeBack()) {
      const place = this.#places[processor]
      if (place?.on?.seat === seat) this.#end(place, ran)
    }
    this.#alarms.remove(seat.alarm)
    if (result.kind === 'idle' && result.at < Infinity) this.#alarms.put(seat.alarm, result.at)
    const more = result.kind === 'runnable' && seat.claims.running.size > 0
    if (more) this.#stirred.add(seat)
    this.#want(seat, !seat.on || result.kind === 'stopped' ? 0 : Math.max(seat.harts.wanting, result.kind === 'runnable' && !more ? 1 : 0))
  }

  #want(seat: Seat, count: number): void {
    const now = this.#loop.now()
    seat.claims.want(count, now)
    if (count > 0 && seat.claims.running.size === 0) this.#turns.wait(seat, now)
    else this.#turns.end(seat, now)
  }
}
