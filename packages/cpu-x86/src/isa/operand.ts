import { machineError } from './errors.ts'

/** Where an operand is (the addressing methods of SDM volume 2, appendix A.2.1). */
export type OperandKind =
  /** E: ModRM.rm, a register or memory. */
  | 'rm'
  /** C and D: ModRM.reg, a control or debug register. */
  | 'control'
  | 'debug'
  /** M: ModRM.rm, memory only. */
  | 'mem'
  /** G: ModRM.reg. */
  | 'reg'
  /** Z: the low three bits of the opcode. */
  | 'opreg'
  /** S: ModRM.reg, a segment register. */
  | 'sreg'
  /** A segment register that the opcode implies. */
  | 'segment'
  | 'imm'
  /** J: relative to the next instruction. */
  | 'rel'
  /** O: an address in place of ModRM. */
  | 'offset'
  /** A register that the opcode implies. */
  | 'fixed'
  /** The number 1, of the shifts. */
  | 'one'
  /** X and Y: memory at rSI, and at ES:rDI. */
  | 'si'
  | 'di'
  /** R: ModRM.rm, a general register only. */
  | 'rmreg'
  /** B: VEX.vvvv, a general register. */
  | 'vvvvreg'
  /** V, W, U, H, L: XMM or YMM by ModRM.reg; by ModRM.rm, or memory; by ModRM.rm alone; by VEX.vvvv; by the high half of an immediate. */
  | 'vreg'
  | 'vrm'
  | 'vrmreg'
  | 'vvvv'
  | 'vimm'
  /** P, Q, N: MMX by ModRM.reg; by ModRM.rm, or memory; by ModRM.rm alone. */
  | 'mreg'
  | 'mrm'
  | 'mrmreg'
  /** T: ST(i) by ModRM.rm. */
  | 'stack'

/**
 * b, w, d, q: 1, 2, 4, 8 bytes. v: the operand size. z: the same, 4 at most. y: the same, 4 at least. o, t: 16 and 10 bytes.
 * x: a vector, of 16 or 32 bytes; h, f, e: a half, a quarter and an eighth of it. n: what has no one size.
 */
export type OperandSize = 'b' | 'w' | 'd' | 'q' | 'v' | 'z' | 'y' | 'o' | 't' | 'x' | 'h' | 'f' | 'e' | 'n'

/** Bytes of a vector register: XMM or YMM. */
export type VectorSize = 16 | 32

export interface Operand {
  readonly kind: OperandKind
  readonly size: OperandSize
  /** Of `fixed` and `segment`: the register's number. */
  readonly register: number
}

const fixed: Readonly<Record<string, Operand>> = {
  AL: { kind: 'fixed', size: 'b', register: 0 },
  CL: { kind: 'fixed', size: 'b', register: 1 },
  rAX: { kind: 'fixed', size: 'v', register: 0 },
  eAX: { kind: 'fixed', size: 'z', register: 0 },
  DX: { kind: 'fixed', size: 'w', register: 2 },
  ...Object.fromEntries(['ES', 'CS', 'SS', 'DS', 'FS', 'GS'].map((name, register) => [name, { kind: 'segment', size: 'w', register }])),
  1: { kind: 'one', size: 'b', register: 0 },
}

const methods: Readonly<Record<string, OperandKind>> = {
  E: 'rm', M: 'mem', G: 'reg', Z: 'opreg', I: 'imm', J: 'rel', O: 'offset', S: 'sreg', X: 'si', Y: 'di', R: 'rmreg', B: 'vvvvreg',
  V: 'vreg', W: 'vrm', U: 'vrmreg', H: 'vvvv', L: 'vimm', P: 'mreg', Q: 'mrm', N: 'mrmreg', T: 'stack', C: 'control', D: 'debug',
}

export function parseOperand(text: string): Operand {
  const known = fixed[text]
  if (known) return known
  const kind = methods[text.charAt(0)]
  const size = text.charAt(1)
  if (kind === undefined || text.length !== 2 || !'bwdqvzyotxhfen'.includes(size)) throw machineError('operand', text, 'is none', 'Write it as Ev')
  return { kind, size: size as OperandSize, register: 0 }
}

/** Operands that are in a ModRM byte. */
export const inModrm: ReadonlySet<OperandKind> = new Set(['rm', 'mem', 'reg', 'sreg', 'rmreg', 'vreg', 'vrm', 'vrmreg', 'mreg', 'mrm', 'mrmreg', 'stack', 'control', 'debug'])
/** Those of ModRM.rm that are a register or memory, and a register only. */
export const mayBeMemory: ReadonlySet<OperandKind> = new Set(['rm', 'vrm', 'mrm'])
export const onlyRegister: ReadonlySet<OperandKind> = new Set(['rmreg', 'vrmreg', 'mrmreg', 'stack'])
/** Those that are XMM or YMM registers when they are registers, and MMX registers. */
export const isVector: ReadonlySet<OperandKind> = new Set(['vreg', 'vrm', 'vrmreg', 'vvvv', 'vimm'])
export const isMmx: ReadonlySet<OperandKind> = new Set(['mreg', 'mrm', 'mrmreg'])

/** The bytes of any operand; 0 of what has no one size. */
export function operandBytes(size: OperandSize, operandSize: 1 | 2 | 4 | 8, vector: VectorSize): number {
  switch (size) {
    case 'o': return 16
    case 't': return 10
    case 'x': return vector
    case 'h': return vector / 2
    case 'f': return vector / 4
    case 'e': return vector / 8
    case 'n': return 0
    default: return bytesOf(size, operandSize)
  }
}

/** The bytes of a general operand at an operand size. */
export function bytesOf(size: OperandSize, operandSize: 1 | 2 | 4 | 8): 1 | 2 | 4 | 8 {
  switch (size) {
    case 'b': return 1
    case 'w': return 2
    case 'd': return 4
    case 'q': return 8
    case 'v': return operandSize
    case 'z': return operandSize === 8 ? 4 : operandSize
    case 'y': return operandSize < 4 ? 4 : operandSize
    default: throw machineError('operand', size, 'is no size of a general register', 'Use operandBytes')
  }
}
