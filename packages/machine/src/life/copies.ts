import type { MachinistErrorFields, MachinistError } from '@machinist/api'
import { type GuestMemory, PAGE_SIZE } from '@machinist/memory'
import { newArena, type Parts } from '../assembly/parts.ts'
import { MOST_NAME, nameOf } from '../definition/check.ts'
import type { RunLoop } from '../running/run-loop.ts'
import type { Checkpoint } from '../seek/checkpoints.ts'
import { Recorder } from '../tape/recorder.ts'
import { Replayer } from '../tape/replayer.ts'
import { type ForkOptions, planFork } from './fork.ts'
import { type HandedMachine, type HandOverOptions, imagesInCommon } from './hand-over.ts'
import type { Machine } from './machine.ts'
import type { Content, Origin } from './origin.ts'
import { heldBy, saveMachine } from './saved-machine.ts'
import type { MachineSnapshot } from './snapshot.ts'
import type { Stillness } from './stillness.ts'

/** What a machine says of itself to whoever copies it. */
export interface Copied {
  /** Whether it goes on at all: it runs or is paused. */
  readonly alive: boolean
  /** Whether a slice is in progress, further down the stack. */
  readonly slicing: boolean
  /** @throws typed errors when there is nothing to copy, or nothing that may be */
  check(): void
  /** It may go on. */
  wake(): void
  /** Its time stands still, and nothing happens in it; or no more. */
  away(is: boolean): void
  /** It goes on elsewhere. */
  dispose(): void
  misuse(code: string, remedy: string, problem: string, value?: MachinistErrorFields['value']): MachinistError
  /** Another machine, which is paused. */
  make(origin: Origin, content: Content): Machine
}

/** Pages that are brought in at once, while the machine runs. */
const PAGES_AT_ONCE = 256

/** Copies of a machine: beside it, to be stored, and to come back to. */
export class Copies {
  readonly #origin: Origin
  readonly #parts: Parts
  readonly #loop: RunLoop
  readonly #stillness: Stillness
  readonly #machine: Copied
  #forks = 0

  constructor(origin: Origin, parts: Parts, loop: RunLoop, stillness: Stillness, machine: Copied) {
    this.#origin = origin
    this.#parts = parts
    this.#loop = loop
    this.#stillness = stillness
    this.#machine = machine
  }

  /** A copy that goes on beside the machine; it is paused. */
  fork(options: ForkOptions): Promise<Machine> {
    const { memory, connector } = this.#parts
    const name = this.#nameOfNext(options.name)
    return this.#whenStill(() => {
      // Not before: disks are copied now, like the memory that says what was written to them.
      const { undo, inherited, ...plan } = planFork(this.#origin.resolved, this.#origin.live, connector.made, name, options.backends)
      this.#forks++
      try {
        // A backend's copy has its state already, and a disk that was given has what it has.
        const state = saveMachine(this.#parts, this.#loop, (part, { kind }) => kind !== 'block' && !inherited.has(part))
        const { tape: _, ...origin } = this.#origin
        // What cannot be made gives back what it was given.
        return this.#machine.make({ ...origin, ...plan }, { memory: options.arena === 'own' ? this.#memoryApart() : memory.fork(), state, another: options.exact === true ? null : { number: this.#forks, meets: (id) => options.keepAddresses !== true && !inherited.has(id) } })
      } catch (error) {
        undo()
        throw error
      }
    })
  }

  #nameOfNext(wanted: string | undefined): string {
    const { name: own } = this.#parts.resolved.definition
    const number = `-${this.#forks + 1}`
    return nameOf(wanted ?? own.slice(0, MOST_NAME - number.length) + number, 'machine.name')
  }

  /** Its memory as it is now, in an arena of its own. */
  #memoryApart(): GuestMemory {
    const arena = newArena(this.#origin.host)
    try {
      return this.#parts.memory.copyInto(arena)
    } catch (error) {
      arena.dispose()
      throw error
    }
  }

  /** All of the machine, to be stored. */
  save(): Promise<MachineSnapshot> {
    return this.#whenStill(() => {
      const { cpu, resolved: { definition } } = this.#parts
      const state = saveMachine(this.#parts, this.#loop, () => true)
      // Before memory is copied, of which a CPU's TLBs hear.
      const recentPages = cpu.recentPages?.() ?? []
      const image = this.#origin.image ?? ((file) => { throw this.#machine.misuse('image-not-loaded', 'Read the files of a definition before making the machine.', 'the file has not been read', file) })
      return { definition, image, state, recentPages, ...this.#kept() }
    })
  }

  /** The machine, or a copy of it, goes to another thread. */
  async handOver<T>(take: (handed: HandedMachine) => Promise<T>, { copy }: HandOverOptions): Promise<T> {
    this.#machine.check()
    const { memory, resolved } = this.#parts
    if (copy === undefined && this.#origin.tape instanceof Recorder && this.#origin.tape.recording) throw this.#machine.misuse('recorded', 'Call stopRecording first.', 'a machine that is recorded stays where it is')
    const name = copy === undefined ? resolved.definition.name : this.#nameOfNext(copy.name)
    const common = imagesInCommon({ ...resolved.definition, name }, this.#origin.image)
    // What the other thread has no source for, while there is time.
    for (let left = memory.source === null ? 0 : memory.regions.reduce((sum, { size }) => sum + size / PAGE_SIZE, 0); left > 0 && memory.bring(PAGES_AT_ONCE); left -= PAGES_AT_ONCE) {
      await new Promise<void>((resolved) => { this.#origin.host.loop.soon(resolved) })
      this.#machine.check()
    }
    const still = (): { readonly handed: HandedMachine; dispose(): void } => {
      if (copy !== undefined) this.#forks++
      const state = saveMachine(this.#parts, this.#loop, () => true)
      const kept = this.#kept()
      try {
        kept.memory.pinned = true
        kept.memory.bring(Infinity)
        const another = copy === undefined || copy.exact === true ? null : this.#forks
        return { handed: { ...common, state, memory: kept.memory.image, another, copy: copy !== undefined, keepAddresses: copy?.keepAddresses === true, disks: this.#disksOfOne }, dispose: kept.dispose }
      } catch (error) {
        kept.dispose()
        throw error
      }
    }
    if (copy === undefined) return this.#whenStill(() => this.#move(still(), take))
    const { handed, dispose } = await this.#whenStill(still)
    try {
      return await take(handed)
    } finally {
      dispose()
    }
  }

  /** Lets another thread go on with the machine, which stands still. */
  async #move<T>({ handed, dispose }: { readonly handed: HandedMachine; dispose(): void }, take: (handed: HandedMachine) => Promise<T>): Promise<T> {
    const back: (() => void | Promise<void>)[] = []
    this.#machine.away(true)
    try {
      for (const backend of new Set(this.#parts.connector.connected.values())) if (backend.park !== undefined) back.push(await backend.park())
      const result = await take(handed)
      this.#machine.dispose()
      return result
    } catch (error) {
      for (const each of back.reverse()) await each()
      throw error
    } finally {
      dispose()
      this.#machine.away(false)
    }
  }

  /** Disks that two machines cannot have: who writes them writes them for both. */
  get #disksOfOne(): string[] {
    const { connected, disks } = this.#parts.connector
    return [...disks].filter(([id, { readOnly }]) => !readOnly && connected.get(id)?.save?.().some(({ kind }) => kind === 'disk') !== true).map(([id]) => id)
  }

  /** A point of a replay to come back to; null when it is in the middle of something. */
  checkpoint(): Checkpoint | null {
    const { tape } = this.#origin
    if (!(tape instanceof Replayer) || this.#busy) return null
    const { place } = tape
    if (place === null) return null
    const { retired, steps, passes } = this.#loop
    const state = saveMachine(this.#parts, this.#loop, () => false)
    const held = heldBy(this.#parts)
    const { memory, dispose } = this.#kept()
    const replay = { place, passes, delivered: this.#parts.gate.delivered, held }
    return {
      retired, steps, dispose,
      harts: this.#parts.cpu.vcpus.map((vcpu) => vcpu.steps),
      restore: () => {
        const own = memory.fork()
        try {
          return this.#machine.make({ ...this.#origin, tape: tape.again() }, { memory: own, state, another: null, replay })
        } catch (error) {
          own.dispose()
          throw error
        }
      },
    }
  }

  get #busy(): boolean {
    const { gate, connector } = this.#parts
    const { held, copying, leaving } = this.#loop
    return !this.#machine.alive || this.#machine.slicing || held || copying > 0 || leaving !== null || gate.pending > 0 || connector.underWay > 0 || connector.output.sending
  }

  /** Its memory as it is now, until it is disposed of. */
  #kept(): { readonly memory: GuestMemory; dispose(): void } {
    const memory = this.#parts.memory.fork()
    const { arena } = memory
    return {
      memory,
      dispose() {
        memory.dispose()
        arena.disposeUnused()
      },
    }
  }

  /** Does something while the machine stands still. */
  async #whenStill<T>(work: () => T | Promise<T>): Promise<T> {
    this.#machine.check()
    try {
      return await this.#stillness.during(() => {
        this.#machine.check()
        return work()
      })
    } finally {
      this.#machine.wake()
    }
  }
}
