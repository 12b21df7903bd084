/** Most files whose sizes are remembered: a client has no more fids. */
const most = 65536

/**
 * How long a client believes files to be: as it was told last, or has made them since. Its kernel (Linux 6.8 to 6.12 at least)
 * asks again for ever, until its stack is full, when a read before that end brings nothing. So a read of what the host has cut
 * off meanwhile must fail.
 */
export class KnownSizes {
  /** By the file's id, the longest unused first. */
  readonly #sizes = new Map<bigint, number>()

  /** The client knows the size now. */
  told(id: bigint, size: number): void {
    this.#sizes.delete(id)
    this.#sizes.set(id, size)
    const [oldest] = this.#sizes.size > most ? this.#sizes.keys() : []
    if (oldest !== undefined) this.#sizes.delete(oldest)
  }

  /** The client has written up to `end`. */
  reached(id: bigint, end: number): void {
    this.told(id, Math.max(end, this.#sizes.get(id) ?? 0))
  }

  /** The client asks to cut it off at `size`. */
  cut(id: bigint, size: number): void {
    const known = this.#sizes.get(id)
    if (known !== undefined && known > size) this.#sizes.set(id, size)
  }

  /** Another with the same. */
  copy(): KnownSizes {
    const copy = new KnownSizes()
    for (const [id, size] of this.#sizes) copy.#sizes.set(id, size)
    return copy
  }

  /** How long the client believes a file to be; `otherwise` when nothing was heard of it. */
  of(id: bigint | null, otherwise: number): number {
    return (id === null ? undefined : this.#sizes.get(id)) ?? otherwise
  }
}
