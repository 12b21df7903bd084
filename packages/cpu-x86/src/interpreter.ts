import { compileNow, createMemory, instantiate, type WasmMemory } from '@machinist/wasm'
import { decode, type Decoded, MAX_LENGTH } from './decode/decoder.ts'
import { writeHandlers, type Window } from './emit/core.ts'
import { FlagKind } from './emit/flags.ts'
import { segmentLayout, SegmentRight, State, stateLayout } from './emit/layout.ts'
import { type Variant, variantOf } from './emit/variant.ts'
import { writeOp } from './emit/write-op.ts'
import { Flag, STATUS } from './flags.ts'
import { machineError } from './isa/errors.ts'
import type { Mode } from './isa/form.ts'
import { forms } from './isa/table.ts'
import { deliver } from './semantics/real.ts'
import { Vector } from './vector.ts'

/** How a step ended. After a fault the state is as before the instruction; a trap (#BP, #OF) comes after it. */
export type Step = { readonly kind: 'done' } | {
  readonly kind: 'exception'
  readonly vector: number
  /** Of a page fault: the linear address. */
  readonly address: bigint
}

/** What an interpreter is made with. */
export interface InterpreterOptions {
  readonly mode: Mode
  /** The linear address at which its memory begins. */
  readonly base: bigint
  /** Bytes of memory, up to 1 GiB. Everything outside is a page fault. */
  readonly size: number
}

/** A segment register and its hidden part (SDM volume 3, 3.4.3). In 64-bit mode only the bases of FS and GS count. */
export interface SegmentOptions {
  readonly base?: bigint
  /** The offsets it has, both inclusive. An expand-down segment has those above its limit. */
  readonly low?: number
  readonly high?: number
  readonly readable?: boolean
  readonly writable?: boolean
  readonly selector?: number
}

type Handlers = { readonly status: () => number } & Readonly<Record<string, (op: number) => number>>

const OP_AT = 512
const MEMORY_AT = 4096
const WASM_PAGE = 65536
/** ES to GS, and IDTR. */
const SEGMENTS = 7
const IDTR = 6
const [CS, SS] = [1, 2]
const DONE: Step = { kind: 'done' }

/** MOV SS and POP SS put single step off by one instruction (SDM volume 2, MOV). */
function loadsStack({ form, reg }: Decoded): boolean {
  const [first] = form.operands
  return first?.kind === 'sreg' && reg === SS || first?.kind === 'segment' && first.register === SS && form.instruction.name === 'pop'
}

/**
 * Executes integer code, one instruction at a time, in one piece of memory: of user mode in 32 and 64 bits, and of real-address mode
 * in 16. Each instruction is decoded where
 * it stands when its turn comes, so code may change itself.
 */
export class Interpreter {
  readonly mode: Mode
  /** The guest's memory. */
  readonly memory: Uint8Array
  readonly #options: InterpreterOptions
  readonly #window: Window
  readonly #state: State = new State(0)
  readonly #view: DataView
  readonly #imports: { readonly host: { readonly memory: WasmMemory } }
  readonly #pages: number
  readonly #handlers = new Map<string, (op: number) => number>()
  readonly #status: () => number

  /** Throws a RangeError when the host has no room. */
  constructor(options: InterpreterOptions) {
    const { mode, base, size } = options
    if (!Number.isInteger(size) || size < 16 || size > 2 ** 30) throw machineError('interpreter', size, 'its memory has no such size', 'Use 16 bytes to 1 GiB')
    this.mode = mode
    this.#options = options
    this.#window = { at: MEMORY_AT, base, size }
    this.#pages = Math.ceil((MEMORY_AT + size) / WASM_PAGE)
    const memory = createMemory({ initial: this.#pages })
    this.memory = new Uint8Array(memory.buffer, MEMORY_AT, size)
    this.#view = new DataView(memory.buffer)
    this.#imports = { host: { memory } }
    this.#status = this.#compile([]).status
    for (let segment = 0; segment < SEGMENTS; segment++) this.setSegment(segment, {})
  }

  /** A general register, all of it; 0 to 15 are RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15. */
  register(number: number): bigint {
    return this.#view.getBigUint64(this.#state.register(number), true)
  }

  setRegister(number: number, value: bigint): void {
    this.#view.setBigUint64(this.#state.register(number), value, true)
  }

  get rip(): bigint {
    return this.#view.getBigUint64(stateLayout.rip, true)
  }

  set rip(value: bigint) {
    this.#view.setBigUint64(stateLayout.rip, value, true)
  }

  /** The low 32 bits of RFLAGS. */
  get flags(): number {
    const direction = this.#view.getUint32(stateLayout.direction, true) === 0 ? 0 : Flag.direction
    return (this.#status() | direction | this.#view.getUint32(stateLayout.system, true) | 2) >>> 0
  }

  set flags(value: number) {
    this.#view.setUint32(stateLayout.flagKind, FlagKind.plain, true)
    this.#view.setBigUint64(stateLayout.flagResult, BigInt(value & STATUS), true)
    this.#view.setUint32(stateLayout.direction, (value & Flag.direction) === 0 ? 0 : 1, true)
    this.#view.setUint32(stateLayout.system, value & ~(STATUS | Flag.direction | 2), true)
  }

  /** ES, CS, SS, DS, FS or GS, 0 to 5. What is left out is as it is at first: base 0, all offsets of the mode, readable and writable. */
  setSegment(number: number, { base = 0n, low = 0, high = this.mode === 16 ? 0xffff : 0xffff_ffff, readable = true, writable = true, selector = 0 }: SegmentOptions): void {
    const at = this.#state.segment(number)
    this.#view.setBigUint64(at + segmentLayout.base, base, true)
    this.#view.setUint32(at + segmentLayout.low, low, true)
    this.#view.setUint32(at + segmentLayout.high, high, true)
    this.#view.setUint32(at + segmentLayout.rights, (readable ? SegmentRight.read : 0) | (writable ? SegmentRight.write : 0), true)
    this.#view.setUint32(at + segmentLayout.selector, selector, true)
  }

  selector(number: number): number {
    return this.#view.getUint16(this.#state.segment(number) + segmentLayout.selector, true)
  }

  /** Executes the instruction at `rip`; of one with REP, one iteration. */
  step(): Step {
    const single = (this.#view.getUint32(stateLayout.system, true) & Flag.trap) !== 0
    const decoded = this.#fetch()
    if ('kind' in decoded) return decoded
    const step = this.#execute(decoded)
    return single && step.kind === 'done' && !loadsStack(decoded) ? this.#exception(Vector.debug) : step
  }

  /**
   * Goes to the handler of an exception or interrupt, by the interrupt vector table (SDM volume 3, 21.1.4): for what `step` has returned, and
   * for interrupts from outside. What it returns may be an exception again: then the handler was not reached.
   *
   * @throws `'encoding'` outside 16-bit mode
   */
  deliver(vector: number): Step {
    const form = deliver?.forms[0]
    if (this.mode !== 16 || !form) throw machineError('interpreter', this.mode, 'has no interrupts in this mode', 'Use mode 16')
    return this.#execute({
      form, mode: 16, operandSize: 2, addressSize: 2, repeat: 'none', lock: false, rex: false, reg: 0, rm: 0, address: null, segment: 0,
      immediates: [BigInt(vector)], length: 0,
    })
  }

  /** Where the interrupt vector table is: IDTR, whose limit at reset is the last byte of 256 vectors and more (SDM volume 3, table 10-1). */
  setInterruptTable(base: bigint, limit: number): void {
    this.setSegment(IDTR, { base, high: limit })
  }

  #execute(decoded: Decoded): Step {
    const handler = this.#handler(variantOf(decoded))
    writeOp(this.#view, OP_AT, this.#state, decoded, this.rip)
    if (handler(OP_AT) === 0) return DONE
    return this.#exception(this.#view.getUint32(stateLayout.fault, true) - 1, this.#view.getBigUint64(stateLayout.faultAddress, true))
  }

  #fetch(): Decoded | Step {
    const { base, size } = this.#options
    const cs = this.#state.segment(CS)
    const codeBase = this.mode === 64 ? 0n : this.#view.getBigUint64(cs + segmentLayout.base, true)
    const linear = BigInt.asUintN(this.mode === 64 ? 64 : 32, codeBase + this.rip)
    // Bytes that CS has from here on (SDM volume 3, 6.3).
    const limit = this.mode === 64 ? MAX_LENGTH : Number(BigInt(this.#view.getUint32(cs + segmentLayout.high, true)) - this.rip) + 1
    if (limit <= 0) return this.#exception(Vector.generalProtection)
    const inside = linear - base
    const start = inside >= 0n && inside < BigInt(size) ? Number(inside) : size
    const decoded = decode(this.memory.subarray(start, start + Math.min(limit, MAX_LENGTH)), this.mode)
    switch (decoded) {
      case 'invalid': return this.#exception(Vector.invalidOpcode)
      case 'long': return this.#exception(Vector.generalProtection)
      case 'short': return start + limit <= size ? this.#exception(Vector.generalProtection) : this.#exception(Vector.pageFault, start < size ? base + BigInt(size) : linear)
      default: return decoded
    }
  }

  #exception(vector: number, address: bigint = 0n): Step {
    return { kind: 'exception', vector, address: vector === Vector.pageFault ? address : 0n }
  }

  #handler(variant: Variant): (op: number) => number {
    const { form, operandSize, addressSize, memory, repeat } = variant
    const key = `${form.instruction.group} ${forms.indexOf(form)} ${operandSize} ${addressSize} ${memory} ${repeat}`
    const known = this.#handlers.get(key)
    if (known) return known
    const handler = this.#compile([variant])['0']
    if (!handler) throw new RangeError(`${form.instruction.name} has no handler`)
    this.#handlers.set(key, handler)
    return handler
  }

  #compile(variants: readonly Variant[]): Handlers {
    const bytes = writeHandlers(variants, { mode: this.mode, state: this.#state, window: this.#window, pages: this.#pages })
    return instantiate<Handlers>(compileNow(bytes), this.#imports)
  }
}
