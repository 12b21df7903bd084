import { frameOf, type GuestMemory, PAGE_CODE, PAGE_PRESENT, PAGE_SIZE } from '@machinist/memory'
import { tlbLayout } from '@machinist/mmu'

/** Guest-physical addresses of the pages that TLBs hold; then those of other pages from which code was decoded, for what ran before is likely to run again. */
export function recentPages(memory: GuestMemory, banks: readonly number[]): number[] {
  const { u8, u32 } = memory.arena
  const frames = new Set<number>()
  for (const bank of banks) {
    for (const [array, groups] of [[tlbLayout.read, tlbLayout.readGroups], [tlbLayout.write, tlbLayout.writeGroups]] as const) {
      for (let group = 0; group < 64; group++) {
        const mask = u32[(bank + groups + 4 * (group >>> 5)) >>> 2] ?? 0
        if (((mask >>> (group & 31)) & 1) === 0) continue
        const first = (bank + array + group * tlbLayout.groupBytes) >>> 2
        for (let slot = first; slot < first + tlbLayout.groupBytes / 4; slot += 4) {
          const tag = u32[slot] ?? 0
          // Page plus addend is the frame, in 32-bit arithmetic.
          if (tag !== 0) frames.add(((tag & -PAGE_SIZE) + (u32[slot + tlbLayout.dataOffset / 4] ?? 0)) >>> 0)
        }
      }
    }
    if (u8[bank + tlbLayout.fetched] === 0) continue
    const first = (bank + tlbLayout.fetch) >>> 2
    for (let slot = first; slot < first + 4 * tlbLayout.fetchEntries; slot += 4) {
      if (u32[slot] !== 0) frames.add(frameOf(u32[slot + tlbLayout.frameOffset / 4] ?? 0))
    }
  }
  const held: number[] = []
  const code: number[] = []
  for (const { base, size, map } of memory.regions) {
    for (let page = 0; page < size / PAGE_SIZE; page++) {
      const entry = u32[(map >>> 2) + page] ?? 0
      if ((entry & PAGE_PRESENT) === 0) continue
      if (frames.has(frameOf(entry))) held.push(base + page * PAGE_SIZE)
      else if ((entry & PAGE_CODE) !== 0) code.push(base + page * PAGE_SIZE)
    }
  }
  return [...held, ...code]
}
