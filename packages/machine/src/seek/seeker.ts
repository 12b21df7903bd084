import type { DebugReason, DebugStop } from '@machinist/api'
import type { HostLoop } from '../assembly/host.ts'
import type { Machine } from '../life/machine.ts'
import type { StopAt } from '../running/run-loop.ts'
import type { Saying } from '../tape/replayed-objects.ts'
import { type Checkpoint, Checkpoints } from './checkpoints.ts'

/** A place in a recording. Of the moments that have retired so many instructions, the first. */
export type Place = { readonly retired: number } | { readonly steps: number }

/** How a recording is moved about in. */
export interface SeekOptions {
  /** Makes the machine that replays it, which says what its parts say to `onSay`. Called again to go back to the beginning. */
  make(onSay: (saying: Saying) => void): Machine
  readonly loop: HostLoop
  /** Is told what parts say, once, however often the machine comes by. */
  readonly onSay?: (saying: Saying) => void
  /** Steps from one checkpoint to the next, about; 2^25 unless given. */
  readonly spacing?: number
  /** Most checkpoints at a time; 48 unless given. They share the memory that is the same in them. */
  readonly most?: number
}

/** Why the machine stands where it does. */
export type Halt =
  /** It is where it was to go. */
  | { readonly kind: 'there' }
  /** A hart came to one of the stops. On the way back, the machine is where the access to what is watched is yet to come. */
  | { readonly kind: 'stop'; readonly hart: number; readonly reason: DebugReason }
  /** The recording begins here, or ends. */
  | { readonly kind: 'begin' | 'end' }
  | { readonly kind: 'interrupted' }

const SPACING = 2 ** 25
const MOST = 48
/** Host time of a slice, in nanoseconds. */
const SLICE = 5e6
/** How far before a place that was gone back to there are checkpoints too: whoever goes back a step will go back another. */
const NEARER = [2 ** 21, 2 ** 16, 2 ** 11]
/** Steps that are searched for stops at a time, on the way back. */
const LEAST_WINDOW = 2 ** 11
const MOST_WINDOW = 2 ** 25
const GROWTH = 32

/**
 * Moves about in a recording, forwards and backwards, to exact places and to breakpoints. It goes back by replaying from a checkpoint: a copy of the
 * machine in memory, of which some are kept. One thing is done at a time; all methods that move reject with the first difference from the recording.
 */
export class Seeker {
  readonly #options: SeekOptions
  readonly #checkpoints: Checkpoints
  #machine: Machine
  #stops: readonly DebugStop[] = []
  /** What the harts of this machine have been told. */
  #told: readonly DebugStop[] = []
  /** What is done now, and after that. */
  #before: Promise<unknown> = Promise.resolve()
  readonly #asked = new Set<{ interrupted: boolean }>()
  #doing = { interrupted: false }
  /** Whether the machine has had to do with checkpoints, and whether there are any. */
  #touched = false
  #keeps = true
  /** How often parts have said something up to here, and up to where it has ever been. */
  #said = 0
  #heard = 0

  /** @throws what `make` throws */
  constructor(options: SeekOptions) {
    this.#options = options
    this.#checkpoints = new Checkpoints(options.most ?? MOST)
    this.#machine = this.#first()
  }

  /** The machine as it is now: another one after each way back. It is paused, or off where the recording ends so. */
  get machine(): Machine {
    return this.#machine
  }

  /** Where harts are to stop, in the place of what was set before. */
  setStops(stops: readonly DebugStop[]): void {
    this.#stops = stops
  }

  /** Has it stop where it is, whatever it has been asked to do. */
  interrupt(): void {
    for (const asked of this.#asked) asked.interrupted = true
    if (this.#machine.state === 'running') this.#machine.pause()
  }

  /** Goes to a place, forwards or backwards, whatever stops are set. `'end'` when the recording ends before. */
  seek(to: Place): Promise<Halt> {
    return this.#inTurn(() => this.#until(to) > 0 ? this.#run(to, []) : this.#return(to))
  }

  /** Goes on until a hart comes to a stop, to a place, or to the end. */
  run(to: StopAt | null = null): Promise<Halt> {
    return this.#inTurn(() => this.#run(to, this.#stops))
  }

  /** Goes back to the last stop before where it is, or to the beginning. */
  runBack(): Promise<Halt> {
    return this.#inTurn(() => this.#runBack())
  }

  /** Goes back by one step of a hart, whatever stops are set. */
  stepBack(hart: number): Promise<Halt> {
    return this.#inTurn(() => this.#stepBack(hart))
  }

  /** Ends it, and the machine. */
  dispose(): void {
    this.interrupt()
    this.#machine.dispose()
    this.#checkpoints.dispose()
  }

  /** One thing after another. */
  #inTurn(work: () => Promise<Halt>): Promise<Halt> {
    const asked = { interrupted: false }
    this.#asked.add(asked)
    const now = this.#before.then(async (): Promise<Halt> => {
      this.#doing = asked
      return asked.interrupted ? { kind: 'interrupted' } : this.#tried(work)
    }).finally(() => { this.#asked.delete(asked) })
    this.#before = now.catch(() => {})
    return now
  }

  /**
   * Does something. When the run differs from the recording, checkpoints may be to blame: a part that does not keep all that it is, a guest that relies on what its TLB
   * still has. Then there are no more of them, and all is done from the beginning.
   */
  async #tried(work: () => Promise<Halt>): Promise<Halt> {
    const { steps } = this.#machine.stats
    try {
      return await work()
    } catch (error) {
      if (!this.#touched || !this.#keeps) throw error
      this.#keeps = false
      this.#checkpoints.dispose()
      this.#back(() => false)
      if (steps > 0) await this.#run({ steps }, [])
      return work()
    }
  }

  async #runBack(): Promise<Halt> {
    // A little way first: the last of many stops is near.
    for (let end = this.#steps, window = LEAST_WINDOW; end > 0; window = Math.min(MOST_WINDOW, window * GROWTH)) {
      const from = Math.max(0, end - window)
      await this.#return({ steps: from })
      const hit = await this.#lastHit(end)
      if (this.#doing.interrupted) return { kind: 'interrupted' }
      if (hit !== null) {
        await this.#return({ steps: hit.steps })
        // There, an interrupt may come first.
        if (hit.reason.kind === 'breakpoint') await this.#run({ steps: hit.steps + 1 }, this.#stops)
        return { kind: 'stop', hart: hit.hart, reason: hit.reason }
      }
      end = from
    }
    this.#back(() => false)
    return { kind: 'begin' }
  }

  async #stepBack(hart: number): Promise<Halt> {
    const own = this.#stepsOf(hart)
    if (own === 0) {
      this.#back(() => false)
      return { kind: 'begin' }
    }
    const halt = await this.#return({ steps: this.#steps - 1 })
    if (halt.kind !== 'there' || this.#stepsOf(hart) < own) return halt
    // Others have run since.
    this.#back(({ harts }) => (harts[hart] ?? 0) < own)
    const after = await this.#run({ steps: own, hart }, [])
    return after.kind === 'there' ? this.#return({ steps: this.#steps - 1 }) : after
  }

  get #steps(): number {
    return this.#machine.stats.steps
  }

  #stepsOf(hart: number): number {
    return this.#machine.vcpus[hart]?.steps ?? 0
  }

  /** How far it is to a place. */
  #until(to: Place): number {
    const { retired, steps } = this.#machine.stats
    return 'retired' in to ? to.retired - retired : to.steps - steps
  }

  #first(): Machine {
    const machine = this.#options.make((saying) => {
      if (++this.#said <= this.#heard) return
      this.#heard = this.#said
      this.#options.onSay?.(saying)
    })
    machine.start({ drive: 'caller' })
    machine.pause()
    return machine
  }

  /** Goes back to the last checkpoint that fits, or to the beginning. Returns its steps. */
  #back(fits: (checkpoint: Checkpoint) => boolean): number {
    const kept = this.#checkpoints.last(fits)
    const before = this.#machine
    // A machine that is made says again what it said then. Code is shared as long as one of them is there.
    this.#said = 0
    this.#machine = kept === null ? this.#first() : kept.checkpoint.restore()
    before.dispose()
    this.#told = []
    this.#touched = kept !== null
    if (kept === null) return 0
    this.#said = kept.said
    return kept.checkpoint.steps
  }

  /** Goes back to a place. */
  async #return(to: Place): Promise<Halt> {
    // Of the moments that have retired so many, the first.
    this.#back(({ retired, steps }) => 'retired' in to ? retired < to.retired : steps <= to.steps)
    for (const nearer of NEARER) {
      const at = 'retired' in to ? { retired: to.retired - nearer } : { steps: to.steps - nearer }
      if (this.#until(at) < nearer) continue
      const halt = await this.#run(at, [])
      if (halt.kind !== 'there') return halt
      this.#keep(nearer)
    }
    return this.#until(to) > 0 ? this.#run(to, []) : { kind: 'there' }
  }

  /** The last stop on the way from here to where so many steps have been taken; and the steps before it. */
  async #lastHit(end: number): Promise<{ readonly steps: number; readonly hart: number; readonly reason: DebugReason } | null> {
    let last = null
    const watched = this.#stops.filter(({ kind }) => kind === 'watchpoint')
    let off = false
    while (this.#steps < end && !this.#doing.interrupted) {
      // Off a breakpoint by a step: it would stop there for ever.
      const halt = await this.#run({ steps: off ? this.#steps + 1 : end }, off ? watched : this.#stops)
      if (halt.kind === 'stop') last = { steps: this.#steps - (halt.reason.kind === 'watchpoint' ? 1 : 0), hart: halt.hart, reason: halt.reason }
      else if (halt.kind !== 'there') break
      off = halt.kind === 'stop' && halt.reason.kind === 'breakpoint'
    }
    return last
  }

  async #run(to: StopAt | null, stops: readonly DebugStop[]): Promise<Halt> {
    const machine = this.#machine
    if (this.#over) return { kind: 'end' }
    if (stops !== this.#told && (stops.length > 0 || this.#told.length > 0)) for (const { debug } of machine.vcpus) debug?.setStops(stops)
    this.#told = stops
    const came = { hart: -1, there: false }
    const deaf = machine.on('debug', ({ hart }) => { came.hart = hart })
    machine.stopAt(to)
    try {
      machine.start({ drive: 'caller' })
      while (machine.state === 'running') {
        machine.runSlice(SLICE)
        this.#keep(this.#options.spacing ?? SPACING)
        if (machine.state === 'running') await new Promise<void>((resolved) => { this.#options.loop.soon(resolved) })
      }
    } finally {
      deaf()
    }
    const { difference } = machine.replay ?? { difference: null }
    if (difference !== null) throw difference
    const { stats } = machine
    const reason = machine.vcpus[came.hart]?.debug?.reason
    if (reason !== undefined && reason !== null) return { kind: 'stop', hart: came.hart, reason }
    const there = to !== null && ('retired' in to ? stats.retired === to.retired : (to.hart === undefined ? stats.steps : this.#stepsOf(to.hart)) === to.steps)
    if (!this.#over) machine.stopAt(null)
    return there ? { kind: 'there' } : this.#over ? { kind: 'end' } : { kind: 'interrupted' }
  }

  /** All that was recorded has been. */
  get #over(): boolean {
    return this.#machine.state === 'off' || this.#machine.replay?.ended === true
  }

  /** Keeps a checkpoint, if the last one is so many steps ago. */
  #keep(spacing: number): void {
    const steps = this.#steps
    if (!this.#keeps || this.#over || steps - (this.#checkpoints.last((each) => each.steps <= steps)?.checkpoint.steps ?? 0) < spacing) return
    const checkpoint = this.#machine.checkpoint()
    if (checkpoint === null) return
    this.#touched = true
    this.#checkpoints.add({ checkpoint, said: this.#said })
  }
}
