import type { Arena } from '../arena.ts'
import type { GuestMemory } from '../guest-memory.ts'
import { frameOf, hasFrame, PAGE_CODE, PAGE_PRESENT, PAGE_SHARED } from '../page-map.ts'
import { PAGE_SIZE } from '../page-size.ts'
import { Hand } from './hand.ts'

/** Most pages that are known by their hash. */
const MOST_KNOWN = 2 ** 19
/** Makes the hash of a page that was never looked at differ from that of zeros. */
const NEVER = 0x5bd1_e995
const ZEROS = -1
/** Most entries of page maps that are passed at once. */
const MOST_ENTRIES = 16_384

/**
 * Finds pages of zeros, and pages that are equal to others of the arena, and gives their frames back: by a hash, and then by comparing. A page whose hash changed since the hand
 * was here before is left alone, as it will likely change again. Harts may run elsewhere meanwhile, and write: what is done depends on what pages hold after all have lost their translations. As ESX (Waldspurger, OSDI 2002, section 4) and KSM of Linux.
 */
export class Merger {
  readonly #arena: Arena
  readonly #hands = new WeakMap<GuestMemory, Hand>()
  /** Entries of pages by their hash, as indices in `Arena.u32`. What is there now must be looked at. */
  readonly #known = new Map<number, number>()
  /** By number of frame, the hash that it had. */
  #before = new Uint32Array(0)

  constructor(arena: Arena) {
    this.#arena = arena
  }

  /**
   * Looks at pages of a memory. Not in the middle of what any guest of the arena does.
   *
   * @param count - pages with frames, which take some microseconds each
   * @param eager - also takes pages that were never looked at before
   * @returns how many pages it went past, with frames or not, and how many frames came free
   */
  scan(memory: GuestMemory, count: number, eager: boolean = false): { readonly looked: number; readonly freed: number } {
    if (memory.pinned || count <= 0) return { looked: 0, freed: 0 }
    const { u32 } = this.#arena
    const held = new Set<number>()
    for (const each of this.#arena.memories) held.add(each.held?.() ?? 0)
    let hand = this.#hands.get(memory)
    if (hand === undefined) this.#hands.set(memory, hand = new Hand())
    /** A page, the memory of the page that is equal, and that; each the index of its entry. */
    const pairs: (readonly [number, GuestMemory | null, number])[] = []
    const visit = (index: number, frame: number): void => {
      if (held.has(frame)) return
      const hash = this.#arena.hash(frame)
      const same = this.#isAsBefore(frame, hash) || eager
      if (hash === 0) {
        if (same) pairs.push([index, null, ZEROS])
        return
      }
      const other = this.#known.get(hash)
      const owner = other === undefined ? null : this.#ownerOf(other)
      const there = other === undefined ? 0 : u32[other] ?? 0
      if (other === undefined || owner === null || owner.pinned || !hasFrame(there) || held.has(frameOf(there))) {
        this.#note(hash, index)
        return
      }
      if (frameOf(there) === frame || !same) return
      if (this.#arena.same(frame, frameOf(there))) pairs.push([index, owner, other])
      else this.#note(hash, index)
    }
    let left = count
    const looked = hand.go(memory, MOST_ENTRIES, (index) => {
      const entry = u32[index] ?? 0
      if (!hasFrame(entry)) return true
      visit(index, frameOf(entry))
      return --left > 0
    })
    this.#stop(memory, pairs)
    return { looked, freed: pairs.reduce((freed, pair) => freed + this.#join(memory, ...pair), 0) }
  }

  /** Nobody reaches the pages any more, but by asking. */
  #stop(memory: GuestMemory, pairs: readonly (readonly [number, GuestMemory | null, number])[]): void {
    const { u32 } = this.#arena
    const changed = new Map<GuestMemory, number[]>()
    const wait = (owner: GuestMemory, index: number): void => {
      if (((u32[index] ?? 0) & PAGE_PRESENT) === 0) return
      owner.pager.wait(index)
      const entries = changed.get(owner)
      if (entries === undefined) changed.set(owner, [index])
      else entries.push(index)
    }
    for (const [index, owner, other] of pairs) {
      wait(memory, index)
      if (owner !== null) wait(owner, other)
    }
    for (const [each, entries] of changed) each.onProtect?.(entries)
  }

  #join(memory: GuestMemory, index: number, owner: GuestMemory | null, other: number): number {
    const arena = this.#arena
    const { u32 } = arena
    const frame = frameOf(u32[index] ?? 0)
    const alone = arena.references(frame) === 1
    // Until nobody reached the pages any more, another hart may have written to them.
    if (owner === null) {
      if (arena.hash(frame) !== 0) return 0
      memory.pager.park(index, 0)
      memory.pager.merged++
      return alone ? 1 : 0
    }
    const there = u32[other] ?? 0
    // An earlier pair may have brought them together.
    if (frameOf(there) === frame || !arena.same(frame, frameOf(there))) return 0
    u32[other] = ((there & ~PAGE_CODE) | PAGE_SHARED) >>> 0
    memory.pager.join(index, frameOf(there))
    return alone ? 1 : 0
  }

  #note(hash: number, index: number): void {
    if (this.#known.size >= MOST_KNOWN) this.#known.clear()
    this.#known.set(hash, index)
  }

  #isAsBefore(frame: number, hash: number): boolean {
    const number = frame >>> 12
    if (number >= this.#before.length) {
      const more = new Uint32Array(this.#arena.u8.length / PAGE_SIZE)
      more.set(this.#before)
      this.#before = more
    }
    const mixed = (hash ^ NEVER) >>> 0
    const same = this.#before[number] === mixed
    this.#before[number] = mixed
    return same
  }

  /** Whose page map an entry is in, of those that were given to look at: others of the arena may be none of theirs. */
  #ownerOf(index: number): GuestMemory | null {
    for (const memory of this.#arena.memories) {
      if (!this.#hands.has(memory)) continue
      for (const { map, size } of memory.regions) if (index >= map >>> 2 && index < (map >>> 2) + size / PAGE_SIZE) return memory
    }
    return null
  }
}
