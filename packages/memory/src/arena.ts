import { machinistError } from '@machinist/api'

/** Bytes in a page of guest memory, and in the frame that backs it. */
export const PAGE_SIZE = 4096

const WASM_PAGE = 65536

/** What an arena lives in: a `WebAssembly.Memory` (shared or not), or anything of that shape. */
export interface LinearMemory {
  readonly buffer: ArrayBufferLike
  /** Adds pages of 64 KiB, zeroed; throws when there is no more. */
  grow(pages: number): number
}

/** Views of all of an arena. They are made anew when it grows: never keep one across a call. */
export interface ArenaViews {
  readonly u8: Uint8Array
  readonly i32: Int32Array
  readonly u32: Uint32Array
  readonly data: DataView
}

/**
 * One linear memory, one trust domain: structures that generated code reads at fixed addresses, and the frames
 * that back guest pages. Addresses are byte offsets below 2^32. Address 0 is never handed out.
 */
export class Arena {
  #memory: LinearMemory
  /** Bytes that this arena may grow to. */
  readonly maximum: number
  #next = 64
  #end: number
  #reserved = 0
  #views: ArenaViews
  readonly #freeFrames: number[] = []
  #frames = 0

  /** @param maximum - bytes; at most 4 GiB, and at most what `memory` was made to grow to */
  constructor(memory: LinearMemory, maximum: number) {
    this.#memory = memory
    this.maximum = maximum
    this.#end = memory.buffer.byteLength
    this.#views = viewsOf(memory.buffer)
  }

  /** @throws a typed error `'disposed'` once it was disposed of, as all views do */
  get memory(): LinearMemory {
    return this.#memory
  }
  get u8(): Uint8Array {
    return this.#views.u8
  }
  get i32(): Int32Array {
    return this.#views.i32
  }
  get u32(): Uint32Array {
    return this.#views.u32
  }
  get data(): DataView {
    return this.#views.data
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
   * Takes zeroed bytes for a structure, for the life of the arena.
   *
   * @param align - a power of two
   */
  allocate(bytes: number, align: number = 64): number {
    const address = Math.ceil(this.#next / align) * align
    this.#ensure(address + bytes)
    this.#next = address + bytes
    return address
  }

  /** Takes a zeroed frame of {@link PAGE_SIZE} bytes; returns its address. */
  takeFrame(): number {
    const free = this.#freeFrames.pop()
    this.#frames++
    if (free !== undefined) {
      this.u8.fill(0, free, free + PAGE_SIZE)
      return free
    }
    return this.allocate(PAGE_SIZE, PAGE_SIZE)
  }

  /** Gives a frame back. */
  freeFrame(address: number): void {
    this.#frames--
    this.#freeFrames.push(address)
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
    this.#views = viewsOf(this.#memory.buffer)
  }

  /** Lets go of the linear memory, so that the host gets it back even while somebody holds the arena. */
  dispose(): void {
    this.#memory = goneMemory
    this.#views = goneViews
  }
}

function gone(): never {
  throw machinistError({ code: 'disposed', part: 'memory', remedy: 'Look at memory before the machine is disposed of.' }, 'the memory was given back to the host')
}

const goneMemory: LinearMemory = { get buffer() { return gone() }, grow: gone }
const goneViews: ArenaViews = { get u8() { return gone() }, get i32() { return gone() }, get u32() { return gone() }, get data() { return gone() } }

function viewsOf(buffer: ArrayBufferLike): ArenaViews {
  return { u8: new Uint8Array(buffer), i32: new Int32Array(buffer), u32: new Uint32Array(buffer), data: new DataView(buffer) }
}
