import type { RegionStage } from '@machinist/translator'
import { call, type Expr, i32, i64 } from '@machinist/wasm'
import { quickCondition } from '../emit/conditions.ts'
import { kindOf, REPLACED_SHIFT, type RegionFunctions, shiftOf } from '../emit/exits.ts'
import { FlagKind } from '../emit/flags.ts'
import type { Value } from '../emit/stage.ts'
import type { SharedFunctions } from '../emit/system/functions.ts'
import { Flag, STATUS } from '../flags.ts'
import type { Size } from '../isa/form.ts'
import { Kept } from './registers.ts'

/** What the last writer of flags in a block is known to have been. Of `plain` the result is the flags. */
interface Writer {
  readonly kind: 'add' | 'sub' | 'logic' | 'step' | 'given' | 'plain'
  readonly size: Size
  /** It took CF as well. */
  readonly carry: boolean
}

/** What is known of the flags at a place: their last writer; and which flags were replaced since, with whether there are no others. */
export interface Knowledge {
  readonly writer: Writer | null
  readonly replaced: number
  readonly exact: boolean
}

/** As where control comes from elsewhere. */
const NOTHING: Knowledge = { writer: null, replaced: 0, exact: false }

/** What writes flags leaves: `kind` to `result` as the state has them, and its operands and result where those are of use. */
export interface Written extends Writer {
  readonly number: Expr<'i32'> | number
  readonly source: Value
  readonly operands?: readonly [Value, Value]
  readonly result: Value
}

/** Flags of one region: lazily, in locals. What a condition wants is known as a rule, when code is written, from the block that it is in. */
export class RegionFlags {
  #block = -1
  #known: Knowledge = NOTHING
  readonly #functions: Pick<SharedFunctions, 'carryOf'> & Pick<RegionFunctions, 'flagsIn'>

  constructor(functions: Pick<SharedFunctions, 'carryOf'> & Pick<RegionFunctions, 'flagsIn'>) {
    this.#functions = functions
  }

  /** For the instructions of a block, which come one after the other. */
  enter(block: number): void {
    if (block !== this.#block) this.#known = NOTHING
    this.#block = block
  }

  /** Before code under a condition; what is known in it is not known behind it, if it has written. */
  get known(): Knowledge {
    return this.#known
  }

  set known(known: Knowledge) {
    this.#known = known
  }

  forget(): void {
    this.#known = NOTHING
  }

  write(region: RegionStage, { kind, size, carry, number, source, operands, result }: Written): void {
    if (!region.needed(Kept.how)) {
      this.#known = NOTHING
      return
    }
    const top = 64 - 8 * size
    // The operands may be registers of the region, which are read before anything of this is written.
    if (operands) {
      region.set(Kept.left, operands[0])
      region.set(Kept.right, operands[1])
    }
    region.set(Kept.value, result)
    region.set(Kept.source, source)
    region.set(Kept.result, kind === 'plain' ? result : i64.shl(region.get(Kept.value), top))
    const shift = BigInt(top) << 32n
    region.set(Kept.how, typeof number === 'number' ? i64.const(shift | BigInt(number)) : i64.or(i64.extendU(number), i64.const(shift)))
    region.set(Kept.replaced, i32.const(0))
    this.#known = { writer: { kind, size, carry }, replaced: 0, exact: true }
  }

  /** Whether any flags were replaced. */
  replaces = false

  /** Replaces flags, but not all. */
  replace(region: RegionStage, mask: number, bits: Expr<'i32'>): void {
    this.replaces = true
    if (!region.needed(Kept.how)) {
      this.#known = NOTHING
      return
    }
    const { writer, replaced, exact } = this.#known
    const all = mask << REPLACED_SHIFT
    const own = i32.or(i32.and(bits, mask), all)
    const others = i32.and(region.get(Kept.replaced, 'i32'), ~(all | mask))
    region.set(Kept.replaced, exact && (replaced & ~mask) === 0 ? own : i32.or(others, own))
    this.#known = { writer, replaced: replaced | mask, exact }
  }

  #written(region: RegionStage): readonly [Value, Value, Value, Expr<'i32'>] {
    return [region.get(Kept.how), region.get(Kept.source), region.get(Kept.result), region.get(Kept.replaced, 'i32')]
  }

  flags(region: RegionStage): Expr<'i32'> {
    const { writer, replaced, exact } = this.#known
    return writer?.kind === 'plain' && exact && replaced === 0 ? i32.wrap(region.get(Kept.result)) : call(this.#functions.flagsIn, ...this.#written(region))
  }

  /** CF as 0 or 1. */
  carry(region: RegionStage): Expr<'i32'> {
    const { writer, replaced, exact } = this.#known
    const bits = region.get(Kept.replaced, 'i32')
    if ((replaced & Flag.carry) !== 0) return i32.and(bits, Flag.carry)
    if (exact && writer !== null) return this.#carryOf(region, writer)
    const [how, source, result] = this.#written(region)
    return region.f.choose('i32', i32.and(bits, Flag.carry << REPLACED_SHIFT), () => i32.and(bits, Flag.carry), () => call(this.#functions.carryOf, kindOf(how), shiftOf(how), source, result))
  }

  #carryOf(region: RegionStage, writer: Writer): Expr<'i32'> {
    const [left, right, value] = [region.get(Kept.left), region.get(Kept.right), region.get(Kept.value)]
    const took = (kind: number): Expr<'i32'> => i32.sub(kindOf(region.get(Kept.how)), kind)
    switch (writer.kind) {
      case 'add': return writer.carry ? i32.or(i64.ltU(value, right), i32.and(i64.eq(value, right), took(FlagKind.add))) : i64.ltU(value, right)
      case 'sub': return writer.carry ? i32.or(i64.ltU(left, right), i32.and(i64.eq(left, right), took(FlagKind.subtract))) : i64.ltU(left, right)
      case 'logic': return i32.const(0)
      case 'plain': return i32.and(i32.wrap(region.get(Kept.result)), Flag.carry)
      // CF is in its source.
      default: return i32.and(i32.wrap(region.get(Kept.source)), Flag.carry)
    }
  }

  /** A condition by its number, or null when nothing is better than its flags. */
  condition(region: RegionStage, code: number): Expr<'i32'> | null {
    const { writer, replaced, exact } = this.#known
    const turn = (test: Expr<'i32'>): Expr<'i32'> => (code & 1) === 0 ? test : i32.eqz(test)
    const pair = code >> 1
    const wanted = wants[pair] ?? STATUS
    if ((wanted & (wanted - 1)) === 0 && (replaced & wanted) !== 0) return turn(i32.and(i32.shrU(region.get(Kept.replaced, 'i32'), Math.log2(wanted)), 1))
    if ((replaced & wanted) !== 0) return null
    if (!exact || writer === null) return this.#unknown(region, pair, turn)
    const test = this.#test(region, writer, pair)
    return test && turn(test)
  }

  /** Most conditions follow from source and result after nearly all writers. */
  #unknown(region: RegionStage, pair: number, turn: (test: Expr<'i32'>) => Expr<'i32'>): Expr<'i32'> | null {
    const [how, source, result, bits] = this.#written(region)
    const quick = quickCondition(pair, source, result)
    if (!quick) return null
    const usable = quick.always ? i32.ne(kindOf(how), FlagKind.plain) : i32.eq(kindOf(how), FlagKind.subtract)
    const flags = (): Expr<'i32'> => conditionOf(region, call(this.#functions.flagsIn, ...this.#written(region)), pair)
    return region.f.choose('i32', i32.and(usable, i32.eqz(bits)), () => turn(quick.value), () => turn(flags()))
  }

  #test(region: RegionStage, writer: Writer, pair: number): Expr<'i32'> | null {
    const { kind, size } = writer
    if (kind === 'plain') return null
    const value = region.get(Kept.value)
    const [left, right] = [region.get(Kept.left), region.get(Kept.right)]
    const subtracts = kind === 'sub' && !writer.carry
    const zero = (): Expr<'i32'> => size === 4 ? i32.eqz(i32.wrap(value)) : i64.eqz(value)
    const negative = (): Expr<'i32'> => compare('ltS', value, i64.const(0), size)
    switch (pair) {
      case 1: return this.#carryOf(region, writer)
      case 2: return subtracts ? compare('eq', left, right, size) : zero()
      case 3: return subtracts ? compare('leU', left, right, size) : i32.or(this.#carryOf(region, writer), zero())
      case 4: return negative()
      // OF of logic is clear.
      case 6: return subtracts ? compare('ltS', left, right, size) : kind === 'logic' ? negative() : null
      case 7: return subtracts ? compare('leS', left, right, size) : kind === 'logic' ? compare('leS', value, i64.const(0), size) : null
      default: return null
    }
  }
}

/** The flags that pairs of conditions look at: O, B, Z, BE, S, P, L, LE. */
const wants = [Flag.overflow, Flag.carry, Flag.zero, Flag.carry | Flag.zero, Flag.sign, Flag.parity, Flag.sign | Flag.overflow, Flag.sign | Flag.overflow | Flag.zero]

function conditionOf(region: RegionStage, value: Expr<'i32'>, pair: number): Expr<'i32'> {
  const flags = region.f.let(value)
  const bit = (place: number): Expr<'i32'> => i32.and(i32.shrU(flags, place), 1)
  const less = (): Expr<'i32'> => i32.xor(bit(7), bit(11))
  const tests = [() => bit(11), () => bit(0), () => bit(6), () => i32.or(bit(0), bit(6)), () => bit(7), () => bit(2), less, () => i32.or(less(), bit(6))]
  return tests[pair]?.() ?? i32.const(0)
}

/** Of numbers that are zero above their size. */
function compare(how: 'eq' | 'leU' | 'ltS' | 'leS', a: Value, b: Value, size: Size): Expr<'i32'> {
  if (size === 8) return i64[how](a, b)
  const part = (value: Value): Expr<'i32'> => {
    const low = value.constant === undefined ? i32.wrap(value) : i32.const(Number(BigInt.asIntN(32, BigInt(value.constant))))
    return size === 4 || how === 'eq' || how === 'leU' ? low : size === 2 ? i32.extend16S(low) : i32.extend8S(low)
  }
  return i32[how](part(a), part(b))
}

