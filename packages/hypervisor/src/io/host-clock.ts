import type { BackendClock } from '@machinist/api'
import type { HostLoop } from '@machinist/machine'

/** The time of a host's event loop for limits: it goes on while machines stand still. */
export function hostClock(loop: HostLoop): BackendClock {
  return {
    now: () => loop.now(),
    timer(expired) {
      let cancel: (() => void) | null = null
      const arm = (at: number): void => {
        cancel?.()
        cancel = at === Infinity ? null : loop.after(Math.max(0, at - loop.now()), () => {
          cancel = null
          // The loop may call a little earlier.
          if (loop.now() < at) arm(at)
          else expired()
        })
      }
      return {
        arm,
        cancel() {
          cancel?.()
          cancel = null
        },
      }
    },
  }
}
