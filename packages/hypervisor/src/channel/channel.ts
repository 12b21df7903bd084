import type { HostLoop } from '@machinist/machine'

/**
 * One end of a line between the control and a processor: messages of plain data, which arrive in order. Nobody answers when the other end has gone.
 *
 * @typeParam Out - what is said at this end
 * @typeParam In - what is said at the other
 */
export interface Channel<Out, In> {
  /**
   * @param transfer - buffers in the message that go over instead of being copied, where messages are copied
   */
  post(message: Out, transfer?: readonly ArrayBuffer[]): void
  /** Told what the other end says. Set once, before the event loop turns. */
  onMessage: ((message: In) => void) | null
  /** Told once that the other end has gone, and why. Not called when this end closed it. */
  onClosed: ((reason: string) => void) | null
  /** Ends it. The other end is told. */
  close(reason?: string): void
}

class LocalEnd<Out, In> implements Channel<Out, In> {
  onMessage: ((message: In) => void) | null = null
  onClosed: ((reason: string) => void) | null = null
  other: LocalEnd<In, Out> | null = null
  readonly #loop: HostLoop
  #queue: In[] = []
  #closed = false

  constructor(loop: HostLoop) {
    this.#loop = loop
  }

  post(message: Out): void {
    if (!this.#closed) this.other?.take(message)
  }

  take(message: In): void {
    if (this.#closed) return
    if (this.#queue.push(message) > 1) return
    this.#loop.soon(() => {
      const batch = this.#queue
      this.#queue = []
      for (const each of batch) if (!this.#closed) this.onMessage?.(each)
    })
  }

  close(reason: string = 'it was closed'): void {
    if (this.#closed) return
    this.#closed = true
    this.other?.leave(reason)
  }

  leave(reason: string): void {
    this.#loop.soon(() => {
      if (this.#closed) return
      this.#closed = true
      this.onClosed?.(reason)
    })
  }
}

/** The two ends of a line within one thread. Messages are handed over as they are, in a turn of the event loop of their own: neither end may change what it has said or heard. */
export function localChannel<A, B>(loop: HostLoop): [Channel<A, B>, Channel<B, A>] {
  const one = new LocalEnd<A, B>(loop)
  const other = new LocalEnd<B, A>(loop)
  one.other = other
  other.other = one
  return [one, other]
}
