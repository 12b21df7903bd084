import type { Shortcut, ShortcutPlace, ShortcutServer } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import type { Native } from '../native.ts'
import { MOST_SHORTCUTS, ShortcutServed, shortcutRecord, WAITING_STORES } from '../shortcut-record.ts'

const at = Object.fromEntries(Object.entries(shortcutRecord.offset).map(([name, offset]) => [name, offset >> 2])) as { readonly [Name in keyof typeof shortcutRecord.offset]: number }

const { taken: TAKEN, put: PUT, rung: RUNG } = at

/** What devices of a machine declare, which the kernel serves; and what it left to do. */
export class Shortcuts implements ShortcutServer {
  readonly #native: Native
  readonly #bus: AddressSpace
  readonly #words: Uint32Array
  readonly #places: ShortcutPlace[] = []
  /** Other harts of the hardware may be at the table: who closes it has to open it again. */
  readonly shared: boolean
  /** How often it was closed: a device may lead to somewhere else that closes it. */
  #depth = 0

  constructor(native: Native, vm: number, bus: AddressSpace) {
    this.#native = native
    this.#bus = bus
    this.#words = new Uint32Array(native.shortcuts(vm))
    this.shared = native.harts > 1
  }

  /** Accesses that never came to TypeScript one by one. */
  get served(): number {
    return (this.#words[at.served + 1] ?? 0) * 2 ** 32 + (this.#words[at.served] ?? 0)
  }

  /** A device is to look at something. */
  get rung(): boolean {
    return this.#words[at.rung] !== 0
  }

  add(place: ShortcutPlace): Shortcut | null {
    const index = this.#places.length
    if (index === MOST_SHORTCUTS) return null
    const words = this.#words
    const { kind, address, width } = place
    words[at.address + 2 * index] = address
    words[at.address + 2 * index + 1] = Math.floor(address / 2 ** 32)
    words[at.kind + index] = ShortcutServed[kind]
    words[at.width + index] = width
    words[at.count] = this.#places.push(place)
    const [value, open] = [at.value + index, at.open + index]
    if (kind !== 'shadow') return { set(most) { words[open] = most } }
    return {
      set: (to) => {
        if (to < 0) words[open] = 0
        else {
          words[value] = to
          if (words[open] === 1) return
          // Who sees that it is open sees what it is.
          if (this.shared) this.#native.fence()
          words[open] = 1
        }
      },
    }
  }

  /** Makes the stores that wait, in order. The kernel serves nothing from then on, until {@link Shortcuts.open}: TypeScript is at the devices. */
  close(): void {
    const words = this.#words
    if (this.shared && this.#depth++ === 0) {
      words[at.closed] = 1
      // Either the hart that is at the table sees this, or it is seen here.
      this.#native.fence()
      while (words[at.lock] !== 0) { /* A few instructions. */ }
      this.#native.fence()
    }
    if (words[TAKEN] !== words[PUT]) this.#makeStores()
    words[RUNG] = 0
  }

  #makeStores(): void {
    const words = this.#words
    for (let more = false; words[TAKEN] !== words[PUT]; more = true) {
      const taken = words[TAKEN] ?? 0
      const slot = taken % WAITING_STORES
      const place = this.#places[words[at.place + slot] ?? 0]
      words[TAKEN] = taken + 1
      // All at one instant.
      if (place !== undefined) this.#bus.write(place.address, place.width, words[at.stored + slot] ?? 0, more)
    }
  }

  open(): void {
    if (!this.shared || --this.#depth > 0) return
    this.#native.fence()
    this.#words[at.closed] = 0
  }

  /** Makes the stores that wait. */
  drain(): void {
    this.close()
    this.open()
  }
}
