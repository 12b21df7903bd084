import type { CountedVcpu, Exit, VcpuDebug, VcpuSample } from '@machinist/api'
import { Leave, SampledHart } from '@machinist/cpu-core'
import { Interrupt } from './cause.ts'
import { BANKS_PER_HART, type Cluster } from './cluster.ts'
import { HartDebug } from './debug/hart-debug.ts'
import type { Engine, EngineClient } from './engine.ts'
import { hartLayout } from './hart-layout.ts'
import { peekSv, tlbLayout } from '@machinist/mmu'
import { InterruptFile } from './interrupt-file.ts'
import { writePmpRanges } from './pmp-ranges.ts'
import { leaveToSystem, nameBanks, powerOn } from './power-on.ts'
import { HartRecord } from './record.ts'
import { HartPmu, HsmState, type ResumePoint, type SbiHart } from '@machinist/sbi'
import { hardwareCounters } from './hardware-counters.ts'
import { Envcfg } from './status.ts'
import { checkedRun, type RunEnd, type SavedRun } from './cut-run.ts'
import { restoreHart, saveHart } from './hart-state.ts'
import { sampleHart } from './sample.ts'
import { SPIN_LOOK, SpinWatch } from './spin-watch.ts'

/** The fast interpreter may overrun its budget by what fits into a page. */
const OVERRUN = 2048
const STIP = 1 << Interrupt.stip
const SSIP = 2n
const PAGE_OFFSET = 4095n
const EXITS: Readonly<Record<number, Exit>> = { [Leave.halt]: 'halt', [Leave.yield]: 'yield', [Leave.debug]: 'debug' }

/** One RV64GC hart. */
export class Hart extends SampledHart implements CountedVcpu, EngineClient, SbiHart {
  readonly index: number
  readonly record: HartRecord
  /** For supervisor mode; null without Ssaia. */
  readonly file: InterruptFile | null
  readonly pmu: HartPmu
  readonly #engine: Engine
  readonly cluster: Cluster
  readonly #home: number
  readonly #banks: readonly number[]
  readonly #now: () => number
  readonly #onSbi: (hart: Hart) => void
  readonly #harts: () => readonly Hart[]
  /** Virtual time at which STIP rises; Infinity when it has risen, or never will. */
  #timerAt = Infinity
  /** As HSM numbers them. */
  hsm: number = HsmState.started
  /** Another hart asked for its translations to be dropped. */
  #flushRequested = false
  /** CSRs were set from outside, and what follows from them is not worked out yet. */
  #stale = false
  #debug: HartDebug | null = null
  /** What the last run ended for, besides its debugger's reason. */
  #owed: RunEnd | null = null
  readonly #spin: SpinWatch
  /** Where a suspended hart starts over. */
  #resume: ResumePoint | null = null

  constructor(engine: Engine, cluster: Cluster, index: number, now: () => number, onSbi: (hart: Hart) => void, identities: number, harts: () => readonly Hart[]) {
    super(engine.arena)
    this.#engine = engine
    this.cluster = cluster
    this.index = index
    this.#now = now
    this.#onSbi = onSbi
    this.#harts = harts
    this.#home = engine.arena.allocate(hartLayout.size)
    this.record = new HartRecord(engine.arena, this.#home)
    this.pmu = new HartPmu(hardwareCounters(this.record, () => this.retired))
    this.file = identities === 0 ? null : new InterruptFile(identities, (level) => { this.setLine(Interrupt.seip, level) })
    this.#spin = this.#watch()
    this.#banks = cluster.banks.slice(index * BANKS_PER_HART, (index + 1) * BANKS_PER_HART)
  }

  /** Power-on: M-mode, everything off (privileged specification, 3.4), about to fetch from `pc`. */
  reset(pc: number): void {
    const { record } = this
    powerOn(record, this.index, pc, this.file !== null)
    this.file?.reset()
    nameBanks(record, this.#banks)
    this.updateTimeBase()
    this.#engine.flushBanks(this.#banks)
    this.hsm = HsmState.started
    this.#resume = null
    this.#timerAt = Infinity
    this.pmu.reset()
    this.#debug?.apply()
    this.refresh()
  }

  /** Works out what follows from the CSRs, after they were set from outside. */
  refresh(): void {
    this.#inWindow(() => {
      this.#engine.exports.updateView()
      this.#engine.exports.updateFloat()
      this.pmpChanged()
      this.timerChanged()
    })
    this.record.set('attention', 1)
  }

  #inWindow(action: () => void): void {
    this.#engine.window.enter(this, this.#home)
    action()
  }

  updateTimeBase(): void {
    this.record.set64('timeBase', this.cluster.counter.base)
    this.timerChanged()
  }

  /** Bits of `mip` that lines from outside drive. */
  setLine(code: number, level: boolean): void {
    const bit = 1 << code
    const lines = this.record.get('lines')
    this.record.set('lines', level ? lines | bit : lines & ~bit)
    this.record.set('attention', 1)
    this.#wanted()
  }

  /** Raises SSIP, as a software interrupt from another hart does. */
  raiseSoftwareInterrupt(): void {
    this.record.set64('mip', this.record.get64('mip') | SSIP)
    this.record.set('attention', 1)
    this.#wanted()
  }

  /** It may be able to run now: the hart that runs should give way when it waits. */
  #wanted(): void {
    const { current } = this.#engine.window
    if (current !== null && current !== this && current.cluster === this.cluster) current.record.set('others', 1)
  }

  clearSoftwareInterrupt(): boolean {
    const mip = this.record.get64('mip')
    this.record.set64('mip', mip & ~SSIP)
    return (mip & SSIP) !== 0n
  }

  readVirtual(address: bigint): bigint | null {
    const { memory } = this.cluster
    const bytes = new Uint8Array(8)
    for (const [index] of bytes.entries()) {
      const at = BigInt.asUintN(64, address + BigInt(index))
      const page = peekSv(memory, at & ~PAGE_OFFSET, this.record.get64('satp'))
      if (page < 0 || !memory.read(page + Number(at & PAGE_OFFSET), bytes.subarray(index, index + 1))) return null
    }
    return new DataView(bytes.buffer).getBigUint64(0, true)
  }

  get #pending(): boolean {
    const active = (this.record.getNumber('mip') | this.record.get('lines')) & this.record.getNumber('mie')
    return active !== 0
  }

  get runnable(): boolean {
    if (this.hsm === HsmState.stopped || this.#debug?.mode === 'hold') return false
    if (this.record.get('waiting') === 0 || this.#stepsOverWait) return true
    this.#expireTimer()
    return this.#pending
  }

  deadline(): number {
    // The timer of a stopped hart wakes nobody.
    return this.hsm === HsmState.stopped || this.#debug?.mode === 'hold' ? Infinity : this.#timerAt
  }

  /** WFI may end for any reason (privileged specification, 3.3.3), and a step is one. */
  get #stepsOverWait(): boolean {
    return this.#debug?.mode === 'step' && this.hsm === HsmState.started
  }

  #expireTimer(): void {
    if (this.#timerAt !== Infinity && this.#now() >= this.#timerAt) this.timerChanged()
  }

  timerChanged(): void {
    const { record } = this
    const lines = record.get('lines')
    this.#timerAt = Infinity
    let next = lines & ~STIP
    if ((record.get64('menvcfg') & BigInt.asUintN(64, Envcfg.STCE)) !== 0n) {
      const compare = record.get64('stimecmp')
      if (this.cluster.counter.read() >= compare) next = lines | STIP
      else this.#timerAt = this.cluster.counter.timeOf(compare)
    }
    if (next !== lines) {
      record.set('lines', next)
      record.set('attention', 1)
    }
  }

  /** Works out the ranges of PMP entries, and forgets every translation made under the old ones. */
  pmpChanged(): void {
    writePmpRanges(this.record)
    this.#engine.flushBanks(this.#banks)
  }

  /** Drops translations: at once if this hart is in the window, else before it runs again. */
  requestFlush(): void {
    if (this.#engine.window.current === this) this.#engine.exports.flushAll()
    else this.#flushRequested = true
  }

  sbiCall(): void {
    this.#onSbi(this)
  }

  getX(index: number): bigint {
    return this.record.get64('x', index)
  }

  setX(index: number, value: bigint): void {
    if (index !== 0) this.record.set64('x', value, index)
  }

  setTimer(time: bigint): void {
    this.record.set64('stimecmp', time)
    this.timerChanged()
  }

  /** As M-mode firmware leaves a hart to the operating system: S-mode, everything delegated, timers and caches on. */
  start(pc: bigint, opaque: bigint): void {
    leaveToSystem(this.record, this.index, pc, opaque)
    this.#resume = null
    this.hsm = HsmState.started
    this.requestFlush()
    this.#wanted()
    // In the middle of another hart's SBI call the window is taken: what follows from the CSRs waits for the next run.
    if (this.#engine.window.current === null || this.#engine.window.current === this) this.refresh()
    else this.#stale = true
  }

  stop(): void {
    this.hsm = HsmState.stopped
    if (this.running) this.record.set('leave', Leave.halt)
  }

  suspend(resume: ResumePoint | null): void {
    this.#resume = resume
    this.hsm = HsmState.suspended
    this.record.set('waiting', 1)
    if (this.running) this.record.set('leave', Leave.halt)
  }

  run(budget: number, exact: boolean, again: boolean = false): Exit {
    this.#spin.forget()
    return this.#run(budget, exact, again)
  }

  #run(budget: number, exact: boolean, again: boolean): Exit {
    const { record } = this
    const owed = again ? this.#owed : null
    this.#owed = null
    if (owed !== null) return owed
    if (again && budget <= 0) return 'budget'
    this.#enter()
    if (!again) this.#expireTimer()
    if (record.get('waiting') !== 0) {
      if (!this.#pending && !this.#stepsOverWait) return 'halt'
      record.set('waiting', 0)
      if (this.#resume) this.start(this.#resume.pc, this.#resume.opaque)
      else if (this.hsm === HsmState.suspended) this.hsm = HsmState.started
    }
    if (this.hsm === HsmState.stopped) return 'halt'
    record.set('attention', 1)
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
    return this.#exit(debug)
  }

  #enter(): void {
    this.#engine.window.enter(this, this.#home)
    this.cluster.begin(this)
    if (this.#stale) {
      this.#stale = false
      this.refresh()
    }
    if (!this.#flushRequested) return
    this.#flushRequested = false
    this.#engine.exports.flushAll()
  }

  /** Returns how many steps it took. */
  #go(budget: number, exact: boolean): number {
    if (!exact) return this.#fast(budget)
    const left = budget > OVERRUN ? budget - this.#fast(budget - OVERRUN) : budget
    const more = left > 0 && (left === budget || this.record.get('leave') === Leave.budget)
    return budget - left + (more ? this.pass(left, this.#engine.exports.crawl) : 0)
  }

  get debug(): VcpuDebug {
    this.#debug ??= new HartDebug({
      record: this.record,
      memory: this.cluster.memory,
      window: (action) => {
        this.#engine.window.enter(this, this.#home)
        return action(this.#engine.exports)
      },
      refresh: () => { this.refresh() },
      go: (budget, exact) => this.#go(budget, exact),
      crawl: (budget) => this.pass(budget, this.#engine.exports.crawl),
      flush: () => { this.#engine.flushBanks(this.#banks) },
      flushFetches: (address) => {
        const { u32 } = this.#engine.arena
        const slot = tlbLayout.fetch + 16 * (Number(address >> 12n) & (tlbLayout.fetchEntries - 1))
        for (const bank of this.#banks) u32[(bank + slot) >>> 2] = u32[((bank + slot) >>> 2) + 1] = 0
      },
    }, this.file !== null)
    return this.#debug
  }

  debugFetch(): boolean {
    return this.#debug?.fetches() ?? false
  }

  debugAccess(low: number, high: number, bytes: number, access: number): boolean {
    return this.#debug?.accesses(low, high, bytes, access) ?? false
  }

  /** How a run ended; under a debugger that comes first, and what else it ended for is owed to whoever goes on with it. */
  #exit(debug: HartDebug | null): Exit {
    const exit = EXITS[this.record.get('leave')] ?? 'budget'
    if (debug === null || debug.reason === null) return exit
    if (exit === 'halt' || exit === 'yield') this.#owed = exit
    return 'debug'
  }

  #watch(): SpinWatch {
    const owes = (): boolean => this.#owed !== null
    const steps = (): number => this.steps
    return new SpinWatch({
      record: this.record,
      get steps() { return steps() },
      get owes() { return owes() },
      run: (budget, exact, again) => this.#run(budget, exact, again),
      enter: () => { this.#enter() },
      step: () => this.#step(),
    })
  }

  spin(exact: boolean, most: number = Infinity): Exit | 'more' {
    return this.#spin.spin(exact, most)
  }

  #step(): Exit {
    const debug = this.#debug?.active === true ? this.#debug : null
    this.running = true
    try {
      if (debug === null) this.pass(1, this.#engine.exports.crawl)
      else debug.run(1, true)
    } finally {
      this.running = false
    }
    return this.#exit(debug)
  }

  saveRun(): SavedRun {
    return { others: this.record.get('others') !== 0, owed: this.#owed, look: this.#spin.save() }
  }

  restoreRun(saved: unknown): void {
    const { others, owed, look } = checkedRun(saved, `hart${this.index}`, this.steps, SPIN_LOOK)
    this.record.set('others', others ? 1 : 0)
    this.#owed = owed
    this.#spin.restore(look)
  }

  /** Runs the fast interpreter, and shows the translator where control is. */
  #fast(budget: number): number {
    const { translation, exports } = this.#engine
    return this.sampled(budget, exports.run, translation)
  }

  protected override fetchBank(): number {
    return this.record.get('fetchBank')
  }

  sample(depth: number): VcpuSample {
    return sampleHart(this.record, this.cluster.memory, depth)
  }

  /** Gives its record back. */
  dispose(): void {
    this.#engine.arena.free(this.#home, hartLayout.size)
  }

  save(): unknown {
    const file = this.file?.save(this.record.getNumber('siselect'))
    // What a hart reserved before others ran counts no more.
    const { reservation, ...state } = saveHart(this.record, this.cluster.memory)
    return { ...state, reservation: this.cluster.last === this ? reservation : null, hsm: this.hsm, resume: this.#resume, pmu: this.pmu.save(), ...(file !== undefined && { file }) }
  }

  restore(state: unknown): void {
    const { hsm, resume } = restoreHart(this.record, this.cluster.memory, state)
    this.hsm = hsm
    this.#resume = resume
    this.pmu.restore((state as { readonly pmu?: unknown }).pmu, `hart${this.index}.pmu`)
    if (this.file !== null) this.record.set64('siselect', BigInt(this.file.restore(`hart${this.index}.file`, (state as { readonly file?: unknown }).file)))
    if (this.record.get('reservation') !== 0) this.cluster.last = this
    const lines = this.record.get('lines')
    this.refresh()
    // A timer that had expired and was not looked at yet is looked at as it would have been: turns go by it.
    if ((this.record.get('lines') & ~lines & STIP) !== 0) {
      this.record.set('lines', lines)
      this.#timerAt = this.cluster.counter.timeOf(this.record.get64('stimecmp'))
    }
  }
}
