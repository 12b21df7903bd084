import type { Trace } from '@machinist/api'

/** Fine detail for whoever asks for it. */
export type TraceListener = (part: string, name: string, detail: Readonly<Record<string, number | string | boolean>> | undefined) => void

/** Warnings that a part may give at once, and after that, one a second of virtual time. */
const BURST = 16
const SECOND = 1e9

/** The trace of one part: a guest that provokes warnings cannot flood the host. */
export function traceOf(part: string, now: () => number, warn: (part: string, message: string) => void, listener: TraceListener | undefined): Trace {
  let credit = BURST
  let since = 0
  let dropped = 0
  return {
    enabled: listener !== undefined,
    warn(message) {
      const at = now()
      const earned = Math.floor((at - since) / SECOND)
      if (earned > 0) {
        credit = Math.min(BURST, credit + earned)
        since += earned * SECOND
      }
      if (credit === 0) {
        dropped++
        return
      }
      credit--
      warn(part, dropped === 0 ? message : `${message} (and ${dropped} more before)`)
      dropped = 0
    },
    event(name, detail) { listener?.(part, name, detail) },
  }
}
