import type { SliceResult } from '@machinist/machine'
import type { OtherProcessors } from '../src/index.ts'
import type { Lendable } from '../src/processor/parallel.ts'
import type { TestLoop } from './harness.ts'

/** Processors besides that of the thread, in the time of a loop. */
export class Board implements OtherProcessors {
  readonly count: number
  readonly loop: TestLoop
  attend: (() => boolean) | null = null
  found = 0
  /** What it takes to find out that a hart has come back while another runs here; and how much of the thread's time that was. */
  finding = 0
  interrupted = 0
  readonly away: { at: number; readonly back: () => void }[] = []

  constructor(loop: TestLoop, count: number) {
    this.loop = loop
    this.count = count
  }

  get running(): number {
    return this.away.length
  }

  /** When the first comes back. */
  get next(): number {
    return Math.min(Infinity, ...this.away.map(({ at }) => at))
  }

  poll(): void {
    for (const each of this.away.filter(({ at }) => at <= this.loop.time)) {
      this.away.splice(this.away.indexOf(each), 1)
      each.back()
    }
  }

  /** Something came in while a hart runs on the thread. */
  interlude(): boolean {
    this.loop.time += this.finding
    this.interrupted += this.finding
    this.found += this.finding
    this.poll()
    return this.attend?.() ?? true
  }

  wait(until: number): void {
    this.loop.time = Math.max(this.loop.time, Math.min(until, this.next))
    this.poll()
  }
}

/** What the harts of a guest do, in nanoseconds: they run for so long, and then want so much of the thread. */
export interface Habit {
  readonly harts: number
  readonly run: number
  readonly service: number
  /** They run on the thread alone. */
  readonly bound?: boolean
  /** They are back at once. */
  readonly restless?: boolean
}

/** A guest whose harts do the same again and again. */
export class Guest implements Lendable {
  readonly parallel: number
  readonly #board: Board
  readonly #habit: Habit
  readonly #wake: () => void
  readonly #harts: { left: number; state: 'ready' | 'away' | 'back' }[]
  readonly #loans = new Map<number, { readonly until: number; hart: number; ran: number }>()
  #returned: { readonly processor: number; readonly ran: number }[] = []
  #waits = false
  /** Time in the guest. */
  worked = 0

  constructor(board: Board, habit: Habit, wake: () => void) {
    this.#board = board
    this.#habit = habit
    this.#wake = wake
    this.parallel = habit.bound === true ? 0 : habit.harts
    this.#harts = Array.from({ length: habit.harts }, () => ({ left: habit.run, state: 'ready' }))
  }

  get wanting(): number {
    return this.#harts.filter(({ state }) => state !== 'away').length
  }

  get restless(): boolean {
    return this.#habit.restless === true
  }

  lend(processor: number, limit: number): void {
    this.#loans.set(processor, { until: this.#board.loop.time + limit, hart: -1, ran: 0 })
  }

  takeBack(): readonly { readonly processor: number; readonly ran: number }[] {
    return this.#returned.splice(0)
  }

  slice(limit: number, here: boolean): SliceResult {
    const { loop } = this.#board
    this.#waits = false
    const end = loop.time + limit
    this.#dispatch()
    if (here) this.#here(end)
    for (const [processor, { hart, ran }] of this.#loans) {
      if (hart >= 0) continue
      this.#loans.delete(processor)
      this.#returned.push({ processor, ran })
    }
    this.#waits = true
    return here ? { kind: 'runnable' } : { kind: 'idle', until: Infinity, at: Infinity }
  }

  #dispatch(): void {
    const { loop, away } = this.#board
    for (const hart of this.#harts) {
      if (hart.state !== 'back') continue
      loop.time += this.#habit.service
      hart.state = 'ready'
      hart.left = this.#habit.run
    }
    for (const loan of this.#loans.values()) {
      const index = this.#harts.findIndex(({ state }) => state === 'ready')
      const hart = this.#harts[index]
      if (loan.hart >= 0 || hart === undefined || loan.until <= loop.time) continue
      const took = Math.min(hart.left, loan.until - loop.time)
      hart.state = 'away'
      loan.hart = index
      away.push({
        at: loop.time + took,
        back: () => {
          hart.left -= took
          hart.state = hart.left > 0 ? 'ready' : 'back'
          loan.hart = -1
          loan.ran += took
          this.worked += took
          if (this.#waits) this.#wake()
          this.#waits = false
        },
      })
    }
  }

  #here(end: number): void {
    const board = this.#board
    const { loop } = board
    const hart = this.#harts.find(({ state }) => state === 'ready')
    while (hart !== undefined && loop.time < end) {
      const stop = Math.min(loop.time + hart.left, end, board.next)
      const took = Math.max(0, stop - loop.time)
      loop.time += took
      hart.left -= took
      this.worked += took
      if (hart.left <= 0) {
        loop.time += this.#habit.service
        hart.left = this.#habit.run
      }
      if (board.next <= loop.time && !board.interlude()) return
    }
  }
}
