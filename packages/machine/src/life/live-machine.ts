import { type MachinistError, machinistError, type MachinistErrorFields, type Vcpu } from '@machinist/api'
import type { GuestMemory } from '@machinist/memory'
import type { MachineHost } from '../assembly/host.ts'
import { diverge } from '../assembly/randomness.ts'
import { makeParts, type PartEvents, type Parts, uncounted } from '../assembly/parts.ts'
import { Boot } from '../booting/boot.ts'
import type { BootHost } from '../booting/plan.ts'
import type { ResolvedMachine } from '../resolving/resolve.ts'
import { Driver } from '../running/driver.ts'
import type { GateRecord } from '../running/gate.ts'
import type { ReturnedProcessor } from '../running/timed-harts.ts'
import { type Leaving, RunLoop, type SliceResult, type StopAt } from '../running/run-loop.ts'
import { type SampleOptions, Sampler } from '../running/sampler.ts'
import { Recorder } from '../tape/recorder.ts'
import { Replayer, type ReplayStatus } from '../tape/replayer.ts'
import type { Tape } from '../tape/tape.ts'
import type { Checkpoint } from '../seek/checkpoints.ts'
import { Copies } from './copies.ts'
import { Emitter } from './emitter.ts'
import type { MachineEvents, MachineState, MachineStats } from './events.ts'
import type { ForkOptions } from './fork.ts'
import type { HandedMachine, HandOverOptions } from './hand-over.ts'
import type { Machine, StartOptions } from './machine.ts'
import type { Another, Content, Origin } from './origin.ts'
import { Stillness } from './stillness.ts'
import { restoreMachine, resumeMachine, savedBackends, type SavedMachine } from './saved-machine.ts'
import type { MachineSnapshot } from './snapshot.ts'
import { type DevicesState, restoreDevices, saveDevices } from './state.ts'
import { type Tapable, taped } from './taped.ts'

interface Failure {
  readonly part: string
  readonly error: Error
}

function bootHost({ host, image }: Origin): BootHost {
  return { ...(host.inflate !== undefined && { inflate: host.inflate.bind(host) }), ...(image !== undefined && { image }) }
}

/** A machine's life: its states, and what leads from one to the next. See {@link Machine}. */
export class LiveMachine implements Machine {
  readonly name: string
  readonly resolved: ResolvedMachine
  readonly memory: GuestMemory
  readonly vcpus: readonly Vcpu[]
  readonly #host: MachineHost
  readonly #parts: Parts
  readonly #tape: Tape | null
  readonly #boot: Boot
  readonly #loop: RunLoop
  readonly #driver: Driver
  readonly #copies: Copies
  readonly #emitter: Emitter<MachineEvents>
  readonly #waiters: (() => void)[] = []
  #state: MachineState = 'created'
  #status: number | null = null
  /** Of the part that ended it. */
  #error: Error | null = null
  /** A part failed, and that has no consequences yet. */
  #failed: Failure | null = null
  #drive: 'host' | 'caller' = 'host'
  /** Told when something comes in for a machine that waits. */
  #onWake: (() => void) | undefined
  /** A caller was told that it waits, and not yet that it does no more. */
  #waits = false
  #slicing = false
  /** As it was when it was disposed of. */
  #lastStats: MachineStats | null = null

  /**
   * @param content - of the machine that it is a copy of; absent for one that was never switched on
   * @throws what making parts throws, and typed errors for images
   */
  constructor(origin: Origin, content?: Content) {
    const { host } = origin
    this.#host = host
    this.#emitter = new Emitter<MachineEvents>((error) => { host.loop.soon(() => { throw error }) })
    const events: PartEvents = {
      power: {
        off: (status) => { parts.gate.push('machine.power', () => { this.#leave({ kind: 'off', status }) }) },
        reset: () => { parts.gate.push('machine.reset', () => { this.#leave({ kind: 'reset' }) }) },
      },
      fault: (part, error) => { this.#fault(part, error) },
      warn: (part, message) => { this.#emitter.emit('warn', { part, message }) },
      stall: () => { this.#loop.interrupt() },
      wake: () => { this.#wake() },
    }
    this.#tape = origin.tape ?? null
    const parts = makeParts(origin.resolved, host, origin.live, events, origin.trace, this.#tape, (early) => { this.#tape?.begin(taped(origin, early, this.#tapable())) }, content && { memory: content.memory, backends: savedBackends(content.state) })
    this.#parts = parts
    this.name = parts.resolved.definition.name
    this.resolved = parts.resolved
    this.memory = parts.memory
    this.vcpus = parts.cpu.vcpus
    this.#loop = new RunLoop(parts, () => host.loop.now(), () => this.#state === 'running' && this.#failed === null, (part, error) => { this.#fault(part, error) })
    this.#loop.tape = this.#tape
    this.#loop.onDebug = (hart) => {
      this.pause()
      this.#emitter.emit('debug', { hart })
    }
    this.#loop.onStop = () => { this.pause() }
    this.#driver = new Driver(host.loop, {
      slice: (limit) => this.runSlice(limit),
      get pending() { return parts.gate.pending > 0 },
      now: () => parts.time.sample(),
      awake: () => { this.#loop.sampler?.wake() },
    })
    const slicing = (): boolean => this.#slicing
    const alive = (): boolean => this.#state === 'running' || this.#state === 'paused'
    const stillness = new Stillness(parts, this.#loop, host.loop, {
      get slicing() { return slicing() },
      get alive() { return alive() },
      held: (is) => {
        if (is) this.#tape?.hold()
        else this.#tape?.release()
      },
    })
    this.#copies = new Copies(origin, parts, this.#loop, stillness, {
      get alive() { return alive() },
      get slicing() { return slicing() },
      check: () => { this.#beForkable() },
      wake: () => { this.#wake() },
      away: (is) => { this.#away(is) },
      dispose: () => { this.dispose() },
      misuse: (code, remedy, problem, value) => this.#misuse(code, remedy, problem, value),
      make: (from, what) => new LiveMachine(from, what),
    })
    const { gate, backendTimers } = parts
    const pushed = gate.onPush
    gate.onPush = () => {
      pushed?.()
      this.#wake()
    }
    const armed = backendTimers.onEarlier
    backendTimers.onEarlier = (at) => {
      armed?.(at)
      this.#wake()
    }
    try {
      this.#boot = new Boot(parts, bootHost(origin), (part, work) => { this.#contain(part, work) }, content !== undefined)
      if (this.#tape instanceof Replayer) this.#tape.assembled()
      if (content !== undefined) {
        const { turns, leaving } = this.#restore(content)
        this.#loop.restore(turns)
        this.#state = 'paused'
        if (leaving !== null) {
          this.#loop.leaving = leaving
          parts.gate.push('machine.power', () => { this.#leave(leaving) })
        }
        if (content.another !== null) this.#beAnother(content.another)
      }
      // A part's constructor has no business failing later, but a backend may have spoken too early.
      this.#early()
    } catch (error) {
      parts.dispose()
      throw error
    }
  }

  #restore({ state, replay }: Content): SavedMachine {
    const restore = (): SavedMachine => restoreMachine(this.#parts, state)
    if (replay === undefined || !(this.#tape instanceof Replayer)) return restore()
    this.#loop.passes = replay.passes
    this.#parts.gate.resume(replay.delivered)
    const holder: { saved?: SavedMachine } = {}
    this.#tape.resume(replay.place, (standsFor) => {
      holder.saved = restore()
      resumeMachine(this.#parts, holder.saved, replay.held, standsFor)
    })
    return holder.saved ?? restore()
  }

  get state(): MachineState {
    return this.#state
  }

  get status(): number | null {
    return this.#status
  }

  get stats(): MachineStats {
    return this.#lastStats ?? this.#statsNow()
  }

  #statsNow(): MachineStats {
    const { time, gate, memory, cpu } = this.#parts
    return {
      retired: this.#loop.retired,
      steps: this.#loop.steps,
      runTime: this.#loop.runTime,
      idleTime: this.#driver.idleTime,
      virtualTime: time.now,
      exits: { ...this.#loop.exits },
      events: gate.delivered,
      touchedMemory: memory.touchedPages * 4096,
      cpu: { ...cpu.stats },
    }
  }

  on<Name extends keyof MachineEvents>(name: Name, listener: (event: MachineEvents[Name]) => void): () => void {
    return this.#emitter.on(name, listener)
  }

  start(options: StartOptions = {}): void {
    this.#beAlive()
    const drive = options.drive ?? (this.#state === 'running' ? this.#drive : 'host')
    if (this.#state === 'running') {
      if (drive !== this.#drive) throw this.#misuse('running', 'Pause it first.', 'it runs already, driven in another way', this.#drive)
      return
    }
    this.#drive = drive
    this.#onWake = options.onWake
    this.#loop.lent = options.lent === true
    this.#waits = false
    const paused = this.#state === 'paused'
    if (!paused) {
      this.#status = null
      this.#error = null
      this.#failed = null
    }
    this.#change('running')
    if (!paused) this.#tape?.started()
    if (!paused) this.#bootWhenQuiet('cold', () => {})
    if (this.state === 'running' && drive === 'host' && !this.#loop.away) this.#driver.start()
  }

  pause(): void {
    if (this.#state === 'running') this.#change('paused')
  }

  resume(): void {
    this.#beAlive()
    if (this.#state === 'paused') this.start({ drive: this.#drive, lent: this.#loop.lent, ...(this.#onWake && { onWake: this.#onWake }) })
  }

  reset(): void {
    this.#beAlive()
    if (this.#state !== 'paused' && this.#state !== 'running') return
    if (this.#tape === null) this.#askReset()
    else this.#tape.reset()
  }

  #askReset(): void {
    this.#parts.gate.push('machine.reset', () => { this.#restart('host') })
  }

  pressPowerButton(): boolean {
    const { buttons } = this.#parts.connector
    if (this.#state !== 'running' || buttons.length === 0) return false
    for (const button of buttons) button.press()
    return true
  }

  powerOff(status: number = 0): void {
    if (this.#state === 'created') this.#change('off')
    else {
      if (this.#state !== 'off' && this.#state !== 'disposed') this.#tape?.powerOff(status)
      this.#switchOff(status, 'host')
    }
  }

  renewCode(): void {
    if (this.#state === 'disposed') return
    // Not beneath the very hart that asked for it.
    if (this.#slicing) this.#host.loop.soon(() => { this.renewCode() })
    else this.#parts.cpu.renewCode?.()
  }

  dispose(): void {
    if (this.#state === 'disposed') return
    this.#change('disposed')
    const end = (): void => {
      this.#lastStats = this.#statsNow()
      this.#tape?.close()
      this.#boot.dispose()
      this.#parts.dispose()
    }
    // Not beneath the very hart or device that asked for it.
    if (this.#slicing) this.#host.loop.soon(end)
    else end()
  }

  runSlice(limit: number, here: boolean = true): SliceResult {
    if (!(limit >= 0)) throw this.#misuse('bad-limit', 'Use nanoseconds from 0, for example 1000000.', 'a slice cannot take that long', limit)
    if (this.#state === 'created') throw this.#misuse('not-started', "Call start({ drive: 'caller' }) first.", 'the machine was never started')
    if (this.#state !== 'running' || this.#slicing) return { kind: 'stopped' }
    this.#slicing = true
    let result: SliceResult
    try {
      result = this.#loop.run(limit, here)
    } finally {
      this.#slicing = false
    }
    if (this.#failed !== null) {
      this.#settle()
      return { kind: 'stopped' }
    }
    this.#end()
    if (this.state !== 'running') return { kind: 'stopped' }
    this.#waits = result.kind === 'idle' || this.#loop.lent
    return result
  }

  get parallel(): number {
    return this.#loop.parallel
  }

  get wanting(): number {
    return this.#loop.wanting
  }

  get restless(): boolean {
    return this.#loop.restless
  }

  lend(processor: number, limit: number): void {
    this.#loop.lend(processor, limit)
  }

  takeBack(): readonly ReturnedProcessor[] {
    return this.#loop.takeBack()
  }

  preempt(): void {
    if (this.#slicing) this.#loop.preempt()
  }

  stopAt(at: StopAt | null): void {
    this.#beAlive()
    if (at !== null) {
      if (this.#parts.cpu.budget === 'time') throw uncounted(this.name, 'Pause it.', 'an exact stop')
      const [wanted, now] = 'retired' in at ? [at.retired, this.#loop.retired] : [at.steps, at.hart === undefined ? this.#loop.steps : this.vcpus[at.hart]?.steps ?? Infinity]
      if (!Number.isSafeInteger(wanted) || wanted <= now) throw this.#misuse('bad-stop', `Use a whole number above ${now}.`, 'it cannot stop there', wanted)
    }
    this.#loop.stop = at
  }

  finished(): Promise<{ readonly status: number; readonly error: Error | null }> {
    const outcome = (): { status: number; error: Error | null } => ({ status: this.#status ?? 0, error: this.#error })
    if ((this.#state === 'off' && !this.#slicing) || this.#state === 'disposed') return Promise.resolve(outcome())
    return new Promise((resolved) => { this.#waiters.push(() => { resolved(outcome()) }) })
  }

  record(listener: ((record: GateRecord) => void) | null): void {
    this.#parts.gate.onRecord = listener
  }

  sample(how: SampleOptions | null): void {
    if (how !== null) this.#beAlive()
    const { cpu, time } = this.#parts
    if (cpu.budget === 'time') {
      if (how !== null) throw uncounted(this.name, 'Profile it with the software core.', 'sampling')
      return
    }
    this.#loop.sampler?.end()
    this.#loop.leave()
    this.#loop.sampler = how && new Sampler(cpu.vcpus, time, how, (sample) => { this.#emitter.emit('sample', sample) })
  }

  async fork(options: ForkOptions = {}): Promise<Machine> {
    const copy = await this.#copies.fork(options)
    if (this.#state === 'running' && options.start !== false) copy.start({ drive: this.#drive })
    return copy
  }

  /** A copy becomes a machine of its own: what must not be the same in two machines changes. */
  #beAnother({ number, meets }: Another): void {
    const { generator, devices } = this.#parts
    if (generator !== null) diverge(generator, number)
    for (const { resolved: { name }, device } of devices) this.#contain(name, () => { device.forked?.({ number, meets: (port) => meets(`${name}.${port}`) }) })
  }

  save(): Promise<MachineSnapshot> {
    return this.#copies.save()
  }

  handOver<T>(take: (handed: HandedMachine) => Promise<T>, options: HandOverOptions = {}): Promise<T> {
    return this.#copies.handOver(take, options)
  }

  checkpoint(): Checkpoint | null {
    this.#beAlive()
    return this.#failed === null ? this.#copies.checkpoint() : null
  }

  #beForkable(): void {
    this.#beAlive()
    if (this.#state !== 'running' && this.#state !== 'paused') throw this.#misuse('not-running', 'Start it first.', 'there is nothing to copy', this.#state)
    if (this.#tape?.replaying === true) throw this.#misuse('replaying', 'Replay it again instead.', 'a machine that replays a recording has nothing that a copy could be connected to')
  }

  stopRecording(): void {
    if (this.#tape instanceof Recorder) this.#tape.stop()
  }

  get replay(): ReplayStatus | null {
    return this.#tape instanceof Replayer ? this.#tape.status : null
  }

  saveDevices(): DevicesState {
    this.#beAlive()
    return saveDevices(this.#parts)
  }

  restoreDevices(saved: unknown): void {
    this.#beAlive()
    restoreDevices(this.#parts, saved)
  }

  #tapable(): Tapable {
    const machine = this
    return {
      // Not all of it is there at the beginning.
      get whole() { return (machine.#loop as RunLoop | undefined) === undefined ? null : { parts: machine.#parts, loop: machine.#loop } },
      get slicing() { return machine.#slicing },
      get running() { return machine.#state === 'running' && machine.#failed === null },
      reset: () => { this.#askReset() },
      powerOff: (status) => { this.#switchOff(status, 'host') },
      wake: () => { this.#wake() },
      fail: (part, error) => { this.#fault(part, error) },
      ended: () => { this.pause() },
    }
  }

  #misuse(code: string, remedy: string, problem: string, value?: MachinistErrorFields['value']): MachinistError {
    return machinistError({ code, part: this.name, remedy, ...(value !== undefined && { value }) }, problem)
  }

  #beAlive(): void {
    if (this.#state === 'disposed') throw this.#misuse('disposed', 'Make another machine.', 'the machine was disposed of')
  }

  #wake(): void {
    if (this.#slicing) return
    this.#driver.wake()
    if (!this.#waits || this.#state !== 'running') return
    this.#waits = false
    this.#onWake?.()
  }

  /** It goes on elsewhere, perhaps: it stands still, and so does its time. */
  #away(is: boolean): void {
    this.#loop.away = is
    if (this.#state !== 'running') return
    if (is) {
      this.#parts.time.stop()
      this.#driver.stop()
    } else {
      this.#parts.time.run()
      if (this.#drive === 'host') this.#driver.start()
    }
  }

  #change(to: MachineState): void {
    if (this.#state === to) return
    const from = this.#state
    this.#state = to
    if (to === 'running' && !this.#loop.away) this.#parts.time.run()
    else {
      this.#loop.settle()
      this.#parts.time.stop()
      // A recorded turn ends where it would have ended.
      if (to !== 'paused' || this.#tape === null || this.#tape.replaying) this.#loop.leave()
      this.#driver.stop()
    }
    this.#emitter.emit('state', { from, to })
    if (to === 'disposed') this.#tellWaiters()
  }

  #switchOff(code: number, by: 'guest' | 'host'): void {
    if (this.#state === 'off' || this.#state === 'disposed') return
    this.#status = code
    this.#loop.leaving = null
    this.#change('off')
    this.#end()
    this.#emitter.emit('power', { status: code, by })
  }

  /** It has ended when it is off and nothing runs any more: the tape first, which may find a last difference, then who waits for it. */
  #end(): void {
    if (this.#state !== 'off' || this.#slicing) return
    this.#tape?.off(this.#status ?? 0)
    this.#tellWaiters()
  }

  #tellWaiters(): void {
    for (const waiter of this.#waiters.splice(0)) waiter()
  }

  /** What the guest said before it went leaves first. */
  #leave(leaving: Leaving): void {
    const { output } = this.#parts.connector
    this.#loop.leaving = leaving
    const go = (): void => {
      const how = this.#loop.leaving
      this.#loop.leaving = null
      if (how?.kind === 'off') this.#switchOff(how.status, 'guest')
      else if (how !== null) this.#restart('guest')
    }
    if (output.sending) output.whenSent(go)
    else go()
  }

  #restart(by: 'guest' | 'host'): void {
    if (this.#state !== 'running' && this.#state !== 'paused') return
    this.#loop.leaving = null
    this.#loop.interrupt()
    this.#bootWhenQuiet('warm', () => { this.#emitter.emit('reset', { by }) })
  }

  /** Boots when no disk writes into RAM any more; until then no hart runs. */
  #bootWhenQuiet(kind: 'cold' | 'warm', then: () => void): void {
    const { connector } = this.#parts
    if (this.#loop.held) return
    this.#loop.settle()
    const go = (): void => {
      this.#loop.held = false
      if (this.#state === 'disposed' || this.#state === 'off') return
      this.#loop.forget()
      this.#contain('boot', () => { this.#boot.begin(kind) })
      // Devices may have begun to fill memory of their own.
      if (connector.inFlight > 0) {
        this.#loop.held = true
        connector.whenDrained(() => { this.#loop.held = false })
      }
      then()
      if (!this.#slicing) this.#settle()
    }
    if (connector.inFlight === 0) {
      go()
      return
    }
    this.#loop.held = true
    connector.whenDrained(go)
  }

  #fault(part: string, thrown: unknown): void {
    this.#note(part, thrown)
    // While parts are being made, there is nothing to end yet.
    if (this.#state === 'created') return
    this.#loop.interrupt()
    // Within a slice, the loop settles it between turns.
    if (!this.#slicing) this.#settle()
  }

  #note(part: string, thrown: unknown): void {
    this.#failed ??= { part, error: thrown instanceof Error ? thrown : new Error(String(thrown)) }
  }

  #contain(part: string, work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#note(part, error)
    }
  }

  #early(): void {
    if (this.#failed !== null) throw this.#failed.error
  }

  #settle(): void {
    if (this.#failed === null) return
    const { part } = this.#failed
    const error = this.#tape?.failed(this.#failed.error) ?? this.#failed.error
    this.#failed = null
    this.#error = error
    this.#status ??= 1
    this.#change('off')
    this.#end()
    this.#emitter.emit('error', { part, error })
  }
}
