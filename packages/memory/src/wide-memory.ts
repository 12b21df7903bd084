import { machinistError } from '@machinist/api'
import type { Arena } from './arena.ts'
import { GuestMemory } from './guest-memory.ts'
import { checkRam, type RamRegion } from './page-map.ts'
import type { MemoryImage, PageSource } from './pager.ts'
import { BLOCK_SIZE, PAGE_SIZE } from './page-size.ts'

/** A part of a region: one of those of a piece. */
interface Part {
  readonly piece: GuestMemory
  readonly region: RamRegion
}

/** What {@link WideMemory} does with a part of a range: `start` to `end`, counted from where the range begins, are at `address`. */
type Visit = (piece: GuestMemory, address: number, start: number, end: number) => boolean

/**
 * A machine's RAM that is more than one arena has room for. Each of its {@link GuestMemory.pieces} lies in an arena of its own, and has parts of regions that are whole blocks. Devices, snapshots and controllers see regions as they
 * were added, as they do elsewhere; a CPU must know of pieces, since the address of a frame says nothing without the arena.
 */
export class WideMemory extends GuestMemory {
  readonly #more: () => Arena
  readonly #pieces: GuestMemory[] = []
  readonly #whole: RamRegion[] = []
  readonly #parts = new Map<RamRegion, readonly Part[]>()
  #source: PageSource | null = null

  /**
   * @param arena - where the first piece goes
   * @param more - the arena with most room, each time that one is full
   */
  constructor(arena: Arena, more: () => Arena) {
    super(arena, false)
    // It has no pages of its own.
    arena.memories.delete(this)
    this.#more = more
  }

  override get regions(): readonly RamRegion[] {
    return this.#whole
  }

  override get pieces(): readonly GuestMemory[] {
    return this.#pieces
  }

  override get touchedPages(): number {
    return this.#pieces.reduce((sum, { touchedPages }) => sum + touchedPages, 0)
  }

  /**
   * As that of memory in one piece. The `map` of the region is 0: its parts have theirs.
   *
   * @throws typed errors as there, and `'too-much-memory'` when all arenas together have not so much
   */
  override addRam(name: string, base: number, size: number): RamRegion {
    checkRam(this.#whole, name, base, size)
    const parts: Part[] = []
    for (let at = 0, arena = this.arena; at < size; ) {
      if (arena.room < BLOCK_SIZE) arena = this.#more()
      const part = Math.min(size - at, this.#roomIn(arena))
      if (part <= 0) throw machinistError({ code: 'too-much-memory', part: name, value: `${Math.ceil(size / 2 ** 20)} MiB`, remedy: `Ask for at most ${Math.floor(at / 2 ** 20)} MiB.` }, 'more memory than all arenas have')
      const piece = this.#pieceIn(arena)
      parts.push({ piece, region: piece.addRam(name, base + at, part) })
      at += part
    }
    return this.#add(parts, { name, base, size, map: 0 })
  }

  #add(parts: readonly Part[], region: RamRegion): RamRegion {
    this.#whole.push(region)
    this.#parts.set(region, parts)
    return region
  }

  /** Bytes that it may have in an arena, besides what it has: those that nobody wants; or when there are none, and nothing is promised to anybody, those that it alone could have. */
  #roomIn({ room, overcommit, most, memories }: Arena): number {
    if (room >= BLOCK_SIZE || !overcommit) return Math.floor(room / BLOCK_SIZE) * BLOCK_SIZE
    return this.#pieces.reduce((left, piece) => memories.has(piece) ? piece.regions.reduce((less, { size }) => less - size, left) : left, most)
  }

  #pieceIn(arena: Arena): GuestMemory {
    const known = this.#pieces.find((piece) => piece.arena === arena)
    if (known !== undefined) return known
    const piece = new GuestMemory(arena, true, this)
    piece.source = this.#source
    this.#pieces.push(piece)
    return piece
  }

  override get source(): PageSource | null {
    return this.#source
  }

  override set source(source: PageSource | null) {
    this.#source = source
    for (const piece of this.#pieces) piece.source = source
  }

  #partsOf(region: RamRegion): readonly Part[] {
    const parts = this.#parts.get(region)
    if (parts === undefined) throw new RangeError(`${region.name} is not of this memory`)
    return parts
  }

  /** The part in which a page of a region is, and which of its pages it is. */
  #partOf(region: RamRegion, page: number): { readonly piece: GuestMemory; readonly part: RamRegion; readonly number: number } {
    let number = page
    for (const { piece, region: part } of this.#partsOf(region)) {
      if (number < part.size / PAGE_SIZE) return { piece, part, number }
      number -= part.size / PAGE_SIZE
    }
    throw new RangeError(`${region.name} has no page ${page}`)
  }

  override place(region: RamRegion, numbers: Uint32Array): void {
    if (numbers.length > region.size / PAGE_SIZE) throw new RangeError(`${region.name} has no such pages`)
    let first = 0
    for (const { piece, region: part } of this.#partsOf(region)) {
      piece.place(part, numbers.subarray(first, first + part.size / PAGE_SIZE))
      first += part.size / PAGE_SIZE
    }
  }

  override placeOf(region: RamRegion, page: number): number {
    const { piece, part, number } = this.#partOf(region, page)
    return piece.placeOf(part, number)
  }

  override frame(region: RamRegion, page: number): Uint8Array | null {
    const { piece, part, number } = this.#partOf(region, page)
    return piece.frame(part, number)
  }

  /** 0: an address in which arena nobody could tell. */
  override frameAddress(): number {
    return 0
  }

  override isDirty(region: RamRegion, page: number): boolean {
    const { piece, part, number } = this.#partOf(region, page)
    return piece.isDirty(part, number)
  }

  /** The piece in which all of a range is. */
  #pieceOf(address: number, length: number): GuestMemory | null {
    for (const piece of this.#pieces) if (piece.contains(address, length)) return piece
    return null
  }

  override contains(address: number, length: number): boolean {
    return length >= 0 && this.#whole.some(({ base, size }) => address >= base && address + length <= base + size)
  }

  /** Visits the parts of a range of one region, in order, until it is false for one; false, too, for what is no range. */
  #visit(address: number, length: number, visit: Visit): boolean {
    const region = this.#whole.find(({ base, size }) => address >= base && address + length <= base + size)
    if (region === undefined || !Number.isSafeInteger(address) || !Number.isSafeInteger(length) || length < 0) return false
    for (const { piece, region: { base, size } } of this.#partsOf(region)) {
      const from = Math.max(address, base)
      const to = Math.min(address + length, base + size)
      if (from < to && !visit(piece, from, from - address, to - address)) return false
    }
    return true
  }

  override read(address: number, into: Uint8Array): boolean {
    if (super.read(address, into)) return true
    return this.#visit(address, into.length, (piece, at, start, end) => piece.read(at, into.subarray(start, end)))
  }

  override write(address: number, from: Uint8Array): boolean {
    if (super.write(address, from)) return true
    return this.#visit(address, from.length, (piece, at, start, end) => piece.write(at, from.subarray(start, end)))
  }

  override read16(address: number): number {
    const value = super.read16(address)
    return value >= 0 ? value : this.#pieceOf(address, 2)?.read16(address) ?? this.#number(address, 2)
  }

  override read32(address: number): number {
    const value = super.read32(address)
    return value >= 0 ? value : this.#pieceOf(address, 4)?.read32(address) ?? this.#number(address, 4)
  }

  /** A number that lies in two pieces, or nowhere. */
  #number(address: number, width: 2 | 4): number {
    const bytes = new Uint8Array(4)
    return this.read(address, bytes.subarray(0, width)) ? new DataView(bytes.buffer).getUint32(0, true) : -1
  }

  override readWords(address: number, into: Uint32Array): boolean {
    if (super.readWords(address, into)) return true
    const piece = this.#pieceOf(address, 4 * into.length)
    if (piece !== null) return piece.readWords(address, into)
    if (!this.contains(address, 4 * into.length)) return false
    for (let index = 0; index < into.length; index++) into[index] = this.read32(address + 4 * index)
    return true
  }

  override write16(address: number, value: number): boolean {
    if (super.write16(address, value)) return true
    return this.#pieceOf(address, 2)?.write16(address, value) ?? this.write(address, Uint8Array.of(value, value >>> 8))
  }

  override write32(address: number, value: number): boolean {
    if (super.write32(address, value)) return true
    return this.#pieceOf(address, 4)?.write32(address, value) ?? this.write(address, Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24))
  }

  override map(address: number, length: number, access: 'read' | 'write'): readonly Uint8Array[] | null {
    const views: Uint8Array[] = []
    const all = this.#visit(address, length, (piece, at, start, end) => {
      const some = piece.map(at, end - start, access)
      views.push(...some ?? [])
      return some !== null
    })
    return all ? views : null
  }

  override release(address: number, length: number): boolean {
    return this.#visit(address, length, (piece, at, start, end) => piece.release(at, end - start))
  }

  override takeDirty(only?: RamRegion): number[] {
    return (only === undefined ? this.#whole : [only]).flatMap((region) => this.#partsOf(region).flatMap(({ piece, region: part }) => piece.takeDirty(part)))
  }

  override clear(only?: RamRegion): void {
    for (const region of only === undefined ? this.#whole : [only]) for (const { piece, region: part } of this.#partsOf(region)) piece.clear(part)
  }

  override fork(): GuestMemory {
    const copy = new WideMemory(this.arena, this.#more)
    copy.#source = this.#source
    const copies = new Map(this.#pieces.map((piece): [GuestMemory, GuestMemory] => [piece, piece.fork(copy)]))
    copy.#pieces.push(...copies.values())
    for (const region of this.#whole) {
      copy.#add(this.#partsOf(region).flatMap(({ piece, region: part }) => {
        const other = copies.get(piece)
        const there = other?.regions.find(({ base }) => base === part.base)
        return other === undefined || there === undefined ? [] : [{ piece: other, region: there }]
      }), { ...region })
    }
    return copy
  }

  override copyInto(arena: Arena): GuestMemory {
    const copy = new GuestMemory(arena)
    try {
      copy.source = this.#source
      for (const region of this.#whole) {
        let map = copy.addRam(region.name, region.base, region.size).map
        for (const { piece, region: part } of this.#partsOf(region)) {
          copy.pager.copy(piece.image, part.map, map, part.size / PAGE_SIZE, (entry, into) => { piece.pager.load(entry, into) })
          map += (part.size / PAGE_SIZE) * 4
        }
      }
    } catch (error) {
      copy.dispose()
      throw error
    }
    return copy
  }

  /** @throws a typed error `'memory-image'`: another thread copies memory of one arena */
  override get image(): MemoryImage {
    throw machinistError({ code: 'memory-image', part: 'memory', value: `${this.#pieces.length} arenas`, remedy: 'Save the machine, and restore it there.' }, 'memory in several arenas is not handed over')
  }

  /** @param most - pages of each piece */
  override bring(most: number): boolean {
    return this.#pieces.some((piece) => piece.bring(most))
  }

  override dispose(): void {
    for (const piece of this.#pieces) {
      piece.dispose()
      if (piece.arena !== this.arena) piece.arena.disposeUnused()
    }
    this.#pieces.length = this.#whole.length = 0
    this.#parts.clear()
    super.dispose()
  }
}
