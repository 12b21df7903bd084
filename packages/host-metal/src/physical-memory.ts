import { machinistError } from '@machinist/api'
import type { LinearMemory } from '@machinist/memory'
import type { Native } from './native.ts'

/** A page of WebAssembly's memories, in which linear memory grows. */
const STEP = 65536

/** Physical memory as linear memory: what is at offset `o` is at physical address `base + o`. It grows up to a limit, and is zeroed as it grows. */
export class PhysicalMemory implements LinearMemory {
  readonly base: number
  readonly maximum: number
  readonly #native: Native
  #buffer: ArrayBuffer

  constructor(native: Native, base: number, maximum: number) {
    this.#native = native
    this.base = base
    this.maximum = maximum
    native.zero(base, STEP)
    this.#buffer = native.window(base, STEP)
  }

  get buffer(): ArrayBuffer {
    return this.#buffer
  }

  grow(pages: number): number {
    const before = this.#buffer.byteLength
    const length = before + pages * STEP
    if (length > this.maximum) throw new RangeError(`${length} bytes are more than ${this.maximum}`)
    this.#native.zero(this.base + before, length - before)
    this.#buffer = this.#native.window(this.base, length)
    return before / STEP
  }

  hash(offset: number): number {
    return this.#native.hash(this.base + offset)
  }

  same(offset: number, other: number): boolean {
    return this.#native.same(this.base + offset, this.base + other)
  }
}

/** The physical address of a linear memory. @throws a typed error `'not-physical'` when it is no {@link PhysicalMemory} */
export function physicalBase(memory: LinearMemory): number {
  const { base } = memory as Partial<PhysicalMemory>
  if (typeof base === 'number') return base
  throw machinistError({ code: 'not-physical', part: 'memory', remedy: 'Make the machine with the host that metalHost() gives.' }, 'the memory is not physical memory of this hardware')
}
