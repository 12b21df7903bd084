import { CapacityClock } from './capacity.ts'
import { Heap, Slot } from './heap.ts'
import { notNegative, processorCount, refused } from './refuse.ts'
import type { Choice, Scheduler, Work } from './scheduler.ts'

/** What every policy knows of an entity; a policy adds its own. */
export class Member<E> {
  readonly entity: E
  state: 'blocked' | 'ready' | 'running' = 'blocked'
  /** Whether it has something to do. It may still run when it has not. */
  runnable: boolean = false
  /** Where it runs, or ran last; −1: it never did. */
  processor: number = -1
  /** What it was given to run for, and when, while it runs. */
  slice: number = 0
  since: number = 0
  /** Of the clock of capacity: where its run began. */
  begun: number = 0

  constructor(entity: E) {
    this.entity = entity
  }
}

class Processor<M> {
  readonly idle: Slot<Processor<M>>
  readonly number: number
  running: M | null = null
  /** Whether its time counts as capacity that nobody wanted. */
  spare = false
  /** When it will ask again. */
  until = Infinity

  constructor(number: number) {
    this.number = number
    this.idle = new Slot<Processor<M>>(this)
  }
}

/** No processor looks again earlier than this, unless it is kicked (ns). */
const SHORTEST_REST = 10_000

/**
 * What all policies have in common: names, states, processors, the clock of capacity, whom to kick. A policy is a subclass that keeps a queue: it
 * says what becomes of those that are ready, whom it chooses, and what being charged does.
 */
export abstract class Policy<E, P, M extends Member<E>> implements Scheduler<E, P> {
  kick: (processor: number) => void = () => undefined
  /** What deciding has cost so far. */
  readonly work: Work = { steps: 0 }
  protected readonly capacity: CapacityClock
  readonly #members = new Map<E, M>()
  readonly #processors: Processor<M>[] = []
  readonly #idle: Heap<Processor<M>>

  protected constructor(processors: number) {
    this.capacity = new CapacityClock(processorCount(processors))
    this.#idle = new Heap(this.work)
    for (let number = 0; number < processors; number++) this.#processors.push(new Processor(number))
  }

  // What a policy says.

  /** Checks parameters, admits, and makes what is known of an entity. */
  protected abstract admit(entity: E, parameters: P): M
  /** Changes the parameters of a member, which is in no queue of {@link enqueue}. Throws before it changes anything. */
  protected abstract change(member: M, changes: Partial<P>): void
  /** Gives back what was promised to a member that leaves. */
  protected abstract dismiss(member: M): void
  /** A member is ready; `woken`: it was blocked before. */
  protected abstract enqueue(member: M, woken: boolean): void
  /** A member that is ready leaves the queue. */
  protected abstract dequeue(member: M): void
  /** Takes a member out of the queue, and sets its slice; null: nobody may run now. */
  protected abstract choose(): M | null
  /** A member that runs has taken CPU time; afterwards it is enqueued, or rests. */
  protected abstract spend(member: M, ran: number): void
  /** A member that was chosen does not run after all; it is enqueued when somebody else has been chosen. */
  protected pass(member: M): void {
    this.spend(member, 0)
  }
  /** One was chosen before others, or nobody but them: those had better not run there, and some of the kind run elsewhere. */
  protected passed(_chosen: M | null, _waiting: readonly M[], _running: readonly M[]): void {}
  /** Whether {@link choose} would find somebody. */
  protected abstract waiting(): boolean
  /** Lets those go on that were held back until now. */
  protected release(): void {}
  /** When the next is let go on, by the clock of capacity. */
  protected nextRelease(): number {
    return Infinity
  }
  /** A member, which was enqueued, is blocked now. */
  protected rest(_member: M): void {}
  /** Who of those that run should give way to a member that is ready; null: nobody. */
  protected victim(_member: M): M | null {
    return null
  }
  /** Whether that many processors are enough for what was promised; throws if not. */
  protected abstract resized(processors: number): void

  // The contract.

  get processors(): number {
    return this.#processors.length
  }

  add(entity: E, parameters: P): void {
    if (this.#members.has(entity)) throw refused('entity-known', entity, 'this entity has been added before', 'Change it with `set`.')
    this.#members.set(entity, this.admit(entity, parameters))
  }

  remove(entity: E): void {
    const member = this.member(entity)
    if (member.state === 'running') throw refused('entity-running', entity, 'an entity that runs cannot go', 'Stop it and charge it first.')
    if (member.state === 'ready') this.#rest(member)
    this.dismiss(member)
    this.#members.delete(entity)
  }

  set(entity: E, changes: Partial<P>): void {
    const member = this.member(entity)
    if (member.state !== 'ready') {
      this.change(member, changes)
      return
    }
    this.dequeue(member)
    try {
      this.change(member, changes)
    } finally {
      this.enqueue(member, false)
    }
    this.#disturb(member)
  }

  resize(processors: number): void {
    processorCount(processors)
    const busy = this.#processors.findLast(({ running }) => running !== null)
    if (busy !== undefined && busy.number >= processors) throw refused('processor-busy', busy.number, 'a processor that runs somebody cannot go', 'Charge whom it runs first.')
    this.resized(processors)
    for (const gone of this.#processors.splice(processors)) {
      this.#idle.remove(gone.idle)
      if (gone.spare) this.capacity.idle(-1)
    }
    for (let number = this.#processors.length; number < processors; number++) this.#processors.push(new Processor(number))
    this.capacity.resize(processors)
  }

  wake(entity: E, now: number): void {
    const member = this.member(entity)
    if (member.runnable) return
    member.runnable = true
    if (member.state === 'running') return
    this.capacity.advance(now)
    member.state = 'ready'
    this.enqueue(member, true)
    this.#disturb(member)
  }

  block(entity: E, now: number): void {
    const member = this.member(entity)
    if (!member.runnable) return
    member.runnable = false
    if (member.state === 'running') return
    this.capacity.advance(now)
    this.#rest(member)
  }

  /**
   * As the contract has it.
   *
   * @param passOver - who had better not run on this processor: they do when nobody else wants it, and lose nothing when somebody does
   */
  pick(processor: number, now: number, passOver?: (entity: E) => boolean): Choice<E> {
    const place = this.#processors[processor]
    if (place === undefined) throw refused('processor', processor, 'there is no such processor', `Give a number from 0 to ${String(this.processors - 1)}.`)
    if (place.running !== null) throw refused('processor-busy', processor, 'this processor runs somebody', 'Charge the entity before asking for another.')
    this.capacity.advance(now)
    this.#idle.remove(place.idle)
    if (place.spare) this.capacity.idle(-1)
    place.spare = false
    this.release()
    const member = this.#choose(passOver)
    if (member === null) {
      place.spare = true
      this.capacity.idle(1)
      this.#idle.put(place.idle, processor)
      place.until = now + Math.max(SHORTEST_REST, this.nextRelease() - this.capacity.now)
      return { until: place.until }
    }
    member.state = 'running'
    member.processor = processor
    member.since = this.capacity.time
    member.begun = this.capacity.begin()
    place.running = member
    this.wakeIdle()
    return { entity: member.entity, slice: member.slice }
  }

  /** The first that is not passed over; if all are, the first. */
  #choose(passOver: ((entity: E) => boolean) | undefined): M | null {
    let next = this.choose()
    if (next === null || passOver?.(next.entity) !== true) return next
    const passed: M[] = []
    for (; next !== null && passOver(next.entity); next = this.choose()) {
      this.pass(next)
      passed.push(next)
    }
    this.passed(next, passed, this.#processors.flatMap(({ running }) => (running !== null && passOver(running.entity) ? running : [])))
    for (const member of passed) this.enqueue(member, false)
    return next ?? this.choose()
  }

  charge(entity: E, ran: number, now: number): void {
    const member = this.member(entity)
    const place = this.#processors[member.processor]
    if (member.state !== 'running' || place === undefined) throw refused('entity-idle', entity, 'this entity does not run', 'Charge what `pick` gave, once.')
    notNegative('the CPU time', ran)
    this.capacity.advance(now)
    this.capacity.end(member.begun, ran, this.capacity.time - member.since)
    place.running = null
    this.spend(member, ran)
    if (member.runnable) {
      member.state = 'ready'
      this.enqueue(member, false)
    } else {
      member.state = 'blocked'
      this.rest(member)
    }
  }

  // What policies use.

  /** What is known of an entity. @throws a `MachinistError`: `'entity-unknown'` */
  protected member(entity: E): M {
    const member = this.#members.get(entity)
    if (member === undefined) throw refused('entity-unknown', entity, 'there is no such entity', 'Add it first.')
    return member
  }

  /** Somebody became ready: kicks a processor that is idle, or one whose entity should give way. */
  protected disturb(member: M): void {
    if (this.#kickIdle(member.processor)) return
    const victim = this.victim(member)
    if (victim !== null) this.kick(victim.processor)
  }

  /** Somebody may be able to run, now or before the others look again: an idle processor looks. */
  protected wakeIdle(): void {
    if (this.waiting()) this.#kickIdle(-1)
    else this.#watch()
  }

  #disturb(member: M): void {
    if (this.waiting()) this.disturb(member)
    else this.#watch()
  }

  #rest(member: M): void {
    member.state = 'blocked'
    this.dequeue(member)
    this.rest(member)
  }

  /** Kicks an idle processor: the one that is wanted if it is idle, else the first. */
  #kickIdle(wanted: number): boolean {
    const place = this.#processors[wanted]
    const idle = place !== undefined && place.idle.at >= 0 ? place : this.#idle.first?.item
    if (idle === undefined) return false
    this.#idle.remove(idle.idle)
    this.kick(idle.number)
    return true
  }

  /** Somebody is held back: an idle processor that would look too late is told to look again. */
  #watch(): void {
    const idle = this.#idle.first?.item
    if (idle === undefined) return
    const release = this.nextRelease()
    if (release < Infinity && this.capacity.time + Math.max(SHORTEST_REST, release - this.capacity.now) < idle.until) this.#kickIdle(idle.number)
  }
}
