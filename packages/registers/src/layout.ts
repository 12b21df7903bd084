import { machinistError } from '@machinist/api'
import { Decoder } from './decoder.ts'
import type { Access, RegisterSpec, RegisterTable } from './table.ts'

/** A register of a table, checked and with every default filled in. */
export interface Register {
  readonly name: string
  /** Its place in the table. */
  readonly number: number
  readonly offset: number
  readonly width: number
  /** Bytes of one access: the width, but 4 for a register of 8. */
  readonly unit: 1 | 2 | 4
  /** Mask of a unit. */
  readonly mask: number
  /** 2 for a register of 8 bytes, otherwise 1. */
  readonly halves: 1 | 2
  readonly access: Access
  readonly exact: boolean
  readonly count: number
  readonly stride: number
  readonly bank: string | null
  /** Index of its first word in the block's storage. */
  readonly slot: number
  /** By half. */
  readonly reset: readonly [number, number]
  readonly writable: readonly [number, number]
}

/** What a device may change in its table when it makes a block. */
export interface LayoutOptions {
  readonly name: string
  readonly shift?: number
  readonly reset?: Readonly<Record<string, number | bigint | undefined>>
  readonly count?: Readonly<Record<string, number | undefined>>
}

/** What follows from a table: the same for all blocks of it. */
export interface Layout {
  readonly registers: ReadonlyMap<string, Register>
  /** In order. */
  readonly names: readonly string[]
  /** Words of storage. */
  readonly words: number
  /** By bank. */
  readonly reads: ReadonlyMap<string | null, Decoder>
  readonly writes: ReadonlyMap<string | null, Decoder>
}

/** Layouts by table, and by what a device changed in it. Machines are copied, and each copy has all the devices of the first one again. */
const layouts = new WeakMap<RegisterTable, Map<string, Layout>>()
/** Most layouts of one table that are kept. */
const MOST_KEPT = 16

/** The layout of a table. Throws a typed error (`register-table`) for a wrong one. */
export function layoutOf(table: RegisterTable, options: LayoutOptions): Layout {
  const kept = layouts.get(table) ?? new Map<string, Layout>()
  const { shift = 0, reset, count } = options
  const key = `${shift} ${changes(reset)} ${changes(count)}`
  let layout = kept.get(key)
  if (layout === undefined) {
    layout = newLayout(table, options)
    if (kept.size < MOST_KEPT) layouts.set(table, kept.set(key, layout))
  }
  return layout
}

function changes(values: Readonly<Record<string, number | bigint | undefined>> = {}): string {
  let text = ''
  for (const name in values) text += `${name}=${String(values[name])} `
  return text
}

function newLayout(table: RegisterTable, options: LayoutOptions): Layout {
  const registers = layOut(table, options)
  const last = registers.at(-1)
  const banks = [...new Set([null, ...registers.map((register) => register.bank)])]
  return {
    registers: new Map(registers.map((register) => [register.name, register])),
    names: registers.map(({ name }) => name),
    words: last === undefined ? 0 : last.slot + last.count * last.halves,
    reads: new Map(banks.map((bank) => [bank, decoder(registers, bank, 'wo', options.name)])),
    writes: new Map(banks.map((bank) => [bank, decoder(registers, bank, 'ro', options.name)])),
  }
}

/**
 * The decoder for one direction with one bank selected. A register of the other direction alone (`hidden`) is in it
 * only where nothing else is, so that a guest's mistake is told apart from a hole.
 */
function decoder(registers: readonly Register[], bank: string | null, hidden: 'ro' | 'wo', part: string): Decoder {
  const visible = registers.filter((register) => register.bank === null || register.bank === bank)
  const overlap = (a: Register, b: Register): boolean => a !== b && a.offset === b.offset
  return new Decoder(visible.filter((register) => !visible.some((other) => overlap(register, other)
    && ((other.bank === bank && register.bank !== bank)
      || (other.bank === register.bank && register.access === hidden && other.access !== hidden)))), part)
}

/** Checks a table and gives each register its storage. Throws a typed error (`register-table`) for a wrong one. */
export function layOut(table: RegisterTable, options: LayoutOptions): Register[] {
  let slot = 0
  return Object.entries(table).map(([name, spec], number) => {
    const register = checked(name, number, spec, options, slot)
    slot += register.count * register.halves
    return register
  })
}

function checked(name: string, number: number, spec: RegisterSpec, options: LayoutOptions, slot: number): Register {
  const refuse = (problem: string, value: number | bigint, remedy: string): never => {
    throw machinistError({ code: 'register-table', part: `${options.name}.${name}`, value: String(value), remedy }, problem)
  }
  const shift = options.shift ?? 0
  const width = spec.width ?? 4
  const count = options.count?.[name] ?? spec.count ?? 1
  const stride = spec.stride ?? width
  const bits = BigInt(width * 8)
  const reset = BigInt(options.reset?.[name] ?? spec.reset ?? 0)
  const writable = BigInt(spec.writable ?? (1n << bits) - 1n)
  if (!Number.isSafeInteger(spec.offset) || spec.offset < 0 || spec.offset % Math.min(width, 4) !== 0) {
    refuse('the offset is not a multiple of the register\'s width', spec.offset, 'Use the offset given in the manual.')
  }
  if (!Number.isSafeInteger(count) || count < 0) refuse('not a length', count, 'Give a count of 0 or more.')
  if (stride < width) refuse('the elements of the array overlap', stride, `Give a stride of ${width} or more.`)
  if (reset < 0n || reset >> bits !== 0n) refuse('the reset value does not fit', reset, `Use at most ${width * 8} bits.`)
  if (writable < 0n || writable >> bits !== 0n) refuse('the writable bits do not fit', writable, `Use at most ${width * 8} bits.`)
  for (const field of Object.values(spec.fields ?? {})) {
    const [high, low] = typeof field === 'number' ? [field, field] : field
    if (!(low >= 0 && low <= high && high < width * 8 && high < 32)) {
      refuse('the field lies outside the register', high, 'Write [high, low] with bit numbers inside the first 32 bits.')
    }
  }
  const unit = width === 8 ? 4 : width
  return {
    name, number, width, unit, count, slot,
    offset: spec.offset * 2 ** shift,
    stride: stride * 2 ** shift,
    mask: unit === 4 ? 0xffff_ffff : 2 ** (unit * 8) - 1,
    halves: width === 8 ? 2 : 1,
    access: spec.access,
    exact: spec.widths !== 'any',
    bank: spec.bank ?? null,
    reset: halves(reset),
    writable: halves(writable),
  }
}

function halves(value: bigint): readonly [number, number] {
  return [Number(value & 0xffff_ffffn), Number(value >> 32n)]
}
