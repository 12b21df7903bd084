import { machinistError } from '@machinist/api'
import type { Backend, BalloonPort, BalloonStatistics, Deliver } from '@machinist/api'

/** What {@link balloonControl} may be told. */
export interface BalloonControlOptions {
  /** Bytes to ask for from the start; 0 unless given. */
  readonly target?: number
  /** The guest gave up or took back memory: bytes in the balloon, as it says. */
  readonly onResize?: (bytes: number) => void
  /** The guest's statistics, when it starts and whenever they were asked for. */
  readonly onStats?: (statistics: BalloonStatistics) => void
}

/** The host's hand on the balloon of one machine. */
export interface BalloonControl extends Backend<BalloonPort> {
  readonly kind: 'balloon'
  /**
   * Bytes that the guest is asked to give up, 0 to 2^44, in pages of 4096. How soon it does so, and whether, is the
   * guest's affair.
   *
   * @throws (when set) a typed error `'balloon-target'`
   */
  target: number
  /** Bytes in the balloon, as the guest says. */
  readonly size: number
  /** The guest's latest statistics; none before its driver starts. */
  readonly statistics: BalloonStatistics
  /** Asks for new statistics; `onStats` gets them. */
  askStats(): void
}

const mostTarget = 2 ** 44

function checked(target: number): number {
  if (Number.isSafeInteger(target) && target >= 0 && target <= mostTarget) return target
  throw machinistError({ code: 'balloon-target', part: 'balloon', value: target, remedy: 'Use a whole number of bytes from 0 to 2^44.' }, 'not a size for a balloon')
}

/**
 * A backend for a balloon device, by which a program takes memory from a guest and gives it back.
 *
 * ```ts
 * const balloon = balloonControl({ onStats: ({ available }) => console.log(available) })
 * const machine = createMachine(virt({ devices: { balloon: part(virtioBalloon, { backends: { host: balloon } }) } }), host)
 * balloon.target = 64 * 2 ** 20
 * ```
 *
 * @throws a typed error `'balloon-target'`
 */
export function balloonControl(options: BalloonControlOptions = {}): BalloonControl {
  let target = checked(options.target ?? 0)
  let size = 0
  let latest: BalloonStatistics = {}
  let connected: { readonly deliver: Deliver, listener: Parameters<BalloonPort['listen']>[0] | null, target: number } | null = null
  return {
    kind: 'balloon',
    get target() { return target },
    set target(bytes) {
      target = checked(bytes)
      const to = connected
      to?.deliver(() => {
        to.target = bytes
        to.listener?.targetChanged()
      })
    },
    get size() { return size },
    get statistics() { return latest },
    askStats() {
      const to = connected
      to?.deliver(() => { to.listener?.statisticsWanted() })
    },
    connect(deliver) {
      if (connected !== null) {
        throw machinistError({ code: 'backend-busy', part: 'balloon', remedy: 'Make a control for each machine.' }, 'the control belongs to another machine')
      }
      const here = connected = { deliver, listener: null as Parameters<BalloonPort['listen']>[0] | null, target }
      return {
        get target() { return here.target },
        listen(listener) { here.listener = listener },
        resized(bytes) {
          size = bytes
          options.onResize?.(bytes)
        },
        report(statistics) {
          latest = statistics
          options.onStats?.(statistics)
        },
      }
    },
    close() {
      connected = null
      size = 0
    },
  }
}
