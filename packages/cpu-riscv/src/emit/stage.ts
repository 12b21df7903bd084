import type { SoftFloat } from '@machinist/softfloat'
import type { Expr, Func, FuncRef, Local } from '@machinist/wasm'

/** Width and extension of a load. */
export type LoadKind = 's8' | 'u8' | 's16' | 'u16' | 's32' | 'u32' | 'u64'

/** Bytes that each load reads. */
export const loadBytes: Readonly<Record<LoadKind, 1 | 2 | 4 | 8>> = { s8: 1, u8: 1, s16: 2, u16: 2, s32: 4, u32: 4, u64: 8 }

/** What is done to a block of the cache (unprivileged specification, chapter 20). */
export type CacheOperation = 'inval' | 'clean' | 'flush' | 'zero'

/** Functions that semantics may call. They have no effect on the hart. */
export interface Helpers {
  readonly mulh: FuncRef<readonly ['i64', 'i64'], 'i64'>
  readonly mulhu: FuncRef<readonly ['i64', 'i64'], 'i64'>
  readonly mulhsu: FuncRef<readonly ['i64', 'i64'], 'i64'>
  readonly rev8: FuncRef<readonly ['i64'], 'i64'>
  readonly float: SoftFloat
}

/**
 * What the semantics of instructions are written in. An engine decides what an operand is (a field of a
 * pre-decoded op, a constant, a local) and what a memory access or a trap does. Operands are expressions: each use
 * computes them again, so bind with `f.let` what is used often.
 *
 * An instruction has no effect before its last trap: `setRd` and the like come after every load and store.
 */
export interface Stage {
  readonly f: Func
  readonly helpers: Helpers
  /** Whether floating-point arithmetic is written in place rather than called. */
  readonly inlineFloat: boolean

  /** Address of this instruction. */
  readonly pc: Expr<'i64'>
  readonly rs1: Expr<'i64'>
  readonly rs2: Expr<'i64'>
  /** Low words of the registers. */
  readonly rs1w: Expr<'i32'>
  readonly rs2w: Expr<'i32'>
  /** The immediate, sign-extended; a shift amount; the upper immediate, already shifted. */
  readonly imm: Expr<'i64'>
  readonly immw: Expr<'i32'>
  /** The five-bit immediate of a CSR instruction. */
  readonly zimm: Expr<'i64'>
  setRd(value: Expr<'i64'>): void
  /** Sign-extends. */
  setRd32(value: Expr<'i32'>): void

  /** Floating-point registers as 64 bits, and as unboxed single precision (a bad box reads as the canonical NaN). */
  readonly fs1: Expr<'i64'>
  readonly fs2: Expr<'i64'>
  readonly fs3: Expr<'i64'>
  readonly fs1s: Expr<'i32'>
  readonly fs2s: Expr<'i32'>
  readonly fs3s: Expr<'i32'>
  /** The rounding mode, `frm` already put in for DYN. */
  readonly rm: Expr<'i32'>
  setFd(value: Expr<'i64'>): void
  /** NaN-boxes. */
  setFds(value: Expr<'i32'>): void

  load(kind: LoadKind, address: Expr<'i64'>): Expr<'i64'>
  store(bytes: 1 | 2 | 4 | 8, address: Expr<'i64'>, value: Expr<'i64'>): void
  loadReserved(bytes: 4 | 8, address: Expr<'i64'>): Expr<'i64'>
  /** 0 when it stored, 1 when the reservation was lost. */
  storeConditional(bytes: 4 | 8, address: Expr<'i64'>, value: Expr<'i64'>): Expr<'i32'>
  /** Returns the old value, sign-extended. */
  readModifyWrite(bytes: 4 | 8, address: Expr<'i64'>, combine: (old: Local<'i64'>) => Expr<'i64'>): Expr<'i64'>

  /** Goes to pc + immediate when the condition holds. Ends the instruction. */
  branch(condition: Expr<'i32'>): void
  /** JAL: rd becomes the address of the next instruction. Ends the instruction. */
  jumpAndLink(): void
  jumpAndLinkRegister(target: Expr<'i64'>): void
  nothing(): void

  /** Traps. Ends the instruction. */
  raise(cause: number, value: Expr<'i64'>): void

  // Of system instructions only:
  csr(operand: Expr<'i64'>, combine: (old: Local<'i64'>, operand: Local<'i64'>) => Expr<'i64'>, kind: 'write' | 'modify'): void
  environmentCall(): void
  supervisorReturn(): void
  machineReturn(): void
  waitForInterrupt(): void
  fenceVma(): void
  /** Illegal below S-mode (and in S-mode under TVM). */
  supervisorOnly(): void
  cacheBlock(operation: CacheOperation): void
  yieldHart(): void
}
