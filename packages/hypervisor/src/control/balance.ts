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
    if (this.#moving || ++this.#tables % LOOK !== 0) return
    const loads = rows.flatMap(({ kind, name, resources }): Load[] => {
      const record = kind === 'machine' ? this.#records.get(name) : undefined
      return record === undefined || record.link === null ? [] : [loadOf(record, resources.cpu?.entitled ?? 0, (to) => this.#mayGo(record) && this.#fleet.fits(record, to))]
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
