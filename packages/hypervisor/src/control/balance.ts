import type { AllocationTable } from '../contract/hypervisor.ts'
import type { Fleet } from './fleet.ts'
import { type Better, betterPlace, type Load } from './places.ts'
import type { MachineRecord } from './record.ts'

const PAGE = 4096

/** A machine as the balancer sees it. */
function loadOf({ spec: { name, group = '' }, home, measured }: MachineRecord, entitled: number, fits: (processor: number) => boolean): Load {
  const { own = 0, shared = 0, compressed = 0, swapped = 0, ballooned = 0 } = measured?.report.memory ?? {}
  // Of what it wants, the rest is its part of frames that others have, too.
  const frees = (own + compressed + swapped + ballooned) * PAGE
  return { name, processor: home, entitled, memory: { group, wanted: measured?.usage.memory?.demand ?? 0, frees, elsewhere: frees + shared * PAGE }, fits }
}

/** After how many tables is looked, and for how long a machine stays that was moved, in nanoseconds. */
const LOOK = 4
const STAY = 5_000_000_000

/** Takes machines to where they can have more of what they are entitled to, or more memory, one at a time. */
export class Balancer {
  readonly #records: ReadonlyMap<string, MachineRecord>
  readonly #fleet: Fleet
  readonly #now: () => number
  readonly #move: (name: string, processor: number, why: Better['why']) => Promise<void>
  /** What machines were entitled to of CPU time on the average of the last tables: not for each burst is somebody moved. */
  #means: ReadonlyMap<string, number> = new Map()
  #tables = 0
  #moving = false

  constructor(records: ReadonlyMap<string, MachineRecord>, fleet: Fleet, now: () => number, move: (name: string, processor: number, why: Better['why']) => Promise<void>) {
    this.#records = records
    this.#fleet = fleet
    this.#now = now
    this.#move = move
  }

  /** There is a new table. */
  async look({ rows }: AllocationTable): Promise<void> {
    const before = this.#means
    this.#means = new Map(rows.filter(({ kind }) => kind === 'machine').map(({ name, resources }) => {
      const entitled = resources.cpu?.entitled ?? 0
      const mean = before.get(name) ?? entitled
      return [name, mean + (entitled - mean) / LOOK]
    }))
    if (this.#moving || ++this.#tables % LOOK !== 0) return
    const loads = [...this.#means].flatMap(([name, entitled]): Load[] => {
      const record = this.#records.get(name)
      return record === undefined || record.link === null ? [] : [loadOf(record, entitled, (to) => this.#mayGo(record) && this.#fleet.fits(record, to))]
    })
    const better = betterPlace(loads, this.#fleet.rooms)
    if (better === null) return
    this.#moving = true
    try {
      await this.#move(better.name, better.to, better.why)
    } catch {
      // It stays where it is, for now.
      const record = this.#records.get(better.name)
      if (record !== undefined) record.movedAt = this.#now()
    } finally {
      this.#moving = false
    }
  }

  #mayGo({ state, measured, movedAt, startedAt }: MachineRecord): boolean {
    const now = this.#now()
    return state === 'running' && measured !== null && measured.stays !== true && now - movedAt > STAY && now - startedAt > 1e9
  }
}
