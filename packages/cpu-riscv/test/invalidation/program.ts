import { encode, type Operands } from '../../src/isa/index.ts'

/** Integer registers by the names that the tests use. */
export const zero = 0
export const ra = 1

type Item = { readonly at: number; readonly bytes: 2 | 4; readonly value: () => number }

/** A program for a test: instructions and data from an address upward, with labels. */
export class Program {
  readonly #items: Item[] = []
  readonly #labels = new Map<string, number>()
  /** Address of what comes next. */
  here: number

  constructor(base: number) {
    this.here = base
  }

  #add(bytes: 2 | 4, value: () => number): this {
    this.#items.push({ at: this.here, bytes, value })
    this.here += bytes
    return this
  }

  /** Names the address of what comes next. */
  label(name: string): this {
    if (this.#labels.has(name)) throw new RangeError(`label ${name} is there already`)
    this.#labels.set(name, this.here)
    return this
  }

  address(name: string): number {
    const address = this.#labels.get(name)
    if (address === undefined) throw new RangeError(`no label is called ${name}`)
    return address
  }

  /** Goes on at `address`. */
  org(address: number): this {
    this.here = address
    return this
  }

  /** One instruction; with `to`, its immediate is the distance to that label. */
  op(name: string, operands: Operands & { readonly to?: string } = {}): this {
    const { to } = operands
    const { here } = this
    return this.#add(4, () => encode(name, to === undefined ? operands : { ...operands, imm: this.address(to) - here }))
  }

  word(value: number): this {
    return this.#add(4, () => value)
  }

  half(value: number): this {
    return this.#add(2, () => value)
  }

  /** `rd` = a number of 32 bits, zero-extended. */
  li(rd: number, value: number): this {
    if (value < 0 || value >= 2 ** 32) throw new RangeError(`${value} is not a number of 32 bits`)
    this.op('lui', { rd, imm: ((value + 0x800) & 0xffff_f000) | 0 })
    this.op('addiw', { rd, rs1: rd, imm: (value << 20) >> 20 })
    return this.op('slli', { rd, rs1: rd, imm: 32 }).op('srli', { rd, rs1: rd, imm: 32 })
  }

  /** Goes to a label, by a jump. */
  j(to: string): this {
    return this.op('jal', { rd: zero, to })
  }

  /** Goes to a label, by a branch that is always taken. */
  go(to: string): this {
    return this.op('beq', { to })
  }

  /** Repeats from a label until `counter`, which counts down here, is zero. */
  until(counter: number, to: string): this {
    return this.op('addi', { rd: counter, rs1: counter, imm: -1 }).op('bne', { rs1: counter, to })
  }

  /** Calls a label. */
  call(to: string): this {
    return this.op('jal', { rd: ra, to })
  }

  ret(): this {
    return this.op('jalr', { rd: zero, rs1: ra })
  }

  /** The bytes, in pieces with their addresses. */
  *pieces(): Iterable<readonly [number, Uint8Array]> {
    for (const { at, bytes, value } of this.#items) {
      const word = value()
      const piece = new Uint8Array(bytes)
      for (let i = 0; i < bytes; i++) piece[i] = word >>> (8 * i)
      yield [at, piece]
    }
  }
}
