import type { Backend, BackendClock, Deliver, Frame, NetPort } from '@machinist/api'

/** Frames carried in one direction before something else gets its turn. */
const turn = 256

/** What stands in for the machine that neither side has. */
export interface JoinHost {
  /** Runs callbacks soon and in order, such as `queueMicrotask`. Never at once. */
  readonly deliver: Deliver
  /** The time for limits and for networks that need one. */
  readonly clock?: BackendClock
}

/**
 * Joins two networks where otherwise a machine would be: two switches, or a switch and what leads to the world outside.
 * Each does for the other what that does not take over, and waits for it when it is full.
 *
 * @returns takes them apart again, and closes both
 * @throws what `connect` of either throws
 */
export function join(left: Backend<NetPort>, right: Backend<NetPort>, host: JoinHost): () => void {
  let open = true
  const one = left.connect(host.deliver, host.clock)
  let other: NetPort
  try {
    other = right.connect(host.deliver, host.clock)
  } catch (error) {
    // The right one belongs to somebody else.
    left.close?.()
    throw error
  }
  const carry = (from: NetPort, to: NetPort): (() => void) => {
    let held: Frame | null = null
    const pump = (): void => {
      for (let count = 0; open && count < turn; count++) {
        held ??= from.receive()
        if (held === null || !to.send(held)) return
        held = null
      }
      if (open) host.deliver(pump)
    }
    return pump
  }
  const there = carry(one, other)
  const back = carry(other, one)
  one.accept(other.offloads)
  other.accept(one.offloads)
  one.listen({ readable: there, writable: back, linkChanged: () => undefined })
  other.listen({ readable: back, writable: there, linkChanged: () => undefined })
  return () => {
    open = false
    left.close?.()
    right.close?.()
  }
}
