import { machinistError } from '@machinist/api'
import type { Backend, Deliver, HotplugPort } from '@machinist/api'

/** What {@link memoryControl} may be told. */
export interface MemoryControlOptions {
  /** Bytes to ask for from the start; 0 unless given. */
  readonly target?: number
  /** The guest plugged or unplugged memory: bytes that are plugged. */
  readonly onResize?: (bytes: number) => void
}

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
}

const mostTarget = 2 ** 44

function checked(target: number): number {
  if (Number.isSafeInteger(target) && target >= 0 && target <= mostTarget) return target
  throw machinistError({ code: 'memory-target', part: 'memory', value: target, remedy: 'Use a whole number of bytes from 0 to 2^44.' }, 'not a size for memory')
}

/**
 * A backend for a memory device, by which a program gives a guest memory and asks for it back.
 *
 * @throws a typed error `'memory-target'`
 */
export function memoryControl(options: MemoryControlOptions = {}): MemoryControl {
  let target = checked(options.target ?? 0)
  let size = 0
  let connected: { readonly deliver: Deliver, target: number, listener: Parameters<HotplugPort['listen']>[0] | null } | null = null
  return {
    kind: 'hotplug',
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
    connect(deliver) {
      if (connected !== null) {
        throw machinistError({ code: 'backend-busy', part: 'memory', remedy: 'Make a control for each machine.' }, 'the control belongs to another machine')
      }
      const here = connected = { deliver, target, listener: null as Parameters<HotplugPort['listen']>[0] | null }
      return {
        get target() { return here.target },
        listen(listener) { here.listener = listener },
        resized(bytes) {
          size = bytes
          options.onResize?.(bytes)
        },
      }
    },
    close() {
      connected = null
      size = 0
    },
  }
}
