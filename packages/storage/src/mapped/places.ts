import type { StagedFile } from './staged.ts'

/**
 * Places that blocks have in the file, to find those that two of them have, and those that none has. Bounded by the file, which has no more
 * places than this has bits.
 */
export class Places {
  readonly #bits: Uint8Array
  readonly #count: number
  used = 0

  constructor(count: number) {
    this.#count = count
    this.#bits = new Uint8Array(Math.ceil(count / 8))
  }

  /** Whether it was free. */
  take(place: number): boolean {
    if (this.#isTaken(place)) return false
    this.#bits[Math.floor(place / 8)] = (this.#bits[Math.floor(place / 8)] ?? 0) | 1 << (place % 8)
    this.used += 1
    return true
  }

  /** Takes places that follow one another, as far as there are such; whether all were free. */
  takeAll(place: number, count: number): boolean {
    let all = true
    for (const end = Math.min(place + count, this.#count); place < end; place++) {
      if (place % 8 === 0 && place + 8 <= end && this.#bits[place / 8] === 0) {
        this.#bits[place / 8] = 0xff
        this.used += 8
        place += 7
      } else all = this.take(place) && all
    }
    return all
  }

  /** Gives places back. */
  freeAll(place: number, count: number): void {
    for (const end = Math.min(place + count, this.#count); place < end; place++) {
      if (!this.#isTaken(place)) continue
      this.#bits[Math.floor(place / 8)] = (this.#bits[Math.floor(place / 8)] ?? 0) & ~(1 << (place % 8))
      this.used -= 1
    }
  }

  /** The first of `count` free places that follow one another, from `from` on and all before `below`; null when there are none. */
  gap(from: number, count: number, below: number): number | null {
    let start = from
    for (let at = from; at < below; at++) {
      if (at % 8 === 0 && this.#bits[at / 8] === 0xff) {
        start = at + 8
        at += 7
        continue
      }
      if (this.#isTaken(at)) start = at + 1
      else if (at + 1 - start === count) return start
    }
    return null
  }

  /** How often `count` places that follow one another are free, from `from` on and before the last that is taken. */
  gaps(from: number, count: number): number {
    let found = 0
    for (let at = this.gap(from, count, this.end); at !== null; at = this.gap(at + count, count, this.end)) found += 1
    return found
  }

  /** One more than the last that is taken. */
  get end(): number {
    let byte = this.#bits.length - 1
    while (byte >= 0 && this.#bits[byte] === 0) byte -= 1
    return byte < 0 ? 0 : byte * 8 + 32 - Math.clz32(this.#bits[byte] ?? 0)
  }

  /** How many are taken before one. */
  takenBefore(place: number): number {
    let count = 0
    for (let at = 0; at < place; at++) if (this.#isTaken(at)) count += 1
    return count
  }

  #isTaken(place: number): boolean {
    return ((this.#bits[Math.floor(place / 8)] ?? 0) & 1 << (place % 8)) !== 0
  }
}

/** An image whose blocks can be moved. */
export interface Movable {
  readonly staged: StagedFile
  /** What is used of the file, in units; complete, and nothing twice. */
  readonly taken: Places
  /** Bytes of a unit, and where in the file the first one is. */
  readonly unit: number
  readonly base: number
  /** The first unit that a block may have. */
  readonly first: number
  /** Bytes of a block in the file. */
  readonly length: number
  /** Goes through all blocks that have a place: which, and from which byte of the file on. */
  each(visit: (block: number, place: number) => void): Promise<void>
  /** Says in the tables that the content of a block begins at another byte of the file. */
  name(block: number, place: number): Promise<void>
}

/** Moves that are made together. */
const most = 16384
const chunk = 1 << 20

/**
 * Moves blocks from the end of the file into gaps, as few as are needed, so that the file can be shorter. All is stable afterwards. In between a block is in two
 * places, and the tables name one of them.
 *
 * @returns where the last thing ends that is used, in bytes
 */
export async function closeGaps({ staged, taken, unit, base, first, length, each, name }: Movable): Promise<number> {
  const units = Math.ceil(length / unit)
  // Down to where all would end without gaps; and then, where gaps were too small for that, whatever can still move down.
  for (const limit of [first + taken.used - taken.takenBefore(first), 0]) {
    for (;;) {
      const moves: { readonly block: number, readonly from: number, readonly to: number }[] = []
      const end = taken.end
      let gap = taken.gap(first, units, end)
      await each((block, place) => {
        const from = (place - base) / unit
        if (gap === null || from < limit || gap + units > from || moves.length === most) return
        moves.push({ block, from, to: gap })
        taken.takeAll(gap, units)
        gap = taken.gap(gap + units, units, end)
      })
      if (moves.length === 0) break
      for (const { block, from, to } of moves) {
        await copy(staged, base + from * unit, base + to * unit, length)
        await name(block, base + to * unit)
      }
      await staged.flush()
      for (const { from } of moves) taken.freeAll(from, units)
    }
  }
  return base + taken.end * unit
}

async function copy(staged: StagedFile, from: number, to: number, length: number): Promise<void> {
  for (let done = 0; done < length; done += chunk) {
    const bytes = new Uint8Array(Math.min(chunk, length - done))
    // The last block may be cut short by the end of the file, and reads as zeroes there.
    bytes.fill(0, await staged.file.read(from + done, bytes))
    await staged.write(to + done, bytes)
  }
}
