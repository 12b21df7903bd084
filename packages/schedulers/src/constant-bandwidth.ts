import { Heap, Slot } from './heap.ts'
import { Member, Policy } from './policy.ts'
import { MILLION, millionths, positive, refused } from './refuse.ts'

/** What constant-bandwidth servers want to know of an entity: its server, or nothing, if it has none and runs when no server wants to. */
export interface ConstantBandwidthParameters {
  /** The CPU time that it is promised in each period, ns. */
  readonly budget?: number | undefined
  /** The period, ns of capacity. */
  readonly period?: number | undefined
  /**
   * When the budget is used up: `'wait'` for the next period, so that it never gets more than it was promised (this is meant unless it is given), or `'share'` what
   * servers leave with those that have none, until then.
   */
  readonly overrun?: 'wait' | 'share' | undefined
}

/** How constant-bandwidth servers are set up. */
export interface ConstantBandwidthOptions {
  readonly processors: number
  /** The longest run, ns; 10 ms unless it is given. */
  readonly slice?: number | undefined
  /** The shortest run, ns: what a server may exceed its budget by, and pays back; 0.1 ms unless it is given. */
  readonly shortest?: number | undefined
  /** What part of the processors may be promised, so that those without a server do not starve; 0.95 unless it is given. */
  readonly reservable?: number | undefined
}

interface Server {
  readonly budget: number
  readonly period: number
  readonly overrun: 'wait' | 'share'
  /** budget / period, in millionths. */
  readonly bandwidth: number
}

class Client<E> extends Member<E> {
  server: Server | null
  left = 0
  deadline = 0
  /** Whether it runs on its budget. */
  served = false
  /** CPU time that it had without a budget: the least is next. */
  extra = 0
  /** In the queue of servers that are ready, or of those that wait for a period. */
  readonly queued: Slot<Client<E>> = new Slot<Client<E>>(this)
  readonly sharing: Slot<Client<E>> = new Slot<Client<E>>(this)
  readonly running: Slot<Client<E>> = new Slot<Client<E>>(this)
  readonly widest: Slot<Client<E>> = new Slot<Client<E>>(this)

  constructor(entity: E, server: Server | null) {
    super(entity)
    this.server = server
  }
}

/**
 * Constant-bandwidth servers under earliest deadline first, for guests that must do something at certain times (L. Abeni, G. Buttazzo, "Integrating Multimedia Applications in
 * Hard Real-Time Systems", RTSS 1998). A server has a budget in each period, a deadline, and never takes more of the processors than budget / period, whatever its guest does: so one
 * that overruns harms itself alone. The earliest deadline runs; a server that wakes with an earlier one interrupts. Those without a server take turns when no server wants to run.
 *
 * Servers are admitted while Σu ≤ r · (M − (M − 1) · max u), u = budget / period, on M processors of which the part r may be promised: the bound of J. Goossens, S. Funk, S. Baruah, "Priority-driven
 * scheduling of periodic task systems on multiprocessors" (Real-Time Systems 25, 2003), for which no deadline is missed, but for the length of a shortest run. Periods go by the clock of capacity.
 */
export class ConstantBandwidth<E> extends Policy<E, ConstantBandwidthParameters, Client<E>> {
  /** Servers that are ready, by deadline. */
  readonly #urgent: Heap<Client<E>> = new Heap(this.work)
  /** Servers that used up their budget, by when they go on. */
  readonly #spent: Heap<Client<E>> = new Heap(this.work)
  /** Those without a server, or a budget, by what they had. */
  readonly #background: Heap<Client<E>> = new Heap(this.work)
  /** What one had that ran there last: who comes begins there. */
  #extra = 0
  /** Those that run, the latest deadline first. */
  readonly #runs: Heap<Client<E>> = new Heap(this.work)
  /** All servers, the greatest bandwidth first. */
  readonly #servers: Heap<Client<E>> = new Heap(this.work)
  readonly #slice: number
  readonly #shortest: number
  readonly #reservable: number
  #bandwidth = 0

  /** @throws a `MachinistError`: `'parameter'` */
  constructor({ processors, slice = 10e6, shortest = 0.1e6, reservable = 0.95 }: ConstantBandwidthOptions) {
    super(processors)
    this.#slice = positive('the slice', slice)
    this.#shortest = positive('the shortest run', shortest, slice)
    this.#reservable = positive('the part that may be promised', reservable, 1)
  }

  protected override admit(entity: E, parameters: ConstantBandwidthParameters): Client<E> {
    const client = new Client(entity, null)
    this.#serve(client, serverOf(parameters))
    return client
  }

  protected override change(client: Client<E>, changes: ConstantBandwidthParameters): void {
    this.#serve(client, serverOf({ ...client.server, ...changes }))
  }

  protected override dismiss(client: Client<E>): void {
    this.#withdraw(client)
  }

  protected override enqueue(client: Client<E>, woken: boolean): void {
    const { server } = client
    const now = this.capacity.now
    if (server === null) {
      this.#share(client, woken)
      return
    }
    if (client.left <= 0) {
      const periods = 1 + Math.floor(-client.left / server.budget)
      const goesOn = client.deadline + (periods - 1) * server.period
      if (goesOn > now) {
        this.#spent.put(client.queued, goesOn)
        if (server.overrun === 'share') this.#share(client, woken || client.served)
        return
      }
      client.left += periods * server.budget
      client.deadline += periods * server.period
    }
    // To use up what is left by the deadline would take more than the server's bandwidth, or the deadline is over: a new period.
    if (woken && client.left * server.period >= (client.deadline - now) * server.budget) this.#begin(client, server)
    this.#urgent.put(client.queued, client.deadline)
  }

  protected override dequeue(client: Client<E>): void {
    client.queued.heap?.remove(client.queued)
    this.#background.remove(client.sharing)
  }

  protected override choose(): Client<E> | null {
    const client = (this.#urgent.first ?? this.#background.first)?.item
    if (client === undefined) return null
    client.served = client.queued.heap === this.#urgent
    if (!client.served) this.#extra = Math.max(this.#extra, client.extra)
    this.dequeue(client)
    // A run ends when somebody who may be more urgent goes on.
    const undisturbed = this.nextRelease() - this.capacity.now
    const wanted = Math.min(this.#slice, undisturbed, client.served ? client.left : Infinity)
    client.slice = Math.max(this.#shortest, wanted)
    this.#runs.put(client.running, client.served ? -client.deadline : -Infinity)
    return client
  }

  protected override spend(client: Client<E>, ran: number): void {
    this.#runs.remove(client.running)
    if (client.served) client.left -= ran
    else client.extra += ran
  }

  protected override waiting(): boolean {
    return this.#urgent.size + this.#background.size > 0
  }

  protected override release(): void {
    for (let slot = this.#spent.first; slot !== undefined && slot.key <= this.capacity.now; slot = this.#spent.first) {
      this.dequeue(slot.item)
      this.enqueue(slot.item, false)
      this.disturb(slot.item)
    }
  }

  protected override nextRelease(): number {
    return this.#spent.first?.key ?? Infinity
  }

  protected override victim(client: Client<E>): Client<E> | null {
    const latest = this.#runs.first
    if (client.queued.heap !== this.#urgent || latest === undefined) return null
    return -latest.key > client.deadline ? latest.item : null
  }

  protected override resized(processors: number): void {
    this.#check(this.#bandwidth, this.#widest(null), processors)
  }

  /** Takes turns with those without a server. */
  #share(client: Client<E>, comes: boolean): void {
    if (comes) client.extra = Math.max(client.extra, this.#extra)
    this.#background.put(client.sharing, client.extra)
  }

  #begin(client: Client<E>, server: Server): void {
    client.left = server.budget
    client.deadline = this.capacity.now + server.period
  }

  #serve(client: Client<E>, server: Server | null): void {
    const before = client.server?.bandwidth ?? 0
    const after = server?.bandwidth ?? 0
    if (after > before) this.#check(this.#bandwidth - before + after, Math.max(after, this.#widest(client)), this.processors)
    this.#withdraw(client)
    client.server = server
    if (server === null) return
    this.#bandwidth += server.bandwidth
    this.#servers.put(client.widest, -server.bandwidth)
    this.#begin(client, server)
  }

  #withdraw(client: Client<E>): void {
    this.#bandwidth -= client.server?.bandwidth ?? 0
    this.#servers.remove(client.widest)
  }

  /** The greatest bandwidth of a server, without a client's. */
  #widest(without: Client<E> | null): number {
    const first = this.#servers.first
    if (first === undefined) return 0
    if (first.item !== without) return -first.key
    this.#servers.remove(first)
    const next = -(this.#servers.first?.key ?? 0)
    this.#servers.put(first, first.key)
    return next
  }

  #check(sum: number, widest: number, processors: number): void {
    const most = this.#reservable * (processors * MILLION - (processors - 1) * widest)
    if (sum > most) throw refused('not-admitted', sum / MILLION, `that many processors cannot be promised, but at most ${String(most / MILLION)}`, 'Ask for a smaller budget, a longer period, or shorter servers.')
  }
}

function serverOf({ budget, period, overrun = 'wait' }: ConstantBandwidthParameters): Server | null {
  if (budget === undefined && period === undefined) return null
  if (budget === undefined || period === undefined) throw refused('parameter', budget ?? period, 'a server has a budget and a period', 'Give both, or none of them.')
  positive('the period', period)
  positive('the budget', budget, period)
  return { budget, period, overrun, bandwidth: Math.max(1, millionths(budget / period)) }
}
