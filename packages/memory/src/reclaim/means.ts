import type { GuestMemory } from '../guest-memory.ts'
import { frameOf, hasFrame, isParked } from '../page-map.ts'
import { PAGE_SIZE } from '../page-size.ts'

/** Where the pages of a memory are. */
export interface PageCounts {
  /** Pages that were touched and not given back, wherever their content is. */
  readonly touched: number
  /** Frames that it has for itself. */
  readonly own: number
  /** Pages whose frame others have, too, and what its part of those frames comes to. */
  readonly shared: number
  readonly part: number
  readonly compressed: number
  readonly swapped: number
}

const NONE: PageCounts = { touched: 0, own: 0, shared: 0, part: 0, compressed: 0, swapped: 0 }

/** Counts pages. As long as each has a frame of its own that is known already; else it takes about a nanosecond for each that the memory may have. */
export function countPages(memory: GuestMemory): PageCounts {
  const all = memory.pieces.map(countPiece)
  const [first = NONE] = all
  return all.slice(1).reduce((sum, each) => ({
    touched: sum.touched + each.touched, own: sum.own + each.own, shared: sum.shared + each.shared, part: sum.part + each.part, compressed: sum.compressed + each.compressed, swapped: sum.swapped + each.swapped,
  }), first)
}

function countPiece(memory: GuestMemory): PageCounts {
  const { arena, regions, pager } = memory
  if (pager.framed && arena.sharing === 0) return { touched: pager.touched, own: pager.touched, shared: 0, part: 0, compressed: 0, swapped: 0 }
  const { u32 } = arena
  let [touched, own, shared, part, compressed, swapped] = [0, 0, 0, 0, 0, 0]
  for (const { map, size } of regions) {
    const end = (map >>> 2) + size / PAGE_SIZE
    for (let index = map >>> 2; index < end; index++) {
      const entry = u32[index] ?? 0
      if (entry === 0) continue
      if (hasFrame(entry)) {
        const references = arena.references(frameOf(entry))
        if (references === 1) own++
        else {
          shared++
          part += 1 / references
        }
      } else if (isParked(entry)) {
        if (arena.parked?.isSwapped(entry >>> 12) === true) swapped++
        else compressed++
      } else if (entry >= PAGE_SIZE) continue
      touched++
    }
  }
  return { touched, own, shared, part, compressed, swapped }
}
