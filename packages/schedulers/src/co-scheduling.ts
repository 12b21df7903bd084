import { Heap, Slot } from './heap.ts'
import { positive, refused } from './refuse.ts'
import type { Choice, Scheduler, Work } from './scheduler.ts'

/** How co-scheduling is set up. */
export interface CoSchedulingOptions<E> {
  /** Which machine an entity is a hart of; undefined: it is on its own. It is asked once, when the entity is added. */
  readonly machineOf: (entity: E) => unknown
  /** How far a hart may be ahead of the slowest of its machine, in ns of progress, before it is stopped; 3 ms unless it is given. */
  readonly skew?: number | undefined
  /** How far ahead it may still be when it goes on, ns; half of `skew` unless it is given. */
  readonly resume?: number | undefined
}

class Machine<E> {
  readonly key: unknown
  harts = 0
  /** Harts that have something to do and are not stopped, the least progress first. */
  readonly going: Heap<Hart<E>>
  readonly stopped: Heap<Hart<E>>
  /** The greatest progress of any. */
  lead = 0

  constructor(key: unknown, work: Work) {
    this.key = key
    this.going = new Heap(work)
    this.stopped = new Heap(work)
  }
}

class Hart<E> {
  readonly entity: E
  readonly machine: Machine<E>
  readonly slot: Slot<Hart<E>> = new Slot<Hart<E>>(this)
  progress = 0
  wanted = false
  running = false
  /** Since when it has been idle, or stopped. */
  since = 0
  coStopped = 0

  constructor(entity: E, machine: Machine<E>) {
    this.entity = entity
    this.machine = machine
  }
}

/**
 * Relaxed co-scheduling over any policy, as VMware describes it ("The CPU Scheduler in VMware vSphere 5.1", 2013, *Relaxed Co-Scheduling*): harts of one machine
 * need not run at once, but none runs far ahead. A hart makes progress when it runs and when it is idle. One that is further ahead than `skew` of the slowest that
 * wants to run is stopped (*co-stop*) until that one has come up to within `resume`. The slowest itself is never stopped, so the machine goes on.
 *
 * A hart is looked at when it is charged and when it wakes, so it is never further ahead than `skew` and one run.
 */
export class CoScheduling<E, P> implements Scheduler<E, P> {
  /** What deciding here has cost, without what the policy below did. */
  readonly work: Work = { steps: 0 }
  readonly #policy: Scheduler<E, P>
  readonly #machineOf: (entity: E) => unknown
  readonly #skew: number
  readonly #resume: number
  readonly #harts = new Map<E, Hart<E>>()
  readonly #machines = new Map<unknown, Machine<E>>()

  /** @throws a `MachinistError`: `'parameter'` */
  constructor(policy: Scheduler<E, P>, { machineOf, skew = 3e6, resume = skew / 2 }: CoSchedulingOptions<E>) {
    this.#policy = policy
    this.#machineOf = machineOf
    this.#skew = positive('the skew', skew)
    this.#resume = positive('the skew to go on at', resume, skew)
  }

  get processors(): number {
    return this.#policy.processors
  }

  get kick(): (processor: number) => void {
    return this.#policy.kick
  }

  set kick(kick: (processor: number) => void) {
    this.#policy.kick = kick
  }

  add(entity: E, parameters: P): void {
    this.#policy.add(entity, parameters)
    const key = this.#machineOf(entity)
    if (key === undefined) return
    const machine = this.#machines.get(key) ?? new Machine<E>(key, this.work)
    machine.harts += 1
    this.#machines.set(key, machine)
    const hart = new Hart(entity, machine)
    // It begins where the others are.
    hart.progress = machine.lead
    this.#harts.set(entity, hart)
  }

  remove(entity: E): void {
    this.#policy.remove(entity)
    const hart = this.#harts.get(entity)
    if (hart === undefined) return
    const { machine } = hart
    hart.slot.heap?.remove(hart.slot)
    this.#harts.delete(entity)
    machine.harts -= 1
    if (machine.harts === 0) this.#machines.delete(machine.key)
    else this.#goOn(machine, hart.since)
  }

  set(entity: E, changes: Partial<P>): void {
    this.#policy.set(entity, changes)
  }

  resize(processors: number): void {
    this.#policy.resize(processors)
  }

  wake(entity: E, now: number): void {
    const hart = this.#harts.get(entity)
    if (hart === undefined || hart.wanted) {
      this.#policy.wake(entity, now)
      return
    }
    const { machine } = hart
    hart.wanted = true
    // It was idle: that was progress, though not beyond what others made. Nor do others wait for it because of what they did meanwhile.
    if (!hart.running) hart.progress = Math.max(hart.progress, machine.lead - this.#skew, Math.min(hart.progress + Math.max(0, now - hart.since), machine.lead))
    if (!hart.running && this.#isAhead(hart)) this.#stop(hart, now)
    else {
      machine.going.put(hart.slot, hart.progress)
      this.#policy.wake(entity, now)
    }
  }

  block(entity: E, now: number): void {
    const hart = this.#harts.get(entity)
    this.#policy.block(entity, now)
    if (hart === undefined || !hart.wanted) return
    const { machine } = hart
    if (hart.slot.heap === machine.stopped) hart.coStopped += now - hart.since
    hart.wanted = false
    hart.since = now
    hart.slot.heap?.remove(hart.slot)
    this.#goOn(machine, now)
  }

  pick(processor: number, now: number): Choice<E> {
    const choice = this.#policy.pick(processor, now)
    const hart = 'entity' in choice ? this.#harts.get(choice.entity) : undefined
    if (hart !== undefined) hart.running = true
    return choice
  }

  charge(entity: E, ran: number, now: number): void {
    this.#policy.charge(entity, ran, now)
    const hart = this.#harts.get(entity)
    if (hart === undefined) return
    const { machine } = hart
    hart.running = false
    hart.progress += ran
    machine.lead = Math.max(machine.lead, hart.progress)
    if (hart.wanted) {
      machine.going.put(hart.slot, hart.progress)
      if (this.#isAhead(hart)) {
        this.#stop(hart, now)
        this.#policy.block(entity, now)
      }
    }
    this.#goOn(machine, now)
  }

  /** How long an entity has been stopped for the sake of others of its machine, ns. @throws a `MachinistError`: `'entity-unknown'` */
  coStopped(entity: E, now: number): number {
    const hart = this.#hart(entity)
    return hart.coStopped + (hart.slot.heap === hart.machine.stopped ? now - hart.since : 0)
  }

  /** How far an entity is ahead of the slowest of its machine that wants to run, ns of progress. @throws a `MachinistError`: `'entity-unknown'` */
  skewOf(entity: E): number {
    const hart = this.#hart(entity)
    return Math.max(0, hart.progress - (hart.machine.going.first?.key ?? hart.progress))
  }

  #hart(entity: E): Hart<E> {
    const hart = this.#harts.get(entity)
    if (hart === undefined) throw refused('entity-unknown', entity, 'this is no hart of a machine', 'Add it, and let `machineOf` name its machine.')
    return hart
  }

  #isAhead({ machine, progress }: Hart<E>): boolean {
    const slowest = machine.going.first
    return slowest !== undefined && progress - slowest.key > this.#skew
  }

  #stop(hart: Hart<E>, now: number): void {
    hart.machine.stopped.put(hart.slot, hart.progress)
    hart.since = now
  }

  /** Lets those go on to whom the slowest has come up. */
  #goOn(machine: Machine<E>, now: number): void {
    for (let slot = machine.stopped.first; slot !== undefined; slot = machine.stopped.first) {
      const slowest = machine.going.first
      if (slowest !== undefined && slot.key - slowest.key > this.#resume) return
      const hart = slot.item
      hart.coStopped += now - hart.since
      machine.going.put(slot, slot.key)
      this.#policy.wake(hart.entity, now)
    }
  }
}
