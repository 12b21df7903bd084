import { type CountedVcpu, type CpuContext, type Exit, machinistError, type VcpuDebug, type VcpuSample, type X86Start } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import type { GuestMemory } from '@machinist/memory'
import { type Cluster, Leave, SampledHart } from '@machinist/cpu-core'
import { HartDebug } from './debug/hart-debug.ts'
import { STATE_SIZE } from './emit/layout.ts'
import { OVERRUN, REGION_OVERRUN } from './emit/run.ts'
import { BANKS_PER_HART } from './emit/tlb.ts'
import { Activity, Line } from './emit/system/events.ts'
import { Flag } from './flags.ts'
import type { Engine, EngineClient, HartCalls } from './engine.ts'
import { restoreHart, saveHart } from './hart-state.ts'
import type { Model } from './model/models.ts'
import { outsideCalls } from './outside.ts'
import { becomeModel } from './model/power-on.ts'
import { X86Record } from './record.ts'
import { A20, ALL_LINES, resetState } from './reset.ts'
import { sampleHart } from './sample.ts'
import { enterManagement, leaveManagement, type Managing } from './smm.ts'
import { begin } from './start.ts'

/** Shutdown switches the machine off and on; RDRAND and RDSEED want random bits. */
export type X86Wants = { readonly power: 'power'; readonly entropy: 'entropy' }

/** What a processor reaches of its machine. */
export type X86Context = CpuContext<GuestMemory, AddressSpace, X86Wants>

const EXITS: Readonly<Record<number, Exit>> = { [Leave.halt]: 'halt', [Leave.yield]: 'yield', [Leave.debug]: 'debug' }
/** IA32_APIC_BASE of the processor that starts the others has this (SDM volume 3, 10.4.2). */
const BOOTSTRAP = 1n << 8n
/** The vector when nobody gives one: what a bus has that nobody drives. */
const NO_VECTOR = 0xff

/** What makes a processor. */
export interface HartParts {
  readonly engine: Engine
  readonly cluster: Cluster
  readonly context: X86Context
  readonly model: Model
  readonly index: number
  /** All there are. */
  readonly harts: () => readonly X86Hart[]
  readonly count: number
}

/** What of a run that was cut short is not in the state. */
interface SavedRun {
  readonly others: boolean
  readonly owed: 'halt' | 'yield' | null
}

/** One x86 processor. */
export class X86Hart extends SampledHart implements CountedVcpu, EngineClient {
  readonly index: number
  readonly record: X86Record
  readonly cluster: Cluster
  readonly outside: HartCalls
  readonly #engine: Engine
  readonly #context: X86Context
  readonly #model: Model
  readonly #home: number
  readonly #harts: () => readonly X86Hart[]
  #debug: HartDebug | null = null
  /** How the last run ended besides that a debugger stopped it. */
  #owed: 'halt' | 'yield' | null = null

  constructor({ engine, cluster, context, model, index, harts, count }: HartParts) {
    super(engine.arena)
    this.index = index
    this.cluster = cluster
    this.#engine = engine
    this.#context = context
    this.#model = model
    this.#harts = harts
    this.#home = engine.arena.allocate(STATE_SIZE)
    this.record = new X86Record(engine.arena, this.#home)
    const word = new Uint8Array(8)
    this.outside = {
      ...outsideCalls(() => engine.arena.data, engine.window.address, {
        model, hart: index, harts: count, timeFrequency: context.counter.frequency, ports: context.ports ?? null,
        ticks: () => context.counter.elapsed(),
        entropy: () => {
          context.backends.entropy.fill(word)
          return new DataView(word.buffer).getBigUint64(0, true)
        },
        local: () => context.local?.() ?? null,
      }),
      debugFetch: () => this.#debug?.fetches() === true ? 1 : 0,
      debugPage: (low: number, high: number) => this.#debug?.hasPage(low, high) === true ? 1 : 0,
      debugAccess: (low: number, high: number, bytes: number, access: number) => this.#debug?.accesses(low, high, bytes, access) === true ? 1 : 0,
      acknowledge: () => context.acknowledge?.(`hart${index}.intr`) ?? NO_VECTOR,
      initialise: () => {
        resetState(engine.arena.data, this.record.state, 'init', model.signature)
        engine.exports.flushAll()
      },
      enterManagement: () => { enterManagement(this.#managing, engine.exports.status()) },
      leaveManagement: () => leaveManagement(this.#managing) ? 0 : 1,
    }
  }

  get #managing(): Managing {
    const { arena } = this
    return { get view() { return arena.data }, state: this.record.state, model: this.#model, memory: this.cluster.memory }
  }

  /** Power-on or reset (SDM volume 3, 10.1): the first processor begins at `start`, others wait for a start-up. */
  reset(start: X86Start): void {
    const { record } = this
    const [steps, unretired] = [record.get64('steps'), record.get64('unretired')]
    record.clear()
    // What was retired stays retired.
    record.set64('steps', steps)
    record.set64('unretired', unretired)
    resetState(this.arena.data, record.state, 'cold', this.#model.signature)
    becomeModel(this.arena.data, record.base, this.#model)
    if (this.index > 0) {
      record.set64('apicBase', record.get64('apicBase') & ~BOOTSTRAP)
      record.set('waiting', Activity.waitingForStartUp)
      record.set('attention', 0)
    }
    this.#inWindow(() => {
      this.#engine.exports.startBanks(this.cluster.banks[this.index * BANKS_PER_HART] ?? 0)
      if (this.index === 0) begin(record, start)
      this.#engine.exports.updateView()
      this.#engine.exports.updateMode()
    })
    this.updateTimeBase()
    this.#debug?.apply()
  }

  #inWindow(action: () => void): void {
    this.#engine.window.enter(this, this.#home)
    action()
  }

  updateTimeBase(): void {
    this.record.set64('timeBase', this.#context.counter.base)
  }

  /** INTR, as its line is; an edge of NMI, SMI or INIT. */
  setLine(line: number, level: boolean): void {
    const { record } = this
    const lines = record.get('lines')
    // An INIT takes a start-up that came before it.
    const others = line === Line.init ? lines & ~Line.startUp : lines
    record.set('lines', level ? others | line : others & ~line)
    record.set('attention', 1)
    this.#wanted()
  }

  /** Bit 20 of physical addresses is 0 from now on, or is not (A20M#). True when that changes, and translations are to be dropped. */
  maskA20(masked: boolean): boolean {
    const lines = masked ? ALL_LINES & ~A20 : ALL_LINES
    if (this.record.get64('a20') === lines) return false
    this.record.set64('a20', lines)
    return true
  }

  /** A start-up: at the page `vector` (SDM volume 3, 10.4.4). */
  startUp(vector: number): void {
    this.record.set('sipi', vector & 0xff)
    this.setLine(Line.startUp, true)
  }

  /** It may be able to run now: the processor that runs should give way when it spins. */
  #wanted(): void {
    const { current } = this.#engine.window
    if (current !== null && current !== this && current.cluster === this.cluster) current.record.set('others', 1)
  }

  get runnable(): boolean {
    if (this.#debug?.mode === 'hold') return false
    // What has not been looked at may end a wait.
    return this.record.get('waiting') === Activity.running || this.record.get('attention') !== 0
  }

  /** It has no timer of its own: the local APIC has. */
  deadline(): number {
    return Infinity
  }

  run(budget: number, exact: boolean, again: boolean = false): Exit {
    const owed = again ? this.#owed : null
    this.#owed = null
    if (owed !== null) return owed
    if (again && budget <= 0) return 'budget'
    const { record } = this
    this.#engine.window.enter(this, this.#home)
    if (!this.runnable) return 'halt'
    if (!again) record.set('others', this.#harts().some((hart) => hart !== this && hart.runnable) ? 1 : 0)
    const debug = this.#debug?.active === true ? this.#debug : null
    this.running = true
    try {
      if (debug !== null) debug.run(budget, exact)
      else this.#go(budget, exact)
    } finally {
      this.running = false
    }
    this.#engine.translation.afterRun()
    if (record.get('waiting') === Activity.shutdown && record.get('leave') === Leave.halt) this.#shutDown()
    const exit = EXITS[record.get('leave')] ?? 'budget'
    if (debug === null || debug.reason === null) return exit
    // A debugger comes first; what else it ended for is owed to whoever goes on.
    if (exit === 'halt' || exit === 'yield') this.#owed = exit
    return 'debug'
  }

  get debug(): VcpuDebug {
    this.#debug ??= new HartDebug({
      record: this.record,
      memory: this.cluster.memory,
      wide: this.#model.features.has('lm'),
      window: (action) => {
        this.#engine.window.enter(this, this.#home)
        return action(this.#engine.exports)
      },
      go: (budget, exact) => { this.#go(budget, exact) },
      crawl: (budget) => { this.pass(budget, this.#engine.exports.crawl) },
      flush: () => { this.#engine.flushBanks(this.#banks) },
    })
    return this.#debug
  }

  get #banks(): readonly number[] {
    return this.cluster.banks.slice(this.index * BANKS_PER_HART, (this.index + 1) * BANKS_PER_HART)
  }

  #go(budget: number, exact: boolean): void {
    const { run, crawl } = this.#engine.exports
    if (!exact) {
      this.sampled(budget, run, this.#engine.translation)
      return
    }
    // What may go further than told stops before, and the rest is done by what is slower and more exact.
    const passes = [
      [REGION_OVERRUN, (most: number) => this.sampled(most, run, this.#engine.translation)],
      [OVERRUN, (most: number) => this.#plainly(most, run)],
      [0, (most: number) => this.pass(most, crawl)],
    ] as const
    let left = budget
    for (const [overrun, pass] of passes) {
      if (left <= overrun) continue
      left -= pass(left - overrun)
      if (left <= 0 || this.record.get('leave') !== Leave.budget) return
    }
  }

  /** Without translated code. */
  #plainly(budget: number, run: () => void): number {
    this.record.set('plain', 1)
    try {
      return this.pass(budget, run)
    } finally {
      this.record.set('plain', 0)
    }
  }

  protected override fetchBank(): number {
    const { record } = this
    return record.get('banks', record.get('cpl') | (record.get('system') & Flag.alignment) >>> 16)
  }

  /** A board resets all processors when one says that it is shut down (SDM volume 3, 7.15). */
  #shutDown(): void {
    this.#context.trace.warn(`processor ${this.index} shut down: three exceptions, each on the way to the handler of the one before`)
    this.#context.backends.power.reset()
  }

  /** Whether PAUSE gives way: what a run looked at when it began; and what a debugger kept from being told. */
  saveRun(): SavedRun {
    return { others: this.record.get('others') !== 0, owed: this.#owed }
  }

  restoreRun(saved: unknown): void {
    const { others, owed } = typeof saved === 'object' && saved !== null ? saved as Partial<Record<keyof SavedRun, unknown>> : {}
    if (typeof others !== 'boolean' || owed !== null && owed !== 'halt' && owed !== 'yield') {
      const value = typeof others === 'boolean' ? 'owed' : 'others'
      throw machinistError({ code: 'bad-state', part: `hart${this.index}`, value, remedy: 'Restore a state that this version saved.' }, 'the saved run is not valid')
    }
    this.record.set('others', others ? 1 : 0)
    this.#owed = owed
  }

  sample(depth: number): VcpuSample {
    return sampleHart(this.record, this.cluster.memory, depth)
  }

  save(): unknown {
    let state: unknown
    this.#inWindow(() => { state = saveHart(this.record, this.#engine.exports.status()) })
    return state
  }

  restore(state: unknown): void {
    this.#inWindow(() => {
      restoreHart(this.record, state, `hart${this.index}`)
      this.#engine.exports.startBanks(this.cluster.banks[this.index * BANKS_PER_HART] ?? 0)
      this.#engine.exports.updateView()
      this.#engine.exports.updateMode()
    })
    this.updateTimeBase()
  }

  /** Gives its record back. */
  dispose(): void {
    this.arena.free(this.#home, STATE_SIZE)
  }
}
