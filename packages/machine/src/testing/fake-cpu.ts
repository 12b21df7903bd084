import { type CountedVcpu, type CpuContext, type CpuSpec, type Exit, type IrqLine, machinistError, type VcpuSample } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import type { GuestMemory } from '@machinist/memory'

/** Instructions of {@link fakeCpu}, which has eight registers of 32 bits: one word for each (operation, register, operand). */
export const op = {
  nop: (): number => 0,
  /** r = imm16 */
  li: (r: number, value: number): number => 1 | r << 8 | value << 16,
  /** r |= imm16 << 16 */
  high: (r: number, value: number): number => (2 | r << 8 | value << 16) >>> 0,
  /** r = word at address in s */
  load: (r: number, s: number): number => 3 | r << 8 | s << 16,
  /** word at address in s = r */
  store: (r: number, s: number): number => 4 | r << 8 | s << 16,
  add: (r: number, s: number): number => 5 | r << 8 | s << 16,
  sub: (r: number, s: number): number => 6 | r << 8 | s << 16,
  /** If r is not zero, goes on `by` instructions from here. */
  branch: (r: number, by: number): number => (7 | r << 8 | (by & 0xffff) << 16) >>> 0,
  /** Waits for meip, or the timer. */
  wait: (): number => 8,
  /** r = low word of the counter */
  time: (r: number): number => 9 | r << 8,
  hart: (r: number): number => 10 | r << 8,
  /** Sets the hart's own timer r nanoseconds ahead. */
  timer: (r: number): number => 11 | r << 8,
  yield: (): number => 12,
  /** A bug in the CPU. */
  crash: (): number => 13,
  stop: (): number => 14,
  break: (): number => 15,
  /** Takes the host as long as `times` others. */
  slow: (times: number): number => 16 | times << 16,
  /** The host has something to do: of harts that go by the clock. */
  interrupt: (): number => 17,
} as const

/** Configuration of the {@link fakeCpu}. */
export interface FakeConfig {
  /** How many harts it has; 1 unless given. */
  readonly harts: number
}

/**
 * Instructions executed by all harts of all machines: what a host's time depends on in tests. And who is told where a hart was, and for
 * how many nanoseconds of its machine's time.
 */
export const work: { instructions: number; watch: ((pc: number, duration: number) => void) | null } = { instructions: 0, watch: null }

/** The contract allows a page of code. */
const OVERRUN = 1024

/** What a hart is, however it is run. */
export class FakeHart {
  readonly index: number
  retired = 0
  pc = 0
  registers: number[] = new Array<number>(8).fill(0)
  meip = false
  #state: 'running' | 'waiting' | 'stopped' = 'stopped'
  #timer = Infinity
  #risen = false
  protected kicked = false
  protected readonly context: CpuContext<GuestMemory, AddressSpace>
  readonly #word = new Uint8Array(4)

  constructor(index: number, context: CpuContext<GuestMemory, AddressSpace>) {
    this.index = index
    this.context = context
  }

  get runnable(): boolean {
    return this.#state === 'running' || (this.#state === 'waiting' && (this.meip || this.#risen || this.context.clock.now() >= this.#timer))
  }

  /** A run begins. */
  protected enter(again: boolean): void {
    this.kicked = false
    if (!again) this.#expire()
    if (this.#state === 'waiting') this.#risen = false
    this.#state = 'running'
  }

  #expire(): void {
    if (this.#timer === Infinity || this.context.clock.now() < this.#timer) return
    this.#timer = Infinity
    this.#risen = true
  }

  begin(pc: number): void {
    this.pc = pc
    this.registers.fill(0)
    this.#state = 'running'
    this.#timer = Infinity
    this.#risen = false
  }

  get steps(): number {
    return this.retired
  }

  kick(): void {
    this.kicked = true
  }

  deadline(): number {
    return this.#timer
  }

  /** One instruction: the exit that it makes, and whether it is a branch. */
  protected step(): { readonly exit: Exit | null; readonly branch: boolean } {
    const { pc } = this
    const began = work.watch === null ? 0 : this.context.clock.now()
    if (!this.context.memory.read(this.pc, this.#word)) throw new Error(`no code at ${this.pc}`)
    const word = new DataView(this.#word.buffer).getUint32(0, true)
    this.pc += 4
    const exit = this.#step(word & 0xff, word >>> 8 & 0xff, word >>> 16)
    this.retired++
    work.instructions++
    work.watch?.(pc, this.context.clock.now() - began)
    return { exit, branch: (word & 0xff) === 7 }
  }

  #step(operation: number, r: number, operand: number): Exit | null {
    const x = this.registers
    const s = x[operand] ?? 0
    switch (operation) {
      case 0: break
      case 1: x[r] = operand; break
      case 2: x[r] = ((x[r] ?? 0) | operand << 16) >>> 0; break
      case 3: this.#load(r, s); break
      case 4: this.#store(s, x[r] ?? 0); break
      case 5: x[r] = ((x[r] ?? 0) + s) >>> 0; break
      case 6: x[r] = ((x[r] ?? 0) - s) >>> 0; break
      case 7: if (x[r] !== 0) this.pc += ((operand << 16 >> 16) - 1) * 4; break
      case 8: {
        this.#expire()
        if (!this.meip && !this.#risen) {
          this.#state = 'waiting'
          return 'halt'
        }
        this.#risen = false
        break
      }
      case 9: x[r] = this.context.counter.elapsed() >>> 0; break
      case 10: x[r] = this.index; break
      case 11: this.#timer = this.context.clock.now() + (x[r] ?? 0); this.#risen = false; break
      case 12: return 'yield'
      case 13: throw new Error('a bug in the CPU')
      case 15: return 'debug'
      case 17: return 'interrupt'
      case 16: work.instructions += operand - 1; break
      default:
        this.#state = 'stopped'
        return 'halt'
    }
    return null
  }

  #load(r: number, address: number): void {
    const bytes = new Uint8Array(4)
    if (this.context.memory.read(address, bytes)) this.registers[r] = new DataView(bytes.buffer).getUint32(0, true)
    else this.access({ address, register: r, value: null })
  }

  #store(address: number, value: number): void {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setUint32(0, value, true)
    if (!this.context.memory.write(address, bytes)) this.access({ address, register: 0, value })
  }

  /** An access to a device. */
  protected access({ address, register, value }: FakeAccess): void {
    if (value === null) this.registers[register] = Math.max(0, this.context.bus.read(address, 4))
    else this.context.bus.write(address, 4, value)
  }

  sample(): VcpuSample {
    return { mode: 'only', stack: [BigInt(this.pc)] }
  }

  save(): { pc: number; registers: number[]; meip: boolean; state: 'running' | 'waiting' | 'stopped'; timer: number; risen: boolean; retired: number } {
    return { pc: this.pc, registers: [...this.registers], meip: this.meip, state: this.#state, timer: this.#timer, risen: this.#risen, retired: this.retired }
  }

  restore(state: unknown): void {
    const { pc, registers, meip, state: doing, timer, risen, retired } = state as ReturnType<FakeHart['save']>
    if (typeof pc !== 'number' || !Array.isArray(registers) || registers.length !== 8 || !['running', 'waiting', 'stopped'].includes(doing)) {
      throw machinistError({ code: 'state', part: `hart${this.index}`, remedy: 'Restore what it saved.' }, 'not the state of a hart')
    }
    this.pc = pc
    this.registers = [...registers]
    this.meip = meip
    this.#state = doing
    this.#timer = timer
    this.#risen = risen
    this.retired = retired
  }
}

/** An access to a register: a store of `value`, or a load into a register. */
export interface FakeAccess {
  readonly address: number
  readonly register: number
  readonly value: number | null
}

class Hart extends FakeHart implements CountedVcpu {
  /** As real ones do, it looks at its budget only at branches, unless it is to be exact. */
  run(budget: number, exact: boolean, again: boolean = false): Exit {
    this.kicked = false
    if (budget === 0) return 'budget'
    this.enter(again)
    let branched = false
    for (let done = 0; done < budget || (!exact && !branched && done < budget + OVERRUN); done++) {
      const { exit, branch } = this.step()
      branched = branch
      if (exit !== null) return exit
      if (this.kicked) return 'yield'
    }
    return 'budget'
  }
}

/** What CPUs made of such harts have in common. */
export function cpuOf<H extends FakeHart>(harts: readonly H[]): { readonly vcpus: readonly H[]; input(line: string): IrqLine | null; reset(kind: string, entry: { readonly pc: number }): void; memoryChanged(): void } {
  return {
    vcpus: harts,
    input(line) {
      const hart = harts[Number(/^hart(\d+)\.meip$/.exec(line)?.[1] ?? -1)]
      if (hart === undefined) return null
      return { set(level) { hart.meip = level }, pulse() {}, send() {} }
    },
    reset(_kind, entry) {
      for (const hart of harts) hart.begin(entry.pc)
    },
    memoryChanged() {},
  }
}

/** A CPU for tests. A hart has an input `hartN.meip` and a timer of its own. */
export const fakeCpu: CpuSpec<FakeConfig, GuestMemory, AddressSpace, { readonly power: 'power' }> = {
  kind: 'fake',
  stateVersion: 1,
  backends: { power: 'power' },
  configure(input, name) {
    const harts = typeof input === 'object' && input !== null && 'harts' in input ? input.harts : 1
    if (typeof harts !== 'number') throw machinistError({ code: 'config', part: `${name}.harts`, remedy: 'Give a number.' }, 'not a number')
    return { harts }
  },
  harts: (config) => config.harts,
  create: (config, context) => cpuOf(Array.from({ length: config.harts }, (_, index) => new Hart(index, context))),
  describe(config, at, out) {
    const cpus = out.fdt?.child('cpus').set('timebase-frequency', at.timeFrequency)
    for (let hart = 0; hart < config.harts; hart++) cpus?.child(`cpu@${hart}`).set('reg', hart).child('interrupt-controller').label(`hart${hart}`)
  },
}

/** Code as bytes. */
export function assemble(words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(words.length * 4)
  words.forEach((word, index) => { new DataView(bytes.buffer).setUint32(index * 4, word, true) })
  return bytes
}

/** r = a 32-bit constant. */
export function constant(r: number, value: number): number[] {
  return [op.li(r, value & 0xffff), op.high(r, value >>> 16)]
}
