import { Heap, Slot } from '../heap.ts'
import { notNegative, positive, refused } from '../refuse.ts'
import type { Scheduler, Work } from '../scheduler.ts'
import type { Load } from './loads.ts'
import { Random } from './random.ts'
import { Samples } from './samples.ts'

/** How a simulation is set up. */
export interface SimulationOptions {
  /** The seed of all randomness; 1 unless it is given. */
  readonly seed?: number | undefined
  /** What part of a processor the host gives at a time (0 to 1, not 0): the rest it takes for something else, and nobody is charged for it. All of it unless it is given. */
  readonly supply?: ((processor: number, now: number) => number) | undefined
  /** What a run leaves behind; nothing unless it is given. Gantt charts need {@link recordRuns}. */
  readonly onRun?: ((run: Run<unknown>) => void) | undefined
}

/** Somebody ran. */
export interface Run<E> {
  readonly entity: E
  readonly processor: number
  /** From when to when it had the processor, ns. */
  readonly from: number
  readonly to: number
  /** CPU time that it was charged, ns. */
  readonly ran: number
}

/** What became of an entity. */
export interface TaskReport {
  /** CPU time, ns. */
  ran: number
  /** How often it was given a processor. */
  runs: number
  /** For how long it was ready, but did not run, ns. */
  waited: number
  /** From when it woke to when it ran, ns. */
  readonly latency: Samples
  /** From when it woke to when it had done what it woke for, ns. */
  readonly response: Samples
}

class Task<E> {
  readonly entity: E
  readonly load: Load
  readonly wake: Slot<Event<E>>
  readonly report: TaskReport = { ran: 0, runs: 0, waited: 0, latency: new Samples(), response: new Samples() }
  ready = false
  running = false
  /** CPU time that it still needs, and what it does then. */
  left = 0
  next: (finished: number) => number = () => Infinity
  woke = 0
  /** Since when it waits. */
  since = 0
  /** It has not run since it woke. */
  fresh = false

  constructor(entity: E, load: Load) {
    this.entity = entity
    this.load = load
    this.wake = new Slot<Event<E>>({ task: this })
  }
}

class Processor<E> {
  readonly number: number
  readonly event: Slot<Event<E>>
  task: Task<E> | null = null
  from = 0
  speed = 1
  /** CPU time until its event. */
  planned = 0
  /** Nanoseconds with nobody to run, and since when it has nobody; null: it has somebody. */
  idle = 0
  idleSince: number | null = null
  kicked = false

  constructor(number: number) {
    this.number = number
    this.event = new Slot<Event<E>>({ processor: this })
  }
}

type Event<E> = { readonly task: Task<E> } | { readonly processor: Processor<E> } | { readonly act: () => void }

/**
 * Runs a policy on a load, event by event, in time of its own: what would happen on so many processors, in as little time as deciding takes. The same
 * seed gives the same run.
 *
 * @typeParam E - what names an entity
 * @typeParam P - what the policy wants to know of it
 */
export class Simulation<E, P> {
  /** The time, ns. */
  now: number = 0
  /** How often a processor picked, was given somebody, and was made to stop before the end of a run. */
  picks: number = 0
  runs: number = 0
  preemptions: number = 0
  /** Nanoseconds of processors that had nobody to run while somebody was ready. */
  wasted: number = 0
  readonly #scheduler: Scheduler<E, P>
  readonly #random: Random
  readonly #supply: (processor: number, now: number) => number
  readonly #onRun: ((run: Run<E>) => void) | undefined
  readonly #events: Heap<Event<E>>
  readonly #tasks = new Map<E, Task<E>>()
  readonly #processors: Processor<E>[] = []
  readonly #kicked: Processor<E>[] = []
  #waiting = 0
  #idle = 0
  #accounted = 0

  constructor(scheduler: Scheduler<E, P>, { seed = 1, supply = () => 1, onRun }: SimulationOptions = {}) {
    const work: Work = { steps: 0 }
    this.#events = new Heap(work)
    this.#scheduler = scheduler
    this.#random = new Random(seed)
    this.#supply = supply
    this.#onRun = onRun
    scheduler.kick = (number) => {
      const processor = this.#processors[number]
      if (processor !== undefined) this.#kick(processor)
    }
    this.#match()
  }

  /** Adds an entity with its load. @throws a `MachinistError`: those of {@link Scheduler.add} */
  add(entity: E, parameters: P, load: Load): void {
    this.#scheduler.add(entity, parameters)
    const task = new Task(entity, load)
    this.#tasks.set(entity, task)
    this.#events.put(task.wake, Math.max(this.now, load.start))
  }

  /** Takes an entity away; what it runs ends now. @throws a `MachinistError`: `'entity-unknown'` */
  remove(entity: E): void {
    const task = this.#task(entity)
    this.#account()
    const processor = task.running ? this.#processors.find((one) => one.task === task) : undefined
    if (processor !== undefined) this.#stop(processor)
    this.#sleep(task, Infinity)
    this.#scheduler.remove(entity)
    this.#tasks.delete(entity)
    if (processor !== undefined) this.#kick(processor)
    this.#flush()
  }

  /** Gives the policy another number of processors. What runs on those that go ends now. */
  resize(processors: number): void {
    this.#account()
    for (const gone of this.#processors.slice(processors)) {
      this.#stop(gone)
      this.#events.remove(gone.event)
      if (gone.idleSince !== null) this.#idle -= 1
      gone.idleSince = null
    }
    this.#scheduler.resize(processors)
    this.#processors.length = Math.min(processors, this.#processors.length)
    this.#match()
    this.#flush()
  }

  /** Does something at a time: changes parameters, adds and removes. */
  at(time: number, act: () => void): void {
    this.#events.put(new Slot<Event<E>>({ act }), Math.max(this.now, time))
  }

  /** Goes on until a time, ns. What runs then is charged for what it has run. */
  run(until: number): void {
    notNegative('the time', until)
    for (let slot = this.#events.first; slot !== undefined && slot.key <= until; slot = this.#events.first) {
      this.#events.remove(slot)
      this.#advance(slot.key)
      const event = slot.item
      if ('task' in event) this.#wake(event.task)
      else if ('processor' in event) this.#turn(event.processor)
      else event.act()
      this.#flush()
    }
    this.#advance(until)
    for (const processor of this.#processors) if (processor.task !== null) this.#turn(processor)
    this.#flush()
  }

  /** What became of an entity so far. @throws a `MachinistError`: `'entity-unknown'` */
  report(entity: E): TaskReport {
    return this.#task(entity).report
  }

  /** What became of all. */
  reports(): Map<E, TaskReport> {
    return new Map([...this.#tasks].map(([entity, { report }]) => [entity, report]))
  }

  /** Nanoseconds for which a processor had nobody to run. */
  idle(processor: number): number {
    const place = this.#processors[processor]
    if (place === undefined) throw refused('processor', processor, 'there is no such processor', `Give a number from 0 to ${String(this.#processors.length - 1)}.`)
    return place.idle + (place.idleSince === null ? 0 : this.now - place.idleSince)
  }

  #task(entity: E): Task<E> {
    const task = this.#tasks.get(entity)
    if (task === undefined) throw refused('entity-unknown', entity, 'there is no such entity', 'Add it first.')
    return task
  }

  /** As many processors as the policy has; those that come pick at once. */
  #match(): void {
    for (let number = this.#processors.length; number < this.#scheduler.processors; number++) {
      const processor = new Processor<E>(number)
      this.#processors.push(processor)
      this.#events.put(processor.event, this.now)
    }
  }

  #advance(time: number): void {
    this.now = Math.max(this.now, time)
    this.#account()
  }

  /** Time that processors wasted since the last event. */
  #account(): void {
    this.wasted += Math.min(this.#waiting, this.#idle) * (this.now - this.#accounted)
    this.#accounted = this.now
  }

  #wake(task: Task<E>): void {
    this.#begin(task, this.now)
    task.since = this.now
    task.ready = true
    this.#waiting += 1
    this.#scheduler.wake(task.entity, this.now)
  }

  #begin(task: Task<E>, woke: number): void {
    const job = task.load.next(this.now, this.#random)
    task.left = positive('the CPU time', job.run, Infinity)
    task.next = job.wake
    task.woke = woke
    task.fresh = true
  }

  #sleep(task: Task<E>, until: number): void {
    if (task.ready) {
      task.ready = false
      this.#waiting -= 1
      this.#scheduler.block(task.entity, this.now)
    }
    if (until < Infinity) this.#events.put(task.wake, until)
    else this.#events.remove(task.wake)
  }

  #kick(processor: Processor<E>): void {
    if (processor.kicked) return
    processor.kicked = true
    this.#kicked.push(processor)
  }

  /** Those whom the policy named, once what it was asked has been answered. */
  #flush(): void {
    for (let processor = this.#kicked.shift(); processor !== undefined; processor = this.#kicked.shift()) {
      processor.kicked = false
      if (this.#processors[processor.number] !== processor) continue
      if (processor.task !== null) this.preemptions += 1
      this.#turn(processor)
    }
  }

  /** A processor ends what it runs, and picks. */
  #turn(processor: Processor<E>): void {
    this.#stop(processor)
    this.#events.remove(processor.event)
    this.picks += 1
    const choice = this.#scheduler.pick(processor.number, this.now)
    if (!('entity' in choice)) {
      if (processor.idleSince === null) {
        processor.idleSince = this.now
        this.#idle += 1
      }
      if (choice.until < Infinity) this.#events.put(processor.event, choice.until)
      return
    }
    if (processor.idleSince !== null) {
      processor.idle += this.now - processor.idleSince
      processor.idleSince = null
      this.#idle -= 1
    }
    const task = this.#task(choice.entity)
    if (!task.ready || task.running) throw refused('policy', processor.number, 'the policy chose somebody who cannot run', 'Mend the policy.')
    this.runs += 1
    task.running = true
    this.#waiting -= 1
    task.report.runs += 1
    task.report.waited += this.now - task.since
    if (task.fresh) task.report.latency.add(this.now - task.woke)
    task.fresh = false
    processor.task = task
    processor.from = this.now
    processor.speed = positive('the supply', this.#supply(processor.number, this.now), 1)
    processor.planned = Math.min(positive('the slice', choice.slice), task.left)
    this.#events.put(processor.event, this.now + processor.planned / processor.speed)
  }

  /** Charges what a processor runs. */
  #stop(processor: Processor<E>): void {
    const { task } = processor
    if (task === null) return
    const ran = this.now >= processor.event.key ? processor.planned : Math.min(processor.planned, (this.now - processor.from) * processor.speed)
    processor.task = null
    task.running = false
    task.since = this.now
    this.#waiting += 1
    task.left -= ran
    task.report.ran += ran
    this.#scheduler.charge(task.entity, ran, this.now)
    this.#onRun?.({ entity: task.entity, processor: processor.number, from: processor.from, to: this.now, ran })
    if (task.left > 0) return
    task.report.response.add(this.now - task.woke)
    const wake = task.next(this.now)
    // One that is late goes on at once, with what it should have woken for before.
    if (wake <= this.now) this.#begin(task, wake)
    else this.#sleep(task, wake)
  }
}
