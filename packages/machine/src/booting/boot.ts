import { machinistError } from '@machinist/api'
import type { Parts } from '../assembly/parts.ts'
import { type BootHost, type BootPlacement, planBoot } from './plan.ts'

/** Does work of a part; what it throws is the part's fault. */
export type Contain = (part: string, work: () => void) => void

/** Brings a machine to where it begins: at power-on, and at each reset. */
export class Boot {
  readonly #parts: Parts
  readonly #host: BootHost
  readonly #contain: Contain
  /** Made at once, so that what is wrong with images is found at once. */
  #first: BootPlacement | null
  /** Whether there is something to clear. */
  #used: boolean

  /**
   * @param used - the machine's memory is not empty: it is a copy of one that runs
   * @throws typed errors for images that are damaged or do not fit
   */
  constructor(parts: Parts, host: BootHost, contain: Contain, used: boolean) {
    this.#parts = parts
    this.#host = host
    this.#contain = contain
    this.#used = used
    this.#first = used ? null : planBoot(parts.resolved, parts.entropy, host)
  }

  /** Harts, lines and devices as at power-on, RAM empty but for the boot images. */
  begin(kind: 'cold' | 'warm'): void {
    const { parts, contain } = { parts: this.#parts, contain: this.#contain }
    parts.timers.clear()
    const plan = this.#first ?? planBoot(parts.resolved, parts.entropy, this.#host)
    this.#first = null
    contain('cpu', () => { parts.cpu.reset(kind, plan.entry) })
    parts.wiring.clear()
    for (const { resolved: { name }, device } of parts.devices) contain(name, () => { device.reset(kind) })
    if (this.#used) {
      for (const region of parts.ram) {
        parts.memory.clear(region)
        contain('cpu', () => { parts.cpu.memoryChanged(region.base, region.size) })
      }
    }
    this.#used = true
    for (const { part, address, bytes } of plan.segments) {
      if (parts.memory.write(address, bytes)) continue
      throw machinistError({ code: 'boot-outside', part, value: `0x${address.toString(16)}`, remedy: 'Give the machine more memory.' }, 'it does not lie in RAM')
    }
    const { firmware } = plan
    if (firmware !== undefined) for (const { resolved: { name }, device } of parts.devices) contain(name, () => { device.firmware?.(firmware) })
  }

  /** The images are not needed any more. */
  dispose(): void {
    this.#first = null
  }
}
