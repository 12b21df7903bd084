import type { Backend, BalloonPort, BalloonStatistics, Deliver } from '@machinist/api'
import { TargetControl, type TargetOptions } from '../target-control.ts'

/** What {@link balloonControl} may be told. */
export interface BalloonControlOptions extends TargetOptions {
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
  /** The control of a copy of the machine, which is asked for the same. Nobody is told of its statistics and sizes. */
  fork(): BalloonControl
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
  return new Control(options)
}

type Listener = Parameters<BalloonPort['listen']>[0]

class Control extends TargetControl<Listener> implements BalloonControl {
  readonly kind = 'balloon'
  readonly #onStats: BalloonControlOptions['onStats']
  #latest: BalloonStatistics = {}

  constructor(options: BalloonControlOptions) {
    super('balloon', options)
    this.#onStats = options.onStats
  }

  get statistics(): BalloonStatistics {
    return this.#latest
  }

  fork(): BalloonControl {
    return new Control({ target: this.target })
  }

  askStats(): void {
    this.tell((listener) => { listener.statisticsWanted() })
  }

  connect(deliver: Deliver): BalloonPort {
    const port = this.attach(deliver)
    return {
      get target() { return port.target },
      listen: (listener) => { port.listen(listener) },
      resized: (bytes) => { port.resized(bytes) },
      report: (statistics) => {
        this.#latest = statistics
        this.#onStats?.(statistics)
      },
    }
  }
}
