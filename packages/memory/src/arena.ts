import { machinistError } from '@machinist/api'
import { FrameBudget } from './frame-budget.ts'
import { FreeFrames } from './free-frames.ts'
import type { GuestMemory } from './guest-memory.ts'
import type { ParkedPages } from './parked/parked-pages.ts'
import { pageHash, samePage } from './page-hash.ts'
import { BLOCK_FRAMES, BLOCK_SIZE, PAGE_SIZE } from './page-size.ts'

const WASM_PAGE = 65536

/**
 * The frame table has a record for each frame that an arena can have: how many pages have it (32 bits), and flags. It lies in the
 * arena, so that whoever shares the arena shares it.
 */
const FRAME_RECORD = 8
const REFERENCES = 0
const FLAGS = 4

/** Where structures end that lie at the same addresses in every arena; smaller ones than {@link LEAST_WITH_FIRST} have no room for them. */
const FIRST_END = 2 ** 20
const LEAST_WITH_FIRST = 64 * 2 ** 20

/** Flag of a frame: some CPU holds code that was decoded from it. */
const FRAME_CODE = 1

/** What an arena lives in: a `WebAssembly.Memory` (shared or not), or anything of that shape. */
export interface LinearMemory {
  readonly buffer: ArrayBufferLike
  /** Adds pages of 64 KiB, zeroed; throws when there is no more. */
  grow(pages: number): number
  /**
   * Gives the host back what is behind `length` bytes at `offset`, both multiples of 4096, at once. When it returns true, they read as zeros, and may be used again as if nothing had been; it is false, and nothing has changed, when that
   * cannot be done here. Absent where the host knows no such thing: then what is freed serves others of the arena alone.
   */
  discard?(offset: number, length: number): boolean
  /** As {@link pageHash}, of the page at an offset. Absent where a loop is as quick. */
  hash?(offset: number): number
  /** Whether the pages at two offsets hold the same. Absent where a loop is as quick. */
  same?(offset: number, other: number): boolean
}

/** What an {@link Arena} may be told. */
export interface ArenaOptions {
  /** How many frames it may have, perhaps together with others. No limit unless given. */
  readonly budget?: FrameBudget
  /**
   * True: {@link Arena.reserve} promises nothing, so that machines may have more memory in all than the arena has. A machine that touches memory when there is no more fails with `'arena-full'`. False unless given.
   */
  readonly overcommit?: boolean
  /** True: it stays when its last machine goes, until it is disposed of. False unless given. */
  readonly kept?: boolean
  /** True: neighbouring pages may get their frames together, in blocks that the tables of hardware map by one entry: see {@link GuestMemory.populate}. False unless given. */
  readonly blocks?: boolean
}

/** A block is used while less than this part of the budget is: zeros that nobody ever touches are the first that must go. */
const ROOMY = 0.5

/** Bytes of structures that were given back, and are nothing to whoever wants frames, of which {@link Arena.most} has left out as many. */
const LOOSE = BLOCK_SIZE / 2

/** Frames that were freed and are given back to the host at once, at least. */
const DISCARD_BATCH = 256

/** Views of all of an arena. They are made anew when it grows: never keep one across a call. */
export interface ArenaViews {
  readonly u8: Uint8Array
  readonly u16: Uint16Array
  readonly i32: Int32Array
  readonly u32: Uint32Array
  readonly data: DataView
}

/**
 * One linear memory, one trust domain: structures that generated code reads at fixed addresses, and the frames
 * that back guest pages. Addresses are byte offsets below 2^32. Address 0 is never handed out.
 */
export class Arena implements ArenaViews {
  // Properties, as they are looked at several times for each access of a device: reading them takes no call.
  readonly u8!: Uint8Array
  readonly u16!: Uint16Array
  readonly i32!: Int32Array
  readonly u32!: Uint32Array
  readonly data!: DataView
  #memory: LinearMemory
  /** Bytes that this arena may grow to. */
  readonly maximum: number
  #first = 64
  #firstEnd = FIRST_END
  #next = 64
  #end: number
  #reserved = 0
  readonly #freeFrames = new FreeFrames()
  /** Structures that were given back, all zeros, by their length. */
  readonly #freeStructures = new Map<number, number[]>()
  /** Bytes of these. */
  #loose = 0
  readonly #frameTable: number
  /** Bytes of RAM for which it has frames, and page maps with them: a whole number of blocks. */
  readonly most: number
  #sharing = 0
  #frames = 0
  /** All memory that is here: of machines, and of what was saved of them. */
  readonly memories: Set<GuestMemory> = new Set()
  readonly budget: FrameBudget
  readonly overcommit: boolean
  readonly blocks: boolean
  readonly #kept: boolean
  #disposed = false
  /** Has the content of pages that lost their frames. */
  parked: ParkedPages | null = null
  readonly #codeListeners: ((frame: number) => void)[] = []

  /** @param maximum - bytes; at most 4 GiB, and at most what `memory` was made to grow to */
  constructor(memory: LinearMemory, maximum: number, { budget = new FrameBudget(), overcommit = false, kept = false, blocks = false }: ArenaOptions = {}) {
    this.budget = budget
    this.overcommit = overcommit
    this.blocks = blocks
    this.#kept = kept
    this.#memory = memory
    this.maximum = maximum
    this.#end = memory.buffer.byteLength
    Object.assign(this, viewsOf(memory.buffer))
    if (maximum >= LEAST_WITH_FIRST) this.#next = FIRST_END
    this.#frameTable = this.allocate(Math.ceil(maximum / PAGE_SIZE) * FRAME_RECORD)
    // A page map has 4 bytes for each page, and one block is left for other structures.
    this.most = Math.max(0, Math.floor(((maximum - this.#next - BLOCK_SIZE) * PAGE_SIZE) / (PAGE_SIZE + 4) / BLOCK_SIZE) * BLOCK_SIZE)
  }

  /** Bytes of RAM that it still has frames for when all memory that is here touches all of its own; less than 0 when it has not even those. */
  get room(): number {
    let sum = 0
    for (const { regions } of this.memories) for (const { size } of regions) sum += size
    return this.most - sum - Math.max(0, this.#loose - LOOSE)
  }

  /** @throws a typed error `'disposed'` once it was disposed of, as all views do */
  get memory(): LinearMemory {
    return this.#memory
  }

  /** How many memories are here. */
  get members(): number {
    return this.memories.size
  }

  /** Pages that have a frame which another page had before: 0 when each has its own. */
  get sharing(): number {
    return this.#sharing
  }

  /** Whether it was disposed of. */
  get disposed(): boolean {
    return this.#disposed
  }

  /** Frames in use. */
  get frames(): number {
    return this.#frames
  }

  /**
   * Promises `bytes` to somebody who will take frames one at a time, so that a machine that was admitted does not
   * run out later.
   *
   * @throws a typed error `'too-much-memory'` when what is left does not suffice
   */
  reserve(bytes: number, part: string): void {
    if (this.overcommit) return
    const left = this.maximum - this.#next - this.#reserved + this.#freeFrames.length * PAGE_SIZE
    if (bytes > left) {
      throw machinistError(
        { code: 'too-much-memory', part, value: `${bytes} bytes`, remedy: `Ask for at most ${Math.max(0, Math.floor(left / 2 ** 20))} MiB.` },
        'more memory than this arena has left',
      )
    }
    this.#reserved += bytes
  }

  /** Gives back a promise, or the part of it that was not used. */
  release(bytes: number): void {
    this.#reserved = Math.max(0, this.#reserved - bytes)
  }

  /**
   * Takes zeroed bytes for a structure.
   *
   * @param align - a power of two
   */
  allocate(bytes: number, align: number = 64): number {
    const again = this.#freeStructures.get(bytes)?.pop()
    if (again !== undefined && again % align === 0) {
      this.#loose -= bytes
      return again
    }
    if (again !== undefined) this.#freeStructures.get(bytes)?.push(again)
    const address = Math.ceil(this.#next / align) * align
    this.#ensure(address + bytes)
    this.#next = address + bytes
    return address
  }

  /**
   * The same, at an address that depends on nothing but what was taken so before: code that names it can be the same for all arenas. When there is no
   * room, it is any address.
   *
   * @param fromEnd - taken from the other end of the room, on which what is taken from this one has no influence: for another kind of code
   */
  allocateFirst(bytes: number, fromEnd: boolean = false): number {
    const again = this.#freeStructures.get(bytes)?.pop()
    if (again !== undefined) {
      this.#loose -= bytes
      return again
    }
    if (fromEnd) {
      const address = Math.floor((this.#firstEnd - bytes) / 64) * 64
      if (this.maximum < LEAST_WITH_FIRST || address < this.#first) return this.allocate(bytes)
      return this.#firstEnd = address
    }
    const end = Math.ceil((this.#first + bytes) / 64) * 64
    if (this.maximum < LEAST_WITH_FIRST || end > this.#firstEnd) return this.allocate(bytes)
    const address = this.#first
    this.#first = end
    return address
  }

  /** Gives back a structure of {@link Arena.allocate} or {@link Arena.allocateFirst}, which will serve others of that length. */
  free(address: number, bytes: number): void {
    this.u8.fill(0, address, address + bytes)
    this.freeZeroed(address, bytes)
  }

  /** The same for a structure that is all zeros already, so that memory that nobody ever wrote to stays that way. */
  freeZeroed(address: number, bytes: number): void {
    this.#loose += bytes
    const list = this.#freeStructures.get(bytes)
    if (list === undefined) this.#freeStructures.set(bytes, [address])
    else list.push(address)
  }

  /**
   * Takes a frame of {@link PAGE_SIZE} bytes for one page; returns its address.
   *
   * @param zeroed - false when all of it is written at once anyway
   * @throws a typed error `'arena-full'` or `'host-memory'`
   */
  takeFrame(zeroed: boolean = true): number {
    const free = zeroed ? this.#freeFrames.takeZeroed((old) => this.u8.fill(0, old, old + PAGE_SIZE)) : this.#freeFrames.take()
    const frame = free ?? this.allocate(PAGE_SIZE, PAGE_SIZE)
    this.#frames++
    this.budget.used++
    this.u32[this.#record(frame) + REFERENCES / 4] = 1
    return frame
  }

  /**
   * Takes many frames, of any content: those that are free, and then such as follow one another; returns their addresses in order.
   *
   * @throws a typed error `'arena-full'` or `'host-memory'`; none is taken then
   */
  takeFrames(count: number): Float64Array {
    const frames = new Float64Array(count)
    const fresh = Math.max(0, count - this.#freeFrames.length)
    // First what may fail.
    const first = fresh === 0 ? 0 : this.allocate(fresh * PAGE_SIZE, PAGE_SIZE)
    for (let n = 0; n < count; n++) frames[n] = n < fresh ? first + n * PAGE_SIZE : this.#freeFrames.take() ?? 0
    frames.sort()
    const { u32 } = this
    for (const frame of frames) u32[this.#record(frame) + REFERENCES / 4] = 1
    this.#frames += count
    this.budget.used += count
    return frames
  }

  /** Takes a block of {@link BLOCK_SIZE} bytes, aligned, all zeros: the address of the first of its frames. 0 when there is none, or there are better uses for it. */
  takeBlock(): number {
    if (!this.blocks || this.budget.used + BLOCK_FRAMES > this.budget.limit * ROOMY) return 0
    const again = this.#freeFrames.takeBlock()
    const block = again ?? this.#freshBlock()
    if (block === 0) return 0
    if (again !== undefined) this.u8.fill(0, block, block + BLOCK_SIZE)
    this.#frames += BLOCK_FRAMES
    this.budget.used += BLOCK_FRAMES
    const { u32 } = this
    const first = this.#record(block) + REFERENCES / 4
    for (let at = first; at < first + BLOCK_FRAMES * (FRAME_RECORD / 4); at += FRAME_RECORD / 4) u32[at] = 1
    return block
  }

  #freshBlock(): number {
    const next = Math.ceil(this.#next / PAGE_SIZE) * PAGE_SIZE
    const block = Math.ceil(next / BLOCK_SIZE) * BLOCK_SIZE
    if (block + BLOCK_SIZE > this.maximum) return 0
    this.#ensure(block + BLOCK_SIZE)
    this.#next = block + BLOCK_SIZE
    // What lies before it serves as single frames.
    for (let frame = next; frame < block; frame += PAGE_SIZE) this.#freeFrames.put(frame)
    return block
  }

  /** A hash of what a frame holds: 0 for zeros, and for nothing else. */
  hash(frame: number): number {
    return this.#memory.hash?.(frame) ?? pageHash(this.u32, frame >>> 2)
  }

  /** Whether two frames hold the same. */
  same(frame: number, other: number): boolean {
    return this.#memory.same?.(frame, other) ?? samePage(this.u32, frame >>> 2, other >>> 2)
  }

  /** One more page has a frame. */
  shareFrame(frame: number): void {
    const at = this.#record(frame) + REFERENCES / 4
    this.u32[at] = (this.u32[at] ?? 0) + 1
    this.#sharing++
  }

  /** One page fewer has each of these frames; nobody may reach them through those pages any more. The last one gives a frame back. */
  freeFrames(frames: readonly number[]): void {
    const { u32 } = this
    const free: number[] = []
    for (const frame of frames) {
      const at = this.#record(frame)
      const left = (u32[at + REFERENCES / 4] ?? 0) - 1
      u32[at + REFERENCES / 4] = left
      if (left > 0) {
        this.#sharing--
        continue
      }
      if (((u32[at + FLAGS / 4] ?? 0) & FRAME_CODE) !== 0) for (const listener of this.#codeListeners) listener(frame)
      u32[at + FLAGS / 4] = 0
      this.#frames--
      this.budget.used--
      free.push(frame)
    }
    if (this.blocks) this.#freeFrames.putAll(free)
    else for (const frame of free) this.#freeFrames.put(frame)
  }

  /**
   * Gives free frames back to the host, in batches.
   *
   * @param keep - free frames that the host need not have back
   * @param most - frames, about
   * @returns how many; 0 when the host knows no such thing
   */
  discardFree(keep: number = 0, most: number = Infinity): number {
    const memory = this.#memory
    const count = Math.min(most, this.#freeFrames.undiscarded - keep)
    if (memory.discard === undefined || count <= 0 || (count < DISCARD_BATCH && keep > 0)) return 0
    return this.#freeFrames.discard(count, (offset, length) => memory.discard?.(offset, length) === true)
  }

  /** Free frames of which the host has nothing back. */
  get undiscarded(): number {
    return this.#freeFrames.undiscarded
  }

  /** One page fewer has a frame that other pages have, too. False, and nothing changes, when no other has it: see {@link Arena.freeFrames}. */
  unshareFrame(frame: number): boolean {
    const { u32 } = this
    const at = this.#record(frame) + REFERENCES / 4
    const references = u32[at] ?? 0
    if (references <= 1) return false
    u32[at] = references - 1
    this.#sharing--
    return true
  }

  /** How many pages have a frame. */
  references(frame: number): number {
    return this.u32[this.#record(frame) + REFERENCES / 4] ?? 0
  }

  /** Whether some CPU holds code that was decoded from a frame. */
  hasCode(frame: number): boolean {
    return ((this.u32[this.#record(frame) + FLAGS / 4] ?? 0) & FRAME_CODE) !== 0
  }

  /** Says that a CPU holds code that was decoded from a frame, until it is told to forget it. */
  markCode(frame: number): void {
    const at = this.#record(frame) + FLAGS / 4
    this.u32[at] = (this.u32[at] ?? 0) | FRAME_CODE
  }

  /**
   * Registers a CPU that holds code by frame: it is told of each frame with code that no page has any more, and forgets what it holds.
   *
   * @returns what ends that
   */
  onCodeFreed(listener: (frame: number) => void): () => void {
    this.#codeListeners.push(listener)
    return () => { this.#codeListeners.splice(this.#codeListeners.indexOf(listener), 1) }
  }

  /** Index of a frame's record in {@link Arena.u32}. */
  #record(frame: number): number {
    return (this.#frameTable >>> 2) + (frame >>> 12) * (FRAME_RECORD / 4)
  }

  #ensure(end: number): void {
    if (end <= this.#end) return
    // Growing is a system call and makes new views, so it goes in steps of at least 16 MiB while they fit.
    const want = Math.min(this.maximum, Math.max(end, this.#end + 16 * 2 ** 20))
    if (end > want) {
      throw machinistError(
        { code: 'arena-full', part: 'memory', value: `${end} bytes`, remedy: 'Give the machine less memory, or the arena more.' },
        'the arena is full',
      )
    }
    const pages = Math.ceil((want - this.#end) / WASM_PAGE)
    try {
      this.#memory.grow(pages)
    } catch {
      throw machinistError(
        { code: 'host-memory', part: 'memory', value: `${pages * WASM_PAGE} bytes`, remedy: 'Free memory on the host, or give machines less.' },
        'the host has no more memory',
      )
    }
    this.refresh()
  }

  /** Makes the views anew, after somebody else (another thread) grew the memory. */
  refresh(): void {
    this.#end = this.#memory.buffer.byteLength
    Object.assign(this, viewsOf(this.#memory.buffer))
  }

  /** Disposes of it, unless memory is here, or it is kept. */
  disposeUnused(): void {
    if (this.members === 0 && !this.#kept) this.dispose()
  }

  /** Lets go of the linear memory, so that the host gets it back even while somebody holds the arena. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.budget.used -= this.#frames
    this.#memory = goneMemory
    Object.defineProperties(this, goneViews)
  }
}

function gone(): never {
  throw machinistError({ code: 'disposed', part: 'memory', remedy: 'Look at memory before the machine is disposed of.' }, 'the memory was given back to the host')
}

const goneMemory: LinearMemory = { get buffer() { return gone() }, grow: gone }
// Who looks at a disposed arena as a whole is not to stumble over them.
const goneView = { get: gone, enumerable: false }
const goneViews = { u8: goneView, u16: goneView, i32: goneView, u32: goneView, data: goneView }

function viewsOf(buffer: ArrayBufferLike): ArenaViews {
  return { u8: new Uint8Array(buffer), u16: new Uint16Array(buffer), i32: new Int32Array(buffer), u32: new Uint32Array(buffer), data: new DataView(buffer) }
}
