import { Heap, Slot } from './heap.ts'
import { Member, Policy } from './policy.ts'
import { positive } from './refuse.ts'

/** What the credit scheduler wants to know of an entity. */
export interface CreditParameters {
  /** How much it gets, compared with others; 256 unless it is given. */
  readonly weight?: number | undefined
  /** The most that it gets, in processors; `Infinity` unless it is given. */
  readonly cap?: number | undefined
}

/** How the credit scheduler is set up; the times are Xen's unless they are given. */
export interface CreditOptions {
  readonly processors: number
  /** The credit that each is given when credit has run out, ns; 10 ms. */
  readonly credit?: number | undefined
  /** The shortest run, ns; 0.5 ms. It is also the most credit that is kept beyond a new allotment. */
  readonly shortest?: number | undefined
  /** The longest run, ns; 10 ms. */
  readonly longest?: number | undefined
  /** How often what a cap allows is handed out anew, ns of capacity; 10 ms. */
  readonly capPeriod?: number | undefined
}

class Account<E> extends Member<E> {
  weight: number
  cap: number
  /** Its credit, less what all were given since the beginning ({@link Credit.#given}) while it is queued or runs. */
  credit = 0
  /** How many allotments there had been when it blocked, or began to run. */
  allotments = 0
  /** What its cap still allows, and from when there is more. */
  budget: number = Infinity
  refill = 0
  readonly queued: Slot<Account<E>> = new Slot<Account<E>>(this)
  readonly running: Slot<Account<E>> = new Slot<Account<E>>(this)
  readonly heaviest: Slot<Account<E>> = new Slot<Account<E>>(this)

  constructor(entity: E, weight: number, cap: number) {
    super(entity)
    this.weight = weight
    this.cap = cap
  }
}

/**
 * Credit, as Xen's second credit scheduler has it (George Dunlap, `xen/common/sched/credit2.c`; "Scheduler development update", Xen Summit 2009). Who runs burns credit: the
 * heaviest a nanosecond for each that it runs, others more, by their weights. Who has most is next. When the next has none left, all are given the same
 * amount; who slept keeps next to nothing beyond it. So one that mostly sleeps has nearly always more than those that run, and interrupts them.
 *
 * All are given credit at once by one number that the credit of all is counted from, not one by one. Debt is not forgiven, as it is in Xen: shares stay exact even where
 * weights are far apart. A cap is a budget that is refilled by the clock of capacity.
 */
export class Credit<E> extends Policy<E, CreditParameters, Account<E>> {
  /** Those that are ready, the most credit first. */
  readonly #queue: Heap<Account<E>> = new Heap(this.work)
  /** Those that run, the least credit (as it will be at the end of the run) first. */
  readonly #runs: Heap<Account<E>> = new Heap(this.work)
  /** Those whose cap allows nothing now, by when it does again. */
  readonly #capped: Heap<Account<E>> = new Heap(this.work)
  readonly #weights: Heap<Account<E>> = new Heap(this.work)
  readonly #allotment: number
  readonly #shortest: number
  readonly #longest: number
  readonly #capPeriod: number
  #given = 0
  #allotments = 0

  /** @throws a `MachinistError`: `'parameter'` */
  constructor({ processors, credit = 10e6, shortest = 0.5e6, longest = 10e6, capPeriod = 10e6 }: CreditOptions) {
    super(processors)
    this.#allotment = positive('the credit', credit)
    this.#longest = positive('the longest run', longest)
    this.#shortest = positive('the shortest run', shortest, longest)
    this.#capPeriod = positive('the period of caps', capPeriod)
  }

  protected override admit(entity: E, { weight = 256, cap = Infinity }: CreditParameters): Account<E> {
    const account = new Account(entity, positive('the weight', weight), positive('the cap', cap, Infinity))
    account.credit = this.#allotment
    account.allotments = this.#allotments
    this.#weights.put(account.heaviest, -weight)
    this.#fill(account)
    return account
  }

  protected override change(account: Account<E>, { weight = account.weight, cap = account.cap }: CreditParameters): void {
    positive('the weight', weight)
    positive('the cap', cap, Infinity)
    account.weight = weight
    this.#weights.put(account.heaviest, -weight)
    if (cap === account.cap) return
    account.cap = cap
    this.#fill(account)
  }

  protected override dismiss(account: Account<E>): void {
    this.#weights.remove(account.heaviest)
  }

  protected override enqueue(account: Account<E>, woken: boolean): void {
    if (woken) {
      const missed = (this.#allotments - account.allotments) * this.#allotment
      account.credit += missed - this.#given
      if (missed > 0) this.#clip(account)
    }
    if (account.budget <= 0 && account.refill <= this.capacity.now) this.#refill(account)
    if (account.budget <= 0) this.#capped.put(account.queued, account.refill)
    else this.#queue.put(account.queued, -account.credit)
  }

  protected override dequeue(account: Account<E>): void {
    this.#queue.remove(account.queued)
    this.#capped.remove(account.queued)
  }

  protected override rest(account: Account<E>): void {
    account.credit += this.#given
    account.allotments = this.#allotments
  }

  protected override choose(): Account<E> | null {
    const account = this.#queue.first?.item
    if (account === undefined) return null
    this.#queue.remove(account.queued)
    const credit = account.credit + this.#given
    if (credit <= 0) this.#giveAll(1 + Math.floor(-credit / this.#allotment))
    const next = this.#queue.first?.item
    const lead = next === undefined || next.credit + this.#given <= 0 ? account.credit + this.#given : account.credit - next.credit
    const slice = Math.min(this.#longest, Math.max(this.#shortest, (lead * account.weight) / this.#heaviest))
    account.allotments = this.#allotments
    account.slice = Math.min(slice, Math.max(account.budget, this.#shortest / 10))
    this.#runs.put(account.running, account.credit - this.#burnt(account, account.slice))
    return account
  }

  protected override spend(account: Account<E>, ran: number): void {
    this.#runs.remove(account.running)
    account.credit -= this.#burnt(account, ran)
    if (this.#allotments > account.allotments) this.#clip(account)
    account.budget -= ran
  }

  protected override waiting(): boolean {
    return this.#queue.size > 0
  }

  protected override release(): void {
    for (let slot = this.#capped.first; slot !== undefined && slot.key <= this.capacity.now; slot = this.#capped.first) {
      this.#capped.remove(slot)
      this.enqueue(slot.item, false)
      if (slot.item.budget > 0) this.disturb(slot.item)
    }
  }

  protected override nextRelease(): number {
    return this.#capped.first?.key ?? Infinity
  }

  /** The one with the least credit, if it has less than a shortest run's worth below the member's. */
  protected override victim(account: Account<E>): Account<E> | null {
    const least = this.#runs.first?.item
    if (least === undefined || account.queued.at < 0) return null
    const ran = Math.min(least.slice, Math.max(0, this.capacity.time - least.since))
    return least.credit - this.#burnt(least, ran) + this.#shortest < account.credit ? least : null
  }

  protected override resized(): void {}

  get #heaviest(): number {
    return -(this.#weights.first?.key ?? -1)
  }

  #burnt(account: Account<E>, ran: number): number {
    return (ran * this.#heaviest) / account.weight
  }

  /** What is kept of earlier credit, when there is a new allotment, is bounded. */
  #clip(account: Account<E>): void {
    account.credit = Math.min(account.credit, this.#allotment + this.#shortest - this.#given)
  }

  /** Gives all a number of allotments. Nobody who is queued has anything to clip: the most that anybody had was none. */
  #giveAll(times: number): void {
    this.#given += times * this.#allotment
    this.#allotments += times
  }

  /** A whole budget, from now. */
  #fill(account: Account<E>): void {
    account.budget = account.cap * this.#capPeriod
    account.refill = this.capacity.now + this.#capPeriod
  }

  /** What was due since the last time; what was not used is lost. */
  #refill(account: Account<E>): void {
    const due = 1 + Math.floor((this.capacity.now - account.refill) / this.#capPeriod)
    const full = account.cap * this.#capPeriod
    account.budget = full === Infinity ? Infinity : Math.min(full, account.budget + due * full)
    account.refill += due * this.#capPeriod
  }
}
