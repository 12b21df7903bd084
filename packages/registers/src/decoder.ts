import { machinistError } from '@machinist/api'
import type { Register } from './layout.ts'

/** A register on its own, or arrays that interleave with one stride. */
interface Group {
  readonly start: number
  end: number
  readonly stride: number
  readonly members: Register[]
  /** For each byte of the stride, one more than the member that is there; 0 for none. */
  readonly bytes: Uint8Array
}

/** Most bytes of a window whose offsets are all in one table. */
const DIRECT = 4096

/**
 * Finds the register at an offset. Where there are few, as in most devices, a table has each byte of the window. Elsewhere it is a
 * binary search over a few groups, then one table look-up: an array of any length is one entry, so a PLIC's thousands of registers
 * cost no more than one.
 */
export class Decoder {
  /** What was found last, and where. */
  #lastOffset = -1
  #last: Register | null = null
  readonly #groups: readonly Group[]
  /** The distinct registers, behind a null. */
  readonly #registers: (Register | null)[] = [null]
  /** Bytes of the window. */
  readonly #size: number
  /** For each byte of the window its place among them, once somebody looked; null for a large window. */
  #direct: Uint16Array | null = null

  /** @param part - the device's name, for the error when two registers overlap */
  constructor(registers: readonly Register[], part: string) {
    const groups: Group[] = []
    const inOrder = registers.filter((register) => register.count > 0).sort((a, b) => a.offset - b.offset)
    for (const register of inOrder) {
      const last = groups.at(-1)
      const group = last !== undefined && register.offset < last.end ? last : open(register, groups)
      const phase = register.offset - group.start
      const fits = register.stride === group.stride && phase + register.width <= group.stride && group.members.length < 255
      if (!fits || group.bytes.subarray(phase, phase + register.width).some((member) => member !== 0)) {
        const other = group.members[0]?.name ?? 'another'
        throw machinistError({
          code: 'register-table', part: `${part}.${register.name}`, value: `0x${register.offset.toString(16)}`,
          remedy: `Correct one of the offsets, or give the two different banks.`,
        }, `overlaps ${other}`)
      }
      group.members.push(register)
      group.bytes.fill(group.members.length, phase, phase + register.width)
      group.end = Math.max(group.end, end(register))
    }
    this.#groups = groups
    this.#size = groups.at(-1)?.end ?? 0
  }

  #table(size: number): Uint16Array {
    const numbers = new Map<Register, number>()
    return Uint16Array.from({ length: size }, (_, offset) => {
      const register = this.#search(offset)
      if (register === null) return 0
      const number = numbers.get(register) ?? this.#registers.push(register) - 1
      numbers.set(register, number)
      return number
    })
  }

  /** The register that has a byte at `offset`, or null. */
  find(offset: number): Register | null {
    if (this.#size > DIRECT) {
      // Drivers of interrupt controllers come back to one place.
      if (offset !== this.#lastOffset) {
        this.#last = this.#search(offset)
        this.#lastOffset = offset
      }
      return this.#last
    }
    // Of the devices of a machine that was copied, few are looked at.
    const direct = this.#direct ??= this.#table(this.#size)
    return this.#registers[direct[offset] ?? 0] ?? null
  }

  #search(offset: number): Register | null {
    const groups = this.#groups
    let low = 0
    let high = groups.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const group = groups[middle]
      if (group !== undefined && group.start <= offset) low = middle + 1
      else high = middle
    }
    const group = groups[low - 1]
    if (group === undefined || offset >= group.end) return null
    const register = group.members[(group.bytes[(offset - group.start) % group.stride] ?? 0) - 1]
    return register !== undefined && offset < end(register) ? register : null
  }
}

function open(register: Register, groups: Group[]): Group {
  const stride = register.count === 1 ? register.width : register.stride
  const group: Group = { start: register.offset, end: 0, stride: register.stride, members: [], bytes: new Uint8Array(stride) }
  groups.push(group)
  return group
}

function end(register: Register): number {
  return register.offset + (register.count - 1) * register.stride + register.width
}
