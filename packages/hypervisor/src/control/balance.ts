import { isMachinistError } from '@machinist/api'
import type { AllocationTable } from '../contract/hypervisor.ts'
import type { Fleet } from './fleet.ts'
import type { MachineRecord } from './record.ts'

/** A machine on a processor. */
export interface Load {
  readonly name: string
  readonly processor: number
  /** What it is entitled to, in processors. */
  readonly entitled: number
  /** Whether another processor could have it. */
  fits(processor: number): boolean
}

/** What a move must gain: so much less, in processors, on the one with the most. Moving costs both some time. */
const WORTH = 0.1

/**
 * Whether a machine should move, so that machines can have what they are entitled to: the one that takes most from the processor on which there is most, without giving as much to another. What a processor cannot give
 * although it is entitled, another might.
 *
 * @param count - processors
 */
export function betterPlace(loads: readonly Load[], count: number): { readonly name: string; readonly to: number } | null {
  const sums = Array<number>(count).fill(0)
  for (const { processor, entitled } of loads) sums[processor] = (sums[processor] ?? 0) + entitled
  const most = Math.max(...sums)
  const from = sums.indexOf(most)
  let best: { readonly name: string; readonly to: number } | null = null
  let least = most - WORTH
  for (const { name, processor, entitled, fits } of loads) {
    if (processor !== from || entitled <= 0) continue
    for (let to = 0; to < count; to++) {
      const after = Math.max(most - entitled, (sums[to] ?? 0) + entitled)
      if (to !== from && after < least && fits(to)) [best, least] = [{ name, to }, after]
    }
  }
  return best
}

/** After how many tables is looked, and for how long a machine stays that was moved, in nanoseconds. */
const LOOK = 4
const STAY = 5_000_000_000

/** Takes machines to where they can have more of what they are entitled to, one at a time. */
export class Balancer {
  readonly #records: ReadonlyMap<string, MachineRecord>
  readonly #fleet: Fleet
  readonly #now: () => number
  readonly #move: (name: string, processor: number) => Promise<void>
  #tables = 0
  #moving = false

  constructor(records: ReadonlyMap<string, MachineRecord>, fleet: Fleet, now: () => number, move: (name: string, processor: number) => Promise<void>) {
    this.#records = records
    this.#fleet = fleet
    this.#now = now
    this.#move = move
  }

  /** There is a new table. */
  async look({ rows }: AllocationTable): Promise<void> {
    if (this.#moving || ++this.#tables % LOOK !== 0) return
    const loads = rows.flatMap(({ kind, name, resources }): Load[] => {
      const record = kind === 'machine' ? this.#records.get(name) : undefined
      return record === undefined || record.link === null ? [] : [{ name, processor: record.home, entitled: resources.cpu?.entitled ?? 0, fits: (to) => this.#mayGo(record) && this.#fleet.fits(record, to) }]
    })
    const better = betterPlace(loads, this.#fleet.count)
    if (better === null) return
    this.#moving = true
    try {
      await this.#move(better.name, better.to)
    } catch (error) {
      // It stays where it is. What cannot be moved is not asked again.
      const record = this.#records.get(better.name)
      if (record !== undefined) {
        record.movedAt = this.#now()
        if (isMachinistError(error) && error.code === 'not-movable') record.movable = false
      }
    } finally {
      this.#moving = false
    }
  }

  #mayGo({ state, movable, movedAt, startedAt }: MachineRecord): boolean {
    const now = this.#now()
    return state === 'running' && movable && now - movedAt > STAY && now - startedAt > 1e9
  }
}
