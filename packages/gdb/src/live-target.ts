import type { VcpuDebug } from '@machinist/api'
import type { Machine } from '@machinist/machine'
import { DebugMemory } from './memory.ts'
import type { Stops } from './stops.ts'
import { debugsOf, type Target, type TargetEvents } from './target.ts'
import type { Mode } from './threads.ts'

/** A machine that lives: it is paused while the user looks at it. */
export class LiveTarget implements Target {
  readonly machine: Machine
  readonly harts: readonly VcpuDebug[]
  readonly memory: DebugMemory
  readonly recorded: boolean = false
  readonly #events: TargetEvents
  readonly #listeners: readonly (() => void)[]
  #doing: 'nothing' | 'running' | 'restarting' = 'nothing'

  constructor(machine: Machine, events: TargetEvents) {
    this.machine = machine
    this.harts = debugsOf(machine)
    this.memory = new DebugMemory(machine.memory)
    this.#events = events
    this.#listeners = [
      machine.on('state', ({ to }) => {
        if (to === 'paused') this.#paused()
        else if (to === 'off' || to === 'disposed') events.gone()
      }),
      machine.on('reset', () => { if (this.#doing === 'restarting') machine.pause() }),
    ]
    machine.pause()
  }

  go(modes: readonly Mode[], stops: Stops): boolean {
    if (this.machine.state !== 'paused') return false
    stops.apply(this.harts)
    modes.forEach((mode, index) => {
      const hart = this.harts[index]
      if (hart !== undefined) hart.mode = mode
    })
    this.#doing = 'running'
    this.machine.resume()
    return true
  }

  goBack(): boolean {
    return false
  }

  interrupt(): void {
    if (this.#doing === 'running') this.machine.pause()
  }

  restart(): boolean {
    if (this.machine.state !== 'paused') return false
    // Events are delivered while a machine runs. With every hart held, nothing but that happens.
    for (const hart of this.harts) hart.mode = 'hold'
    this.#doing = 'restarting'
    this.machine.reset()
    this.machine.resume()
    return true
  }

  kill(): void {
    this.machine.powerOff(0)
  }

  leave(stops: Stops): void {
    for (const remove of this.#listeners) remove()
    if (this.machine.state === 'disposed') return
    stops.clear(this.harts)
    for (const hart of this.harts) hart.mode = 'run'
    this.machine.resume()
  }

  /** For a hart's reason, at our wish, or at somebody else's. */
  #paused(): void {
    const was = this.#doing
    this.#doing = 'nothing'
    if (was === 'restarting') return this.#events.restarted()
    if (was !== 'running') return
    const hart = this.harts.findIndex(({ reason }) => reason !== null)
    if (hart >= 0) this.#events.halted({ hart, interrupted: false, reason: this.harts[hart]?.reason ?? null, end: null })
    else this.#events.halted({ hart: null, interrupted: true, reason: null, end: null })
  }
}
