import { type Arena, frameOf, PAGE_CPU, PAGE_SIZE } from '@machinist/memory'
import { tlbLayout } from '@machinist/mmu'

/**
 * What a page-map entry says of the TLBs, in the bits that are the CPU's: some TLB may hold the page, in the group of entries of this number,
 * or, if the last is set, in several. It tells of write entries; while the page is shared nobody may write to it, and it tells of read entries.
 */
export const PAGE_IN_TLB = 4
/** Where that number begins. */
export const GROUP_SHIFT = 3
/** The bits of that number. */
export const PAGE_GROUP: number = 63 << GROUP_SHIFT
/** It is in several groups. */
export const PAGE_IN_GROUPS: number = 1 << 9

/** Linear memory. */
type Memory = Pick<Arena, 'u8' | 'u32'>

/** Takes a page out of every TLB that its entry tells of. */
export function dropTranslations(arena: Memory, banks: readonly number[], kind: 'read' | 'write', entry: number): void {
  if ((entry & PAGE_IN_TLB) === 0) return
  const { u32 } = arena
  const frame = frameOf(entry)
  const several = (entry & PAGE_IN_GROUPS) !== 0
  const group = (entry & PAGE_GROUP) >>> GROUP_SHIFT
  for (const bank of banks) {
    // Most banks have little, or nothing.
    for (let at = several ? 0 : group; at <= (several ? 63 : group); at++) {
      const mask = u32[(bank + (kind === 'read' ? tlbLayout.readGroups : tlbLayout.writeGroups) + 4 * (at >>> 5)) >>> 2] ?? 0
      if (((mask >>> (at & 31)) & 1) === 0) continue
      const first = (bank + tlbLayout[kind] + at * tlbLayout.groupBytes) >>> 2
      for (let slot = first; slot < first + tlbLayout.groupBytes / 4; slot += 4) {
        const tag = u32[slot] ?? 0
        if (tag === 0) continue
        // Page plus addend is the frame, in 32-bit arithmetic.
        if (((tag & -PAGE_SIZE) + (u32[slot + 2] ?? 0)) >>> 0 === frame) u32[slot] = u32[slot + 1] = 0
      }
    }
  }
}

/** The entry without what it told of TLBs. */
export function withoutHints(entry: number): number {
  return (entry & ~PAGE_CPU) >>> 0
}

/** Takes the page of these ops out of the fetch TLBs, or all pages. */
export function dropFetches(arena: Memory, banks: readonly number[], ops?: number): void {
  const { u8, u32 } = arena
  for (const bank of banks) {
    if (u8[bank + tlbLayout.fetched] === 0) continue
    const first = bank + tlbLayout.fetch
    const end = first + 16 * tlbLayout.fetchEntries
    if (ops === undefined) u8.fill(0, first, end)
    else for (let at = first >>> 2; at < end >>> 2; at += 4) if (u32[at + 2] === ops) u32[at] = u32[at + 1] = 0
  }
}

/** Takes the page of this frame out of the fetch TLBs, whoever's code it is. */
export function dropFetchesOf(arena: Memory, banks: readonly number[], frame: number): void {
  const { u8, u32 } = arena
  for (const bank of banks) {
    if (u8[bank + tlbLayout.fetched] === 0) continue
    const first = (bank + tlbLayout.fetch) >>> 2
    for (let at = first; at < first + 4 * tlbLayout.fetchEntries; at += 4) if (u32[at + tlbLayout.frameOffset / 4] === frame) u32[at] = u32[at + 1] = 0
  }
}
