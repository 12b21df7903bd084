import { call, type Expr, i32, i64 } from '@machinist/wasm'
import type { Stage } from '../emit/stage.ts'
import { extension, type Instruction } from './instruction.ts'

/** Single- and double-precision floating point (unprivileged specification, chapters 20 and 21). */
const single = extension('f')
const double = extension('d')
export const floats: readonly (readonly Instruction[])[] = [single.instructions, double.instructions]

single.effect('flw', 'iimm rs1 010 rd 0000111', 'fd, imm(rs1)', (s) => s.setFds(i32.wrap(s.load('u32', i64.add(s.rs1, s.imm)))))
single.effect('fsw', 'simm7 rs2 rs1 010 simm5 0100111', 'fs2, imm(rs1)', (s) => s.store(4, i64.add(s.rs1, s.imm), s.fs2))
double.effect('fld', 'iimm rs1 011 rd 0000111', 'fd, imm(rs1)', (s) => s.setFd(s.load('u64', i64.add(s.rs1, s.imm))))
double.effect('fsd', 'simm7 rs2 rs1 011 simm5 0100111', 'fs2, imm(rs1)', (s) => s.store(8, i64.add(s.rs1, s.imm), s.fs2))

type Add = (name: string, pattern: string, operands: string, semantics: (s: Stage) => void) => void

/** What differs between the formats: 32-bit patterns are unboxed and boxed, 64-bit ones are taken as they are. */
interface FormatView<T extends 'i32' | 'i64'> {
  readonly suffix: 's' | 'd'
  readonly fmt: '00' | '01'
  readonly width: 'w' | 'd'
  readonly add: Add
  readonly ops: (s: Stage) => Stage['helpers']['float'][T extends 'i32' ? 'f32' : 'f64']
  readonly a: (s: Stage) => Expr<T>
  readonly b: (s: Stage) => Expr<T>
  readonly c: (s: Stage) => Expr<T>
  readonly set: (s: Stage, value: Expr<T>) => void
  readonly int: { xor(a: Expr<T>, b: Expr<T>): Expr<T>; and(a: Expr<T>, b: Expr<T>): Expr<T>; or(a: Expr<T>, b: Expr<T>): Expr<T> }
  readonly sign: Expr<T>
  readonly magnitude: Expr<T>
}

const f32View: FormatView<'i32'> = {
  suffix: 's',
  fmt: '00',
  width: 'w',
  add: single.effect,
  ops: (s) => s.helpers.float.f32,
  a: (s) => s.fs1s,
  b: (s) => s.fs2s,
  c: (s) => s.fs3s,
  set: (s, value) => s.setFds(value),
  int: i32,
  sign: i32.const(0x8000_0000 | 0),
  magnitude: i32.const(0x7fff_ffff),
}

const f64View: FormatView<'i64'> = {
  suffix: 'd',
  fmt: '01',
  width: 'd',
  add: double.effect,
  ops: (s) => s.helpers.float.f64,
  a: (s) => s.fs1,
  b: (s) => s.fs2,
  c: (s) => s.fs3,
  set: (s, value) => s.setFd(value),
  int: i64,
  sign: i64.const(-(2n ** 63n)),
  magnitude: i64.const(2n ** 63n - 1n),
}

function arithmetic<T extends 'i32' | 'i64'>(view: FormatView<T>): void {
  const { suffix, fmt, add, ops, a, b, c, set, int, sign, magnitude } = view
  /** An arithmetic operation, called or written in place as the engine likes. */
  const apply = (s: Stage, name: 'add' | 'sub' | 'mul' | 'div' | 'sqrt' | 'fma', ...operands: readonly Expr<T>[]): void => {
    if (s.inlineFloat) {
      const write = ops(s).inline[name] as unknown as (f: Stage['f'], ...operands: readonly Expr[]) => Expr<T>
      set(s, write(s.f, ...operands, s.rm))
    } else {
      const invoke = call as unknown as (target: unknown, ...operands: readonly Expr[]) => Expr<T>
      set(s, invoke(ops(s)[name], ...operands, s.rm))
    }
  }
  const two = (name: 'add' | 'sub' | 'mul' | 'div', funct5: string): void =>
    add(`f${name}.${suffix}`, `${funct5}${fmt} rs2 rs1 rm rd 1010011`, 'fd, fs1, fs2, rm', (s) => apply(s, name, a(s), b(s)))
  two('add', '00000')
  two('sub', '00001')
  two('mul', '00010')
  two('div', '00011')
  add(`fsqrt.${suffix}`, `01011${fmt} 00000 rs1 rm rd 1010011`, 'fd, fs1, rm', (s) => apply(s, 'sqrt', a(s)))

  // Products and addends change sign by their sign bits: exact, and NaN results are canonical anyway.
  const fused = (name: string, opcode: string, negateProduct: boolean, negateAddend: boolean): void =>
    add(`${name}.${suffix}`, `rs3 ${fmt} rs2 rs1 rm rd ${opcode}`, 'fd, fs1, fs2, fs3, rm', (s) => {
      const product = negateProduct ? int.xor(a(s), sign) : a(s)
      const addend = negateAddend ? int.xor(c(s), sign) : c(s)
      apply(s, 'fma', product, b(s), addend)
    })
  fused('fmadd', '1000011', false, false)
  fused('fmsub', '1000111', false, true)
  fused('fnmsub', '1001011', true, false)
  fused('fnmadd', '1001111', true, true)

  const inject = (name: string, funct3: string, newSign: (s: Stage) => Expr<T>): void =>
    add(`${name}.${suffix}`, `00100${fmt} rs2 rs1 ${funct3} rd 1010011`, 'fd, fs1, fs2', (s) => set(s, int.or(int.and(a(s), magnitude), newSign(s))))
  inject('fsgnj', '000', (s) => int.and(b(s), sign))
  inject('fsgnjn', '001', (s) => int.xor(int.and(b(s), sign), sign))
  inject('fsgnjx', '010', (s) => int.and(int.xor(a(s), b(s)), sign))

  add(`fmin.${suffix}`, `00101${fmt} rs2 rs1 000 rd 1010011`, 'fd, fs1, fs2', (s) => set(s, call(ops(s).min as never, a(s) as never, b(s) as never) as Expr<T>))
  add(`fmax.${suffix}`, `00101${fmt} rs2 rs1 001 rd 1010011`, 'fd, fs1, fs2', (s) => set(s, call(ops(s).max as never, a(s) as never, b(s) as never) as Expr<T>))
  for (const [name, funct3, operation] of [['feq', '010', 'eq'], ['flt', '001', 'lt'], ['fle', '000', 'le']] as const) {
    add(`${name}.${suffix}`, `10100${fmt} rs2 rs1 ${funct3} rd 1010011`, 'rd, fs1, fs2', (s) =>
      s.setRd(i64.extendU(call(ops(s)[operation] as never, a(s) as never, b(s) as never) as Expr<'i32'>)),
    )
  }
  add(`fclass.${suffix}`, `11100${fmt} 00000 rs1 001 rd 1010011`, 'rd, fs1', (s) =>
    s.setRd(i64.extendU(call(ops(s).classify as never, a(s) as never) as Expr<'i32'>)),
  )
  for (const [integer, code, to] of [['w', '00000', 'toI32'], ['wu', '00001', 'toU32'], ['l', '00010', 'toI64'], ['lu', '00011', 'toU64']] as const) {
    add(`fcvt.${integer}.${suffix}`, `11000${fmt} ${code} rs1 rm rd 1010011`, 'rd, fs1, rm', (s) =>
      s.setRd(call(ops(s)[to] as never, a(s) as never, s.rm as never) as Expr<'i64'>),
    )
  }
  for (const [integer, code, from] of [['w', '00000', 'fromI32'], ['wu', '00001', 'fromU32']] as const) {
    add(`fcvt.${suffix}.${integer}`, `11010${fmt} ${code} rs1 rm rd 1010011`, 'fd, rs1, rm', (s) =>
      set(s, call(ops(s)[from] as never, s.rs1w as never, s.rm as never) as Expr<T>),
    )
  }
  for (const [integer, code, from] of [['l', '00010', 'fromI64'], ['lu', '00011', 'fromU64']] as const) {
    add(`fcvt.${suffix}.${integer}`, `11010${fmt} ${code} rs1 rm rd 1010011`, 'fd, rs1, rm', (s) =>
      set(s, call(ops(s)[from] as never, s.rs1 as never, s.rm as never) as Expr<T>),
    )
  }
}

arithmetic(f32View)
arithmetic(f64View)

single.effect('fmv.x.w', '1110000 00000 rs1 000 rd 1010011', 'rd, fs1', (s) => s.setRd32(i32.wrap(s.fs1)))
single.effect('fmv.w.x', '1111000 00000 rs1 000 rd 1010011', 'fd, rs1', (s) => s.setFds(s.rs1w))
double.effect('fmv.x.d', '1110001 00000 rs1 000 rd 1010011', 'rd, fs1', (s) => s.setRd(s.fs1))
double.effect('fmv.d.x', '1111001 00000 rs1 000 rd 1010011', 'fd, rs1', (s) => s.setFd(s.rs1))
double.effect('fcvt.s.d', '0100000 00001 rs1 rm rd 1010011', 'fd, fs1, rm', (s) => s.setFds(call(s.helpers.float.f64.toF32, s.fs1, s.rm)))
double.effect('fcvt.d.s', '0100001 00000 rs1 rm rd 1010011', 'fd, fs1, rm', (s) => s.setFd(call(s.helpers.float.f32.toF64, s.fs1s)))
