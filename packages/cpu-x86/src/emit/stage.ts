import type { Expr, Func, Local, ValueType } from '@machinist/wasm'
import type { Size } from '../isa/form.ts'
import type { Helpers } from './helpers.ts'
import type { Numbers } from './layout.ts'
import type { SharedFunctions } from './system/functions.ts'
import type { VectorOps } from './vector-ops.ts'

export type Value = Expr<'i64'>

/** Bytes of an address or of rSP: a number, or what is known when code runs, as the mask of its bits. */
export type Width = Size | { readonly mask: Value }

/** The segment of an access: the memory operand's, SS, or ES. */
export type Segment = 'operand' | 'stack' | 'extra'

/** What ends REPE and REPNE besides the count; and how several iterations may be done at once. */
export interface Repetition {
  readonly goesOn?: (equal: boolean) => Expr<'i32'>
  readonly chunk?: 'move' | 'fill'
}

/**
 * What the semantics of instructions are written in. An engine decides what an operand is (a field of a decoded op, a
 * constant, a local), and what an access to memory or a fault does.
 *
 * Values are 64 bits wide, and zero above their size; `truncate` sees to it. They are expressions, which are computed where
 * a statement uses them, so `let` binds what is used twice or must be read before something is written; `load` reads at once.
 * An instruction has no effect before its last fault: registers and flags are set after every load and store.
 */
export interface Stage extends VectorOps {
  readonly f: Func
  readonly helpers: Helpers
  /** What all handlers share; those that may fault are for `try`. */
  readonly shared: SharedFunctions
  readonly operandSize: Size
  readonly addressSize: Width
  /** Of rSP: by SS.B, and 8 in 64-bit mode. */
  readonly stackSize: Width

  let<T extends ValueType>(value: Expr<T>): Local<T>
  when(condition: Expr<'i32'>, then: () => void, otherwise?: () => void): void
  select(condition: Expr<'i32'>, a: Value, b: Value): Value
  truncate(value: Value, size: Width): Value
  /** Sign-extends from a size. */
  signed(value: Value, size: Size): Value
  nothing(): void

  /** Bytes of an operand. */
  size(operand: number): Size
  isMemory(operand: number): boolean
  isImmediate(operand: number): boolean
  /** The lowest byte of an operand that is a number when the code is written; null of others. */
  known(operand: number): number | null
  /** An immediate is sign-extended to `size`, or cut. */
  read(operand: number, size?: Size): Value
  write(operand: number, value: Value): void
  register(number: number, size: Width): Value
  setRegister(number: number, value: Value, size: Width): void
  /** AH. */
  high(): Value
  setHigh(value: Value): void

  /** The memory operand's address in its segment, cut to the address size. */
  offset(): Value
  /** Its linear address. */
  linear(): Value
  /** Memory at an offset in a segment: by default the memory operand's. What the segment does not have is #SS in SS, and #GP elsewhere. */
  load(offset: Value, size: Size, segment?: Segment): Local<'i64'>
  store(offset: Value, value: Value, size: Size, segment?: Segment): void
  /** Faults as a store there would. */
  writable(offset: Value, bytes: number, segment?: Segment): void
  /** Accesses within are not looked at for their alignment (SDM volume 2, VMASKMOV and VGATHERDPS: no #AC). */
  anyAlignment(body: () => void): void
  /** #GP unless the linear address is a multiple. */
  aligned(offset: Value, bytes: number): void

  push(value: Value): void
  /** What `pop` would read, of the operand size. */
  top(): Value
  /** Takes bytes off the stack. */
  release(bytes: number, more?: Value): void
  /** Of the operand size, so many bytes from rSP. */
  loadStack(distance: number): Value
  storeStack(distance: number, value: Value): void
  /** The memory operand's address once an operand has been popped. */
  popOffset(): Value

  /** The address of the next instruction, and that with the immediate, by the operand size. */
  next(): Value
  /** All of it. */
  next64(): Value
  target(): Value
  /** #GP for an address that CS does not have. */
  checkTarget(target: Value): void
  jump(target: Value): void
  branch(condition: Expr<'i32'>, target: Value): void
  /** Numbers of the state. */
  field(name: Numbers): Value
  setField(name: Numbers, value: Value): void
  /** The address of what has a segmentLayout, by its number. */
  stateAt(register: number): Expr<'i32'>
  /** The number of an operand that is a control or debug register. */
  numberOf(operand: number): Expr<'i32'>
  /** Ends the instruction when a shared function has faulted. */
  try(faulted: Expr<'i32'>): void
  /** rIP was set by a shared function. */
  leaves(): void
  /** A segment register is loaded, as `write` loads one that is an operand; or is taken off the stack. */
  setSegment(number: number, selector: Value): void
  popSegment(number: number): void
  /** JMP and CALL to far, RET from far with so many bytes to release, and IRET. */
  far(calls: boolean, selector: Value, offset: Value): void
  farReturn(release: Value): void
  interruptReturn(): void
  /** One iteration of a string instruction, or the instruction alone when there is no REP. With `chunk`, where that is the same, several of MOVS and STOS. */
  iterate(body: () => void, more?: Repetition): void
  /** An index register as a string instruction takes it. */
  stringOffset(register: number): Value
  /** Moves an index register on, by DF. */
  advance(register: number, bytes: Size): void

  /** The instruction has not happened. `fails` is for an arm of `when`. */
  fault(vector: number): void
  fails(vector: number): void
  faultIf(condition: Expr<'i32'>, vector: number, error?: Expr<'i32'> | number): void
  /** The instruction has happened. The gate's DPL counts for what software may raise: INT3 and INTO, and not INT1. */
  trap(vector: number, software?: boolean): void
  /** INT: a trap whose vector is an operand. */
  interrupt(vector: Value): void

  carry(): Expr<'i32'>
  /** The same, for what writes the other flags and leaves it: anything when nobody wants flags behind the instruction. */
  keptCarry(): Expr<'i32'>
  /** The six status flags in their places. */
  flags(): Expr<'i32'>
  /** 0 or 1, by the number of the condition. */
  condition(code: number): Expr<'i32'>
  /** Those of an addition or subtraction of two, with carry-in or without. */
  setArithmetic(kind: 'add' | 'sub', operands: readonly [Value, Value], result: Value, size: Size, carry: Value | null): void
  /** Those of AND, OR, XOR and TEST. AF, which is undefined, is clear. */
  setLogic(result: Value, size: Size): void
  /** Those of INC and DEC, which keep CF. */
  setStep(kind: 'inc' | 'dec', carry: Value, result: Value, size: Size): void
  /** SF, ZF and PF of a result; CF and OF in their places, and AF clear. */
  setGiven(bits: Expr<'i32'>, result: Value, size: Size): void
  /** Replaces the flags in `mask`. */
  setFlags(mask: number, bits: Expr<'i32'>): void
  signZeroParity(result: Value, size: Size): Expr<'i32'>
  setDirection(value: 0 | 1): void
  /** Replaces the flags in `mask`, which are neither status nor DF, by those of `bits`. */
  setSystem(mask: number, bits: number): void
  /** FLAGS, EFLAGS or RFLAGS as PUSHF stores them, and POPF changes them, by CPL and IOPL. */
  allFlags(): Expr<'i32'>
  setAllFlags(value: Expr<'i32'>): void
}
