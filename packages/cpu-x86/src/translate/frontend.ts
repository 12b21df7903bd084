import { PAGE_SIZE } from '@machinist/memory'
import { type Flow, type Frontend, type Instruction, type RegionValues, type RegisterSpec, type Uses, usesOf } from '@machinist/translator'
import { call, i32 } from '@machinist/wasm'
import { decode, type Decoded, MAX_LENGTH } from '../decode/decoder.ts'
import { isPlain } from '../decode/taker.ts'
import type { CoreParts } from '../emit/core.ts'
import { type RegionFunctions, storeWriter } from '../emit/exits.ts'
import { variantOf, variants } from '../emit/variant.ts'
import type { Form } from '../isa/form.ts'
import { RegionFlags } from './region-flags.ts'
import { type Conduct, type Narrow, RegionInstruction, type Ready, Untranslated } from './region-instruction.ts'
import { flagRegisters, Kept } from './registers.ts'

/** Groups whose instructions touch nothing but registers, flags and memory; of what else they may do the stage says so. */
const groups: ReadonlySet<string> = new Set(['arithmetic', 'shifts', 'multiply', 'bits', 'moves', 'stack', 'control', 'strings', 'sse', 'sse2', 'sse3', 'ssse3', 'sse4_1', 'sse4_2'])

/** What there is to know of an instruction wherever it stands. */
interface Known {
  readonly decoded: Decoded
  readonly uses: Uses
  readonly conduct: Conduct
}

/** Instructions by their bytes and modes, so that what they read and write is not found out again and again. */
export class KnownInstructions {
  readonly #parts: CoreParts & { readonly region: RegionFunctions }
  readonly #registers: readonly RegisterSpec[]
  readonly #lacks: ReadonlySet<Form>
  readonly #known = new Map<string, Known | Decoded | null>()
  readonly #aside: () => void

  /** @param aside - makes that what is written until the next module begins is thrown away */
  constructor(parts: CoreParts & { readonly region: RegionFunctions }, registers: readonly RegisterSpec[], lacks: ReadonlySet<Form>, aside: () => void) {
    this.#parts = parts
    this.#aside = aside
    this.#registers = registers
    this.#lacks = lacks
  }

  /** The instruction at the start of these bytes; one that regions have no code for is only taken apart. Null of none that ends there. */
  at(bytes: Uint8Array, mode: 32 | 64): Known | Decoded | null {
    const decoded = decode(bytes, mode, this.#lacks)
    if (typeof decoded === 'string') return null
    const key = `${mode} ${String.fromCharCode(...bytes.subarray(0, decoded.length))}`
    let known = this.#known.get(key)
    if (known === undefined) {
      if (this.#known.size >= MOST_KNOWN) this.#known.clear()
      this.#known.set(key, known = this.#find(decoded) ?? decoded)
    }
    return known
  }

  #find(decoded: Decoded): Known | null {
    if (!groups.has(decoded.form.instruction.group)) return null
    const conduct: Conduct = { flow: 'next', stores: false, replaces: false }
    this.#aside()
    try {
      const flags = flagsOf(this.#parts)
      const found = usesOf(this.#registers, (stage) => { new RegionInstruction(stage, this.#parts, decoded, variants()[variantOf(decoded)] ?? refuse(), flags, conduct, { ready: { block: -1, kinds: new Set() }, narrow: { block: -1, registers: new Set() } }).emit() })
      conduct.replaces = flags.replaces
      return { decoded, uses: { reads: together(found.reads), writes: together(found.writes), leaves: found.leaves }, conduct }
    } catch (error) {
      if (error instanceof Untranslated) return null
      throw error
    }
  }
}

const MOST_KNOWN = 65_536

function refuse(): never {
  throw new Untranslated()
}

export function flagsOf({ shared, region }: CoreParts & { readonly region: RegionFunctions }): RegionFlags {
  return new RegionFlags({ carryOf: shared.carryOf, flagsIn: region.flagsIn })
}

/** With all of the flags when any is among them. */
function together(registers: readonly number[]): readonly number[] {
  if (!registers.some((register) => flagRegisters.includes(register))) return registers
  return [...registers.filter((register) => !flagRegisters.includes(register)), ...flagRegisters]
}

/** x86 code of one page, as the translator wants it. */
export class X86Frontend implements Frontend {
  readonly registers: readonly RegisterSpec[]
  readonly unitSize: number = PAGE_SIZE
  readonly granule = 1
  readonly addressMask?: bigint
  readonly #source: () => DataView
  #code: Uint8Array | null = null
  readonly #reached: (offset: number) => boolean
  readonly #mode: 32 | 64
  readonly #parts: CoreParts & { readonly region: RegionFunctions }
  readonly #known: KnownInstructions
  readonly #flags: RegionFlags
  /** Whether an instruction that was met replaces some of the flags. */
  #replaces = false
  readonly #ready: Ready = { block: -1, kinds: new Set() }
  readonly #narrow: Narrow = { block: -1, registers: new Set() }

  /**
   * @param code - the page's bytes, asked for at the first use
   * @param reached - whether the instruction at an offset was ever executed: others are left out
   */
  constructor(code: () => DataView, reached: (offset: number) => boolean, mode: 32 | 64, { registers, parts, known }: { readonly registers: readonly RegisterSpec[]; readonly parts: CoreParts & { readonly region: RegionFunctions }; readonly known: KnownInstructions }) {
    this.#source = code
    this.#reached = reached
    this.#mode = mode
    this.registers = registers
    this.#parts = parts
    this.#known = known
    this.#flags = flagsOf(parts)
    if (mode === 32) this.addressMask = 0xffff_ffffn
  }

  decode(offset: number): Instruction | null {
    if (!this.#reached(offset)) return null
    if (this.#code === null) {
      const { buffer, byteOffset, byteLength } = this.#source()
      this.#code = new Uint8Array(buffer, byteOffset, byteLength)
    }
    const found = this.#known.at(this.#code.subarray(offset, offset + MAX_LENGTH), this.#mode)
    if (found === null) return null
    if (!('conduct' in found)) return this.#elsewhere(found, offset)
    const { decoded, uses, conduct } = found
    this.#replaces ||= conduct.replaces
    const { length } = decoded
    const variant = variants()[variantOf(decoded)]
    if (!variant) return null
    return {
      offset, length, ...uses, flow: flowOf(decoded, conduct, offset),
      emit: (stage) => { new RegionInstruction(stage, this.#parts, decoded, variant, this.#flags, conduct, { ready: this.#ready, narrow: this.#narrow }).emit() },
    }
  }

  /** What regions have no code for. */
  #elsewhere(decoded: Decoded, offset: number): Instruction {
    const { length } = decoded
    if (!isPlain(decoded)) return { offset, length, flow: { kind: 'leave' }, reads: [], writes: [], emit: refuse }
    const { region, state } = this.#parts
    return {
      offset, length, flow: { kind: 'next' }, reads: [], writes: this.registers.map((_, register) => register), elsewhere: true,
      emit: (stage) => {
        const before = stage.f.local('i32')
        stage.outside((pc, budget) => {
          stage.f.set(before, budget)
          return call(region.outside, pc, before)
        })
        // Several iterations of REP at once count as so many.
        if (decoded.repeat !== 'none') stage.budgetBy(i32.sub(i32.sub(before, state.get32('budget')), 1))
        this.#flags.forget()
        this.#ready.block = -1
        this.#narrow.block = -1
      },
    }
  }

  wayOut({ f, get, writes }: RegionValues): void {
    if (!writes(Kept.how)) return
    const [how, source, result] = [get(Kept.how), get(Kept.source), get(Kept.result)]
    if (this.#replaces) f.do(call(this.#parts.region.storeFlags, how, source, result, get(Kept.replaced, 'i32')))
    else storeWriter(f, this.#parts.state, how, source, result)
  }
}

function flowOf({ form, immediates, length }: Decoded, { flow }: Conduct, offset: number): Flow {
  const target = offset + length + Number(immediates[0] ?? 0n)
  const returns = form.instruction.name === 'call'
  switch (flow) {
    case 'branch': return { kind: 'branch', target }
    case 'jump': return { kind: 'jump', target, returns }
    case 'indirect': return { kind: 'indirect', returns }
    default: return { kind: 'next' }
  }
}
