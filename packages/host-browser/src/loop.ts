import type { HostLoop } from '@machinist/machine'

const NS_PER_MS = 1e6
/** For less than this, turns of the event loop are closer to the mark than timers of a millisecond. */
const TURN_INSTEAD = 250_000

/**
 * The event loop of a worker or page. A message comes sooner than any timer, and lets everything else have its turn. Timers that are set by timers are held back
 * to four milliseconds (HTML, 8.6); so what a timer calls is called by a message, and whatever timer that sets is none set by a timer.
 */
export function browserLoop(): HostLoop {
  const { port1, port2 } = new MessageChannel()
  const waiting: (() => void)[] = []
  Object.assign(port1, { onmessage: () => { waiting.shift()?.() } })
  const soon = (callback: () => void): void => {
    waiting.push(callback)
    port2.postMessage(null)
  }
  return {
    now: () => Math.floor(performance.now() * NS_PER_MS),
    soon,
    after(ns, callback) {
      let wanted = true
      const call = (): void => { if (wanted) callback() }
      const timer = ns < TURN_INSTEAD ? undefined : setTimeout(() => { soon(call) }, Math.min(2 ** 31 - 1, Math.max(1, Math.round(ns / NS_PER_MS))))
      if (timer === undefined) soon(call)
      return () => {
        wanted = false
        clearTimeout(timer)
      }
    },
  }
}
