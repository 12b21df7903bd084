import type { Arena } from './arena.ts'
import { frameOf, hasFrame, isParked, PAGE_CODE, PAGE_DIRTY, PAGE_PARKED, PAGE_PRESENT, PAGE_SHARED, PAGE_WAITING, presentEntry, type RamRegion } from './page-map.ts'
import { BLOCK_FRAMES, PAGE_SIZE } from './page-size.ts'
import type { ParkedPages } from './parked/parked-pages.ts'

/** Memory of a machine as another thread can copy it: plain data that `postMessage` takes. An arena that is not shared is copied by it. */
export interface MemoryImage {
  /** All of the arena. */
  readonly buffer: ArrayBufferLike
  /** Ranges of guest-physical addresses, with their page maps in {@link buffer}. */
  readonly regions: readonly RamRegion[]
}

/** Where the content of pages is that have no frame: a snapshot's file, say. */
export interface PageSource {
  /**
   * Fills a page, at once.
   *
   * @param number - by which the page's entry knows it, from 1 to 2^20 − 1
   * @param into - {@link PAGE_SIZE} bytes of any content
   */
  load(number: number, into: Uint8Array): void
  /** One more memory has pages here. */
  hold?(): void
  /** One fewer: after the last, nothing is asked for any more. */
  release?(): void
}

/** Whether a page is all zeros, whose first word is at `index`. */
function isZero(words: Int32Array, index: number): boolean {
  for (let at = index; at < index + PAGE_SIZE / 4; at += 8) {
    if (((words[at] ?? 0) | (words[at + 1] ?? 0) | (words[at + 2] ?? 0) | (words[at + 3] ?? 0) | (words[at + 4] ?? 0) | (words[at + 5] ?? 0) | (words[at + 6] ?? 0) | (words[at + 7] ?? 0)) !== 0) return false
  }
  return true
}

/** Told when a page gets another frame: its old entry, and the new one, whose content is the same by now; and where in the arena the entry is. */
export type MoveListener = (from: number, to: number, entryAddress: number) => void

/**
 * Gives pages their frames when somebody wants to read or write them: zeros at the first touch, what a source has, a copy of what is shared.
 * CPUs and devices ask it when an entry does not let them do what they want.
 */
export class Pager {
  readonly #arena: Arena
  /** The machine was promised memory, of which each page that is touched takes its part. */
  readonly #promised: boolean
  #touched = 0
  #framed = true
  #source: PageSource | null = null
  /** Set by the CPU: what it knows of the old frame through this page must be dropped. */
  onMove: MoveListener | null = null
  /** Pages that gave their frames back because they were zeros, or were found equal to others, so far. */
  merged = 0
  /** Pages whose content came back from where it was parked, so far. */
  returned = 0
  /** Counts up whenever pages get or lose frames. */
  changes = 0
  readonly #owner: object

  /** @param owner - the memory whose pages these are */
  constructor(arena: Arena, promised: boolean, owner: object) {
    this.#arena = arena
    this.#promised = promised
    this.#owner = owner
  }

  /** Has the content of pages that are not present and not zero. */
  get source(): PageSource | null {
    return this.#source
  }

  set source(source: PageSource | null) {
    source?.hold?.()
    this.#source?.release?.()
    this.#source = source
  }

  /** Pages that have a frame. */
  get touched(): number {
    return this.#touched
  }

  /** Whether each page that was touched has a frame, as far as is known without a look at them: nothing was taken from it. */
  get framed(): boolean {
    return this.#framed
  }

  /**
   * Makes a page readable, or writable, which marks it dirty.
   *
   * @param entryAddress - of its page-map entry, in the arena
   * @returns the entry. If it says {@link PAGE_CODE}, the CPU must hear of what is written.
   * @throws typed errors when there is no memory, or what the source throws; the page is then as it was
   */
  fault(entryAddress: number, access: 'read' | 'write'): number {
    const arena = this.#arena
    const index = entryAddress >>> 2
    let entry = arena.u32[index] ?? 0
    if ((entry & PAGE_PRESENT) === 0) {
      if (hasFrame(entry)) entry = presentEntry(entry)
      else {
        arena.budget.want(1, this.#owner)
        entry = this.#bring(entry)
      }
      arena.u32[index] = entry
    }
    if (access === 'read') return entry
    if ((entry & PAGE_SHARED) !== 0) {
      arena.budget.want(1, this.#owner)
      entry = this.#own(entry, entryAddress)
    }
    entry = (entry | PAGE_DIRTY) >>> 0
    arena.u32[index] = entry
    return entry
  }

  /**
   * Gives frames that follow one another, and begin where a block does, to pages of which none is anything but zeros.
   *
   * @param first - index of the entry of the first page, in {@link Arena.u32}
   * @returns whether there were any
   */
  populate(first: number): boolean {
    const { u32 } = this.#arena
    for (let index = first; index < first + BLOCK_FRAMES; index++) if ((u32[index] ?? 0) !== 0) return false
    const block = this.#arena.takeBlock()
    if (block === 0) return false
    // The arena may have grown.
    const now = this.#arena.u32
    for (let page = 0; page < BLOCK_FRAMES; page++) now[first + page] = (block + page * PAGE_SIZE) | PAGE_PRESENT | PAGE_DIRTY
    this.#gained(BLOCK_FRAMES)
    return true
  }

  #bring(entry: number): number {
    const number = entry >>> 12
    const frame = this.#arena.takeFrame(number === 0)
    if (number !== 0) {
      try {
        this.load(entry, this.#arena.u8.subarray(frame, frame + PAGE_SIZE))
      } catch (error) {
        this.#arena.freeFrames([frame])
        throw error
      }
      if (isParked(entry)) {
        this.#store.drop(number)
        this.returned++
      }
    }
    this.#gained(1)
    return (frame | PAGE_PRESENT | (entry & PAGE_DIRTY)) >>> 0
  }

  /** The content of a page that has no frame and is not zeros. @throws what its source throws */
  load(entry: number, into: Uint8Array): void {
    const from = isParked(entry) ? this.#arena.parked : this.#source
    if (from === null) throw new RangeError(`nobody has page ${entry >>> 12}`)
    from.load(entry >>> 12, into)
  }

  get #store(): ParkedPages {
    if (this.#arena.parked === null) throw new RangeError('the arena has no parked pages')
    return this.#arena.parked
  }

  #gained(pages: number): void {
    this.#touched += pages
    this.changes++
    if (this.#promised) this.#arena.release(pages * PAGE_SIZE)
  }

  #lost(pages: number): void {
    this.#touched -= pages
    this.changes++
    // They may be touched again.
    if (this.#promised) this.#arena.reserve(pages * PAGE_SIZE, 'memory')
  }

  #own(entry: number, entryAddress: number): number {
    const arena = this.#arena
    const from = frameOf(entry)
    const flags = PAGE_PRESENT | (entry & PAGE_DIRTY)
    // The others have gone, or have got frames of their own.
    if (arena.references(from) === 1) return (from | flags | (arena.hasCode(from) ? PAGE_CODE : 0)) >>> 0
    const to = arena.takeFrame(false)
    arena.u8.copyWithin(to, from, from + PAGE_SIZE)
    arena.freeFrames([from])
    const moved = (to | flags) >>> 0
    this.onMove?.(entry, moved, entryAddress)
    return moved
  }

  /**
   * Takes the frames of pages away; they are zeros then.
   *
   * @param map - address of a page map
   * @param forgotten - called when no entry leads to the frames any more, before anybody else may get them
   */
  drop(map: number, first: number, count: number, forgotten: () => void): void {
    const { u32 } = this.#arena
    let dropped = 0
    // Of a copy, most pages share their frames with others: nobody gets those.
    const frames: number[] = []
    for (let index = (map >>> 2) + first; index < (map >>> 2) + first + count; index++) {
      const entry = u32[index] ?? 0
      if (entry === 0) continue
      u32[index] = 0
      if (isParked(entry)) this.#store.drop(entry >>> 12)
      if (!hasFrame(entry)) continue
      dropped++
      const frame = frameOf(entry)
      if ((entry & PAGE_SHARED) === 0 || !this.#arena.unshareFrame(frame)) frames.push(frame)
    }
    if (dropped === 0) return
    forgotten()
    this.#arena.freeFrames(frames)
    this.#lost(dropped)
  }

  /**
   * Lets a page that is present wait: whoever wants it asks first. Before anybody goes on, translations must be dropped.
   *
   * @param index - of its entry, in {@link Arena.u32}
   */
  wait(index: number): void {
    const { u32 } = this.#arena
    const entry = u32[index] ?? 0
    u32[index] = ((entry & (-PAGE_SIZE | PAGE_DIRTY | PAGE_CODE | PAGE_SHARED)) | PAGE_WAITING) >>> 0
  }

  /** A page that waits, or is nowhere in a TLB, and has its frame for itself, loses it: its content is zeros, or is parked under a number. */
  park(index: number, number: number): void {
    const arena = this.#arena
    const entry = arena.u32[index] ?? 0
    this.#framed = false
    arena.u32[index] = ((entry & PAGE_DIRTY) | (number === 0 ? 0 : (number << 12) | PAGE_PARKED)) >>> 0
    arena.freeFrames([frameOf(entry)])
    this.#lost(1)
  }

  /** A page that waits gets a frame with the same content, which others have, and loses its own. */
  join(index: number, frame: number): void {
    const arena = this.#arena
    const entry = arena.u32[index] ?? 0
    arena.shareFrame(frame)
    arena.u32[index] = (frame | PAGE_WAITING | PAGE_SHARED | (entry & PAGE_DIRTY)) >>> 0
    arena.freeFrames([frameOf(entry)])
    this.merged++
    this.changes++
  }

  /**
   * Gives pages frames with the content that those of a page map of `image` have. Frames that follow one another are copied in one piece; of pages that turn out to be zeros none is taken.
   *
   * @param load - gives the content of a parked page, by its entry; null when nobody here can
   * @throws typed errors when there is no memory; a RangeError for a page map that lies outside, as frames may, or of pages that only a source has when there is none. No frame is taken then
   */
  copy(image: Pick<MemoryImage, 'buffer'>, imageMap: number, map: number, count: number, load: ((entry: number, into: Uint8Array) => void) | null): void {
    const arena = this.#arena
    const { byteLength } = image.buffer
    const lies = (entry: number): boolean => hasFrame(entry) || isParked(entry)
    const wanted = new Uint32Array(image.buffer, imageMap, count).reduce((sum, entry) => sum + (lies(entry) ? 1 : 0), 0)
    arena.budget.want(wanted, this.#owner)
    // A copy: what was looked at is what is done. Not before: to make room, pages of an image in this arena may have been parked.
    const entries = new Uint32Array(image.buffer, imageMap, count).slice()
    const words = new Int32Array(image.buffer, 0, byteLength >>> 2)
    // In the order of frames, each with its page: 20 bits of either.
    const present = new Float64Array(count)
    const parked: number[] = []
    let found = 0
    for (let page = 0; page < count; page++) {
      const entry = entries[page] ?? 0
      if (hasFrame(entry)) {
        if (frameOf(entry) + PAGE_SIZE > byteLength) throw new RangeError('a frame outside its arena')
        if (isZero(words, frameOf(entry) >>> 2)) entries[page] = entry & PAGE_DIRTY
        else present[found++] = (entry >>> 12) * 2 ** 20 + page
      } else if (isParked(entry) && load !== null) parked.push(page)
      else if (entry >= PAGE_SIZE && (this.#source === null || isParked(entry))) throw new RangeError(`nobody has page ${entry >>> 12}`)
    }
    const all = found + parked.length
    const targets = arena.takeFrames(all)
    this.#gained(all)
    const place = (page: number, frame: number): void => {
      arena.u32[(map >>> 2) + page] = (frame | PAGE_PRESENT | ((entries[page] ?? 0) & PAGE_DIRTY)) >>> 0
    }
    for (let page = 0; page < count; page++) {
      const entry = entries[page] ?? 0
      if (lies(entry) || entry === 0) continue
      if (entry < PAGE_SIZE) this.#framed = false
      arena.u32[(map >>> 2) + page] = entry
    }
    const from = new Uint8Array(image.buffer)
    let [start, target, length] = [0, 0, 0]
    const flush = (): void => { arena.u8.set(from.subarray(start, start + length), target) }
    present.subarray(0, found).sort().forEach((each, index) => {
      const page = each % 2 ** 20
      const frame = ((each - page) / 2 ** 20) * PAGE_SIZE
      const to = targets[index] ?? 0
      if (frame !== start + length || to !== target + length) {
        flush()
        ;[start, target, length] = [frame, to, 0]
      }
      place(page, to)
      length += PAGE_SIZE
    })
    flush()
    // All have their places before something can be amiss.
    parked.forEach((page, index) => { place(page, targets[found + index] ?? 0) })
    parked.forEach((page, index) => {
      const to = targets[found + index] ?? 0
      load?.(entries[page] ?? 0, arena.u8.subarray(to, to + PAGE_SIZE))
    })
  }

  /**
   * Lets `other` have the content of a page map: all frames are shared from now on. Whoever has translations for writing to the pages
   * must drop them, and those for reading, of which the entries tell nothing any more.
   */
  share(map: number, other: Pager, otherMap: number, count: number): void {
    const { u32 } = this.#arena
    let shared = 0
    for (let page = 0; page < count; page++) {
      let entry = u32[(map >>> 2) + page] ?? 0
      if (entry === 0) continue
      if (hasFrame(entry)) {
        entry = ((presentEntry(entry) & ~PAGE_CODE) | PAGE_SHARED) >>> 0
        this.#arena.shareFrame(frameOf(entry))
        u32[(map >>> 2) + page] = entry
        shared++
      } else if (isParked(entry)) this.#store.hold(entry >>> 12)
      u32[(otherMap >>> 2) + page] = entry
    }
    other.#touched += shared
    other.#framed = this.#framed
    other.changes++
    other.source = this.source
  }
}
