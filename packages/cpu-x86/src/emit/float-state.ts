import { layout, type Layout } from '@machinist/memory'
import { type Expr, i32, i64 } from '@machinist/wasm'

const fields = {
  /** YMM0 to YMM15, 32 bytes each, whose lower halves are XMM. */
  vectors: ['i64', 64],
  /** R0 to R7 of the x87 FPU, 16 bytes each, of which ten count; MMX registers are their significands (SDM volume 1, 9.2). */
  registers: ['i64', 16],
  mxcsr: 'u32',
  /** Exceptions of the operation under way: see sse.ts. */
  exceptions: 'u32',
  /** Control word; status word, with TOP; a bit for each register that is not empty. */
  control: 'u32',
  status: 'u32',
  tags: 'u32',
  /** Opcode, and the addresses of the last instruction and its operand (SDM volume 1, 8.1.8). */
  opcode: 'u32',
  instruction: 'i64',
  operand: 'i64',
  /** Numbers of 80 bits while they are computed with, 16 bytes each. */
  scratch: ['i64', 16],
  /** What FXSAVE and XSAVE write, and their counterparts have read: see image.ts. */
  image: ['u8', 832],
} as const

/** Where the registers of the x87 FPU, MMX, SSE and AVX lie, from the start of theirs. */
export const floatLayout: Layout<typeof fields> = layout('x86-float', fields)

type Field = keyof typeof fields

/** Those registers at a fixed address, to emitted code. */
export class FloatState {
  readonly at: number
  constructor(at: number) {
    this.at = at
  }

  field(name: Field): number {
    return this.at + floatLayout.offset[name]
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
