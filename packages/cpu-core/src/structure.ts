import type { Arena, Field, Layout } from '@machinist/memory'

type Fields = Readonly<Record<string, Field>>

/** TypeScript's access to a structure in an arena: the record of a hart, say. It may move: a running hart's record is in the engine's window. */
export class Structure<F extends Fields> {
  protected readonly arena: Arena
  readonly layout: Layout<F>
  /** Its address in the arena. */
  base: number

  constructor(arena: Arena, layout: Layout<F>, base: number) {
    this.arena = arena
    this.layout = layout
    this.base = base
  }

  /** A 32-bit or 8-bit field; of an array, its element `index`. */
  get(field: keyof F, index: number = 0): number {
    const at = this.base + this.layout.offset[field]
    return this.#isByte(field) ? this.arena.data.getUint8(at + index) : this.arena.data.getUint32(at + 4 * index, true)
  }

  set(field: keyof F, value: number, index: number = 0): void {
    const at = this.base + this.layout.offset[field]
    if (this.#isByte(field)) this.arena.data.setUint8(at + index, value)
    else this.arena.data.setUint32(at + 4 * index, value, true)
  }

  /** A 64-bit field, unsigned. */
  get64(field: keyof F, index: number = 0): bigint {
    return this.arena.data.getBigUint64(this.base + this.layout.offset[field] + 8 * index, true)
  }

  /** The low 64 bits of `value` are what counts. */
  set64(field: keyof F, value: bigint, index: number = 0): void {
    this.arena.data.setBigUint64(this.base + this.layout.offset[field] + 8 * index, BigInt.asUintN(64, value), true)
  }

  /** A 64-bit field as a number, exact below 2^53. */
  getNumber(field: keyof F, index: number = 0): number {
    const at = this.base + this.layout.offset[field] + 8 * index
    return this.arena.data.getInt32(at + 4, true) * 2 ** 32 + this.arena.data.getUint32(at, true)
  }

  #isByte(field: keyof F): boolean {
    const type = this.layout.fields[field]
    return type === 'u8' || typeof type === 'object' && type[0] === 'u8'
  }

  /** All zeros. */
  clear(): void {
    this.arena.u8.fill(0, this.base, this.base + this.layout.size)
  }

  /** Copies the structure to `to` and goes on there. */
  moveTo(to: number): void {
    this.arena.u8.copyWithin(to, this.base, this.base + this.layout.size)
    this.base = to
  }
}
