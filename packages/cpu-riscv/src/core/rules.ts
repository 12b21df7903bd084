import { csrIndex } from '../emit/csr/order.ts'
import { handlerOf, variantOf } from '../handlers.ts'
import { type Decoded, emptyDecoded, type Encoding, encodingsOf, instructions, KEYS } from '../isa/decoder.ts'
import { infoOf, registers, secondHalf } from '../op-writer.ts'

/**
 * A rule says how the op of an instruction with one encoding follows from its bits: all that is in an op but the handler is an exclusive or of what each bit brings
 * along, for fields are moved and signs extended, and no more. Of 16 bits or of 32, that is the same.
 */
export const RULE_FIELD = {
  mask: 0,
  match: 4,
  /** Some of these bits are set, or else there is no rule, and the op is made by {@link writeOp}. */
  some: 8,
  /** Where the rule's columns begin: for each bit 8 bytes, what it brings along. */
  columns: 12,
  /** What is in an op without any of the bits outside `mask`. */
  fixed: 16,
  /** Handlers, by {@link RULE_FORM}. */
  handlers: 24,
  /** See {@link infoOf}. */
  info: 40,
  /** 1 where rounding modes 5 and 6 are reserved, and there is no rule for them. */
  rounding: 41,
  /** 1 where the second half is the number of a CSR, in whose place its index stands. */
  csr: 42,
} as const
export const RULE_SIZE = 48

/** What a handler depends on: the first register is x0; the target is in the same page; the immediate is not above zero. */
export const RULE_FORM = { zero: 1, near: 2, back: 4 } as const
const FORMS = 8

/** Rules by key (`encodingsOf`), two bytes for each; then the index of each CSR, a byte. */
export const RULE_KEYS = 0
export const RULE_CSRS: number = KEYS * 2
const CSRS = 4096
const FIRST_RULE: number = RULE_CSRS + CSRS

/** Room for all of it. */
export const RULES_SIZE = 32768

interface Rule {
  readonly mask: number
  readonly match: number
  readonly some: number
  readonly columns: readonly bigint[]
  readonly fixed: bigint
  readonly handlers: readonly number[]
  readonly info: number
  readonly rounding: boolean
  readonly csr: boolean
}

/** Ends the rules of a key: whatever comes here has none. */
const none: Rule = { mask: 0, match: 0, some: 0, columns: [], fixed: 0n, handlers: [], info: 0, rounding: false, csr: false }

/** What is in an op but for the handler, and the index of a CSR. */
function operandsOf(d: Decoded): bigint {
  const csr = instructions[d.number]?.format === 'CSR'
  return BigInt(registers(d) >>> 0) | (BigInt((csr ? d.imm : secondHalf(d, d.imm)) >>> 0) << 32n)
}

function ruleOf({ mask, match, length, read }: Encoding): Rule {
  const d = emptyDecoded()
  const operands = (word: number): bigint | null => (read(word, d) ? operandsOf(d) : null)
  const free = Array.from({ length: length * 8 }, (_, bit) => 1 << bit).filter((bit) => (mask & bit) === 0)
  // Some are reserved with none of their bits set: then others are the base.
  const bases = [match, ...free.map((bit) => match | bit)].filter((word) => operands(word) !== null)
  const column = (bit: number): bigint => {
    for (const base of bases) {
      const [with_, without] = [operands(base | bit), operands(base & ~bit)]
      if (with_ !== null && without !== null) return with_ ^ without
    }
    throw new RangeError(`bit ${bit} of ${match} says nothing`)
  }
  const [base = match] = bases
  const fixed = free.reduce((rest, bit) => ((base & bit) === 0 ? rest : rest ^ column(bit)), operands(base) ?? 0n)
  read(base, d)
  const instruction = instructions[d.number]
  const handlers = Array.from({ length: FORMS }, (_, form) => {
    const like: Decoded = { ...d, rd: (form & RULE_FORM.zero) === 0 ? 1 : 0, imm: (form & RULE_FORM.back) === 0 ? 1 : -1 }
    return handlerOf(variantOf(like, (form & RULE_FORM.near) !== 0), length)
  })
  return {
    mask, match, fixed, handlers,
    some: base === match ? match : bases.reduce((bits, word) => bits | (word & ~mask), 0),
    columns: Array.from({ length: length * 8 }, (_, bit) => (free.includes(1 << bit) ? column(1 << bit) : 0n)),
    info: infoOf(d),
    rounding: length === 4 && instruction?.fields.has('rm') === true,
    csr: instruction?.format === 'CSR',
  }
}

/** Writes the rules for all instructions, as generated code reads them. */
export function writeRules(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(RULES_SIZE)
  const data = new DataView(bytes.buffer)
  let end = FIRST_RULE
  /** Takes room for what is written once, however often it is needed. */
  const places = new Map<string, number>()
  const place = (name: string, size: number, write: (at: number) => void): number => {
    let at = places.get(name)
    if (at === undefined) {
      places.set(name, at = end)
      end += size
      if (end > RULES_SIZE) throw new RangeError(`rules of more than ${RULES_SIZE} bytes`)
      write(at)
    }
    return at
  }
  for (let key = 0; key < KEYS; key++) {
    const rules = [...encodingsOf(key).map(ruleOf), none]
    const columns = rules.map((rule) => place(`columns ${rule.columns.join()}`, rule.columns.length * 8, (at) => { rule.columns.forEach((column, bit) => { data.setBigUint64(at + bit * 8, column, true) }) }))
    const name = rules.map((rule) => [rule.mask, rule.match, rule.handlers].join()).join(' ')
    data.setUint16(RULE_KEYS + key * 2, place(`rules ${name}`, rules.length * RULE_SIZE, (at) => {
      rules.forEach((rule, index) => { writeRule(data, at + index * RULE_SIZE, rule, columns[index] ?? 0) })
    }), true)
  }
  for (let number = 0; number < CSRS; number++) bytes[RULE_CSRS + number] = csrIndex(number)
  return bytes.slice(0, end)
}

function writeRule(data: DataView, at: number, rule: Rule, columns: number): void {
  for (const name of ['mask', 'match', 'some'] as const) data.setInt32(at + RULE_FIELD[name], rule[name], true)
  data.setInt32(at + RULE_FIELD.columns, columns, true)
  data.setBigUint64(at + RULE_FIELD.fixed, rule.fixed, true)
  rule.handlers.forEach((handler, form) => { data.setUint16(at + RULE_FIELD.handlers + form * 2, handler, true) })
  data.setUint8(at + RULE_FIELD.info, rule.info)
  data.setUint8(at + RULE_FIELD.rounding, rule.rounding ? 1 : 0)
  data.setUint8(at + RULE_FIELD.csr, rule.csr ? 1 : 0)
}
