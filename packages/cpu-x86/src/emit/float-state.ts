import { type Expr, i32, i64 } from '@machinist/wasm'

/** From the start of a CPU's state to that of its floating-point and vector registers, in bytes. */
export const FLOAT_AT = 2048

/** Where the registers of the x87 FPU, MMX, SSE and AVX lie, from there. */
export const floatLayout = {
  /** YMM0 to YMM15, 32 bytes each, whose lower halves are XMM. */
  vectors: 0,
  /** R0 to R7 of the x87 FPU, 16 bytes each, of which ten count; MMX registers are their significands (SDM volume 1, 9.2). */
  registers: 512,
  mxcsr: 640,
  /** Exceptions of the operation under way: see sse.ts. */
  exceptions: 644,
  /** Control word; status word, with TOP; a bit for each register that is not empty. */
  control: 648,
  status: 652,
  tags: 656,
  /** Opcode, and the addresses of the last instruction and its operand (SDM volume 1, 8.1.8). */
  opcode: 660,
  instruction: 664,
  operand: 672,
  /** Numbers of 80 bits while they are computed with, 16 bytes each. */
  scratch: 688,
  size: 816,
} as const

type Field = Exclude<keyof typeof floatLayout, 'size'>

/** Those registers at a fixed address, to emitted code. */
export class FloatState {
  readonly at: number
  constructor(at: number) {
    this.at = at
  }

  field(name: Field): number {
    return this.at + floatLayout[name]
  }

  get32(name: Field): Expr<'i32'> {
    return i32.load(this.field(name))
  }

  set32(name: Field, value: Expr<'i32'> | number): Expr<'void'> {
    return i32.store(this.field(name), value)
  }

  get64(name: Field): Expr<'i64'> {
    return i64.load(this.field(name))
  }

  set64(name: Field, value: Expr<'i64'>): Expr<'void'> {
    return i64.store(this.field(name), value)
  }

  /** The address of an XMM or YMM register. */
  vector(number: number): number {
    return this.field('vectors') + 32 * number
  }

  /** The address of R0 to R7. */
  register(number: number): number {
    return this.field('registers') + 16 * number
  }
}

/** As FNINIT and reset leave them (SDM volume 3, table 10-1). */
export const initialControl = { control: 0x37f, mxcsr: 0x1f80 } as const
