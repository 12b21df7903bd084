import type { Clock, TimeCounter, Trace } from '@machinist/api'
import { plainData, RegisterBlock, type RegisterState } from '@machinist/registers'
import { ApicBase, Delivery, Esr, FIRST_VECTOR, Icr, localApicRegisters, Lvt, lvts, Svr, TSC_DEADLINE, vectorWords, X2apic } from './registers.ts'
import { mayRead, mayWrite } from './msr.ts'
import { ApicTimer, type ApicTimerState, readTimerState } from './timer.ts'

/** An interrupt message on its way to local APICs. */
export interface ApicMessage {
  readonly destination: number
  /** The destination has 32 bits; otherwise 8. */
  readonly wide: boolean
  readonly logical: boolean
  readonly delivery: number
  readonly vector: number
  readonly level: boolean
}

/** What a local APIC does outside of itself. */
export interface LocalApicEvents {
  intr(level: boolean): void
  nmi(): void
  smi(): void
  init(): void
  startUp(vector: number): void
  /** An interprocessor interrupt: to others, or by shorthand to all (2) or all others (3). */
  send(message: ApicMessage, shorthand: number): void
  /** The end of a level-triggered interrupt, for I/O APICs. */
  end(vector: number): void
}

/** Saved state of one local APIC. */
export interface LocalApicState {
  readonly registers: RegisterState
  /** IA32_APIC_BASE, low and high word. */
  readonly base: readonly number[]
  /** Errors that are not in ESR yet. */
  readonly errors: number
  /** Levels of LINT0 and LINT1. */
  readonly lint: number
  readonly timer: ApicTimerState
}

const LINTS = ['LVT_LINT0', 'LVT_LINT1'] as const
/** Offsets that have a register. */
const legal: ReadonlySet<number> = new Set(Object.values(localApicRegisters).flatMap((register) =>
  Array.from({ length: 'count' in register ? register.count : 1 }, (_, index) => register.offset + 16 * index)))

/** One local APIC (Intel SDM volume 3, chapter "Advanced Programmable Interrupt Controller"). */
export class LocalApic {
  readonly #index: number
  readonly #name: string
  readonly #events: LocalApicEvents
  readonly #registers: RegisterBlock<typeof localApicRegisters>
  readonly #irr: Uint32Array
  readonly #isr: Uint32Array
  readonly #tmr: Uint32Array
  readonly #timer: ApicTimer
  readonly #x2apic: boolean
  #baseLow = 0
  #baseHigh = 0
  #errors = 0
  #lint = 0

  constructor(index: number, x2apic: boolean, context: { readonly name: string; readonly trace: Trace; readonly clock: Clock; readonly counter: TimeCounter }, events: LocalApicEvents) {
    this.#index = index
    this.#x2apic = x2apic
    this.#name = `${context.name}.harts[${index}]`
    this.#events = events
    this.#timer = new ApicTimer(context.clock, context.counter, `hart${index}`, () => { this.#local(this.#registers.get('LVT_TIMER'), Delivery.fixed) })
    const lvt = (name: typeof lvts[number]) => (): void => { this.#maskIfDisabled(name) }
    this.#registers = new RegisterBlock(localApicRegisters, {
      name: this.#name, trace: context.trace,
      read: { PPR: () => this.#priority(), CURRENT_COUNT: () => this.#timer.count },
      write: {
        TPR: () => { this.#update() },
        EOI: () => { this.#end() },
        SVR: () => {
          for (const name of lvts) this.#maskIfDisabled(name)
          this.#update()
        },
        ESR: () => {
          this.#registers.set('ESR', this.#errors)
          this.#errors = 0
        },
        ICR_LOW: (value) => { this.#command(value) },
        LVT_TIMER: (value) => {
          this.#maskIfDisabled('LVT_TIMER')
          this.#timer.mode = Math.min(2, value >>> Lvt.modeShift & 3)
        },
        LVT_THERMAL: lvt('LVT_THERMAL'), LVT_PMC: lvt('LVT_PMC'), LVT_ERROR: lvt('LVT_ERROR'),
        LVT_LINT0: () => { this.#lintChanged(0) },
        LVT_LINT1: () => { this.#lintChanged(1) },
        INITIAL_COUNT: (value) => { this.#timer.start(value) },
        DIVIDE: (value) => { this.#timer.divide = 2 ** (((value & 8) >>> 1 | value & 3) + 1 & 7) },
      },
    })
    this.#irr = this.#registers.words('IRR')
    this.#isr = this.#registers.words('ISR')
    this.#tmr = this.#registers.words('TMR')
  }

  /** Present at all ("Enabling or Disabling the Local APIC"). */
  get enabled(): boolean {
    return (this.#baseLow & ApicBase.enabled) !== 0
  }

  /** Takes fixed interrupts. */
  get accepts(): boolean {
    return this.enabled && (this.#registers.get('SVR') & Svr.enabled) !== 0
  }

  get #extended(): boolean {
    return (this.#baseLow & ApicBase.extended) !== 0
  }

  get #id(): number {
    return this.#extended ? this.#index : this.#registers.get('ID') >>> 24
  }

  /** Logical ID in x2APIC mode ("Logical x2APIC ID"). */
  get #logicalId(): number {
    return (this.#index >>> 4 << 16 | 1 << (this.#index & 15)) >>> 0
  }

  /** Whether a message is for it ("Determining IPI Destination"). */
  matches({ destination, wide, logical }: ApicMessage): boolean {
    if (!this.enabled) return false
    if (destination === (wide ? 0xffff_ffff : 0xff)) return true
    if (!logical) return destination === this.#id
    if (this.#extended) return destination >>> 16 === this.#logicalId >>> 16 && (destination & this.#logicalId & 0xffff) !== 0
    if (destination > 0xff) return false
    const mine = this.#registers.get('LDR') >>> 24
    if (this.#registers.get('DFR') >>> 28 === 0xf) return (destination & mine) !== 0
    return (destination >>> 4 === mine >>> 4 || destination >>> 4 === 15) && (destination & mine & 15) !== 0
  }

  /** Processor priority, by which the lowest is found. */
  get priority(): number {
    return this.#priority()
  }

  /** Accepts a message ("Interrupt Acceptance"). */
  deliver({ delivery, vector, level }: ApicMessage): void {
    switch (delivery) {
      case Delivery.fixed:
      case Delivery.lowest:
        this.#accept(vector, level)
        break
      case Delivery.smi: this.#events.smi(); break
      case Delivery.nmi: this.#events.nmi(); break
      case Delivery.init:
        this.#init()
        this.#events.init()
        break
      case Delivery.startUp: this.#events.startUp(vector); break
      default:
        // External interrupts come by LINT0; the other is reserved.
    }
  }

  /** LINT0 or LINT1. Without the APIC these are the processor's INTR and NMI. */
  input(line: 0 | 1, level: boolean): void {
    const before = this.#lint
    this.#lint = level ? before | 1 << line : before & ~(1 << line)
    if (this.#lint === before) return
    if (!this.enabled) {
      if (line === 1 && level) this.#events.nmi()
    } else this.#pin(line, true)
    this.#update()
  }

  /** What the processor takes: a vector; −1 when it is that of LINT0. */
  acknowledge(): number {
    const vector = this.#pending()
    if (vector > 0) {
      clearBit(this.#irr, vector)
      setBit(this.#isr, vector)
      this.#update()
      return vector
    }
    return this.#external ? -1 : this.#registers.get('SVR') & Lvt.vector
  }

  event(): void {
    this.#timer.event()
  }

  read(offset: number): number {
    if (!this.enabled || this.#extended) return -1
    if (!legal.has(offset)) {
      this.#error(Esr.address)
      return 0
    }
    return this.#registers.read(offset, 4)
  }

  write(offset: number, value: number): boolean {
    if (!this.enabled || this.#extended) return false
    if (legal.has(offset)) this.#registers.write(offset, 4, value)
    else this.#error(Esr.address)
    return true
  }

  readMsr(msr: number, into: Uint32Array): boolean {
    into[1] = 0
    if (msr === ApicBase.msr) {
      into[0] = this.#baseLow
      into[1] = this.#baseHigh
    } else if (msr === TSC_DEADLINE) {
      into[0] = Number(this.#timer.deadline & 0xffff_ffffn)
      into[1] = Number(this.#timer.deadline >> 32n)
    } else if (!this.#extended || !mayRead(msr)) return false
    else if (msr === 0x802) into[0] = this.#index
    else if (msr === 0x80d) into[0] = this.#logicalId
    else {
      into[0] = this.#registers.read((msr - X2apic.first) << 4, 4)
      if (msr === 0x830) into[1] = this.#registers.get('ICR_HIGH')
    }
    return true
  }

  writeMsr(msr: number, low: number, high: number): boolean {
    if (msr === ApicBase.msr) return this.#setBase(low, high)
    if (msr === TSC_DEADLINE) {
      this.#timer.deadline = BigInt(high >>> 0) << 32n | BigInt(low >>> 0)
      return true
    }
    if (!this.#extended || !mayWrite(msr, low, high)) return false
    if (msr === X2apic.selfIpi) {
      this.#accept(low, false)
      return true
    }
    if (msr === 0x830) this.#registers.set('ICR_HIGH', high)
    this.#registers.write((msr - X2apic.first) << 4, 4, low)
    return true
  }

  /** Task priority class (CR8). */
  get taskPriority(): number {
    return this.#registers.get('TPR') >>> 4
  }

  set taskPriority(value: number) {
    this.#registers.set('TPR', (value & 15) << 4)
    this.#update()
  }

  /** @param virtualWire - as firmware leaves it, so that a PC's 8259A reaches the first hart ("Virtual Wire Mode", MP specification 1.4, 3.6.2.2) */
  reset(kind: 'cold' | 'warm', virtualWire: boolean): void {
    this.#baseLow = ApicBase.reset | ApicBase.enabled | (this.#index === 0 ? ApicBase.bsp : 0)
    this.#baseHigh = 0
    if (kind === 'cold') this.#lint = 0
    this.#registers.set('ID', this.#index << 24)
    this.#init()
    if (!virtualWire || this.#index !== 0) return
    this.#registers.set('SVR', Svr.enabled | 0xff)
    this.#registers.set('LVT_LINT0', Delivery.external << 8)
    this.#registers.set('LVT_LINT1', Delivery.nmi << 8)
    this.#update()
  }

  save(): LocalApicState {
    return { registers: this.#registers.save(), base: [this.#baseLow >>> 0, this.#baseHigh], errors: this.#errors, lint: this.#lint, timer: this.#timer.save() }
  }

  /** Checks a state, and gives what takes it over. @throws a typed error when it is not one */
  restoring(state: unknown): () => void {
    const data = plainData(this.#name, state, 'state')
    const [low = 0, high = 0] = data.integers('base', 2, 0, 0xffff_ffff)
    const errors = data.integer('errors', 0, 0xff)
    const lint = data.integer('lint', 0, 3)
    const timer = readTimerState(plainData(`${this.#name}.timer`, data.unknown('timer'), 'state'))
    const registers = data.unknown('registers')
    data.done()
    const before = this.#registers.save()
    this.#registers.restore(registers)
    const given = this.#registers.save()
    this.#registers.restore(before)
    return () => {
      this.#registers.restore(given)
      this.#baseLow = low
      this.#baseHigh = high
      this.#errors = errors
      this.#lint = lint
      this.#timer.restore(timer)
      this.#update()
    }
  }

  /** State after INIT: as after a reset, but for ID and base ("Local APIC State After It Receives an INIT-Deassert"). */
  #init(): void {
    const id = this.#registers.get('ID')
    this.#registers.reset()
    this.#registers.set('ID', id)
    this.#errors = 0
    this.#timer.reset()
    this.#update()
  }

  /** IA32_APIC_BASE ("x2APIC State Transitions"). */
  #setBase(low: number, high: number): boolean {
    const { bsp, extended, enabled, address } = ApicBase
    const reserved = ~(bsp | extended | enabled | address)
    const [was, now] = [this.#baseLow & (extended | enabled), low & (extended | enabled)]
    if ((low & reserved) !== 0 || high > 0xf_ffff || now === extended) return false
    if ((now & extended) !== 0 && !this.#x2apic) return false
    if (was === 0 && now === (extended | enabled)) return false
    if (was === (extended | enabled) && now === enabled) return false
    this.#baseLow = low
    this.#baseHigh = high
    if (was !== 0 && now === 0) this.#init()
    // The next time ID and destination are those of xAPIC mode again.
    if (now === 0) this.#registers.set('ID', this.#index << 24)
    if ((now & ~was & extended) !== 0) this.#registers.set('ICR_HIGH', 0)
    this.#update()
    return true
  }

  #error(bit: number): void {
    const had = this.#errors & bit
    this.#errors |= bit
    if (had === 0) this.#local(this.#registers.get('LVT_ERROR'), Delivery.fixed)
  }

  /** While software disables it, entries of the local vector table are masked ("Local APIC State After It Has Been Software Disabled"). */
  #maskIfDisabled(name: typeof lvts[number]): void {
    if ((this.#registers.get('SVR') & Svr.enabled) === 0) this.#registers.set(name, this.#registers.get(name) | Lvt.mask)
  }

  /** ICR: sends an interrupt to harts ("Issuing Interprocessor Interrupts"). Fixed ones are edges, whatever the trigger bit says. */
  #command(value: number): void {
    const [delivery, vector, shorthand] = [value >>> Icr.deliveryShift & 7, value & Icr.vector, value >>> Icr.shorthandShift & 3]
    // INIT level de-assert only synchronizes arbitration.
    if (delivery === Delivery.init && (value & Icr.level) !== 0 && (value & Icr.assert) === 0) return
    if ((delivery === Delivery.fixed || delivery === Delivery.lowest) && vector < FIRST_VECTOR) return this.#error(Esr.sendIllegal)
    if (shorthand === 1) {
      if (delivery === Delivery.fixed) this.#accept(vector, false)
      return
    }
    const high = this.#registers.get('ICR_HIGH')
    this.#events.send({
      destination: this.#extended ? high : high >>> 24, wide: this.#extended, logical: (value & Icr.logical) !== 0, delivery, vector, level: false,
    }, shorthand)
  }

  #accept(vector: number, level: boolean): void {
    if (vector < FIRST_VECTOR) return this.#error(Esr.receiveIllegal)
    if (!this.accepts) return
    setBit(this.#irr, vector)
    if (level) setBit(this.#tmr, vector)
    else clearBit(this.#tmr, vector)
    this.#update()
  }

  /** Something local asks for what its entry of the table says. */
  #local(entry: number, delivery: number = entry >>> 8 & 7, level = false): void {
    if ((entry & Lvt.mask) !== 0 || !this.enabled) return
    this.deliver({ destination: 0, wide: false, logical: false, delivery, vector: entry & Lvt.vector, level })
  }

  #lintChanged(line: 0 | 1): void {
    const name = LINTS[line]
    this.#maskIfDisabled(name)
    // Remote IRR is that of level-triggered fixed interrupts.
    const entry = this.#registers.get(name)
    if ((entry & Lvt.level) === 0 || (entry >>> 8 & 7) !== Delivery.fixed) this.#registers.set(name, entry & ~Lvt.remoteIrr)
    this.#pin(line, false)
    this.#update()
  }

  /** A pin changed, or its entry did. LINT1 knows edges alone. */
  #pin(line: 0 | 1, edge: boolean): void {
    const name = LINTS[line]
    const entry = this.#registers.get(name)
    const asserted = ((this.#lint >>> line & 1) === 1) !== ((entry & Lvt.low) !== 0)
    const delivery = entry >>> 8 & 7
    if (!asserted || (entry & Lvt.mask) !== 0 || delivery === Delivery.external) return
    if (delivery === Delivery.fixed && line === 0 && (entry & Lvt.level) !== 0) {
      if ((entry & Lvt.remoteIrr) !== 0) return
      this.#registers.set(name, entry | Lvt.remoteIrr)
      this.#local(entry, delivery, true)
    } else if (edge) this.#local(entry)
  }

  /** LINT0 asks for an interrupt of the controller behind it. */
  get #external(): boolean {
    const high = (this.#lint & 1) !== 0
    if (!this.enabled) return high
    const entry = this.#registers.get('LVT_LINT0')
    return high && (entry & Lvt.mask) === 0 && (entry >>> 8 & 7) === Delivery.external
  }

  #end(): void {
    const vector = highest(this.#isr)
    if (vector < 0) return
    clearBit(this.#isr, vector)
    if (hasBit(this.#tmr, vector)) {
      const lint = this.#registers.get('LVT_LINT0')
      if ((lint & Lvt.remoteIrr) !== 0 && (lint & Lvt.vector) === vector) {
        this.#registers.set('LVT_LINT0', lint & ~Lvt.remoteIrr)
        this.#pin(0, false)
      }
      if ((this.#registers.get('SVR') & Svr.noBroadcast) === 0) this.#events.end(vector)
    }
    this.#update()
  }

  /** PPR ("Interrupt, Task, and Processor Priority"). */
  #priority(): number {
    const task = this.#registers.get('TPR')
    const served = Math.max(0, highest(this.#isr))
    return task >>> 4 >= served >>> 4 ? task : served & 0xf0
  }

  /** The vector that the processor is to take; 0 for none. */
  #pending(): number {
    const vector = highest(this.#irr)
    return this.enabled && vector > 0 && vector >>> 4 > this.#priority() >>> 4 ? vector : 0
  }

  #update(): void {
    this.#events.intr(this.#pending() > 0 || this.#external)
  }
}

/** The highest bit; −1 for none. */
function highest(words: Uint32Array): number {
  for (let word = vectorWords - 1; word >= 0; word--) {
    const bits = words[word] ?? 0
    if (bits !== 0) return word * 32 + 31 - Math.clz32(bits)
  }
  return -1
}

function hasBit(words: Uint32Array, bit: number): boolean {
  return ((words[bit >>> 5] ?? 0) >>> (bit & 31) & 1) === 1
}

function setBit(words: Uint32Array, bit: number): void {
  words[bit >>> 5] = (words[bit >>> 5] ?? 0) | 1 << (bit & 31)
}

function clearBit(words: Uint32Array, bit: number): void {
  words[bit >>> 5] = (words[bit >>> 5] ?? 0) & ~(1 << (bit & 31))
}
