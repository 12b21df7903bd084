/**
 * What a policy decides: who runs where, and for how long. It neither runs anything nor knows the time: its host tells it.
 *
 * An entity is whatever the host schedules (a hart, a machine) and is named by whatever the host likes: a number, a string, an object. It is
 * *blocked* (it has nothing to do), *ready* or *running*. A processor is a number from 0.
 *
 * The host's part, for each processor: {@link Scheduler.pick}; run the entity for at most `slice`; {@link Scheduler.charge} the CPU time that it
 * took, and {@link Scheduler.block} it if it has nothing more to do; pick again. A processor that is given nobody rests until `until`, or until it is
 * named by {@link Scheduler.kick}.
 *
 * Times are nanoseconds. `now` comes from a clock that never goes back; what is charged is CPU time, so that an entity does not pay for
 * what the host took from it.
 *
 * @typeParam E - what names an entity
 * @typeParam P - what a policy wants to know of an entity
 */
export interface Scheduler<E, P> {
  /** How many processors there are. */
  readonly processors: number

  /**
   * Called with a processor that should pick anew, since somebody became ready: it is idle, or runs somebody who should give way. It is called in the
   * middle of the host's calls and must not call the scheduler itself. The host sets it; it does nothing at first.
   */
  kick: (processor: number) => void

  /**
   * Admits an entity, which is blocked at first.
   * @throws a `MachinistError`: `'entity-known'`; `'parameter'` for a value out of its range; `'not-admitted'` for what cannot be kept
   */
  add(entity: E, parameters: P): void

  /** Forgets an entity that does not run. @throws a `MachinistError`: `'entity-unknown'`, `'entity-running'` */
  remove(entity: E): void

  /**
   * Changes some parameters of an entity, at any time. When it is refused, nothing has changed.
   * @throws a `MachinistError`: `'entity-unknown'`, `'parameter'`, `'not-admitted'`
   */
  set(entity: E, changes: Partial<P>): void

  /**
   * Changes the number of processors. Those that go, which are the highest, run nobody.
   * @throws a `MachinistError`: `'processor-busy'`; `'not-admitted'` when fewer would not be enough for what was promised
   */
  resize(processors: number): void

  /** The entity has something to do. No effect if it had already. @throws a `MachinistError`: `'entity-unknown'` */
  wake(entity: E, now: number): void

  /** The entity has nothing to do. If it runs, this counts from its charge. @throws a `MachinistError`: `'entity-unknown'` */
  block(entity: E, now: number): void

  /** Who runs on a processor now. @throws a `MachinistError`: `'processor'` for none of these, `'processor-busy'` for one that runs somebody */
  pick(processor: number, now: number): Choice<E>

  /**
   * Ends the run of an entity.
   * @param ran - the CPU time that it took, which may be more than its slice, or 0
   * @throws a `MachinistError`: `'entity-unknown'`, `'entity-idle'` for one that does not run, `'parameter'`
   */
  charge(entity: E, ran: number, now: number): void
}

/** What {@link Scheduler.pick} says: an entity and the CPU time for which it may run, or nobody, and when to ask again (maybe `Infinity`). */
export type Choice<E> = { readonly entity: E; readonly slice: number } | { readonly until: number }

/** What deciding cost. */
export interface Work {
  /** Comparisons in queues and levels of pools that were passed, in all. */
  steps: number
}
