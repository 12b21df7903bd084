import { encode, type EncodeOptions, forms, type Mode } from '../../src/isa/index.ts'

export const EAX = 0
export const ECX = 1
export const EDX = 2
export const EBX = 3
export const ESP = 4
export const EBP = 5
export const ESI = 6
export const EDI = 7
export const ES = 0
export const CS = 1
export const SS = 2
export const DS = 3
export const FS = 4
export const GS = 5

/** Writes code for an address, by the table's own encoder. */
export class Assembler {
  readonly #out: number[] = []
  readonly at: number
  readonly mode: Mode

  constructor(at: number, mode: Mode = 32) {
    this.at = at
    this.mode = mode
  }

  /** The address of what comes next. */
  get here(): number {
    return this.at + this.#out.length
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#out)
  }

  raw(...bytes: number[]): this {
    this.#out.push(...bytes)
    return this
  }

  /** An instruction by its name and the kinds of its operands; of several forms the one whose operands are bytes is not meant. */
  op(name: string, kinds = '', options: Partial<EncodeOptions> = {}): this {
    const form = forms.find(({ instruction, operands, modes }) => instruction.name === name && modes.includes(this.mode) && operands.map(({ kind }) => kind).join(' ') === kinds && operands[0]?.size !== 'b')
      ?? forms.find(({ instruction, operands, modes }) => instruction.name === name && modes.includes(this.mode) && operands.map(({ kind }) => kind).join(' ') === kinds)
    if (!form) throw new RangeError(`there is no ${name} ${kinds} in ${this.mode}-bit mode`)
    return this.raw(...encode(form, { mode: this.mode, ...options }))
  }

  set(register: number, value: number): this {
    return this.op('mov', 'opreg imm', { rm: register, immediates: [BigInt.asIntN(32, BigInt(value))] })
  }

  load(register: number, address: number): this {
    return this.op('mov', 'reg rm', { reg: register, rm: { displacement: address } })
  }

  store(address: number, register: number): this {
    return this.op('mov', 'rm reg', { reg: register, rm: { displacement: address } })
  }

  storeNumber(address: number, value: number): this {
    return this.op('mov', 'rm imm', { rm: { displacement: address }, immediates: [BigInt.asIntN(32, BigInt(value))] })
  }

  segment(register: number, from: number): this {
    return this.op('mov', 'sreg rm', { reg: register, rm: from })
  }

  push(value: number): this {
    return this.op('push', 'imm', { immediates: [BigInt.asIntN(32, BigInt(value))] })
  }

  int(vector: number): this {
    return this.op('int', 'imm', { immediates: [BigInt(vector)] })
  }

  jump(to: number): this {
    return this.op('jmp', 'rel', { immediates: [BigInt(to - (this.here + 5))] })
  }
}
