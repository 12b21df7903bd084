import { PAGE_CODE, PAGE_PRESENT, PAGE_SIZE, ramTable } from '@machinist/memory'
import { tlbLayout } from '@machinist/mmu'
import { compileNow, createMemory, createTable, instantiate, type WasmImports, type WasmModule } from '@machinist/wasm'
import { CodePages } from './code-pages.ts'
import { decodeRun } from './decode/run-decoder.ts'
import { ownFunctions, writeCore } from './emit/core.ts'
import { JUMPS_BYTES, Leave } from '@machinist/cpu-core'
import { densePage } from './emit/op-format.ts'
import { OVERRUN } from './emit/run.ts'
import { decodeSlot } from './emit/decode-slot.ts'
import { FlagKind } from './emit/flags.ts'
import { type Numbers, Register, SegmentBit, segmentLayout, SegmentRight, State, x86Layout } from './emit/layout.ts'
import { Cr0, Cr4, Efer } from './emit/control-bits.ts'
import { USER_ONLY } from './emit/memory.ts'
import { DECODED, decodedLayout } from './emit/steps.ts'
import { Activity, Line, Polled } from './emit/system/events.ts'
import { EventKind } from './emit/system/interrupts.ts'
import { BANKS_PER_HART } from './emit/tlb.ts'
import { Flag, STATUS } from './flags.ts'
import { A20, ALL_LINES, resetState } from './reset.ts'
import { readExtendedState, writeExtendedState } from './extended-state.ts'
import { enterManagement, leaveManagement } from './smm.ts'
import { machineError } from './isa/errors.ts'
import type { Mode } from './isa/form.ts'
import { lackedBy } from './model/forms.ts'
import { type Model, models } from './model/models.ts'
import { becomeModel } from './model/power-on.ts'
import { outsideCalls } from './outside.ts'
import { hasError, Vector } from './vector.ts'

/** An exception or interrupt, as `deliver` takes it. */
export interface CpuEvent {
  readonly vector: number
  /** A fault comes before its instruction, a trap after it; INT n, INT3 and INTO are of software; all else is external. */
  readonly cause: 'fault' | 'trap' | 'int' | 'int n' | 'external'
  /** The error code that its handler gets; of exceptions that have one. */
  readonly error?: number
  /** Of a page fault: the linear address. */
  readonly address?: bigint
  /** Of INT n, INT3 and INTO: where the instruction is, which rIP is at again when it faults on the way. */
  readonly from?: bigint
}

/** How a step ended. After a fault the state is as before the instruction; a trap comes after it. `halted` is after HLT, until an interrupt is delivered; `shutdown` is what a triple fault ends in. */
export type Step = { readonly kind: 'done' } | { readonly kind: 'halted' } | { readonly kind: 'shutdown' } | {
  readonly kind: 'exception'
  readonly vector: number
  readonly cause: 'fault' | 'trap' | 'int' | 'int n' | 'external'
  readonly error: number
  /** Of a page fault: the linear address. */
  readonly address: bigint
  /** Where the instruction was. */
  readonly from: bigint
}

/** What an interpreter is made with. */
export interface InterpreterOptions {
  /**
   * 16: a processor with all of its modes, which begins in real-address mode; its memory is at physical addresses. 32 and 64: user mode alone,
   * at CPL 3 with flat segments, where linear addresses are those of the memory and everything outside is a page fault.
   */
  readonly mode: Mode
  /** The address at which its memory begins. */
  readonly base: bigint
  /** Bytes of memory, up to 1 GiB. */
  readonly size: number
  readonly ports?: Ports
  /** What CPUID tells, and which instructions there are; everything unless given. */
  readonly model?: Model
  /** 64 random bits for RDRAND and RDSEED; unless given the same numbers each time. */
  readonly entropy?: () => bigint
  /** The vector of an interrupt at INTR, when it is taken; 255 without. */
  readonly acknowledge?: () => number
  /** What accesses to physical addresses reach that are not its memory, 1, 2, 4 or 8 bytes at a time; without it they read as ones. */
  readonly devices?: Devices
}

/** What IN and OUT reach; without it ports read as ones. */
export interface Ports {
  read(port: number, bytes: 1 | 2 | 4): number
  write(port: number, bytes: 1 | 2 | 4, value: number): void
}

/** Registers of devices in memory. */
export interface Devices {
  read(address: number, bytes: number): bigint
  write(address: number, bytes: number, value: bigint): void
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

interface Core {
  step(): number
  status(): number
  poll(): number
  take(): number
  run(): void
  crawl(): void
  startBanks(first: number): void
  flushAll(): void
}

const DECODED_AT = 4096
const JUMPS_AT = DECODED_AT + DECODED * decodedLayout.size
const BANKS_AT = JUMPS_AT + JUMPS_BYTES
/** Pages of ops, of which those that were never used cost nothing. */
const CODE_AT = BANKS_AT + BANKS_PER_HART * tlbLayout.size
const CODE_PAGES = 256
/** Its page map, and its memory behind that. */
const MAP_AT = CODE_AT + CODE_PAGES * densePage.size
const WASM_PAGE = 65536
const PHYSICAL_BITS = 40
/** A step counts as a nanosecond. */
const TIME_FREQUENCY = 1_000_000_000
/** What is read where no controller answers. */
const NO_VECTOR = 255
const DONE: Step = { kind: 'done' }
const kinds: Readonly<Record<CpuEvent['cause'], number>> = { fault: EventKind.fault, trap: 0, int: EventKind.software, 'int n': EventKind.software | EventKind.intN, external: EventKind.external }
const causes = Object.keys(kinds) as CpuEvent['cause'][]

/** The state is at the same place for all, so that what was written and compiled once serves them all. */
const STATE = new State(0)
let compiled: WasmModule | null = null

/**
 * Executes code in one piece of memory: one instruction at a time, or many at once. What is decoded is what stands there
 * when its turn comes, so code may change itself.
 */
export class Interpreter {
  /** The guest's memory. */
  readonly memory: Uint8Array
  readonly #state: State = STATE
  readonly #view: DataView
  readonly #core: Core
  readonly #code: CodePages
  #steps = 0

  /** Throws a RangeError when the host has no room. */
  constructor(options: InterpreterOptions) {
    const { mode, base, size } = options
    if (!Number.isInteger(size) || size <= 0 || size > 2 ** 30 || size % PAGE_SIZE !== 0) throw machineError('interpreter', size, 'its memory has no such size', 'Use a multiple of 4096 bytes, up to 1 GiB')
    if (base < 0n || base % BigInt(PAGE_SIZE) !== 0n) throw machineError('interpreter', String(base), 'its memory cannot begin there', 'Use a multiple of 4096')
    const memoryAt = Math.ceil((MAP_AT + 4 * size / PAGE_SIZE) / PAGE_SIZE) * PAGE_SIZE
    const linear = createMemory({ initial: Math.ceil((memoryAt + size) / WASM_PAGE) })
    this.memory = new Uint8Array(linear.buffer, memoryAt, size)
    this.#view = new DataView(linear.buffer)
    this.#mapMemory(base, size, memoryAt)
    const [u8, u32] = [new Uint8Array(linear.buffer), new Uint32Array(linear.buffer)]
    const banks = Array.from({ length: BANKS_PER_HART }, (_, i) => BANKS_AT + i * tlbLayout.size)
    this.#code = new CodePages({ memory: { u8, u32, data: this.#view, markCode: () => undefined }, pool: CODE_AT, limit: CODE_PAGES, clusters: [{ banks }], jumps: JUMPS_AT })
    const views = { view: this.#view, bytes: new Uint8Array(linear.buffer) }
    const model = options.model ?? models.max
    let random = 1n
    const inside = (address: number, length: number): boolean => address >= Number(base) && address + length <= Number(base) + size
    const physical = {
      read: (address: number, into: Uint8Array): boolean => inside(address, into.length) && (into.set(this.memory.subarray(address - Number(base), address - Number(base) + into.length)), true),
      write: (address: number, from: Uint8Array): boolean => inside(address, from.length) && (this.memory.set(from, address - Number(base)), true),
    }
    compiled ??= compileNow(writeCore({ state: STATE, physicalBits: PHYSICAL_BITS, memory: { initial: 1 } }))
    this.#core = instantiate(compiled, {
      host: {
        memory: linear,
        table: createTable(ownFunctions()),
        decoded: DECODED_AT,
        jumps: JUMPS_AT,
        decode: decodeSlot(() => views, STATE, lackedBy(model)),
        decodeRun: decodeRun(() => views, STATE, lackedBy(model)),
        codePage: (frame: number, entry: number) => this.#code.page(frame, entry, banks),
        ...this.#memoryCalls(options.devices),
        ...outsideCalls(() => this.#view, 0, {
          model, hart: 0, harts: 1, timeFrequency: TIME_FREQUENCY, ports: options.ports ?? null, local: () => null,
          ticks: () => this.#steps, entropy: options.entropy ?? (() => random = BigInt.asUintN(64, random * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n)),
        }),
        acknowledge: options.acknowledge ?? (() => NO_VECTOR),
        initialise: () => resetState(this.#view, STATE, 'init'),
        enterManagement: () => { enterManagement({ view: this.#view, state: STATE, model, memory: physical }, this.#core.status()) },
        leaveManagement: () => leaveManagement({ view: this.#view, state: STATE, model, memory: physical }) ? 0 : 1,
      },
    })
    resetState(this.#view, STATE, 'cold')
    this.rip = 0n
    this.#view.setBigUint64(x86Layout.offset.cr0, BigInt(mode === 16 ? Cr0.et : Cr0.et | Cr0.pe | Cr0.am), true)
    this.#core.startBanks(BANKS_AT)
    this.a20 = true
    if (mode !== 16) {
      this.#set('view', USER_ONLY)
      this.#set('cpl', 3)
    }
    if (mode === 64) this.#view.setBigUint64(x86Layout.offset.efer, BigInt(Efer.lme | Efer.lma), true)
    becomeModel(this.#view, 0, model)
    if (mode !== 16) this.#enable()
    this.#set('mode', mode)
    for (let segment = Register.es; segment <= Register.gs; segment++) this.setSegment(segment, {})
  }

  /** As an operating system has it for its programs: what the model has of SSE and AVX. */
  #enable(): void {
    const { offset } = x86Layout
    const mask = BigInt(Cr4.osfxsr | Cr4.osxmmexcpt | Cr4.osxsave)
    this.#view.setBigUint64(offset.cr4, this.#view.getBigUint64(offset.cr4Bits, true) & mask, true)
    this.#view.setBigUint64(offset.xcr0, this.#view.getBigUint64(offset.xcr0Bits, true), true)
  }

  /** The memory as generated code finds that of a machine: all of its pages have frames, one behind the other. */
  #mapMemory(base: bigint, size: number, at: number): void {
    const table = this.#state.field('ramTable')
    this.#view.setUint32(table + ramTable.offset.count, 1, true)
    this.#view.setUint32(table + ramTable.offset.map, MAP_AT, true)
    this.#view.setBigUint64(table + ramTable.offset.base, base, true)
    this.#view.setBigUint64(table + ramTable.offset.size, BigInt(size), true)
    for (let offset = 0; offset < size; offset += PAGE_SIZE) this.#view.setUint32(MAP_AT + 4 * offset / PAGE_SIZE, at + offset | PAGE_PRESENT, true)
  }

  #memoryCalls(devices: Devices | undefined): WasmImports[string] {
    const mailbox = this.#state.field('mailbox')
    return {
      readFault: (entry: number) => this.#view.getUint32(entry, true),
      writeFault: (entry: number, offset: number, bytes: number) => {
        const flags = this.#view.getUint32(entry, true)
        if (bytes > 0 && (flags & PAGE_CODE) !== 0) this.#code.written(flags & -PAGE_SIZE, offset, bytes, entry)
        return this.#view.getUint32(entry, true)
      },
      mmioRead: (address: number, bytes: number) => {
        if (!devices) return 1
        this.#view.setBigUint64(mailbox, devices.read(address, bytes), true)
        return 0
      },
      mmioWrite: (address: number, bytes: number) => {
        devices?.write(address, bytes, BigInt.asUintN(8 * bytes, this.#view.getBigUint64(mailbox, true)))
        return 0
      },
    }
  }

  /** Bits of code: 16, 32 or 64. */
  get mode(): Mode {
    return this.#get('mode') as Mode
  }

  /** The current privilege level, 0 to 3. */
  get privilege(): number {
    return this.#get('cpl')
  }

  #get(field: Numbers): number {
    return this.#view.getUint32(x86Layout.offset[field], true)
  }

  #set(field: Numbers, value: number): void {
    this.#view.setUint32(x86Layout.offset[field], value, true)
  }

  /** A general register, all of it; 0 to 15 are RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15. */
  register(number: number): bigint {
    return this.#view.getBigUint64(this.#state.register(number), true)
  }

  setRegister(number: number, value: bigint): void {
    this.#view.setBigUint64(this.#state.register(number), value, true)
  }

  get rip(): bigint {
    return this.#view.getBigUint64(x86Layout.offset.pc, true)
  }

  set rip(value: bigint) {
    this.#view.setBigUint64(x86Layout.offset.pc, value, true)
  }

  /** The low 32 bits of RFLAGS. */
  get flags(): number {
    const direction = this.#view.getUint32(x86Layout.offset.direction, true) === 0 ? 0 : Flag.direction
    return (this.#core.status() | direction | this.#view.getUint32(x86Layout.offset.system, true) | 2) >>> 0
  }

  set flags(value: number) {
    this.#view.setUint32(x86Layout.offset.flagKind, FlagKind.plain, true)
    this.#view.setBigUint64(x86Layout.offset.flagResult, BigInt(value & STATUS), true)
    this.#view.setUint32(x86Layout.offset.direction, (value & Flag.direction) === 0 ? 0 : 1, true)
    this.#view.setUint32(x86Layout.offset.system, value & ~(STATUS | Flag.direction | 2), true)
    this.#set('attention', 1)
  }

  /** ES, CS, SS, DS, FS or GS, 0 to 5. What is left out is as it is at first: base 0, all offsets of the mode, readable and writable. */
  setSegment(number: number, { base = 0n, low = 0, high = this.mode === 16 ? 0xffff : 0xffff_ffff, readable = true, writable = true, selector = 0 }: SegmentOptions): void {
    const at = this.#state.segment(number)
    const size = this.mode === 32 ? SegmentBit.big : this.mode === 64 && number === Register.cs ? SegmentBit.long : 0
    const attributes = SegmentBit.present | SegmentBit.notSystem | SegmentBit.writable | SegmentBit.accessed | this.privilege << 13 | (number === Register.cs ? SegmentBit.code : 0) | size
    this.#view.setBigUint64(at + segmentLayout.base, base, true)
    this.#view.setUint32(at + segmentLayout.low, low, true)
    this.#view.setUint32(at + segmentLayout.high, high, true)
    this.#view.setUint32(at + segmentLayout.rights, attributes | (readable ? SegmentRight.read : 0) | (writable ? SegmentRight.write : 0), true)
    this.#view.setUint32(at + segmentLayout.selector, selector, true)
  }

  selector(number: number): number {
    return this.#view.getUint16(this.#state.segment(number) + segmentLayout.selector, true)
  }

  /** The registers of x87, MMX, SSE and AVX, as XSAVE's standard format has them (SDM volume 1, 13.4): `EXTENDED_STATE_SIZE` bytes. */
  get extendedState(): Uint8Array {
    return readExtendedState(this.#view, this.#state.float)
  }

  set extendedState(value: Uint8Array) {
    writeExtendedState(this.#view, this.#state.float, value)
  }

  /**
   * INTR as its line is, which is acknowledged when it is taken; and NMI, INIT, SIPI and SMI, each of which comes once. `vector` is that of a SIPI.
   */
  signal(line: keyof typeof Line, high = true, vector = 0): void {
    // A SIPI that came before INIT is none.
    const lines = this.#get('lines') & (line === 'init' ? ~Line.startUp : -1)
    this.#set('lines', high ? lines | Line[line] : lines & ~Line[line])
    if (line === 'startUp') this.#set('sipi', vector)
    this.#set('attention', 1)
  }

  /** Executes the instruction at `rip`; of one with REP, one iteration. Or returns what comes in its place. */
  step(): Step {
    this.#steps++
    const core = this.#core
    this.#set('fault', 0)
    this.#set('event', EventKind.fault)
    const polled = this.#get('attention') === 0 && this.#get('waiting') === Activity.running ? Polled.clear : core.poll()
    if (polled === Polled.waits) return { kind: this.#get('waiting') === Activity.shutdown ? 'shutdown' : 'halted' }
    const from = this.rip
    return polled === Polled.raised || core.step() !== 0 ? this.#raised(from) : DONE
  }

  /** Executes so many steps, at full speed, and delivers what comes on the way: a step is an instruction, an iteration of REP, or an event. Says whether there were as many. */
  run(steps: number): { readonly kind: 'done' } | { readonly kind: 'halted' } | { readonly kind: 'shutdown' } {
    // What the host has written to memory meanwhile is not known.
    this.#code.forgetAll()
    let left = steps
    for (const [go, most] of [[this.#core.run, steps - OVERRUN], [this.#core.crawl, steps]] as const) {
      const budget = most - (steps - left)
      if (budget <= 0) continue
      this.#set('budget', budget)
      this.#set('leave', Leave.none)
      go()
      const used = budget - (this.#get('budget') | 0)
      left -= used
      this.#steps += used
      if (this.#get('leave') === Leave.halt) return { kind: this.#get('waiting') === Activity.shutdown ? 'shutdown' : 'halted' }
    }
    return { kind: 'done' }
  }

  /**
   * Goes to the handler of an exception or interrupt: for what `step` has returned, and for interrupts from outside. What faults on the way is delivered in
   * its place, or as a double fault; after a third one the processor is shut down (SDM volume 3, 7.15).
   */
  deliver({ vector, cause, error = 0, address = 0n, from }: CpuEvent): Step {
    this.#set('fault', vector + 1)
    this.#set('event', kinds[cause] | (this.#get('repeating') === 0 ? 0 : EventKind.resume))
    this.#set('error', error)
    this.#view.setBigUint64(x86Layout.offset.faultAddress, address, true)
    this.#view.setBigUint64(x86Layout.offset.from, from ?? this.rip, true)
    return this.#core.take() === 0 ? DONE : { kind: 'shutdown' }
  }

  /** Where the interrupt vector table or the interrupt descriptor table is: IDTR, whose limit at reset is the last byte of 256 vectors and more (SDM volume 3, table 10-1). */
  setInterruptTable(base: bigint, limit: number): void {
    this.setSegment(Register.idtr, { base, high: limit })
  }

  /** The line A20M#: while it is low, bit 20 of physical addresses is zero (SDM volume 3, 9.7.8; volume 1, 21.1.1). */
  get a20(): boolean {
    return this.#view.getBigUint64(x86Layout.offset.a20, true) === ALL_LINES
  }

  set a20(high: boolean) {
    this.#view.setBigUint64(x86Layout.offset.a20, high ? ALL_LINES : ALL_LINES & ~A20, true)
    this.#core.flushAll()
  }

  #raised(from: bigint): Step {
    const [vector, kind] = [this.#get('fault') - 1, this.#get('event')]
    const cause = causes.find((each) => kinds[each] === (kind & ~EventKind.resume)) ?? 'fault'
    const { offset } = x86Layout
    return { kind: 'exception', vector, cause, error: cause === 'fault' && hasError(vector) ? this.#get('error') : 0, address: vector === Vector.pageFault ? this.#view.getBigUint64(offset.faultAddress, true) : 0n, from }
  }
}
