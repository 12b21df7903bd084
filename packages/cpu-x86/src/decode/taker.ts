import type { Views } from '../emit/decode-slot.ts'
import { hasWideImmediate, hotHandler } from '../emit/hot-variants.ts'
import type { State } from '../emit/layout.ts'
import { INDEX_BITS, Pseudo, WINDOW } from '../emit/op-format.ts'
import { variantOf } from '../emit/variant.ts'
import type { Form } from '../isa/form.ts'
import type { OperandKind } from '../isa/operand.ts'
import { decode, type Decoded, type Undecoded } from './decoder.ts'
import { type Head, Heads, signed } from './heads.ts'

const PAGE = 4096
const HIGH_BYTES = 4
const [CS, FS] = [1, 4] as const

/** An op of 16 bytes: its handler, and the fields that it has. */
export interface Fields {
  readonly handler: number
  readonly reg: number
  readonly rm: number
  readonly base: number
  readonly index: number
  readonly displacement: number
  readonly immediate: number
}

export const cold: Fields = { handler: Pseudo.cold, reg: 0, rm: 0, base: 0, index: 0, displacement: 0, immediate: 0 }

function fits(value: bigint): boolean {
  return BigInt.asIntN(32, value) === value
}

/** Positions of registers, in units of one, from the first on. */
interface Positions {
  readonly zero: number
  readonly page: number
  readonly registers: readonly number[]
  readonly segments: readonly number[]
}

function positionsOf(state: State): Positions {
  const position = (at: number): number => (at - state.field('registers')) / 8
  return {
    zero: position(state.field('zero')), page: position(state.field('page')),
    registers: Array.from({ length: 16 }, (_, number) => position(state.register(number))), segments: Array.from({ length: 6 }, (_, number) => position(state.segment(number))),
  }
}

/** What of a form's operands fields depend on. */
interface FormFields {
  readonly byteReg: boolean
  readonly byteRm: boolean
  readonly numberedReg: boolean
  readonly vectorRm: boolean
  readonly branches: boolean
  readonly lea: boolean
}

const fieldsByForm = new Map<Form, FormFields>()

function formFields(form: Form): FormFields {
  let fields = fieldsByForm.get(form)
  if (fields === undefined) {
    const bytes = (...kinds: readonly OperandKind[]): boolean => form.operands.some(({ kind, size }) => kinds.includes(kind) && size === 'b')
    const has = (...kinds: readonly OperandKind[]): boolean => form.operands.some(({ kind }) => kinds.includes(kind))
    fields = {
      byteReg: bytes('reg'), byteRm: bytes('rm', 'opreg'), numberedReg: has('vreg', 'sreg'), vectorRm: has('vrm', 'vrmreg'), branches: form.operands[0]?.kind === 'rel', lea: form.instruction.name === 'lea',
    }
    fieldsByForm.set(form, fields)
  }
  return fields
}

/** Where the parts of an address lie, or null of one that `run` does not have. */
function addressOf({ address, segment, mode }: Decoded, { zero, page, registers, segments }: Positions, lea: boolean, next: number): Pick<Fields, 'base' | 'index' | 'displacement'> | null {
  if (!address) return { base: 0, index: 0, displacement: 0 }
  const all = address.displacement + (address.relative ? BigInt(next) : 0n)
  // Those of 32 bits are cut to that.
  const displacement = mode === 64 ? all : BigInt.asIntN(32, all)
  if (!fits(displacement)) return null
  if (segment === CS && !lea) return null
  let index = (address.index < 0 ? zero : registers[address.index] ?? zero) | address.scale << INDEX_BITS
  // LEA has no segment.
  if (segment >= FS && !lea) {
    // Outside 64-bit mode their limits are looked at.
    if (address.index >= 0 || mode !== 64) return null
    index = segments[segment] ?? zero
  }
  return { base: address.relative ? page : address.base < 0 ? zero : registers[address.base] ?? zero, index, displacement: Number(displacement) }
}

/** The position of a register's value, or of AH to BH. */
function valueOf(number: number, byte: boolean, rex: boolean): number {
  return byte && !rex && number >= HIGH_BYTES && number < 2 * HIGH_BYTES ? 8 * (number - HIGH_BYTES) + 1 : 8 * number
}

function fieldsOf(decoded: Decoded, positions: Positions, offset: number): Fields {
  const { form, rex, reg, rm, immediates, length } = decoded
  const handler = hotHandler(variantOf(decoded))
  if (handler === 0 || decoded.addressSize !== decoded.mode / 8 || decoded.mode !== 64 && form.counted) return cold
  const next = offset + length
  const { byteReg, byteRm, numberedReg, vectorRm, branches, lea } = formFields(form)
  const address = addressOf(decoded, positions, lea, next)
  const immediate = immediates[0] ?? 0n
  const wide = hasWideImmediate(form, decoded.operandSize)
  const target = branches ? next + Number(immediate) : 0
  if (!address || !wide && !fits(immediate) || target !== (target | 0)) return cold
  return {
    // The numbers of vector and segment registers are as they are.
    handler, reg: numberedReg ? reg : valueOf(reg, byteReg, rex), rm: vectorRm ? rm : valueOf(rm, byteRm, rex), base: address.base, index: address.index,
    displacement: branches ? target : wide ? Number(BigInt.asIntN(32, immediate)) : address.displacement,
    immediate: branches ? 0 : Number(wide ? immediate >> 32n : immediate),
  }
}

/** Groups, and others by their names, after which translations, the mode or what is to be looked for may be others. */
const system: ReadonlySet<string> = new Set(['system', 'far', 'ports', 'segments', 'control', 'caches', 'xsave', 'fxsr'])
const systemNames: ReadonlySet<string> = new Set(['popf', 'ud2'])

/** Whether an instruction changes nothing but numbers and memory. */
export function isPlain({ form: { instruction: { name, group } } }: Decoded): boolean {
  return !system.has(group) && !systemNames.has(name)
}

/** Whether what stands behind an instruction need not be code. */
function ends({ form: { instruction: { name } } }: Decoded): boolean {
  return name === 'jmp' || name === 'ret'
}

/** What `decodeRun` wants to know of an instruction: its fields, and how it goes on. */
export interface Taken extends Fields {
  readonly length: number
  /** It ends what is decoded at once. */
  readonly last: boolean
  /** It goes elsewhere: its displacement is a target. Of those that have a handler. */
  readonly branches: boolean
  readonly memory: boolean
}

/** What is alike of all instructions with a head (heads.ts); their numbers are of one of them. */
interface Alike extends Taken {
  /** The displacement is from the next instruction. */
  readonly relative: boolean
}

/** Takes instructions apart for `run`, those with heads that were met before without looking for their forms. */
export class Taker {
  readonly #positions: Positions
  readonly #lacks: ReadonlySet<Form>
  readonly #heads: Heads<Alike> = new Heads<Alike>()
  /** The bytes of an instruction, which nobody changes while it is taken apart and kept. */
  readonly #own: Uint8Array = new Uint8Array(WINDOW)
  readonly #view: DataView = new DataView(this.#own.buffer)

  constructor(state: State, lacks: ReadonlySet<Form>) {
    this.#positions = positionsOf(state)
    this.#lacks = lacks
  }

  /** The instruction at an offset of the page whose bytes are in a frame. */
  take({ view, bytes }: Views, frame: number, offset: number, mode: 32 | 64): Taken {
    const at = frame + offset
    const whole = offset + WINDOW <= PAGE
    const head = whole ? this.#heads.find(view, bytes, at, mode) : undefined
    const known = head && again(head, view, at + this.#heads.length, offset + this.#heads.length)
    if (known) return known
    if (!whole) return this.#anew(decode(bytes, mode, this.#lacks, at, frame + PAGE), offset, false)
    this.#own.set(bytes.subarray(at, at + WINDOW))
    this.#heads.find(this.#view, this.#own, 0, mode)
    return this.#anew(decode(this.#own, mode, this.#lacks), offset, true)
  }

  #anew(decoded: Decoded | Undecoded, offset: number, whole: boolean): Taken {
    if (typeof decoded === 'string') return { ...cold, length: 0, last: true, branches: false, memory: false }
    const own = fieldsOf(decoded, this.#positions, offset)
    const called = own.handler === Pseudo.cold && isPlain(decoded) && whole
    const fields = called ? { ...own, handler: Pseudo.function } : own
    const hot = own.handler !== Pseudo.cold
    const taken: Alike = {
      handler: fields.handler, reg: fields.reg, rm: fields.rm, base: fields.base, index: fields.index, displacement: fields.displacement, immediate: fields.immediate,
      length: decoded.length, last: fields.handler === Pseudo.cold || ends(decoded), branches: hot && formFields(decoded.form).branches, memory: decoded.address !== null, relative: decoded.address?.relative === true,
    }
    // What `run` has no handler for has none whatever its numbers are; but some have none for their numbers.
    if (whole && (hot || hotHandler(variantOf(decoded)) === 0)) this.#heads.learn(this.#view, decoded, taken)
    return taken
  }
}

/** What has the head of another, with its own numbers, which lie at `at`, an offset of the page; null when it has no op with them. */
function again({ value, displacement: bytes, immediate: size }: Head<Alike>, view: DataView, at: number, offset: number): Taken | null {
  const { handler, reg, rm, base, index, length, last, branches, memory, relative } = value
  if (handler < Pseudo.count) return value
  const next = offset + bytes + size
  if (size === 8) return { handler, reg, rm, base, index, displacement: view.getInt32(at, true), immediate: view.getInt32(at + 4, true), length, last, branches, memory }
  const immediate = signed(view, at + bytes, size)
  const displacement = branches ? next + immediate : signed(view, at, bytes) + (relative ? next : 0)
  if (displacement !== (displacement | 0)) return null
  return { handler, reg, rm, base, index, displacement, immediate: branches ? 0 : immediate, length, last, branches, memory }
}
