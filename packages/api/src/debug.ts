/** A register as a debugger sees it. */
export interface DebugRegister {
  /** In lower case, as the instruction set's manual calls it. */
  readonly name: string
  /** Its number in the numbering that debuggers use for this instruction set; sparse. */
  readonly number: number
  readonly bits: 32 | 64 | 80 | 128
  /** Integer registers and the program counter; floating-point ones with their status; vectors with theirs; those of the system; what no instruction names. */
  readonly group: 'general' | 'float' | 'vector' | 'system' | 'virtual'
  /** `float` is of 32 or 64 bits, as its user has it; `extended` is a floating-point number of 80 bits. */
  readonly type: 'integer' | 'code' | 'data' | 'float' | 'extended' | 'vector'
}

/** Where a hart is to stop: for a debugger. */
export type DebugStop =
  /** Before the instruction at this virtual address is executed, in whatever address space. */
  | { readonly kind: 'breakpoint'; readonly address: bigint }
  /** After an instruction that accessed one of these bytes of virtual memory. */
  | { readonly kind: 'watchpoint'; readonly address: bigint; readonly length: number; readonly on: 'write' | 'read' | 'access' }

/** Why a hart stopped. */
export type DebugReason =
  | { readonly kind: 'step' }
  | { readonly kind: 'breakpoint'; readonly address: bigint }
  /** `address` is that of the first byte accessed that is watched by `stop`. */
  | { readonly kind: 'watchpoint'; readonly address: bigint; readonly stop: DebugStop & { readonly kind: 'watchpoint' } }

/**
 * A hart as a debugger sees it, to be used while it does not run. With nothing set, in mode `'run'`, a hart is as fast as if nobody had asked
 * for this. All addresses and values are unsigned.
 */
export interface VcpuDebug {
  /** What debuggers call the instruction set: `'riscv:rv64'`, `'i386:x86-64'`, `'i386'`. */
  readonly architecture: string
  readonly registers: readonly DebugRegister[]
  /** The value of the register of that number; null when there is none. Changes nothing. */
  readRegister(number: number): bigint | null
  /** As the most privileged instruction would write it: bits that are read-only stay. False when there is no such register, or it takes no such value. */
  writeRegister(number: number, value: bigint): boolean
  /**
   * The guest-physical address of a virtual one, as the hart stands; −1 when there is none. Unlike an access it changes nothing, and asks for
   * no permission.
   */
  translate(address: bigint): number
  /** Sets all places to stop at, in the place of those set before. What devices do in memory stops nobody. */
  setStops(stops: readonly DebugStop[]): void
  /**
   * What it does when the machine runs: as usual; one instruction, for which no interrupt is taken; or nothing. Setting it forgets `reason`.
   * Going on at a breakpoint stops at once: step over it first.
   */
  mode: 'run' | 'step' | 'hold'
  /** Why the last run ended, when that was with `'debug'`; else null. */
  readonly reason: DebugReason | null
}
