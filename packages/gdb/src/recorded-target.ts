import type { VcpuDebug } from '@machinist/api'
import type { Halt, Machine, Seeker } from '@machinist/machine'
import { DebugMemory } from './memory.ts'
import type { Stops } from './stops.ts'
import { debugsOf, type Target, type TargetEvents } from './target.ts'
import type { Mode } from './threads.ts'

/** A recording, in which one goes forwards and backwards, and which stays where it is when nobody looks any more. */
export class RecordedTarget implements Target {
  readonly recorded: boolean = true
  readonly #seeker: Seeker
  readonly #events: TargetEvents
  /** As it is now: going back makes another. */
  #harts: readonly VcpuDebug[]
  #memory: DebugMemory
  #over = false

  constructor(seeker: Seeker, events: TargetEvents) {
    this.#seeker = seeker
    this.#events = events
    this.#harts = debugsOf(seeker.machine)
    this.#memory = new DebugMemory(seeker.machine.memory)
    seeker.interrupt()
  }

  get machine(): Machine {
    return this.#seeker.machine
  }

  get harts(): readonly VcpuDebug[] {
    return this.#harts
  }

  get memory(): DebugMemory {
    return this.#memory
  }

  /** The harts of a recording take turns as they did then: one steps, or all go on. */
  go(modes: readonly Mode[], stops: Stops): boolean {
    const hart = modes.indexOf('step')
    const until = hart < 0 ? null : { steps: (this.machine.vcpus[hart]?.steps ?? 0) + 1, hart }
    return this.#move(() => this.#seeker.run(until), hart, stops)
  }

  goBack(how: 'step' | 'run', hart: number, stops: Stops): boolean {
    return this.#move(() => how === 'step' ? this.#seeker.stepBack(hart) : this.#seeker.runBack(), how === 'step' ? hart : -1, stops)
  }

  interrupt(): void {
    this.#seeker.interrupt()
  }

  restart(): boolean {
    return false
  }

  kill(): void {
    this.#over = true
    this.#seeker.dispose()
    this.#events.gone()
  }

  leave(): void {
    this.#seeker.setStops([])
    this.#seeker.interrupt()
  }

  /** `hart`: the one that steps, or −1. */
  #move(work: () => Promise<Halt>, hart: number, stops: Stops): boolean {
    this.#seeker.setStops(stops.list)
    work().then((halt) => { this.#moved(halt, hart) }, (error: unknown) => {
      // The run differs from the recording: it is at an end.
      this.#events.said(error instanceof Error ? error.message : String(error))
      this.#moved({ kind: 'end' }, hart)
    })
    return true
  }

  #moved(halt: Halt, hart: number): void {
    if (this.#over) return
    const { physical } = this.#memory
    this.#harts = debugsOf(this.machine)
    this.#memory = new DebugMemory(this.machine.memory)
    this.#memory.physical = physical
    this.#events.halted({
      hart: halt.kind === 'stop' ? halt.hart : hart >= 0 ? hart : null,
      interrupted: halt.kind === 'interrupted',
      reason: halt.kind === 'stop' ? halt.reason : null,
      end: halt.kind === 'begin' || halt.kind === 'end' ? halt.kind : null,
    })
  }
}
