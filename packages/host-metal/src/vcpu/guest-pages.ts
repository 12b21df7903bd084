import type { GuestMemory } from '@machinist/memory'
import type { Native } from '../native.ts'
import { PiecePages } from './piece-pages.ts'

/** A machine's memory as its guest-physical address space: G-stage tables get what the page map lets them have, when it is missed, and lose it when the page map changes. */
export class GuestPages {
  readonly vm: number
  readonly #native: Native
  readonly #memory: GuestMemory
  readonly #pieces: readonly PiecePages[]
  /** Times that something was missed, so far. */
  faults = 0

  /** @throws typed errors: `'not-physical'` when the memory is not one of `metalHost`, `'too-much-memory'` when a piece of it is more than one stretch of memory of the hardware has */
  constructor(native: Native, memory: GuestMemory) {
    this.#native = native
    this.#memory = memory
    this.vm = native.createVm()
    try {
      this.#pieces = memory.pieces.map((piece) => new PiecePages(native, this.vm, piece))
      // The kernel does it for all that it was told of.
      for (const piece of this.#pieces) memory.quick = piece.quick()
    } catch (error) {
      native.destroyVm(this.vm)
      throw error
    }
    if (native.harts > 1) memory.fence = () => { native.fence() }
  }

  /**
   * Gives a page to the guest that it missed.
   *
   * @param write - it wants to write
   * @returns whether there is RAM at all
   * @throws as `GuestMemory.fault`
   */
  serve(address: number, write: boolean): boolean {
    for (const piece of this.#pieces) {
      if (!piece.serve(address, write)) continue
      this.faults++
      return true
    }
    return false
  }

  /** Takes all of it from the guest: it has to ask anew. */
  forget(): void {
    for (const piece of this.#pieces) piece.forget()
  }

  dispose(): void {
    const memory = this.#memory
    for (const piece of this.#pieces) piece.dispose()
    memory.fence = undefined
    memory.quick = null
    this.#native.destroyVm(this.vm)
  }
}
