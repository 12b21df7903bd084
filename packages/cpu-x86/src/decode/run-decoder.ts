import type { Views } from '../emit/decode-slot.ts'
import { fusedHandler, hotHandler } from '../emit/hot-variants.ts'
import type { State } from '../emit/layout.ts'
import { DenseKey, denseLayout, densePage, INDEX_BITS, LINE, MOST_OPS, PLACE_BITS, Pseudo, WINDOW } from '../emit/op-format.ts'
import { variantOf } from '../emit/variant.ts'
import type { Form } from '../isa/form.ts'
import type { OperandKind } from '../isa/operand.ts'
import { decode, type Decoded, MAX_LENGTH } from './decoder.ts'

const PAGE = 4096
/** Instructions that are decoded at once. */
const MOST = 32
const HIGH_BYTES = 4
const [CS, FS] = [1, 4] as const
const NO_FORMS: ReadonlySet<Form> = new Set()

/** An op of 16 bytes: its handler, and the fields that it has. */
interface Fields {
  readonly handler: number
  readonly reg: number
  readonly rm: number
  readonly base: number
  readonly index: number
  readonly displacement: number
  readonly immediate: number
}

const cold: Fields = { handler: Pseudo.cold, reg: 0, rm: 0, base: 0, index: 0, displacement: 0, immediate: 0 }

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
  readonly vectorReg: boolean
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
      byteReg: bytes('reg'), byteRm: bytes('rm', 'opreg'), vectorReg: has('vreg'), vectorRm: has('vrm', 'vrmreg'), branches: form.operands[0]?.kind === 'rel', lea: form.instruction.name === 'lea',
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
  const { byteReg, byteRm, vectorReg, vectorRm, branches, lea } = formFields(form)
  const address = addressOf(decoded, positions, lea, next)
  const immediate = immediates[0] ?? 0n
  if (!address || !fits(immediate)) return cold
  return {
    // The numbers of vector registers are as they are.
    handler, reg: vectorReg ? reg : valueOf(reg, byteReg, rex), rm: vectorRm ? rm : valueOf(rm, byteRm, rex), base: address.base, index: address.index,
    displacement: branches ? next + Number(immediate) : address.displacement, immediate: branches ? 0 : Number(immediate),
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

/**
 * Decodes for `run`, as code of a DenseKey: from an offset of the page whose ops lie there, up to where control does not go on by itself, or to an instruction that was decoded before, and says the number
 * of the first op. `renew` is told of a page that begins anew. An instruction that goes on in the next page, or is none, is left to `step`.
 */
export function decodeRun(views: () => Views, state: State, lacks: ReadonlySet<Form> = NO_FORMS, renew: (ops: number) => void = () => undefined): (ops: number, offset: number, key: number) => number {
  const positions = positionsOf(state)
  return (page, from, key) => {
    // Numbers of WebAssembly have signs.
    const ops = page >>> 0
    const mode = key === DenseKey.long ? 64 : 32
    const { view, bytes } = views()
    const frame = view.getUint32(ops + densePage.frame, true)
    let used = Math.max(1, view.getUint32(ops + densePage.used, true))
    if (used + MOST + 1 > MOST_OPS || view.getUint32(ops + densePage.key, true) !== key) {
      // Everything anew, unless it is.
      if (view.getUint32(ops + densePage.key, true) !== 0) {
        renew(ops)
        bytes.fill(0, ops + densePage.map, ops + densePage.used)
        bytes.fill(0, ops + densePage.lines, ops + densePage.size)
      }
      view.setUint32(ops + densePage.key, key, true)
      used = 1
    }
    const first = used
    const put = ({ handler, reg, rm, base, index, displacement, immediate }: Fields, place: number): void => {
      const at = ops + used++ * denseLayout.size
      view.setUint16(at + denseLayout.handler, handler, true)
      view.setUint16(at + denseLayout.place, place, true)
      view.setUint8(at + denseLayout.reg, reg)
      view.setUint8(at + denseLayout.rm, rm)
      view.setUint8(at + denseLayout.base, base)
      view.setUint8(at + denseLayout.index, index)
      view.setInt32(at + denseLayout.displacement, displacement, true)
      view.setInt32(at + denseLayout.immediate, immediate, true)
    }
    const known = (offset: number): boolean => view.getUint16(ops + densePage.map + 2 * offset, true) !== 0
    let offset = from
    let before: { readonly handler: number; readonly at: number; readonly length: number; readonly memory: boolean } | null = null
    for (let count = 0; ; count++) {
      if (offset >= PAGE || count === MOST || count > 0 && known(offset)) {
        put({ ...cold, handler: Pseudo.go, displacement: offset }, 0)
        break
      }
      const decoded = decode(bytes, mode, lacks, frame + offset, frame + Math.min(PAGE, offset + MAX_LENGTH))
      const own = typeof decoded === 'string' ? cold : fieldsOf(decoded, positions, offset)
      const fields = own.handler === Pseudo.cold && typeof decoded !== 'string' && isPlain(decoded) && offset + WINDOW <= PAGE ? { ...cold, handler: Pseudo.function } : own
      const length = typeof decoded === 'string' ? 0 : decoded.length
      // The head of a loop.
      if (typeof decoded !== 'string' && fields.handler >= Pseudo.count && decoded.form.operands[0]?.kind === 'rel' && fields.displacement >= 0 && fields.displacement <= offset) view.setUint8(ops + densePage.marks + fields.displacement, 1)
      mark(view, ops, offset, Math.min(PAGE, offset + Math.max(1, typeof decoded === 'string' ? MAX_LENGTH : length)))
      view.setUint16(ops + densePage.map + 2 * offset, used, true)
      const both: number = before && !before.memory ? fusedHandler(before.handler, fields.handler) : 0
      put(fields, offset | length << PLACE_BITS)
      if (both !== 0 && before) {
        view.setUint16(before.at + denseLayout.handler, both, true)
        view.setInt32(before.at + denseLayout.displacement, fields.displacement, true)
      }
      before = { handler: fields.handler, at: ops + (used - 1) * denseLayout.size, length, memory: typeof decoded !== 'string' && decoded.address !== null }
      if (typeof decoded === 'string' || fields.handler === Pseudo.cold || ends(decoded)) break
      offset += length
    }
    view.setUint32(ops + densePage.used, used, true)
    return first
  }
}

/** Notes that bytes of the page were decoded. */
function mark(view: DataView, ops: number, from: number, to: number): void {
  for (let line = Math.floor(from / LINE); line <= Math.floor((to - 1) / LINE); line++) {
    const at = ops + densePage.lines + (line >>> 3)
    view.setUint8(at, view.getUint8(at) | 1 << (line & 7))
  }
}
