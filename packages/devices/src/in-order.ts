import type { BlockStatus } from '@machinist/api'

/** Something that is asked of a disk, which tells its end by `done`, perhaps before it returns. */
export type Step = (done: (status: BlockStatus) => void) => void

/**
 * Takes one step after another, each when the one before it has ended, and tells how the first that failed ended, or `'ok'`. A disk that ends
 * what it is asked for at once makes a loop of it, and no calls within calls.
 *
 * @param next - gives the next step, or null when there is none
 */
export function inOrder(next: () => Step | null, done: (status: BlockStatus) => void): void {
  let [running, ended] = [false, false]
  const go = (): void => {
    if (running) {
      ended = true
      return
    }
    running = true
    do {
      ended = false
      const step = next()
      if (step === null) {
        done('ok')
        return
      }
      step((status) => {
        if (status === 'ok') go()
        else done(status)
      })
    } while (ended)
    running = false
  }
  go()
}
