import { type Exit, machinistError, type TimedVcpu } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import type { GuestMemory } from '@machinist/memory'
import { peekSv } from '@machinist/mmu'
import { HsmState, type ResumePoint, type SbiHart } from '@machinist/sbi'
import type { Native } from '../native.ts'
import { Answer, VcpuAccess, VcpuExit } from '../vcpu-record.ts'
import { answerAccess } from './device-access.ts'
import type { GuestPages } from './guest-pages.ts'
import type { GuestTime } from './guest-time.ts'
import type { OtherHarts } from './other-harts.ts'
import { Pending } from './pending.ts'
import { VcpuRegisters, wordOf } from './registers.ts'
import { restoreVcpu, saveVcpu } from './saved-vcpu.ts'
import type { Shortcuts } from './shortcuts.ts'

/** `vsstatus` of a hart that begins: 64 bits in U-mode. */
const UXL_64 = 2n << 32n
/** What programs may read below our SBI, as below OpenSBI: `cycle`, `time` and `instret`, as far as the hypervisor lets them. */
const SHOWN_COUNTERS = 7n
const TIMER_BIT = 1 << 5
const EXTERNAL_BIT = 1 << 9
const PAGE_OFFSET = 4095n
const { access: ACCESS, address: ADDRESS, answer: ANSWER, exit: EXIT } = wordOf
const { access: BY_ACCESS, ecall: BY_ECALL, wait: BY_WAIT, time: BY_TIME } = VcpuExit
const { done: DONE, retry: RETRY, fault: FAULT } = Answer
/** Exits in a run, besides that at its end, that are hardly anything. */
const FEW = 2

/** What is worth the way to another hart of the hardware and back, in nanoseconds: that costs JavaScript about half of it. */
const WORTH = 500_000

/** What the harts of a machine share. */
export interface HartsOf {
  readonly native: Native
  readonly memory: GuestMemory
  readonly bus: AddressSpace
  readonly pages: GuestPages
  readonly time: GuestTime
  readonly shortcuts: Shortcuts
  /** Virtual time. */
  now(): number
  /** Virtual time at which the machine's counter comes to a value. */
  timeOf(ticks: bigint): number
  sbi(hart: HardwareHart): void
  readonly others: OtherHarts
  /** Nanoseconds of a tick of the hardware's counter. */
  readonly tick: number
}

/** A hart of a guest on a hart of the hardware, in VS-mode. */
export class HardwareHart implements TimedVcpu, SbiHart {
  readonly index: number
  readonly registers: VcpuRegisters
  readonly pmu = null
  hsm: number = HsmState.stopped
  readonly #of: HartsOf
  readonly id: number
  #waiting = false
  #resume: ResumePoint | null = null
  #running = false
  /** It runs on another hart of the hardware. */
  #away = false
  /**
   * It ran to the end of its time lately, with hardly anything for this thread to do: it may as well run elsewhere. Coming back from there costs a turn of the event loop, an exit here costs a tenth of it.
   */
  quiet = false
  goesOn?: (until: number) => boolean
  /** It comes back too often to be sent away. */
  restless = false
  /** What it had run when it went away. */
  #ranBefore = 0
  /** Ends the run in progress, and how. */
  #leave: Exit | null = null
  /** What to do about an access is known, and not done yet. */
  #answered = false
  #timeVersion = -1
  /** Of the `vstimecmp` that was looked at last: its words, and the virtual time of it. */
  readonly #timer = { low: -1, high: -1, version: -1, at: Infinity }
  /** Accesses to devices. */
  deviceAccesses = 0

  /** @param identities - of its interrupt file; 0: it has none */
  constructor(of: HartsOf, index: number, identities: number) {
    this.index = index
    this.#of = of
    const { id, page } = of.native.createVcpu(of.pages.vm, index)
    this.id = id
    this.registers = new VcpuRegisters(page)
    this.registers.set('vstimecmp', -1n)
    this.registers.setLow('identities', identities)
  }

  /** Power-on: it is stopped. */
  reset(): void {
    this.registers.clear()
    this.registers.clearFile()
    this.registers.set('vstimecmp', -1n)
    this.#timeVersion = -1
    this.#waiting = false
    this.#resume = null
    this.hsm = HsmState.stopped
    this.#of.native.flush(this.id)
  }

  get #now(): number {
    return this.#of.native.now()
  }

  /** Interrupts that are pending and enabled. */
  get #pending(): boolean {
    const { words } = this.registers
    const enabled = words[wordOf.vsie] ?? 0
    const raised = ((words[wordOf.hvip] ?? 0) >> 1) | (words[wordOf.external] === 0 ? 0 : EXTERNAL_BIT)
    if ((raised & enabled) !== 0) return true
    return (enabled & TIMER_BIT) !== 0 && this.#timerAt() <= this.#of.now()
  }

  #timerAt(): number {
    const { registers } = this
    const timer = this.#timer
    const low = registers.words[wordOf.vstimecmp] ?? 0
    const high = registers.words[wordOf.vstimecmp + 1] ?? 0
    const { version } = this.#of.time
    if (low !== timer.low || high !== timer.high || version !== timer.version) {
      timer.low = low
      timer.high = high
      timer.version = version
      timer.at = low === 0xffff_ffff && high === 0xffff_ffff ? Infinity : this.#of.timeOf(registers.get('vstimecmp'))
    }
    return timer.at
  }

  get runnable(): boolean {
    if (this.hsm === HsmState.stopped) return false
    return !this.#waiting || this.#pending
  }

  deadline(): number {
    if (this.hsm === HsmState.stopped) return Infinity
    const at = this.#timerAt()
    // One that has come since the hart was asked whether it can run has it asked again; one that it does not want is none.
    return at > this.#of.now() || this.runnable ? at : Infinity
  }

  /** It waits, and has something to run for since. */
  get roused(): boolean {
    return this.#waiting && !this.#running && this.hsm !== HsmState.stopped && this.#pending
  }

  get ran(): number {
    return this.registers.number('ran') * this.#of.tick
  }

  get retired(): number {
    return this.registers.number('retired')
  }

  get steps(): number {
    return this.retired
  }

  /** @param until - virtual time */
  run(until: number): Exit {
    if (!this.#begin()) return 'halt'
    const { id } = this
    const { time, native, others } = this.#of
    const end = time.origin + until
    this.#running = true
    this.quiet = false
    const began = this.restless ? native.now() : 0
    try {
      for (let exits = 0; ; exits++) {
        native.enter(id, end)
        if (this.restless && native.now() - began > WORTH * (exits + 1)) this.restless = false
        let exit = this.#serve(end)
        // What the hardware wants, or the machine, is done in between, without this hart having to leave for it.
        if (exit === 'interrupt' && others.interlude()) exit = this.#left
        if (exit !== null) {
          if (exit === 'budget') this.quiet = exits <= FEW
          if (exit !== 'yield' || this.goesOn?.(until) !== true) return exit
          if (!this.#begin()) return 'halt'
        }
        // The machine's counter may have been written.
        if (time.version !== this.#timeVersion) this.#setTime()
      }
    } finally {
      this.#running = false
    }
  }

  /** Begins to run on another hart of the hardware; see `ParallelHarts`. */
  leave(until: number): number {
    this.#begin()
    this.#away = true
    this.#ranBefore = this.ran
    return this.#of.time.origin + until
  }

  /** It is back. */
  arrive(): void {
    this.#away = false
  }

  /** Does what it came back for. */
  finish(): Exit {
    this.#running = true
    this.#leave = null
    this.quiet = this.registers.low('exit') === VcpuExit.time
    const ran = this.ran - this.#ranBefore
    if (!this.quiet || ran >= WORTH) this.restless = ran < WORTH
    try {
      return this.#serve(this.#now) ?? 'budget'
    } finally {
      this.#running = false
    }
  }

  /** False when it has nothing to run for. */
  #begin(): boolean {
    this.#leave = null
    if (this.hsm === HsmState.stopped) return false
    if (this.#waiting) {
      if (!this.#pending) return false
      this.#wake()
    }
    if (this.#of.time.version !== this.#timeVersion) this.#setTime()
    this.#answered = false
    return true
  }

  #wake(): void {
    this.#waiting = false
    if (this.#resume !== null) this.start(this.#resume.pc, this.#resume.opaque)
    else if (this.hsm === HsmState.suspended) this.hsm = HsmState.started
  }

  #setTime(): void {
    const { time } = this.#of
    this.#timeVersion = time.version
    this.registers.set('timeOffset', time.offset)
  }

  /** Does what the hart exited for; null when it can go on. */
  #serve(end: number): Exit | null {
    const { shortcuts } = this.#of
    this.#answered = false
    // What the guest did before comes first, and nothing more is left to be done meanwhile.
    shortcuts.close()
    if (!shortcuts.shared) return this.#exited(end)
    try {
      return this.#exited(end)
    } finally {
      shortcuts.open()
    }
  }

  #exited(end: number): Exit | null {
    const { words } = this.registers
    switch (words[EXIT]) {
      case BY_ACCESS: {
        const { bus } = this.#of
        const high = words[ADDRESS + 1] ?? 0
        const low = words[ADDRESS] ?? 0
        const address = high === 0 ? low : high * 2 ** 32 + low
        // Where a device is there is no RAM.
        if (answerAccess(words, address, bus)) {
          this.deviceAccesses++
          words[ANSWER] = DONE
        } else words[ANSWER] = this.#of.pages.serve(address, words[ACCESS] === VcpuAccess.write) ? RETRY : FAULT
        this.#answered = true
        return this.#leave
      }
      case BY_ECALL:
        this.#of.sbi(this)
        return this.#leave
      case BY_WAIT:
        this.#waiting = true
        if (!this.#pending) return this.#leave ?? 'halt'
        this.#wake()
        return this.#leave
      case BY_TIME:
        // Before its time, something else of the hardware is to be looked at.
        return this.#leave ?? (this.#now >= end ? 'budget' : 'interrupt')
      default:
        throw machinistError(
          { code: 'guest-trap', part: `hart${this.index}`, value: `scause ${this.registers.low('cause')} at pc 0x${this.registers.get('pc').toString(16)}`, remedy: 'Report it: the microkernel should know what to do.' },
          'the guest left in a way that nobody expects')
    }
  }

  /** How its run is to end; something that it called may have said so. */
  get #left(): Exit | null {
    return this.#leave
  }

  /** Ends a run here, if there is one. */
  interrupt(): void {
    if (this.#running) this.#leave ??= 'yield'
  }

  kick(): void {
    if (this.#away) this.#of.native.kick(this.id)
    else if (this.#running) this.#leave ??= 'yield'
  }

  /** The supervisor's external interrupt. */
  setExternal(level: boolean): void {
    const { words } = this.registers
    const hvip = words[wordOf.hvip] ?? 0
    words[wordOf.hvip] = level ? hvip | Pending.external : hvip & ~Pending.external
    if (this.#away) this.#of.native.kick(this.id)
  }

  /** Whether it has an interrupt file. */
  get hasFile(): boolean {
    return this.registers.low('identities') !== 0
  }

  /** A message for its interrupt file. */
  message(identity: number): void {
    this.#of.native.message(this.id, identity)
  }

  getX(index: number): bigint {
    return this.registers.get('x', index)
  }

  setX(index: number, value: bigint): void {
    if (index !== 0) this.registers.set('x', value, index)
  }

  setTimer(time: bigint): void {
    this.registers.set('vstimecmp', time)
  }

  raiseSoftwareInterrupt(): void {
    if (this.#away) this.#of.native.raise(this.id)
    else this.registers.setLow('hvip', this.registers.low('hvip') | Pending.software)
  }

  clearSoftwareInterrupt(): boolean {
    const hvip = this.registers.low('hvip')
    this.registers.setLow('hvip', hvip & ~Pending.software)
    return (hvip & Pending.software) !== 0
  }

  readVirtual(address: bigint): bigint | null {
    const { memory } = this.#of
    const bytes = new Uint8Array(8)
    for (const [index] of bytes.entries()) {
      const at = (address + BigInt(index)) & 0xffff_ffff_ffff_ffffn
      const page = peekSv(memory, at & ~PAGE_OFFSET, this.registers.get('vsatp'))
      if (page < 0 || !memory.read(page + Number(at & PAGE_OFFSET), bytes.subarray(index, index + 1))) return null
    }
    return new DataView(bytes.buffer).getBigUint64(0, true)
  }

  requestFlush(): void {
    this.#of.native.flush(this.id)
  }

  fenceInstructions(): void {
    this.#of.native.flush(this.id)
  }

  /** As M-mode firmware leaves a hart to the operating system. */
  start(pc: bigint, opaque: bigint): void {
    const { registers } = this
    // What is pending stays so; the timer of a hart that goes on is what it was.
    const [pending, timer] = [registers.low('hvip'), this.hsm === HsmState.suspended ? registers.get('vstimecmp') : -1n]
    registers.clear()
    registers.setLow('hvip', pending)
    registers.set('vstimecmp', timer)
    registers.set('vsstatus', UXL_64)
    registers.set('scounteren', SHOWN_COUNTERS)
    registers.set('pc', pc)
    registers.set('x', BigInt(this.index), 10)
    registers.set('x', opaque, 11)
    registers.setLow('mode', 1)
    this.#timeVersion = -1
    this.#waiting = false
    this.#resume = null
    this.hsm = HsmState.started
    this.requestFlush()
  }

  stop(): void {
    this.hsm = HsmState.stopped
    if (this.#running) this.#leave = 'halt'
  }

  suspend(resume: ResumePoint | null): void {
    this.#resume = resume
    this.hsm = HsmState.suspended
    this.#waiting = true
    if (this.#running) this.#leave = 'halt'
  }

  save(): unknown {
    // The kernel does what is left of an access when it enters: the guest executes nothing when its time is over.
    if (this.#answered) this.#of.native.enter(this.id, 0)
    this.#answered = false
    return saveVcpu(this.registers, { waiting: this.#waiting, hsm: this.hsm, resume: this.#resume }, this.retired)
  }

  restore(state: unknown): void {
    const { waiting, hsm, resume } = restoreVcpu(this.registers, state)
    this.#waiting = waiting
    this.hsm = hsm
    this.#resume = resume
    this.#answered = false
    this.#timeVersion = -1
    this.#of.native.message(this.id, 0)
    this.#of.native.flush(this.id)
  }

  dispose(): void {
    this.#of.native.destroyVcpu(this.id)
    this.#of.others.forget(this.id)
  }
}
