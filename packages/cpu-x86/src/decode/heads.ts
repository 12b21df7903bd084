import { formsOf } from '../isa/table.ts'
import type { Decoded } from './decoder.ts'

/** Bytes that a head may have. */
const MOST = 8
const SLOTS = 32768
/** Numbers of a key: the bytes of the head, and its length with the mode. */
const KEY = 3
const HASH_BITS = 32 - Math.log2(SLOTS)

/** 1 of prefixes. Not of those that say that the size of addresses is another one, nor of REX. */
const prefixes: Uint8Array = new Uint8Array(256)
for (const byte of [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0xf0, 0xf2, 0xf3]) prefixes[byte] = 1
const ADDRESS_SIZE = 0x67
/** Where VEX and EVEX begin. */
const extended: ReadonlySet<number> = new Set([0x62, 0xc4, 0xc5])

/** By map and opcode, 1 of those that ModRM follows and 2 of others; 0 where nobody has asked. */
const followed: Uint8Array = new Uint8Array(4 << 8)

function hasModrm(map: number, opcode: number): boolean {
  const at = map << 8 | opcode
  if (followed[at] === 0) followed[at] = formsOf(map, opcode, false).some(({ modrm }) => modrm) ? 1 : 2
  return followed[at] === 1
}

/** What is known of instructions by their heads. */
export interface Head<T> {
  readonly value: T
  /** Bytes of the displacement and of the immediate that follow the head. */
  readonly displacement: number
  readonly immediate: number
}

/**
 * What was found out of instructions, by their heads: prefixes, opcode, ModRM and SIB. What follows a head is a displacement and an immediate, whose lengths are those of any other instruction
 * with that head in the same mode. Of 32,768 heads at most (a boot of Debian has 15,000); what is found later takes the place of what was before.
 */
export class Heads<T> {
  readonly #keys: Int32Array = new Int32Array(SLOTS * KEY)
  readonly #heads: (Head<T> | undefined)[] = new Array<Head<T> | undefined>(SLOTS).fill(undefined)
  /** Of what `find` was asked for last: bytes of its head, 0 of none that is looked at here. */
  length = 0
  #displacement = 0
  #memory = false
  #slot = 0
  #low = 0
  #high = 0
  #mode = 0

  /** The head of the instruction that begins at a place, as code of a mode. Sixteen bytes are there. */
  find(view: DataView, bytes: Uint8Array, from: number, mode: 32 | 64): Head<T> | undefined {
    this.length = 0
    let at = from
    let opcode = bytes[at++] ?? 0
    while (prefixes[opcode] === 1) {
      if (at - from >= MOST) return undefined
      opcode = bytes[at++] ?? 0
    }
    if (mode === 64 && (opcode & 0xf0) === 0x40) opcode = bytes[at++] ?? 0
    // A prefix behind REX takes its meaning away.
    if (prefixes[opcode] === 1 || opcode === ADDRESS_SIZE || extended.has(opcode) || mode === 64 && (opcode & 0xf0) === 0x40) return undefined
    let map = 0
    if (opcode === 0x0f) {
      opcode = bytes[at++] ?? 0
      map = 1
      if (opcode === 0x38 || opcode === 0x3a) {
        map = opcode === 0x38 ? 2 : 3
        opcode = bytes[at++] ?? 0
      }
    }
    this.#displacement = 0
    this.#memory = false
    if (hasModrm(map, opcode)) {
      const modrm = bytes[at++] ?? 0
      if (modrm < 0xc0) {
        let base = modrm & 7
        if (base === SIB) base = (bytes[at++] ?? 0) & 7
        this.#memory = true
        this.#displacement = modrm >= 0x80 ? 4 : modrm >= 0x40 ? 1 : base === BP ? 4 : 0
      }
    }
    const length = at - from
    if (length > MOST) return undefined
    this.length = length
    this.#low = length >= 4 ? view.getInt32(from, true) : view.getInt32(from, true) & (1 << 8 * length) - 1
    this.#high = length <= 4 ? 0 : length === 8 ? view.getInt32(from + 4, true) : view.getInt32(from + 4, true) & (1 << 8 * (length - 4)) - 1
    this.#mode = mode | length
    this.#slot = Math.imul(Math.imul(this.#low, 0x9e37_79b1) ^ this.#high ^ this.#mode, 0x85eb_ca6b) >>> HASH_BITS
    const key = this.#slot * KEY
    return this.#keys[key] === this.#low && this.#keys[key + 1] === this.#high && this.#keys[key + 2] === this.#mode ? this.#heads[this.#slot] : undefined
  }

  /** Keeps what was found out of the instruction at the beginning of the view, which `find` was asked for last, unless it has more, or something else, behind its head. */
  learn(view: DataView, { form, address, immediates, length }: Decoded, value: T): void {
    if (this.length === 0 || immediates.length > 1 || (address !== null) !== this.#memory || address !== null && !form.modrm) return
    const [displacement, immediate] = [this.#displacement, length - this.length - this.#displacement]
    if ((immediates.length === 0) !== (immediate === 0) || address !== null && Number(address.displacement) !== signed(view, this.length, displacement)) return
    if (![0, 1, 2, 4, 8].includes(immediate) || immediate !== 8 && Number(immediates[0] ?? 0n) !== signed(view, this.length + displacement, immediate)) return
    const key = this.#slot * KEY
    this.#keys[key] = this.#low
    this.#keys[key + 1] = this.#high
    this.#keys[key + 2] = this.#mode
    this.#heads[this.#slot] = { value, displacement, immediate }
  }
}

/** ModRM.rm that says that SIB follows, and a base that is none when ModRM.mod is 0 (SDM volume 2, tables 2-2 and 2-3). */
const SIB = 4
const BP = 5

/** A number of up to four bytes. */
export function signed(view: DataView, at: number, size: number): number {
  return size === 0 ? 0 : size === 1 ? view.getInt8(at) : size === 2 ? view.getInt16(at, true) : view.getInt32(at, true)
}
