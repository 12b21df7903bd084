/** How a guest may use a register. */
export type Access =
  /** Read only: guest writes are ignored. */
  | 'ro'
  /** Reads what was written. */
  | 'rw'
  /** Write only: reads as zero, nothing is kept. */
  | 'wo'
  /** Writing 1 to a bit clears it. */
  | 'w1c'
  /** Writing 1 to a bit sets it. */
  | 'w1s'
  /** Reading clears it; guest writes are ignored. */
  | 'rc'

/** Bits of a register, as manuals write them: one bit's number, or `[high, low]`, both inclusive. */
export type Field = number | readonly [high: number, low: number]

/** One register, or an array of equal ones. */
export interface RegisterSpec {
  /** Byte offset of the (first) register from the start of the region. */
  readonly offset: number
  /** Bytes: 1, 2, 4 or 8; 4 when absent. One of 8 is accessed as two halves, the low one at the lower offset. */
  readonly width?: 1 | 2 | 4 | 8
  readonly access: Access
  /** Value after reset; 0 when absent. */
  readonly reset?: number | bigint
  /** Bits that a guest's write changes; all when absent. The others keep their value. */
  readonly writable?: number | bigint
  /** Named parts of the value. */
  readonly fields?: Readonly<Record<string, Field>>
  /** Length of the array, for several equal registers. */
  readonly count?: number
  /** Bytes from one element of the array to the next; `width` when absent. */
  readonly stride?: number
  /** Present only while this bank is selected, where it hides the registers of no bank (a DLAB, a page select). */
  readonly bank?: string
  /**
   * `'exact'` (when absent): only accesses of the register's own width work. `'any'`: narrower accesses reach the
   * bytes they cover, wider ones reach each register they cover, the lowest first.
   */
  readonly widths?: 'exact' | 'any'
  /** Where the manual describes it. */
  readonly section?: string
}

/** Registers by name, as the manual names them. Two may share an offset if one is read only and the other write only. */
export type RegisterTable = Readonly<Record<string, RegisterSpec>>

/** The names of a table's registers. */
export type RegisterName<Table extends RegisterTable> = keyof Table & string

/** The names of the fields of one register. */
export type FieldName<Table extends RegisterTable, Name extends keyof Table> =
  Table[Name] extends { readonly fields: infer Fields } ? keyof Fields & string : never

/** The names of a table's banks. */
export type BankName<Table extends RegisterTable> =
  { [Name in keyof Table]: Table[Name] extends { readonly bank: infer Bank extends string } ? Bank : never }[keyof Table]

/** The bits of `field`, as a mask. */
export function fieldMask(field: Field): number {
  const high = typeof field === 'number' ? field : field[0]
  const low = typeof field === 'number' ? field : field[1]
  return ((0xffff_ffff >>> (31 - high + low)) << low) >>> 0
}

/** The number that `field` holds in `value`. */
export function extract(value: number, field: Field): number {
  return (value & fieldMask(field)) >>> (typeof field === 'number' ? field : field[1])
}

/** `value` with `field` holding `bits`; what does not fit is cut off. */
export function insert(value: number, field: Field, bits: number): number {
  const mask = fieldMask(field)
  return ((value & ~mask) | ((bits << (typeof field === 'number' ? field : field[1])) & mask)) >>> 0
}
