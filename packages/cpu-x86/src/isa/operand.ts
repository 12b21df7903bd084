import { machineError } from './errors.ts'

/** Where an operand is (the addressing methods of SDM volume 2, appendix A.2.1). */
export type OperandKind =
  /** E: ModRM.rm, a register or memory. */
  | 'rm'
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

/** b, w, d, q: 1, 2, 4, 8 bytes. v: the operand size. z: the same, 4 at most. y: the same, 4 at least. */
export type OperandSize = 'b' | 'w' | 'd' | 'q' | 'v' | 'z' | 'y'

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
  ...Object.fromEntries(['ES', 'CS', 'SS', 'DS', 'FS', 'GS'].map((name, register) => [name, { kind: 'segment', size: 'w', register }])),
  1: { kind: 'one', size: 'b', register: 0 },
}

const methods: Readonly<Record<string, OperandKind>> = {
  E: 'rm', M: 'mem', G: 'reg', Z: 'opreg', I: 'imm', J: 'rel', O: 'offset', S: 'sreg', X: 'si', Y: 'di',
}

export function parseOperand(text: string): Operand {
  const known = fixed[text]
  if (known) return known
  const kind = methods[text.charAt(0)]
  const size = text.charAt(1)
  if (kind === undefined || text.length !== 2 || !'bwdqvzy'.includes(size)) throw machineError('operand', text, 'is none', 'Write it as Ev')
  return { kind, size: size as OperandSize, register: 0 }
}

/** The bytes of an operand at an operand size. */
export function bytesOf(size: OperandSize, operandSize: 1 | 2 | 4 | 8): 1 | 2 | 4 | 8 {
  switch (size) {
    case 'b': return 1
    case 'w': return 2
    case 'd': return 4
    case 'q': return 8
    case 'v': return operandSize
    case 'z': return operandSize === 8 ? 4 : operandSize
    case 'y': return operandSize < 4 ? 4 : operandSize
  }
}
