import { frameOf, type GuestMemory, PAGE_DIRTY, PAGE_PRESENT, PAGE_SHARED, PAGE_SIZE } from '@machinist/memory'
import { physicalBase } from '../physical-memory.ts'
import type { Native } from '../native.ts'

/** Pages that are mapped with one that was missed, if they have their frames already: those of a block of 64 KiB. */
const BLOCK = 16

/** What a page lets a guest do: nothing, read and execute, or all. */
type Rights = 0 | 1 | 2

function rightsOf(entry: number): Rights {
  if ((entry & PAGE_PRESENT) === 0) return 0
  // Who writes to a page that is clean or shared has to ask.
  return (entry & (PAGE_DIRTY | PAGE_SHARED)) === PAGE_DIRTY ? 2 : 1
}

/** A machine's memory as its guest-physical address space: G-stage tables get what the page map lets them have, when it is missed, and lose it when the page map changes. */
export class GuestPages {
  readonly vm: number
  readonly #native: Native
  readonly #memory: GuestMemory
  /** Physical address of the arena. */
  readonly #base: number
  /** A fault of ours is being served: who asks for a page will map it. */
  #serving = false
  /** Times that something was missed, so far. */
  faults = 0

  /** @throws a typed error when the memory is not one of `metalHost` */
  constructor(native: Native, memory: GuestMemory) {
    this.#native = native
    this.#memory = memory
    this.#base = physicalBase(memory.arena.memory)
    this.vm = native.createVm()
    memory.onProtect = memory.onRelease = () => { this.forget() }
    memory.onMove = (_from, _to, entryAddress) => { if (!this.#serving) this.#unmapEntry(entryAddress) }
  }

  /**
   * Gives a page to the guest that it missed.
   *
   * @param write - it wants to write
   * @returns whether there is RAM at all
   * @throws as `GuestMemory.fault`
   */
  serve(address: number, write: boolean): boolean {
    const memory = this.#memory
    const entryAddress = memory.entryAddress(address)
    if (entryAddress === 0) return false
    this.faults++
    this.#serving = true
    try {
      memory.fault(entryAddress, write ? 'write' : 'read')
    } finally {
      this.#serving = false
    }
    this.#mapBlock(address - (address % PAGE_SIZE), entryAddress)
    return true
  }

  /** Maps the pages around one that have frames: in as few pieces as they are. */
  #mapBlock(address: number, entryAddress: number): void {
    const { u32 } = this.#memory.arena
    const region = this.#memory.regions.find(({ base, size }) => address >= base && address < base + size)
    if (region === undefined) return
    const page = (address - region.base) / PAGE_SIZE
    const first = page - (page % BLOCK)
    const end = Math.min(first + BLOCK, region.size / PAGE_SIZE)
    const map = (entryAddress >>> 2) - page
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
    for (const { base, size } of this.#memory.regions) this.#native.unmap(this.vm, base, size)
  }

  #unmapEntry(entryAddress: number): void {
    for (const { base, size, map } of this.#memory.regions) {
      const page = (entryAddress - map) / 4
      if (page >= 0 && page < size / PAGE_SIZE) this.#native.unmap(this.vm, base + page * PAGE_SIZE, PAGE_SIZE)
    }
  }

  dispose(): void {
    const memory = this.#memory
    memory.onProtect = memory.onRelease = memory.onMove = null
    this.#native.destroyVm(this.vm)
  }
}
