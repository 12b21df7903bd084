import { vcpuRecord } from '../vcpu-record.ts'

type Field = keyof typeof vcpuRecord.fields

const { offset } = vcpuRecord
const HIGH = 2 ** 32

/** Where fields begin in {@link VcpuRegisters.words}. */
export const wordOf = Object.fromEntries(Object.entries(offset).map(([name, at]) => [name, at >> 2])) as { readonly [Name in Field]: number }

/** The record of a hart, as numbers of 32 and 64 bits. */
export class VcpuRegisters {
  /** All of it, for what is looked at on every exit: see {@link wordOf}. */
  readonly words: Uint32Array
  readonly #wide: BigUint64Array

  constructor(page: ArrayBuffer) {
    this.words = new Uint32Array(page, 0, vcpuRecord.size / 4)
    this.#wide = new BigUint64Array(page, 0, vcpuRecord.size / 8)
  }

  /** A field of 32 bits, or the low word of one of 64. */
  low(field: Field): number {
    return this.words[offset[field] >> 2] ?? 0
  }

  setLow(field: Field, value: number): void {
    this.words[offset[field] >> 2] = value
  }

  high(field: Field): number {
    return this.words[(offset[field] >> 2) + 1] ?? 0
  }

  setHigh(field: Field, value: number): void {
    this.words[(offset[field] >> 2) + 1] = value
  }

  /** A field of 64 bits as a number: exact below 2^53. */
  number(field: Field): number {
    return this.high(field) * HIGH + this.low(field)
  }

  get(field: Field, index: number = 0): bigint {
    return this.#wide[(offset[field] >> 3) + index] ?? 0n
  }

  set(field: Field, value: bigint, index: number = 0): void {
    // Some engines keep more than 64 bits of a negative number.
    this.#wide[(offset[field] >> 3) + index] = value & 0xffff_ffff_ffff_ffffn
  }

  /** All zeros, but for what is counted and the interrupt file. */
  clear(): void {
    const [retired, ran] = [this.get('retired'), this.get('ran')]
    this.words.fill(0, 0, offset.identities >> 2)
    this.set('retired', retired)
    this.set('ran', ran)
  }

  /** The interrupt file is as at power-on. */
  clearFile(): void {
    this.words.fill(0, (offset.identities >> 2) + 1)
  }
}
