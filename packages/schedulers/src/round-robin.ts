import { Heap, Slot } from './heap.ts'
import { Member, Policy } from './policy.ts'
import { positive } from './refuse.ts'

/** What round robin wants to know of an entity. */
export interface RoundRobinParameters {
  /** The CPU time of its turn, ns; that of the policy unless it is given. */
  readonly slice?: number | undefined
}

class Turn<E> extends Member<E> {
  readonly slot: Slot<Turn<E>> = new Slot<Turn<E>>(this)
  turn: number

  constructor(entity: E, turn: number) {
    super(entity)
    this.turn = turn
  }
}

/** How round robin is set up. */
export interface RoundRobinOptions {
  readonly processors: number
  /** The CPU time of a turn, ns; 1 ms unless it is given. */
  readonly slice?: number | undefined
}

/**
 * All in turn, first come first served: between two turns of one, nobody who is ready has more than one. It promises nothing, and refuses nobody. (Silberschatz, Galvin, Gagne, *Operating
 * System Concepts*, 5.3.3.)
 */
export class RoundRobin<E> extends Policy<E, RoundRobinParameters, Turn<E>> {
  readonly #queue: Heap<Turn<E>> = new Heap(this.work)
  readonly #slice: number

  /** @throws a `MachinistError`: `'parameter'` */
  constructor({ processors, slice = 1e6 }: RoundRobinOptions) {
    super(processors)
    this.#slice = positive('the slice', slice)
  }

  protected override admit(entity: E, { slice = this.#slice }: RoundRobinParameters): Turn<E> {
    return new Turn(entity, positive('the slice', slice))
  }

  protected override change(turn: Turn<E>, { slice = turn.turn }: RoundRobinParameters): void {
    turn.turn = positive('the slice', slice)
  }

  protected override dismiss(): void {}

  protected override enqueue(turn: Turn<E>): void {
    this.#queue.put(turn.slot, 0)
  }

  protected override dequeue(turn: Turn<E>): void {
    this.#queue.remove(turn.slot)
  }

  protected override choose(): Turn<E> | null {
    const turn = this.#queue.first?.item
    if (turn === undefined) return null
    this.#queue.remove(turn.slot)
    turn.slice = turn.turn
    return turn
  }

  protected override spend(): void {}

  protected override waiting(): boolean {
    return this.#queue.size > 0
  }

  protected override resized(): void {}
}
