import { flowHash } from '@machinist/packets'

/** Conversations that are told apart. */
export const slots = 1024

/** Which pair of queues a conversation uses: the one where the driver sent last (5.1.6.5.5). */
export class FlowTable {
  /** Pair plus one by hash; 0 for none. */
  readonly #pairs = new Uint8Array(slots)

  /** The driver sent `bytes` through transmit queue `pair`. */
  sent(bytes: Uint8Array, pair: number): void {
    this.#pairs[flowHash(bytes) % slots] = pair + 1
  }

  /** Where to put `bytes`, of `pairs` pairs in use: as many as when they were sent, or it was cleared since. */
  pairOf(bytes: Uint8Array, pairs: number): number {
    const hash = flowHash(bytes)
    const known = this.#pairs[hash % slots] ?? 0
    return known > 0 ? known - 1 : hash % pairs
  }

  clear(): void {
    this.#pairs.fill(0)
  }

  /** What it knows, as slots and pairs by turns. */
  save(): number[] {
    return Array.from(this.#pairs.entries()).filter(([, pair]) => pair > 0).flat()
  }

  /** Takes back what {@link save} gave. Slots and pairs that there are not are left out. */
  restore(saved: readonly number[], pairs: number): void {
    this.clear()
    for (let index = 0; index + 1 < saved.length; index += 2) {
      const [slot = 0, pair = 0] = [saved[index], saved[index + 1]]
      if (pair <= pairs) this.#pairs[slot] = pair
    }
  }
}
