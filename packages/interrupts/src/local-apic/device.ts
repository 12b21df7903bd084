import type { Device, DeviceContext, IrqLine, LocalController, Width } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { hartLines, type NoBackends } from '../harts.ts'
import { type ApicMessage, LocalApic, type LocalApicState } from './local-apic.ts'
import { Delivery, Icr, LINTS, localApicOutputs, Lvt, REFUSED } from './registers.ts'
import type { LocalApicConfig, LocalApicIrq } from './spec.ts'

/** Saved state: that of each hart's. */
export interface LocalApicsState {
  readonly harts: readonly LocalApicState[]
  /** Who got the last interrupt of lowest priority. */
  readonly last: number
}

/** The local APICs of all harts, and what goes between them. */
export class LocalApics implements Device<LocalApicsState> {
  readonly #config: LocalApicConfig
  readonly #name: string
  readonly #apics: readonly LocalApic[]
  readonly #end: IrqLine | undefined
  /** Among equals, harts take turns. */
  #last = 0
  readonly local: LocalController

  constructor(config: LocalApicConfig, context: DeviceContext<LocalApicIrq, NoBackends>) {
    const { name, irq } = context
    this.#config = config
    this.#name = name
    const [intr, nmi, smi, init, sipi] = localApicOutputs.map((output) => hartLines(name, irq, config.harts, output))
    this.#end = irq.eoi as IrqLine | undefined
    this.#apics = Array.from({ length: config.harts }, (_, hart) => new LocalApic(hart, config.x2apic, context, {
      intr: (level) => { intr?.[hart]?.set(level) },
      nmi: () => { nmi?.[hart]?.pulse() },
      smi: () => { smi?.[hart]?.pulse() },
      init: () => { init?.[hart]?.pulse() },
      startUp: (vector) => { sipi?.[hart]?.send(vector) },
      send: (message, shorthand) => { this.#send(message, shorthand === 0 ? null : shorthand === 3 ? hart : -1) },
      end: (vector) => { this.#end?.send(vector) },
    }))
    this.local = {
      read: (hart, offset) => this.#apics[hart]?.read(offset) ?? -1,
      write: (hart, offset, value) => this.#apics[hart]?.write(offset, value) ?? false,
      readMsr: (hart, msr, into) => this.#apics[hart]?.readMsr(msr, into) ?? false,
      writeMsr: (hart, msr, low, high) => this.#apics[hart]?.writeMsr(msr, low, high) ?? false,
      readPriority: (hart) => this.#apics[hart]?.taskPriority ?? 0,
      writePriority: (hart, value) => {
        const apic = this.#apics[hart]
        if (apic !== undefined) apic.taskPriority = value
      },
    }
  }

  /** Harts find their own registers elsewhere; here there is nothing to read. */
  read(): number {
    return 0
  }

  /** A store is a message, as it is from a device. */
  write(region: number, offset: number, width: Width, value: number): void {
    if (width === 4) this.message(region, offset, value)
  }

  /** A message-signalled interrupt (SDM volume 3, "Message Signalled Interrupts"). */
  message(_region: number, offset: number, data: number): void {
    // The end of a level ("Message Data Register Format": assert, where the trigger is a level): nothing waits for it here.
    if ((data & Lvt.level) !== 0 && (data & Icr.assert) === 0) return
    // The redirection hint says only that one of several is enough: how the destination is read does not depend on it.
    this.#send({
      destination: offset >>> 12 & 0xff, wide: false, logical: (offset & 4) !== 0, delivery: data >>> 8 & 7, vector: data & 0xff, level: (data & Lvt.level) !== 0,
    }, null)
  }

  /** A message of an I/O APIC: its redirection entry's low 16 bits, and the destination in the upper 8. */
  receive(line: number, data: number): void {
    if (line !== this.#apics.length * LINTS) return
    const taken = this.#send({
      destination: data >>> 24, wide: false, logical: (data & Icr.logical) !== 0, delivery: data >>> 8 & 7, vector: data & 0xff, level: (data & Lvt.level) !== 0,
    }, null)
    if (!taken) this.#end?.send(REFUSED)
  }

  input(line: number, level: boolean): void {
    this.#apics[Math.floor(line / LINTS)]?.input(line % LINTS === 0 ? 0 : 1, level)
  }

  acknowledge(output: number): number {
    const hart = output % this.#config.harts
    const vector = this.#apics[hart]?.acknowledge() ?? 0
    // That of the controller behind LINT0.
    return vector < 0 ? -1 - hart * LINTS : vector
  }

  event(port: string): void {
    this.#apics[Number(port.slice('hart'.length))]?.event()
  }

  reset(kind: 'cold' | 'warm'): void {
    this.#last = 0
    for (const apic of this.#apics) apic.reset(kind, this.#config.virtualWire)
  }

  save(): LocalApicsState {
    return { harts: this.#apics.map((apic) => apic.save()), last: this.#last }
  }

  restore(state: LocalApicsState): void {
    const data = plainData(this.#name, state, 'state')
    const given = data.unknown('harts')
    const last = data.integer('last', 0, this.#apics.length - 1)
    data.done()
    const list: readonly unknown[] = Array.isArray(given) ? given : []
    const restore = this.#apics.map((apic, hart) => apic.restoring(list[hart]))
    this.#last = last
    for (const each of restore) each()
  }

  /**
   * @param shorthand - instead of a destination: −1 for all harts, n for all but n; null for none
   * @returns whether anybody takes it
   */
  #send(message: ApicMessage, shorthand: number | null): boolean {
    const to = [...this.#apics.entries()].filter(([hart, apic]) => shorthand === null ? apic.matches(message) : hart !== shorthand && apic.enabled)
    if (message.delivery !== Delivery.lowest) {
      for (const [, apic] of to) apic.deliver(message)
      return to.some(([, apic]) => message.delivery !== Delivery.fixed || apic.accepts)
    }
    // The lowest processor priority, in turns ("Lowest Priority Delivery Mode").
    let best: readonly [number, LocalApic] | undefined
    const count = this.#apics.length
    const distance = (hart: number): number => (hart - this.#last - 1 + count) % count
    for (const each of to) {
      if (!each[1].accepts) continue
      if (best === undefined || each[1].priority < best[1].priority || (each[1].priority === best[1].priority && distance(each[0]) < distance(best[0]))) best = each
    }
    if (best === undefined) return false
    this.#last = best[0]
    best[1].deliver(message)
    return true
  }
}
