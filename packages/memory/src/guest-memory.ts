import { type DmaSpace, machinistError } from '@machinist/api'
import type { Arena } from './arena.ts'
import { checkRam, frameOf, hasFrame, isParked, PAGE_CODE, PAGE_DIRTY, PAGE_PRESENT, PAGE_SHARED, type RamRegion, ramTable } from './page-map.ts'
import { type MemoryImage, type MoveListener, Pager, type PageSource } from './pager.ts'
import { BLOCK_SIZE, PAGE_SIZE } from './page-size.ts'
import type { QuickMemory } from './quick-memory.ts'

const PAGE_MASK = PAGE_SIZE - 1

/** Address of the page-map entry for the byte at `offset` of a region. An arena has less than 2^32 bytes, and so has a region. */
function entryOf(region: RamRegion, offset: number): number {
  return region.map + (offset >>> 12) * 4
}

/** Free frames that a guest that gives memory back leaves for others, before the host has them: 4 MiB. */
const KEPT_FREE = 1024

/** Bytes up to which a loop is faster than the two views that copying at once takes. */
const FEW = 16

function copy(from: Uint8Array, start: number, to: Uint8Array, at: number, count: number): void {
  if (count > FEW) to.set(count === from.length ? from : from.subarray(start, start + count), at)
  else for (let i = 0; i < count; i++) to[at + i] = from[start + i] ?? 0
}

/** Told when code may have changed under a CPU: `length` bytes at `gpa` inside one page, whose frame is at `frame`. */
export type CodeWriteListener = (frame: number, gpa: number, length: number) => void

/**
 * A machine's RAM. A page costs nothing until it is first touched; then it gets a frame of the arena. Every write
 * that does not come from a CPU comes through here, so that pages are marked dirty and stale code is dropped.
 */
export class GuestMemory implements DmaSpace {
  readonly arena: Arena
  /** Address of the {@link ramTable} of this machine. */
  readonly table: number
  readonly #regions: RamRegion[] = []
  #disposed = false
  /** Set by the CPU. */
  onCodeWrite: CodeWriteListener | null = null
  /**
   * Set by the CPU: translations must be dropped, because writers must be seen again, or must ask: those of the pages whose entries are named, by their indices in `Arena.u32`, in ascending runs where there are many; all unless given.
   */
  onProtect: ((entries?: readonly number[]) => void) | null = null
  /**
   * Set by the CPU: pages lost their frames, which other pages will get. All translations must be dropped, in every
   * hart and also in one that is running.
   */
  onRelease: (() => void) | null = null
  /** Set by a CPU whose harts run while devices do something: see {@link DmaSpace.fence}. */
  fence?: (() => void) | undefined
  /** Set by a host that has it. */
  quick: QuickMemory | null = null
  /** Another thread copies it: pages keep their frames. */
  pinned = false
  /** Set by the CPU: a frame that a page of this memory must keep for now, or 0. */
  held: (() => number) | null = null
  /** What takes pages their frames away; see `Reclaimer`. */
  readonly pager: Pager
  /** Content of the parked page that was looked at last. */
  #looked: Uint8Array | null = null
  readonly #promised: boolean
  /** Blocks that were populated, or could not be, since all was zeros: one byte for each, by region. */
  readonly #tried = new Map<RamRegion, Uint8Array>()
  /** The region of the access before. */
  #last: RamRegion | null = null

  /**
   * @param promised - whether the arena promises all the memory that is added; without, and in an arena that promises nothing, a machine may run out of memory later
   * @param whole - the memory that it is a piece of; itself unless given
   */
  constructor(arena: Arena, promised: boolean = true, whole: GuestMemory | null = null) {
    this.arena = arena
    this.#promised = promised && !arena.overcommit
    this.pager = new Pager(arena, this.#promised, whole ?? this)
    this.table = arena.allocate(ramTable.size)
    arena.memories.add(this)
  }

  get regions(): readonly RamRegion[] {
    return this.#regions
  }

  /** Memory by arenas: CPUs, and whoever takes pages, go by these. It is one piece itself, unless it is a {@link WideMemory}. */
  get pieces(): readonly GuestMemory[] {
    return [this]
  }

  /** Pages that have a frame. */
  get touchedPages(): number {
    return this.pager.touched
  }

  /**
   * Adds RAM.
   *
   * @throws a typed error when the range is misaligned, overlaps another, or is more than the arena can back
   */
  addRam(name: string, base: number, size: number): RamRegion {
    checkRam(this.#regions, name, base, size)
    const mapBytes = (size / PAGE_SIZE) * 4
    // Frames are taken at page alignment, between structures: allow for the map and a little waste.
    if (this.#promised) this.arena.reserve(size + mapBytes + PAGE_SIZE, name)
    const map = this.arena.allocate(mapBytes)
    if (this.#promised) this.arena.release(mapBytes + PAGE_SIZE)
    const region: RamRegion = { name, base, size, map }
    const index = this.#regions.length
    this.#regions.push(region)
    const { data } = this.arena
    data.setUint32(this.table + ramTable.offset.map + 4 * index, map, true)
    data.setBigUint64(this.table + ramTable.offset.base + 8 * index, BigInt(base), true)
    data.setBigUint64(this.table + ramTable.offset.size + 8 * index, BigInt(size), true)
    data.setUint32(this.table + ramTable.offset.count, index + 1, true)
    return region
  }

  /** Address of the page-map entry for guest-physical `address`; 0 when that is not RAM. */
  entryAddress(address: number): number {
    const region = this.#regionOf(address, 1)
    return region === null ? 0 : entryOf(region, address - region.base)
  }

  /**
   * Makes the page behind a page-map entry readable, or writable, which marks it dirty: gives it a frame at its first touch, the content that its source
   * has, or a copy of its own when others have its frame, too.
   *
   * @param entryAddress - of the entry, in the arena
   * @returns the entry. If it says {@link PAGE_CODE}, the CPU must hear of what is written.
   * @throws typed errors when there is no memory, or what the source throws; the page is then as it was
   */
  fault(entryAddress: number, access: 'read' | 'write'): number {
    return this.pager.fault(entryAddress, access)
  }

  /**
   * Somebody is about to write to a page that nobody has touched: gives it and those around it, as far as a {@link BLOCK_SIZE block} goes, frames that are a block, too. They are zeros, and dirty.
   *
   * @returns whether they have; false where the arena has no blocks, some of them was touched, or memory is not plenty. Then {@link GuestMemory.fault} is what there is.
   */
  populate(region: RamRegion, offset: number): boolean {
    if (!this.arena.blocks || this.arena.u32[entryOf(region, offset) >>> 2] !== 0) return false
    const first = offset - ((region.base + offset) % BLOCK_SIZE)
    if (first < 0 || first + BLOCK_SIZE > region.size) return false
    let tried = this.#tried.get(region)
    if (tried === undefined) this.#tried.set(region, tried = new Uint8Array(Math.ceil(region.size / BLOCK_SIZE) + 1))
    const block = Math.ceil(first / BLOCK_SIZE)
    if (tried[block] !== 0) return false
    tried[block] = 1
    return this.pager.populate(entryOf(region, first) >>> 2)
  }

  /** Has the content of pages that are not present and not zero. */
  get source(): PageSource | null {
    return this.pager.source
  }

  set source(source: PageSource | null) {
    this.pager.source = source
  }

  /**
   * Says by which numbers the {@link GuestMemory.source} knows the pages of a region, none of which has been touched: 0 stands for zeros.
   *
   * @throws a RangeError for more numbers than pages, or one of 2^20 and more
   */
  place(region: RamRegion, numbers: Uint32Array): void {
    if (numbers.length > region.size / PAGE_SIZE || numbers.some((number) => number >= 2 ** 20)) throw new RangeError(`${region.name} has no such pages`)
    const { u32 } = this.arena
    const first = region.map >>> 2
    // Few are not zeros, as a rule, and the map is all zeros.
    for (let page = 0; page < numbers.length; page++) if (numbers[page] !== 0) u32[first + page] = ((numbers[page] ?? 0) << 12) >>> 0
  }

  /** The number by which the source knows a page of a region, if it is still there; 0 when it is zeros, and −1 when the machine has changed it or read it: see {@link GuestMemory.frame}. */
  placeOf(region: RamRegion, page: number): number {
    const entry = this.#entry(region, page)
    return hasFrame(entry) || isParked(entry) ? -1 : entry >>> 12
  }

  /** What a page of a region holds that is not zeros, and not where its source has it, as a view that is good until somebody touches memory, or asks for another; null for others. */
  frame(region: RamRegion, page: number): Uint8Array | null {
    const entry = this.#entry(region, page)
    if (hasFrame(entry)) return this.arena.u8.subarray(frameOf(entry), frameOf(entry) + PAGE_SIZE)
    if (!isParked(entry)) return null
    this.#looked ??= new Uint8Array(PAGE_SIZE)
    this.pager.load(entry, this.#looked)
    return this.#looked
  }

  /** Address in the arena of the frame of a page of a region; 0 when it has none. */
  frameAddress(region: RamRegion, page: number): number {
    const entry = this.#entry(region, page)
    return hasFrame(entry) ? frameOf(entry) : 0
  }

  #entry(region: RamRegion, page: number): number {
    return this.arena.u32[(region.map >>> 2) + page] ?? 0
  }

  /** Whether a page of a region was written since {@link GuestMemory.takeDirty} was last called. */
  isDirty(region: RamRegion, page: number): boolean {
    return ((this.arena.u32[(region.map >>> 2) + page] ?? 0) & PAGE_DIRTY) !== 0
  }

  /** Set by the CPU: a page has got another frame, with the same content. What was known of the old one through this page must be dropped. */
  set onMove(listener: MoveListener | null) {
    this.pager.onMove = listener
  }

  /** Arena address of the byte at guest-physical `address`, giving its page a frame; 0 when that is not RAM. */
  resolve(address: number): number {
    const entry = this.entryAddress(address)
    return entry === 0 ? 0 : frameOf(this.fault(entry, 'read')) + (address % PAGE_SIZE)
  }

  /** The guest-physical address whose byte is at an address of the arena; −1 when no page has that frame. */
  addressOf(host: number): number {
    const { u32 } = this.arena
    for (const { base, size, map } of this.#regions) {
      for (let page = 0; page < size / PAGE_SIZE; page++) {
        const entry = u32[(map >>> 2) + page] ?? 0
        if (hasFrame(entry) && frameOf(entry) === frameOf(host)) return base + page * PAGE_SIZE + (host & PAGE_MASK)
      }
    }
    return -1
  }

  /** Whether all of a range is RAM of one region. */
  contains(address: number, length: number): boolean {
    return this.#rangeOf(address, length) !== null
  }

  /**
   * The region that all of a range lies in. Devices come back to the one that they used last.
   *
   * @param length - a whole number, not negative
   */
  #regionOf(address: number, length: number): RamRegion | null {
    const last = this.#last
    if (last !== null) {
      // Whole numbers, as a region has less than 2^32 bytes.
      const offset = address - last.base
      if (offset >>> 0 === offset && offset + length <= last.size) return last
    }
    if (!Number.isSafeInteger(address)) return null
    for (const region of this.#regions) {
      if (address < region.base || address + length > region.base + region.size) continue
      this.#last = region
      return region
    }
    return null
  }

  /** The same of any length: a region has less than 2^32 bytes. */
  #rangeOf(address: number, length: number): RamRegion | null {
    return length >>> 0 === length ? this.#regionOf(address, length) : null
  }

  /**
   * Arena address of the byte at `offset` of a region, to read what lies between it and the end of its page. 0 for a
   * page that nobody has touched: it reads as zeros, and stays untouched.
   */
  #readable(region: RamRegion, offset: number): number {
    const at = region.map + (offset >>> 12) * 4
    let entry = this.arena.u32[at >>> 2] ?? 0
    if ((entry & PAGE_PRESENT) === 0) {
      if (entry < PAGE_SIZE) return 0
      entry = this.fault(at, 'read')
    }
    return ((entry & -PAGE_SIZE) >>> 0) + (offset & PAGE_MASK)
  }

  /**
   * Arena address of the byte at `offset` of a region, to write `length` bytes inside its page at once. Every write comes
   * through here: it gives the page a frame, marks it dirty, and tells the CPU about code.
   */
  #writable(region: RamRegion, offset: number, length: number): number {
    const entryAddress = region.map + (offset >>> 12) * 4
    const { u32 } = this.arena
    let entry = u32[entryAddress >>> 2] ?? 0
    if ((entry & (PAGE_PRESENT | PAGE_SHARED)) === PAGE_PRESENT) u32[entryAddress >>> 2] = entry | PAGE_DIRTY
    else {
      if (entry === 0 && this.arena.blocks) this.populate(region, offset)
      entry = this.fault(entryAddress, 'write')
    }
    const frame = frameOf(entry)
    if ((entry & PAGE_CODE) !== 0) this.onCodeWrite?.(frame, region.base + offset, length)
    // Not `|`, whose result would be negative in the upper half of the arena.
    return frame + (offset & PAGE_MASK)
  }

  read(address: number, into: Uint8Array): boolean {
    if (this.quick !== null && this.quick.read(address, into)) return true
    const { length } = into
    const region = this.#regionOf(address, length)
    if (region === null) return false
    for (let done = 0; done < length; ) {
      const offset = address - region.base + done
      const count = Math.min(length - done, PAGE_SIZE - (offset & PAGE_MASK))
      const from = this.#readable(region, offset)
      if (from === 0) into.fill(0, done, done + count)
      else copy(this.arena.u8, from, into, done, count)
      done += count
    }
    return true
  }

  write(address: number, from: Uint8Array): boolean {
    if (this.quick !== null && this.quick.write(address, from)) return true
    const { length } = from
    const region = this.#regionOf(address, length)
    if (region === null) return false
    for (let done = 0; done < length; ) {
      const offset = address - region.base + done
      const count = Math.min(length - done, PAGE_SIZE - (offset & PAGE_MASK))
      const to = this.#writable(region, offset, count)
      copy(from, done, this.arena.u8, to, count)
      done += count
    }
    return true
  }

  read16(address: number): number {
    if (this.quick !== null) {
      const value = this.quick.read16(address)
      if (value >= 0) return value
    }
    const region = this.#regionOf(address, 2)
    if (region === null) return -1
    const offset = address - region.base
    if ((offset & PAGE_MASK) > PAGE_SIZE - 2) return this.#readBytes(address, 2)
    const from = this.#readable(region, offset)
    // One access of the host where it is aligned, here and below: harts that run meanwhile write indexes of rings so.
    return from === 0 ? 0 : (from & 1) === 0 ? this.arena.u16[from >>> 1] ?? 0 : this.arena.data.getUint16(from, true)
  }

  read32(address: number): number {
    if (this.quick !== null) {
      const value = this.quick.read32(address)
      if (value >= 0) return value
    }
    const region = this.#regionOf(address, 4)
    if (region === null) return -1
    const offset = address - region.base
    if ((offset & PAGE_MASK) > PAGE_SIZE - 4) return this.#readBytes(address, 4)
    const from = this.#readable(region, offset)
    return from === 0 ? 0 : (from & 3) === 0 ? this.arena.u32[from >>> 2] ?? 0 : this.arena.data.getUint32(from, true)
  }

  readWords(address: number, into: Uint32Array): boolean {
    if (this.quick !== null && this.quick.readWords(address, into)) return true
    const { length } = into
    const region = this.#regionOf(address, 4 * length)
    if (region === null) return false
    const offset = address - region.base
    if ((offset & 3) !== 0 || (offset & PAGE_MASK) + 4 * length > PAGE_SIZE) {
      for (let index = 0; index < length; index++) into[index] = this.read32(address + 4 * index)
      return true
    }
    const from = this.#readable(region, offset)
    if (from === 0) into.fill(0)
    else {
      const { u32 } = this.arena
      const at = from >>> 2
      for (let index = 0; index < length; index++) into[index] = u32[at + index] ?? 0
    }
    return true
  }

  readDescriptors(table: number, entries: number, head: number, into: Uint32Array): number {
    return this.quick === null ? 0 : this.quick.readDescriptors(table, entries, head, into)
  }

  write16(address: number, value: number): boolean {
    if (this.quick !== null && this.quick.write16(address, value)) return true
    const region = this.#regionOf(address, 2)
    if (region === null) return false
    const offset = address - region.base
    if ((offset & PAGE_MASK) > PAGE_SIZE - 2) return this.write(address, Uint8Array.of(value, value >>> 8))
    const to = this.#writable(region, offset, 2)
    if ((to & 1) === 0) this.arena.u16[to >>> 1] = value
    else this.arena.data.setUint16(to, value, true)
    return true
  }

  write32(address: number, value: number): boolean {
    if (this.quick !== null && this.quick.write32(address, value)) return true
    const region = this.#regionOf(address, 4)
    if (region === null) return false
    const offset = address - region.base
    if ((offset & PAGE_MASK) > PAGE_SIZE - 4) return this.write(address, Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24))
    const to = this.#writable(region, offset, 4)
    if ((to & 3) === 0) this.arena.u32[to >>> 2] = value
    else this.arena.data.setUint32(to, value, true)
    return true
  }

  /** A number that lies in two pages of one region. */
  #readBytes(address: number, width: 2 | 4): number {
    const bytes = new Uint8Array(4)
    this.read(address, bytes.subarray(0, width))
    return new DataView(bytes.buffer).getUint32(0, true)
  }

  map(address: number, length: number, access: 'read' | 'write'): readonly Uint8Array[] | null {
    const region = this.#rangeOf(address, length)
    if (region === null) return null
    const pieces: { start: number; end: number }[] = []
    for (let done = 0; done < length; ) {
      const offset = address - region.base + done
      const part = Math.min(length - done, PAGE_SIZE - (offset & PAGE_MASK))
      const host = access === 'write' ? this.#writable(region, offset, part) : this.resolve(address + done)
      const last = pieces.at(-1)
      if (last?.end === host) last.end += part
      else pieces.push({ start: host, end: host + part })
      done += part
    }
    // Views are made last: giving pages their frames may have replaced the arena's views.
    return pieces.map((piece) => this.arena.u8.subarray(piece.start, piece.end))
  }

  release(address: number, length: number): boolean {
    const region = this.#rangeOf(address, length)
    if (region === null) return false
    const first = Math.ceil((address - region.base) / PAGE_SIZE)
    const end = Math.floor((address - region.base + length) / PAGE_SIZE)
    if (end > first) this.pager.drop(region.map, first, end - first, () => this.onRelease?.())
    this.arena.discardFree(KEPT_FREE)
    return true
  }

  /**
   * The guest-physical addresses of pages written since the last call, in order, and starts anew. The first call
   * gives every page ever written. Pages that were released are not among them, unless they were written again: they
   * have no frame.
   *
   * @param only - asks for one region, and starts anew for this one alone
   */
  takeDirty(only?: RamRegion): number[] {
    const dirty: number[] = []
    const { u32 } = this.arena
    for (const region of only === undefined ? this.#regions : [only]) {
      for (let page = 0; page < region.size / PAGE_SIZE; page++) {
        const entry = u32[(region.map >>> 2) + page] ?? 0
        if ((entry & PAGE_DIRTY) === 0) continue
        dirty.push(region.base + page * PAGE_SIZE)
        u32[(region.map >>> 2) + page] = entry & ~PAGE_DIRTY
      }
    }
    this.onProtect?.()
    return dirty
  }

  /**
   * Forgets all content: every page reads as zero again.
   *
   * @param only - the content of one region alone
   */
  clear(only?: RamRegion): void {
    for (const region of only === undefined ? this.#regions : [only]) this.#tried.delete(region)
    for (const region of only === undefined ? this.#regions : [only]) this.pager.drop(region.map, 0, region.size / PAGE_SIZE, () => this.onRelease?.())
  }

  /**
   * The same content again, in the same arena, for another machine. Frames are shared until one of both writes. No memory is promised to it.
   *
   * @param whole - the memory that the copy is a piece of; itself unless given
   */
  fork(whole: GuestMemory | null = null): GuestMemory {
    const copy = new GuestMemory(this.arena, false, whole)
    for (const { name, base, size, map } of this.#regions) this.pager.share(map, copy.pager, copy.addRam(name, base, size).map, size / PAGE_SIZE)
    this.onProtect?.()
    return copy
  }

  /**
   * The same content in another arena, which promises memory for all of it. Frames are copied, many at a time.
   *
   * @throws typed errors when there is no memory; nothing is left of the copy then
   */
  copyInto(arena: Arena): GuestMemory {
    const from = this.arena
    // It may be the same arena, and grow.
    return GuestMemory.#copyOf({ get buffer() { return from.u8.buffer }, regions: this.#regions }, arena, this.source, (entry, into) => { this.pager.load(entry, into) })
  }

  /** Where all of it is now, for another thread to copy. Who wants it to stay as it is makes a fork first. */
  get image(): MemoryImage {
    return { buffer: this.arena.u8.buffer, regions: this.#regions.map((region) => ({ ...region })) }
  }

  /**
   * The content of memory of another thread, in an arena of this one, which promises memory for all of it. Frames are copied, many at a time.
   *
   * @param source - has what the image has no frames for; without, all pages must have one, or be zeros: see {@link GuestMemory.bring}
   * @throws typed errors when there is no memory, `'bad-ram'` and `'memory-image'` for an image that is none; nothing is left of the copy then
   */
  static copyOf(image: MemoryImage, arena: Arena, source: PageSource | null = null): GuestMemory {
    return GuestMemory.#copyOf(image, arena, source, null)
  }

  /** @param parked - gives the content of a parked page by its entry */
  static #copyOf(image: MemoryImage, arena: Arena, source: PageSource | null, parked: ((entry: number, into: Uint8Array) => void) | null): GuestMemory {
    const copy = new GuestMemory(arena)
    try {
      copy.source = source
      for (const { name, base, size, map } of image.regions) {
        const { map: own } = copy.addRam(name, base, size)
        try {
          copy.pager.copy(image, map, own, size / PAGE_SIZE, parked)
        } catch (error) {
          if (!(error instanceof RangeError)) throw error
          throw machinistError({ code: 'memory-image', part: name, value: error.message, remedy: 'Hand the machine over again.' }, 'it is not what memory of a machine can be')
        }
      }
    } catch (error) {
      copy.dispose()
      throw error
    }
    return copy
  }

  /**
   * Gives frames to pages that only the {@link GuestMemory.source} has, and to parked ones.
   *
   * @param most - pages
   * @returns whether any are left
   * @throws as {@link GuestMemory.fault}
   */
  bring(most: number): boolean {
    for (const { map, size } of this.source === null && this.arena.parked === null ? [] : this.#regions) {
      for (let at = map; at < map + (size / PAGE_SIZE) * 4; at += 4) {
        const entry = this.arena.u32[at >>> 2] ?? 0
        if (hasFrame(entry) || entry < PAGE_SIZE) continue
        if (most-- <= 0) return true
        this.fault(at, 'read')
      }
    }
    return false
  }

  /** Gives all frames and promises back to the arena. There is no RAM any more: what is read and written lies outside. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.arena.memories.delete(this)
    this.clear()
    this.pager.source = null
    for (const { map, size } of this.#regions) {
      if (this.#promised) this.arena.release(size)
      this.arena.freeZeroed(map, (size / PAGE_SIZE) * 4)
    }
    this.#regions.length = 0
    this.#last = null
    this.arena.free(this.table, ramTable.size)
  }
}
