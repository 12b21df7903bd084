import type { Backend, Deliver, HotplugPort } from '@machinist/api'
import { TargetControl, type TargetOptions } from '../target-control.ts'

/** What {@link memoryControl} may be told. */
export type MemoryControlOptions = TargetOptions

/** The host's hand on the pluggable memory of one machine. */
export interface MemoryControl extends Backend<HotplugPort> {
  readonly kind: 'hotplug'
  /**
   * Bytes that the guest is asked to have plugged, 0 to 2^44. The device takes whole blocks of it, and no more than its region holds.
   *
   * @throws (when set) a typed error `'memory-target'`
   */
  target: number
  /** Bytes that are plugged. */
  readonly size: number
  /** The control of a copy of the machine, which is asked for the same. Nobody is told of its sizes. */
  fork(): MemoryControl
}

/**
 * A backend for a memory device, by which a program gives a guest memory and asks for it back.
 *
 * @throws a typed error `'memory-target'`
 */
export function memoryControl(options: MemoryControlOptions = {}): MemoryControl {
  return new Control(options)
}

class Control extends TargetControl<Parameters<HotplugPort['listen']>[0]> implements MemoryControl {
  readonly kind = 'hotplug'

  constructor(options: MemoryControlOptions) {
    super('memory', options)
  }

  fork(): MemoryControl {
    return new Control({ target: this.target })
  }

  connect(deliver: Deliver): HotplugPort {
    return this.attach(deliver)
  }
}
