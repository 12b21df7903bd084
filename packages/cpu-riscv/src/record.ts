import type { Arena } from '@machinist/memory'
import { type HartField, hartLayout } from './hart-layout.ts'

/** TypeScript's access to a hart's record. It moves: a running hart's record is in the engine's window. */
export class HartRecord {
  readonly #arena: Arena
  base: number

  constructor(arena: Arena, base: number) {
    this.#arena = arena
    this.base = base
  }

  /** A 32-bit or 8-bit field. */
  get(field: HartField, index: number = 0): number {
    const at = this.base + hartLayout.offset[field]
    return this.#width(field) === 1 ? this.#arena.data.getUint8(at + index) : this.#arena.data.getUint32(at + 4 * index, true)
  }

  set(field: HartField, value: number, index: number = 0): void {
    const at = this.base + hartLayout.offset[field]
    if (this.#width(field) === 1) this.#arena.data.setUint8(at + index, value)
    else this.#arena.data.setUint32(at + 4 * index, value, true)
  }

  /** A 64-bit field, unsigned. */
  get64(field: HartField, index: number = 0): bigint {
    return this.#arena.data.getBigUint64(this.base + hartLayout.offset[field] + 8 * index, true)
  }

  set64(field: HartField, value: bigint, index: number = 0): void {
    this.#arena.data.setBigUint64(this.base + hartLayout.offset[field] + 8 * index, BigInt.asUintN(64, value), true)
  }

  /** A 64-bit field as a number, exact below 2^53. */
  getNumber(field: HartField, index: number = 0): number {
    const at = this.base + hartLayout.offset[field] + 8 * index
    return this.#arena.data.getInt32(at + 4, true) * 2 ** 32 + this.#arena.data.getUint32(at, true)
  }

  /** A copy of all integer registers, in words. */
  getX(): Uint32Array {
    const at = (this.base + hartLayout.offset.x) >>> 2
    return this.#arena.u32.slice(at, at + 64)
  }

  #width(field: HartField): 1 | 4 | 8 {
    const type = hartLayout.fields[field]
    const scalar = typeof type === 'string' ? type : type[0]
    return scalar === 'u8' ? 1 : scalar === 'u32' ? 4 : 8
  }

  clear(): void {
    this.#arena.u8.fill(0, this.base, this.base + hartLayout.size)
  }

  /** Copies the record to `to` and goes on there. */
  moveTo(to: number): void {
    this.#arena.u8.copyWithin(to, this.base, this.base + hartLayout.size)
    this.base = to
  }
}
