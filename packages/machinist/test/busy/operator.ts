/**
 * The operator: a device that tells harts, one step at a time, what to do. What it tells follows from a program for each hart, a generator, and from
 * the answers so far: its saved state is the answers, and a restored one runs its program over them again.
 */
import { type Device, type DeviceContext, type DeviceSpec, type DmaSpace, machinistError } from '@machinist/api'
import { Ram } from '@machinist/virtio/testing'
import { action, window } from './guest-code.ts'

export interface Step {
  readonly action: number
  readonly address?: number
  readonly value?: number
}

/** A program for a hart. What it is sent is the answer to its last step. */
export type Program<T = void> = Generator<Step, T, number>

interface HartLog {
  /** Answers and what was read of memory, in order: 32 bits each. */
  readonly log: Uint8Array
  readonly interrupts: readonly number[]
  /** To the step that the hart does. */
  readonly answer: number
}

export interface OperatorState {
  readonly harts: readonly HartLog[]
}

/** What a program sees of RAM: reads are part of the log, and writes happen once. */
class LoggedRam extends Ram {
  readonly #run: HartRun

  constructor(run: HartRun) {
    super(new Uint8Array(0), 0)
    this.#run = run
  }

  override get16(address: number): number { return this.#run.look(() => this.#run.dma.read16(address)) }
  override get32(address: number): number { return this.#run.look(() => this.#run.dma.read32(address)) }
  override set16(address: number, value: number): void { this.#run.act(() => { this.#run.dma.write16(address, value) }) }
  override set32(address: number, value: number): void { this.#run.act(() => { this.#run.dma.write32(address, value) }) }

  /** Writes bytes. */
  put(address: number, bytes: Uint8Array): void {
    this.#run.act(() => { this.#run.dma.write(address, bytes) })
  }
}

/** A program and how far it got. */
export class HartRun {
  readonly dma: DmaSpace
  readonly ram: LoggedRam
  readonly #log: number[]
  /** What of the log was run over again; then it is live. */
  #replayed = 0
  #live = false
  readonly #interrupts: number[]
  #step: Step = { action: action.delay }
  #answer = 0
  readonly #program: Program

  constructor(dma: DmaSpace, make: (run: HartRun) => Program, { log, interrupts, answer }: HartLog = { log: new Uint8Array(0), interrupts: [], answer: 0 }) {
    this.dma = dma
    this.ram = new LoggedRam(this)
    this.#log = [...new Int32Array(log.slice().buffer)]
    this.#interrupts = [...interrupts]
    this.#program = make(this)
    // What it was sent is in the log before what it looked at then.
    while (this.#replayed < this.#log.length) this.#resume(this.#log[this.#replayed++] ?? 0)
    this.#answer = answer
    this.#live = true
  }

  look(read: () => number): number {
    if (!this.#live) return this.#log[this.#replayed++] ?? 0
    const value = read() | 0
    this.#log.push(value)
    return value
  }

  act(write: () => void): void {
    if (this.#live) write()
  }

  /** An interrupt that the hart has told of, or 0. */
  interrupt(): number {
    return this.look(() => this.#interrupts.shift() ?? 0)
  }

  #resume(answer: number): void {
    const { value } = this.#program.next(answer)
    this.#step = value ?? { action: action.delay }
  }

  read(offset: number): number {
    const { action: what, address = 0, value = 0 } = this.#step
    switch (offset) {
      case window.action:
        this.#log.push(this.#answer)
        this.#resume(this.#answer)
        return this.#step.action
      case window.address: return address % 2 ** 32
      case window.address + 4: return Math.floor(address / 2 ** 32)
      case window.value: return value >>> 0
      default: return what
    }
  }

  write(offset: number, value: number): void {
    if (offset === window.answer) this.#answer = value | 0
    else if (offset === window.interrupt && this.#interrupts.length < 64) this.#interrupts.push(value)
  }

  save(): HartLog {
    return { log: new Uint8Array(Int32Array.from(this.#log).buffer), interrupts: [...this.#interrupts], answer: this.#answer }
  }
}

/** @param program - of a hart; called when the machine exists */
export function operatorSpec(harts: number, program: (hart: number, run: HartRun) => Program): DeviceSpec<object, OperatorState, never, Readonly<Record<never, never>>> {
  return {
    kind: 'operator',
    stateVersion: 1,
    backends: {},
    configure: () => ({}),
    regions: () => [{ name: 'windows', size: window.size * harts, space: 'mmio' }],
    irqs: () => [],
    create(_config, { dma }: DeviceContext<never, Readonly<Record<never, never>>>): Device<OperatorState> {
      const make = (hart: number, log?: HartLog): HartRun => new HartRun(dma, (run) => program(hart, run), log)
      let runs = Array.from({ length: harts }, (_, hart) => make(hart))
      return {
        read: (_region, offset) => runs[Math.floor(offset / window.size)]?.read(offset % window.size) ?? 0,
        write(_region, offset, _width, value) { runs[Math.floor(offset / window.size)]?.write(offset % window.size, value) },
        reset() { runs = runs.map((_, hart) => make(hart)) },
        save: () => ({ harts: runs.map((run) => run.save()) }),
        restore(state) {
          if (state.harts.length !== harts) throw machinistError({ code: 'state', part: 'operator', remedy: 'Save it again.' }, 'another number of harts')
          runs = state.harts.map((log, hart) => make(hart, log))
        },
      }
    },
  }
}
