import type { Expr, Func, Local } from '@machinist/wasm'

/** Where control goes after an instruction. Offsets count bytes from the start of the unit (a page of code). */
export type Flow =
  /** To the next instruction. */
  | { readonly kind: 'next' }
  /** To `target` or to the next instruction. */
  | { readonly kind: 'branch'; readonly target: number }
  /** To `target`; with `returns`, as a call, whose return comes back to the next instruction. */
  | { readonly kind: 'jump'; readonly target: number; readonly returns: boolean }
  /** To an address computed at run time. */
  | { readonly kind: 'indirect'; readonly returns: boolean }
  /** The translator has no code for it: the region is left before it, and it is executed elsewhere. */
  | { readonly kind: 'leave' }

/** A decoded instruction of the guest, with its semantics. */
export interface Instruction {
  readonly offset: number
  readonly length: number
  readonly flow: Flow
  /** Numbers of the guest registers that it may read and write, of {@link Frontend.registers}. */
  readonly reads: readonly number[]
  readonly writes: readonly number[]
  /**
   * Whether it may leave the region by `escapeIf` or `missIf`, before it has had an effect; or `behind`, which is any other way as well. Unless given, `'behind'`. What jumps may always leave.
   */
  readonly leaves?: 'never' | 'before' | 'behind'
  /** It is executed by a function outside, which may write any of the registers that others use: no register is one of the region's for its sake. */
  readonly elsewhere?: boolean
  /** Writes its code; ends control flow only through `stage`. */
  emit(stage: RegionStage): void
}

export type RegisterType = 'i32' | 'i64' | 'v128'

/** A guest register: kept in a local inside a region, and in linear memory outside. */
export interface RegisterSpec {
  readonly type: RegisterType
  /** Null of a value of the front end's own, which is in no memory, and zero where control comes in. */
  readonly address: number | null
  /**
   * When it is stored: before each test that may leave, unless given, which is once for what many accesses follow; or `'out'`, on the ways out alone, which is for
   * what most instructions write and few read, such as flags; or on those `'by wayOut'` of the front end.
   */
  readonly stored?: 'before' | 'out' | 'by wayOut'
}

/** Registers of a region, where no instruction is written. */
export type RegionValues = Pick<RegionStage, 'f' | 'get' | 'set' | 'writes'>

/** How control leaves a region, for {@link Frontend.wayOut}: by an exit, or for the time that a function outside has it. */
export type WayOut = 'jump' | 'miss' | 'escape' | 'behind' | 'outside'

/** An instruction set, as the translator sees it. */
export interface Frontend {
  readonly registers: readonly RegisterSpec[]
  /** Bytes of a unit; a power of two. */
  readonly unitSize: number
  /** Bytes of which addresses of instructions are multiples: 2 unless given. */
  readonly granule?: 1 | 2
  /** What addresses of instructions are cut to: all 64 bits unless given. */
  readonly addressMask?: bigint
  /** Writes what a block begins with, before its first instruction, as which it may leave. */
  beginBlock?(stage: RegionStage): void
  /** Writes what control does on its way to another block of the region, or to the same. */
  edge?(f: Func): void
  /** Writes what is done on a way out, after which memory has to have everything. After `'outside'` control may come back. */
  wayOut?(values: RegionValues, kind: WayOut): void
  /** The instruction at `offset`; null when it does not lie wholly in the unit, or is not worth translating. */
  decode(offset: number): Instruction | null
}

/** How a region was left; the `kind` of its exit. */
export const Exit = {
  /** To the address in `pc`. */
  jump: 0,
  /** The access in `va` and `access` missed; the instruction at `pc` has not begun. */
  miss: 1,
  /** The instruction at `pc` must be executed elsewhere; it has not begun. */
  escape: 2,
  /** A function outside has moved control to `pc`, and may have changed more than that. */
  moved: 3,
} as const

/** What instructions are written with. */
export interface RegionStage {
  readonly f: Func
  /** Whether an instruction of the region writes a register. One that is stored on the ways out has a value on each of them then; of others memory has what they are. */
  writes(register: number): boolean
  /** The value of a guest register, which is of type i64 unless another is named. */
  get(register: number): Expr<'i64'>
  get<T extends RegisterType>(register: number, type: T): Expr<T>
  set(register: number, value: Expr<RegisterType>): void
  /** Whether anybody wants what the instruction leaves in a register that is stored on the ways out: if not, it need not be set. */
  needed(register: number): boolean
  /** Stores what was written and is stored before tests: before code under a condition that may leave. */
  settle(): void
  /** Takes more off the budget than the one that the instruction counts. */
  budgetBy(steps: Expr<'i32'>): void
  /** Guest-virtual address of the unit. */
  readonly unit: Expr<'i64'>
  /** Number of the block that is being written. */
  readonly block: number
  /** Offset of the current instruction. */
  readonly offset: number
  /** Takes the branch when the condition holds. */
  branch(condition: Expr<'i32'>): void
  /** Takes the jump. */
  jump(): void
  /** Goes to a guest-virtual address. */
  indirect(address: Expr<'i64'>): void
  /** Leaves when the condition holds: the instruction has had no effect yet, and is executed elsewhere. */
  escapeIf(condition: Expr<'i32'>): void
  /** Leaves when the condition holds, for an access that missed: `access` is the front end's own code for its kind. */
  missIf(condition: Expr<'i32'>, va: Expr<'i64'>, access: number): void
  /**
   * Has the instruction executed by a function outside, which gets its address and the budget and returns 0 when
   * control did not go on behind it. Registers that the instruction writes, and the constants, are read again.
   */
  outside(invoke: (pc: Expr<'i64'>, budget: Expr<'i32'>) => Expr<'i32'>): void
  /**
   * Leaves behind the instruction, which is complete, when the condition holds: it may have made something pending.
   * Else it goes on, with the constants read again.
   */
  leaveBehindIf(condition: Expr<'i32'>): void
  /** A value kept for the life of the region, computed at entry. */
  readonly constants: Readonly<Record<string, Expr<'i32'>>>
}

/** What a stretch of a region's code is there for. */
export type CodePurpose =
  /** Where control comes in, and the loop around everything. */
  | { readonly kind: 'entry' }
  /** Ends and beginnings of blocks and loops, and what leads to the guest block behind them. */
  | { readonly kind: 'nesting'; readonly block: number }
  /** A guest block as a whole: its budget; at its end, registers and the way to the next. */
  | { readonly kind: 'block'; readonly block: number }
  | { readonly kind: 'instruction'; readonly block: number; readonly instruction: Instruction }

/** Told what a region's code is there for, as it is written: for listings. Positions are those of `Func.position`. */
export interface RegionObserver {
  /** All from `position` on, until the next call. */
  code(position: number, purpose: CodePurpose): void
  /** `local` is guest register number `what`, or a value of the region's own. */
  local(local: Local, what: number | string): void
  /** The block or loop that begins at `position`: a branch to it goes to this place. */
  label(position: number, name: string): void
}
