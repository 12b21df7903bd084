import { type Decoded, instructions, numberOf } from './isa/decoder.ts'

/**
 * A pre-decoded op is eight bytes:
 *
 * | byte | R | I, CSR | S, B | U, J |
 * |---|---|---|---|---|
 * | 0–1 | handler | handler | handler | handler |
 * | 2 | rd·8 | rd·8 | rs2·8 | rd·8 |
 * | 3 | rs1·8 | rs1·8 | rs1·8 | |
 * | 4–7 | rs2·8, rs3·8, rm | immediate (rm in byte 6) | immediate | immediate |
 *
 * Register numbers are scaled so that they are offsets into the register file. There is one op for each halfword of
 * a page, so the op of an address is found by arithmetic, and so is the address of an op.
 */
export const OP_SIZE = 8
/** Bytes of the ops of one page: one for each halfword. */
export const OPS_BYTES: number = 2048 * 8
export const OP_FIELD = { handler: 0, a: 2, b: 3, imm: 4, rs2: 4, rs3: 5, rm: 6 } as const

/**
 * An instruction in one of the forms that are worth code of their own.
 *
 * - `plain`
 * - `rd0`: rd is x0, and the value is thrown away
 * - `near`, `forward`, `backward`: the target is in the same page, and the immediate is the distance between ops;
 *   branches know which way they go, since only backward ones need to look at the budget
 */
export type Form = 'plain' | 'rd0' | 'near' | 'nearRd0' | 'forward' | 'backward'

export interface Variant {
  /** Number of the instruction; −1 for the pseudo-instructions below. */
  readonly instruction: number
  readonly form: Form
}

/** Pseudo-instructions. Zeroed memory is a page of undecoded ops. */
export const Pseudo = {
  /** Not decoded yet. */
  undecoded: 0,
  /** Stands after the last op of a page. */
  pageEnd: 1,
  /** Four bytes of which two are in the next page. */
  cross: 2,
  /** An instruction without effect. */
  nop: 3,
  /** Stands in for an instruction at which translated code may be entered; see {@link ENTER_FIELD}. */
  enter: 4,
} as const

const pseudoCount = 5

const writesInteger: readonly boolean[] = instructions.map(({ operands }) => operands.startsWith('rd'))

export const variants: readonly Variant[] = [
  ...Array.from({ length: pseudoCount }, () => ({ instruction: -1, form: 'plain' as const })),
  ...instructions.flatMap(({ format, kind }, instruction) => {
    const forms: Form[] = ['plain']
    if (format === 'B') forms.push('forward', 'backward')
    else if (format === 'J') forms.push('rd0', 'near', 'nearRd0')
    else if (kind === 'effect' && writesInteger[instruction] === true) forms.push('rd0')
    return forms.map((form) => ({ instruction, form }))
  }),
]

/** Variants by instruction and form; undecoded where there is none. */
const numbers: readonly Readonly<Record<Form, number>>[] = (() => {
  const none = Pseudo.undecoded
  const all: Record<Form, number>[] = instructions.map(() => ({ plain: none, rd0: none, near: none, nearRd0: none, forward: none, backward: none }))
  variants.forEach(({ instruction, form }, number) => {
    const known = all[instruction]
    if (known !== undefined) known[form] = number
  })
  return all
})()
const JAL = numberOf('jal')

/** Handler numbers are twice the variant, plus one for a two-byte instruction. */
export function handlerOf(variant: number, length: number): number {
  return variant * 2 + (length === 2 ? 1 : 0)
}

/**
 * The variant for a decoded instruction.
 *
 * @param inPage - whether pc + immediate is in the same page, and the ops may be linked
 */
export function variantOf(d: Decoded, inPage: boolean): number {
  const instruction = instructions[d.number]
  if (!instruction) return Pseudo.undecoded
  let form: Form = 'plain'
  if (instruction.format === 'B') form = !inPage ? 'plain' : d.imm <= 0 ? 'backward' : 'forward'
  else if (d.number === JAL) form = inPage ? (d.rd === 0 ? 'nearRd0' : 'near') : d.rd === 0 ? 'rd0' : 'plain'
  else if (d.rd === 0 && writesInteger[d.number] === true) {
    if (instruction.kind === 'pure') return Pseudo.nop
    if (instruction.kind === 'effect') form = 'rd0'
  }
  return numbers[d.number]?.[form] ?? Pseudo.undecoded
}

/**
 * Instructions that lie in two pages, as they were decoded, are kept by their bits, {@link CROSSINGS} of them: in each place
 * the bits, a one, and the op.
 */
export const CROSSINGS = 64
export const CROSSING_SIZE = 16
export const CROSSING_FIELD = { bits: 0, op: 8 } as const

/** What lies behind the ops of a page: the op that ends it, the address of its frame, and a byte for each halfword, set where control arrived. */
export const PAGE_TAIL = { frame: 8, marks: 64 } as const

/**
 * An `enter` op has, at `record`, the number of the place where the op is kept that it replaced (16 bits), and at
 * `target` the target of `jump-cache.ts` of cpu-core.
 */
export const ENTER_FIELD = { record: 2, target: 4 } as const

/** Most places at which translated code can be entered at a time. */
export const MAX_ENTERS = 65536

