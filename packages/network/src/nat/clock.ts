import type { BackendClock } from '@machinist/api'
import type { HostSockets } from './sockets.ts'

const NS_PER_MS = 1e6

/** A NAT's time in milliseconds, with one alarm. */
export interface NatClock {
  now(): number
  readonly armed: boolean
  arm(delay: number): void
  cancel(): void
}

/**
 * The machine's time; without one, the host's, of which only the steps count that came through the gate: either way nothing that the NAT
 * does depends on when the host does it.
 *
 * @param expired - called within the gate, with the alarm no longer armed
 */
export function natClock(clock: BackendClock | undefined, sockets: HostSockets, gate: (work: () => void) => void, expired: () => void): NatClock {
  let armed = false
  const ring = (): void => {
    if (!armed) return
    armed = false
    expired()
  }
  if (clock !== undefined) {
    const timer = clock.timer(ring)
    return {
      now: () => clock.now() / NS_PER_MS,
      get armed() { return armed },
      arm(delay) {
        armed = true
        timer.arm(clock.now() + delay * NS_PER_MS)
      },
      cancel() {
        armed = false
        timer.cancel()
      },
    }
  }
  let now = 0
  let cancel = (): void => {}
  return {
    now: () => now,
    get armed() { return armed },
    arm(delay) {
      armed = true
      cancel = sockets.after(delay, () => {
        gate(() => {
          now += delay
          ring()
        })
      })
    },
    cancel() {
      armed = false
      cancel()
    },
  }
}
