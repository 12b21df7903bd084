import type { Output } from './output.ts'

/** Numbers of the model: states, length slots, bits of contexts (LZMA specification, 7-zip.org, "lzma-specification.txt"). */
const STATES = 12
const POSITIONS = 16
const LENGTH_STATES = 4
const HALF = 1024
const MOVE = 5
const TOP = 2 ** 24
const FIRST_MODELLED = 4
const END_MODELLED = 14
const ALIGN_BITS = 4
const LEAST_MATCH = 2
/** From this state on, the last thing was a match. */
const AFTER_MATCH = 7

const chances = (count: number): Uint16Array => new Uint16Array(count).fill(HALF)

class Lengths {
  readonly choice: Uint16Array = chances(2)
  readonly low: Uint16Array = chances(POSITIONS << 3)
  readonly middle: Uint16Array = chances(POSITIONS << 3)
  readonly high: Uint16Array = chances(256)
}

/** Decodes LZMA: chunks of it, which may go on with what was before. */
export class LzmaDecoder {
  readonly #out: Output
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  /** Where the dictionary begins: what is before it is forgotten, and positions count from it. */
  #start = 0
  #end = 0
  #range = 0
  #code = 0
  #literalContext = 0
  #literalPosition = 0
  #positionMask = 0
  #state = 0
  #distances: [number, number, number, number] = [0, 0, 0, 0]
  #literals = chances(0)
  #match = chances(0)
  #repeat = chances(0)
  #repeat0 = chances(0)
  #repeat1 = chances(0)
  #repeat2 = chances(0)
  #long = chances(0)
  #slots = chances(0)
  #special = chances(0)
  #align = chances(0)
  #lengths = new Lengths()
  #repeatLengths = new Lengths()

  constructor(out: Output) {
    this.#out = out
  }

  /** Forgets what came out before. */
  resetDictionary(): void {
    this.#start = this.#out.length
  }

  /** The byte of properties: bits of the context of literals. @throws RangeError */
  properties(byte: number): void {
    if (byte >= 225) throw new RangeError('there are no such properties')
    this.#literalContext = byte % 9
    this.#literalPosition = Math.floor(byte / 9) % 5
    this.#positionMask = (1 << Math.floor(byte / 45)) - 1
    if (this.#literalContext + this.#literalPosition > 4) throw new RangeError('there are no such properties')
    this.reset()
  }

  /** Forgets what was learnt. */
  reset(): void {
    this.#state = 0
    this.#distances = [0, 0, 0, 0]
    this.#literals = chances(0x300 << (this.#literalContext + this.#literalPosition))
    this.#match = chances(STATES * POSITIONS)
    this.#long = chances(STATES * POSITIONS)
    this.#repeat = chances(STATES)
    this.#repeat0 = chances(STATES)
    this.#repeat1 = chances(STATES)
    this.#repeat2 = chances(STATES)
    this.#slots = chances(LENGTH_STATES << 6)
    this.#special = chances(128)
    this.#align = chances(1 << ALIGN_BITS)
    this.#lengths = new Lengths()
    this.#repeatLengths = new Lengths()
  }

  /** One chunk, of which `size` bytes come out. @throws RangeError */
  decode(bytes: Uint8Array, from: number, end: number, size: number): void {
    this.#bytes = bytes
    this.#at = from + 5
    this.#end = end
    if (this.#at > end || bytes[from] !== 0) throw new RangeError('a chunk is cut short')
    this.#range = 0xffff_ffff
    this.#code = ((bytes[from + 1] ?? 0) << 24 | (bytes[from + 2] ?? 0) << 16 | (bytes[from + 3] ?? 0) << 8 | (bytes[from + 4] ?? 0)) >>> 0
    const out = this.#out
    const stop = out.length + size
    while (out.length < stop) {
      const state = this.#state
      const position = out.length - this.#start & this.#positionMask
      if (this.#bit(this.#match, state * POSITIONS + position) === 0) this.#literal()
      else {
        const length = this.#bit(this.#repeat, state) === 0 ? this.#newMatch(position) : this.#repeated(state, position)
        if (out.length + length > stop) throw new RangeError('a match goes beyond its chunk')
        if (this.#distances[0] >= out.length - this.#start) throw new RangeError('a repetition of what is not there')
        out.copy(this.#distances[0] + 1, length)
      }
    }
  }

  #normalize(): void {
    if (this.#range >= TOP) return
    if (this.#at >= this.#end) throw new RangeError('a chunk is cut short')
    this.#range = this.#range << 8 >>> 0
    this.#code = (this.#code << 8 | (this.#bytes[this.#at++] ?? 0)) >>> 0
  }

  #bit(model: Uint16Array, index: number): 0 | 1 {
    this.#normalize()
    const chance = model[index] ?? 0
    const bound = (this.#range >>> 11) * chance
    if (this.#code < bound) {
      this.#range = bound
      model[index] = chance + (2048 - chance >> MOVE)
      return 0
    }
    this.#range -= bound
    this.#code -= bound
    model[index] = chance - (chance >> MOVE)
    return 1
  }

  #tree(model: Uint16Array, from: number, bits: number): number {
    let node = 1
    for (let each = 0; each < bits; each++) node = node << 1 | this.#bit(model, from + node)
    return node - (1 << bits)
  }

  #reverseTree(model: Uint16Array, from: number, bits: number): number {
    let [node, value] = [1, 0]
    for (let each = 0; each < bits; each++) {
      const bit = this.#bit(model, from + node)
      node = node << 1 | bit
      value |= bit << each
    }
    return value
  }

  #direct(bits: number): number {
    let value = 0
    for (let each = 0; each < bits; each++) {
      this.#normalize()
      this.#range >>>= 1
      const bit = this.#code >= this.#range ? 1 : 0
      if (bit === 1) this.#code -= this.#range
      value = value * 2 + bit
    }
    return value
  }

  #literal(): void {
    const out = this.#out
    const position = out.length - this.#start
    const before = position === 0 ? 0 : out.back(1)
    const context = (position & (1 << this.#literalPosition) - 1) << this.#literalContext | before >> (8 - this.#literalContext)
    const from = 0x300 * context
    let node = 1
    if (this.#state >= AFTER_MATCH) {
      // What would have matched tells something, until it is wrong.
      let expected = out.back(this.#distances[0] + 1)
      while (node < 0x100) {
        const guess = expected >> 7 & 1
        expected <<= 1
        const bit = this.#bit(this.#literals, from + (1 + guess << 8) + node)
        node = node << 1 | bit
        if (guess !== bit) break
      }
    }
    while (node < 0x100) node = node << 1 | this.#bit(this.#literals, from + node)
    out.push(node & 0xff)
    this.#state = this.#state < 4 ? 0 : this.#state < 10 ? this.#state - 3 : this.#state - 6
  }

  #length({ choice, low, middle, high }: Lengths, position: number): number {
    if (this.#bit(choice, 0) === 0) return LEAST_MATCH + this.#tree(low, position << 3, 3)
    if (this.#bit(choice, 1) === 0) return LEAST_MATCH + 8 + this.#tree(middle, position << 3, 3)
    return LEAST_MATCH + 16 + this.#tree(high, 0, 8)
  }

  #newMatch(position: number): number {
    const length = this.#length(this.#lengths, position)
    const slot = this.#tree(this.#slots, Math.min(length - LEAST_MATCH, LENGTH_STATES - 1) << 6, 6)
    let distance = slot
    if (slot >= FIRST_MODELLED) {
      const bits = (slot >> 1) - 1
      const base = (2 | slot & 1) * 2 ** bits
      distance = base + (slot < END_MODELLED ? this.#reverseTree(this.#special, base - slot, bits) : this.#direct(bits - ALIGN_BITS) * 2 ** ALIGN_BITS + this.#reverseTree(this.#align, 0, ALIGN_BITS))
    }
    const [first, second, third] = this.#distances
    this.#distances = [distance, first, second, third]
    this.#state = this.#state < AFTER_MATCH ? 7 : 10
    return length
  }

  #repeated(state: number, position: number): number {
    const after = state < AFTER_MATCH
    const [first, second, third, fourth] = this.#distances
    if (this.#bit(this.#repeat0, state) === 0) {
      if (this.#bit(this.#long, state * POSITIONS + position) === 0) {
        this.#state = after ? 9 : 11
        return 1
      }
    } else if (this.#bit(this.#repeat1, state) === 0) this.#distances = [second, first, third, fourth]
    else if (this.#bit(this.#repeat2, state) === 0) this.#distances = [third, first, second, fourth]
    else this.#distances = [fourth, first, second, third]
    this.#state = after ? 8 : 11
    return this.#length(this.#repeatLengths, position)
  }
}
