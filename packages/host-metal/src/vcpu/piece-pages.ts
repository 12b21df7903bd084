import { machinistError } from '@machinist/api'
import { BLOCK_FRAMES, BLOCK_SIZE, frameOf, type GuestMemory, PAGE_DIRTY, PAGE_PRESENT, PAGE_SHARED, PAGE_SIZE, type QuickMemory, type RamRegion } from '@machinist/memory'
import type { Native } from '../native.ts'
import { physicalBase } from '../physical-memory.ts'

/** Pages that are mapped with one that was missed, if they have their frames already: those of 64 KiB. */
const AROUND = 16

/** What a page lets a guest do: nothing, read and execute, or all. */
type Rights = 0 | 1 | 2

function rightsOf(entry: number): Rights {
  if ((entry & PAGE_PRESENT) === 0) return 0
  // Who writes to a page that is clean or shared has to ask.
  return (entry & (PAGE_DIRTY | PAGE_SHARED)) === PAGE_DIRTY ? 2 : 1
}

/** A piece of a machine's memory in its guest-physical address space, as `GuestPages`. */
export class PiecePages {
  readonly vm: number
  readonly #native: Native
  readonly #memory: GuestMemory
  /** Physical address of the arena. */
  readonly #base: number
  /** A fault of ours is being served: who asks for a page will map it. */
  #serving = false
  /** Blocks that were mapped as far as they go since all was forgotten: what is missed there now is single pages. */
  readonly #whole = new Set<number>()

  /** @throws typed errors: `'not-physical'` when the memory is not one of `metalHost`, `'too-much-memory'` when it is more than one stretch of memory of the hardware has */
  constructor(native: Native, vm: number, memory: GuestMemory) {
    this.#native = native
    this.#memory = memory
    this.vm = vm
    this.#base = physicalBase(memory.arena.memory)
    const wanted = memory.regions.reduce((sum, { size }) => sum + size, 0)
    if (wanted > memory.arena.maximum) {
      const most = Math.floor(memory.arena.maximum / 2 ** 20)
      throw machinistError({ code: 'too-much-memory', part: 'memory', value: `${Math.ceil(wanted / 2 ** 20)} MiB`, remedy: `Give the machine at most ${most} MiB, or memory of several pieces.` }, 'a piece of memory lies in one stretch of memory of the hardware, of less than 2 GiB')
    }
    memory.onProtect = (entries) => {
      if (entries === undefined) this.forget()
      else this.#unmapEntries(entries)
    }
    memory.onRelease = () => { this.forget() }
    memory.onMove = (_from, _to, entryAddress) => { if (!this.#serving) this.#unmapEntries([entryAddress >>> 2]) }
  }

  /**
   * As `GuestPages.serve`.
   *
   * @returns whether it has RAM there
   * @throws as `GuestMemory.fault`
   */
  serve(address: number, write: boolean): boolean {
    const memory = this.#memory
    const entryAddress = memory.entryAddress(address)
    if (entryAddress === 0) return false
    const region = memory.regions.find(({ base, size }) => address >= base && address < base + size)
    if (region === undefined) return false
    const page = (address - region.base - (address % PAGE_SIZE)) / PAGE_SIZE
    this.#serving = true
    try {
      const untouched = write && memory.arena.u32[entryAddress >>> 2] === 0
      if (!untouched || !memory.populate(region, page * PAGE_SIZE)) memory.fault(entryAddress, write ? 'write' : 'read')
    } finally {
      this.#serving = false
    }
    const skew = (region.base % BLOCK_SIZE) / PAGE_SIZE
    if (this.#mapBlock(region, page - ((page + skew) % BLOCK_FRAMES))) return true
    const first = Math.max(0, page - ((page + skew) % AROUND))
    this.#mapPages(region, first, Math.min(first + AROUND, region.size / PAGE_SIZE))
    return true
  }

  /** Maps a block whose frames are one, too, as it seems by its ends, when something of it is missed for the first time. */
  #mapBlock(region: RamRegion, first: number): boolean {
    const at = region.base + first * PAGE_SIZE
    if (first < 0 || first + BLOCK_FRAMES > region.size / PAGE_SIZE || this.#whole.has(at)) return false
    const { u32 } = this.#memory.arena
    const map = region.map >>> 2
    const frame = frameOf(u32[map + first] ?? 0)
    if (frame === 0 || frame % BLOCK_SIZE !== 0 || frameOf(u32[map + first + BLOCK_FRAMES - 1] ?? 0) !== frame + BLOCK_SIZE - PAGE_SIZE) return false
    this.#whole.add(at)
    this.#mapPages(region, first, first + BLOCK_FRAMES)
    return true
  }

  /** Maps those of some pages that have frames: in as few pieces as they are. */
  #mapPages(region: RamRegion, first: number, end: number): void {
    const { u32 } = this.#memory.arena
    const map = region.map >>> 2
    let start = first
    while (start < end) {
      const entry = u32[map + start] ?? 0
      const rights = rightsOf(entry)
      let next = start + 1
      while (next < end && rights !== 0) {
        const other = u32[map + next] ?? 0
        if (rightsOf(other) !== rights || frameOf(other) !== frameOf(entry) + (next - start) * PAGE_SIZE) break
        next++
      }
      if (rights !== 0) this.#native.map(this.vm, region.base + start * PAGE_SIZE, this.#base + frameOf(entry), (next - start) * PAGE_SIZE, rights === 2)
      start = next
    }
  }

  /** Takes all of it from the guest: it has to ask anew. */
  forget(): void {
    this.#whole.clear()
    for (const { base, size } of this.#memory.regions) this.#native.unmap(this.vm, base, size)
  }

  #unmapEntries(entries: readonly number[]): void {
    for (let first = 0, end = 0; first < entries.length; first = end) {
      const entry = entries[first] ?? 0
      end = first + 1
      while (entries[end] === entry + (end - first)) end++
      for (const { base, size, map } of this.#memory.regions) {
        const from = Math.max(0, entry - (map >>> 2))
        const to = Math.min(size / PAGE_SIZE, entry + (end - first) - (map >>> 2))
        if (from < to) this.#native.unmap(this.vm, base + from * PAGE_SIZE, (to - from) * PAGE_SIZE)
      }
    }
  }

  /** What of it the kernel may do for devices. */
  quick(): QuickMemory | null {
    return this.#native.quickMemory(this.vm, this.#base, this.#memory.arena.maximum, this.#memory.table)
  }

  dispose(): void {
    const memory = this.#memory
    memory.onProtect = memory.onRelease = memory.onMove = null
  }
}
