import { machinistError } from '@machinist/api'
import type { ReadHook, WriteHook } from './hooks.ts'
import type { Access, RegisterSpec, RegisterTable } from './table.ts'

/** A register of a table, checked and with every default filled in. */
export interface Register {
  readonly name: string
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
  readonly onRead: ReadHook | undefined
  readonly onWrite: WriteHook | undefined
}

/** What a device may change in its table when it makes a block. */
export interface LayoutOptions {
  readonly name: string
  readonly shift?: number
  readonly reset?: Readonly<Record<string, number | bigint | undefined>>
  readonly count?: Readonly<Record<string, number | undefined>>
  readonly read?: Readonly<Record<string, ReadHook | undefined>>
  readonly write?: Readonly<Record<string, WriteHook | undefined>>
}

/** Checks a table and gives each register its storage. Throws a typed error (`register-table`) for a wrong one. */
export function layOut(table: RegisterTable, options: LayoutOptions): Register[] {
  let slot = 0
  return Object.entries(table).map(([name, spec]) => {
    const register = checked(name, spec, options, slot)
    slot += register.count * register.halves
    return register
  })
}

function checked(name: string, spec: RegisterSpec, options: LayoutOptions, slot: number): Register {
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
    name, width, unit, count, slot,
    offset: spec.offset * 2 ** shift,
    stride: stride * 2 ** shift,
    mask: unit === 4 ? 0xffff_ffff : 2 ** (unit * 8) - 1,
    halves: width === 8 ? 2 : 1,
    access: spec.access,
    exact: spec.widths !== 'any',
    bank: spec.bank ?? null,
    reset: halves(reset),
    writable: halves(writable),
    onRead: options.read?.[name],
    onWrite: options.write?.[name],
  }
}

function halves(value: bigint): readonly [number, number] {
  return [Number(value & 0xffff_ffffn), Number(value >> 32n)]
}
