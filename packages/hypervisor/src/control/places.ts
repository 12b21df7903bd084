import type { Room } from '../contract/controller.ts'

/** A machine on a processor. */
export interface Load {
  readonly name: string
  readonly processor: number
  /** What it is entitled to, in processors. */
  readonly entitled: number
  readonly memory: {
    /** Its trust group; `''` for none. */
    readonly group: string
    /** Bytes that it wants where it is, and those of them that come free when it goes: of frames that others have, too, nothing does. */
    readonly wanted: number
    readonly frees: number
    /** Bytes that it would want elsewhere, where nobody has its frames. */
    readonly elsewhere: number
  }
  /** Whether another processor could have it. */
  fits(processor: number): boolean
}

/** A machine should go to another processor, since that has time to spare, or memory. */
export interface Better {
  readonly name: string
  readonly to: number
  readonly why: 'cpu' | 'memory'
}

/** What a move must gain: so much less, in processors, on the one with the most; or so much less lacking of memory, as a part of what there is. Moving costs both some time. */
const WORTH = 0.05
/** The part of its memory that machines of a processor may want before it is short: then pages are taken. */
const FULL = 0.9

/** What machines want of a processor. */
class Place {
  cpu = 0
  #memory = 0
  readonly #groups = new Map<string, number>()
  readonly #room: Room

  constructor(room: Room | null) {
    this.#room = room ?? { all: Infinity, group: Infinity }
  }

  add({ entitled, memory: { group, wanted } }: Load): void {
    this.cpu += entitled
    this.#memory += wanted
    if (group !== '') this.#groups.set(group, (this.#groups.get(group) ?? 0) + wanted)
  }

  /** How much more is wanted than there is, as a part of it, with so many bytes more for a group, or fewer. */
  lack(group = '', more = 0): number {
    const { all, group: each } = this.#room
    let most = (this.#memory + more) / all
    for (const [name, wanted] of this.#groups) if (name !== group) most = Math.max(most, wanted / each)
    if (group !== '') most = Math.max(most, ((this.#groups.get(group) ?? 0) + more) / each)
    return Math.max(0, most / FULL - 1)
  }
}

/**
 * Whether a machine should move. First, so that a processor that is short of memory is so no longer: the one whose move leaves least lacking, and of those the one that makes CPU time most even, and has least to copy. Then, so that machines
 * can have the CPU time that they are entitled to: the one that takes most from the processor on which there is most, without giving as much to another, or making it short of memory. What a processor cannot give although it is entitled,
 * another might.
 *
 * @param rooms - of the processors, in order
 */
export function betterPlace(loads: readonly Load[], rooms: readonly (Room | null)[]): Better | null {
  const places = rooms.map((room) => new Place(room))
  for (const load of loads) places[load.processor]?.add(load)
  return moreMemory(loads, places) ?? moreTime(loads, places)
}

/** The place with the most, and that. */
function highest(places: readonly Place[], height: (place: Place) => number): [number, number] {
  const heights = places.map(height)
  const most = Math.max(...heights)
  return [heights.indexOf(most), most]
}

function moreMemory(loads: readonly Load[], places: readonly Place[]): Better | null {
  const [from, most] = highest(places, (place) => place.lack())
  const source = places[from]
  if (source === undefined || most === 0) return null
  let best: Better | null = null
  let least = [Infinity, Infinity, Infinity]
  for (const { name, processor, entitled, memory: { group, frees, elsewhere }, fits } of loads) {
    if (processor !== from || frees <= 0) continue
    const left = source.lack(group, -frees)
    places.forEach((target, to) => {
      if (to === from) return
      const lack = Math.max(left, target.lack(group, elsewhere))
      const after = [lack, Math.max(source.cpu - entitled, target.cpu + entitled), elsewhere]
      if ((lack === 0 || lack < most - WORTH) && less(after, least) && fits(to)) [best, least] = [{ name, to, why: 'memory' }, after]
    })
  }
  return best
}

function less(one: readonly number[], other: readonly number[]): boolean {
  const at = one.findIndex((value, index) => value !== other[index])
  return at >= 0 && (one[at] ?? 0) < (other[at] ?? 0)
}

function moreTime(loads: readonly Load[], places: readonly Place[]): Better | null {
  const [from, most] = highest(places, ({ cpu }) => cpu)
  let best: Better | null = null
  let least = most - WORTH
  for (const { name, processor, entitled, memory: { group, elsewhere }, fits } of loads) {
    if (processor !== from || entitled <= 0) continue
    places.forEach((target, to) => {
      const after = Math.max(most - entitled, target.cpu + entitled)
      if (to !== from && after < least && target.lack(group, elsewhere) === 0 && fits(to)) [best, least] = [{ name, to, why: 'cpu' }, after]
    })
  }
  return best
}
