import { machinistError, type Trace, type Width } from '@machinist/api'
import type { Decoder } from './decoder.ts'
import type { ReadHook, WriteHook } from './hooks.ts'
import { type Layout, layoutOf, type Register } from './layout.ts'
import { extract, insert, type BankName, type FieldName, type RegisterName, type RegisterTable } from './table.ts'

/** What a device adds to its table. */
export interface RegisterBlockOptions<Table extends RegisterTable> {
  /** The device's name, for warnings and errors: `context.name`. */
  readonly name: string
  readonly trace: Trace
  /** What happens on a guest's read, by register. */
  readonly read?: { readonly [Name in RegisterName<Table>]?: ReadHook }
  /** What happens on a guest's write, by register. */
  readonly write?: { readonly [Name in RegisterName<Table>]?: WriteHook }
  /** Reset values that depend on the configuration. */
  readonly reset?: { readonly [Name in RegisterName<Table>]?: number | bigint }
  /** Lengths of arrays that depend on the configuration; 0 leaves a register out. */
  readonly count?: { readonly [Name in RegisterName<Table>]?: number }
  /** Multiplies every offset and stride by 2^`shift`: the device-tree's `reg-shift`. */
  readonly shift?: number
}

/** Saved registers by name: a number, or an array for arrays and 8-byte registers (low half before high half). */
export type RegisterState = Readonly<Record<string, number | readonly number[]>>

/**
 * The registers of one region of a device. `read` and `write` are what the guest does, with hooks; `get`, `set` and
 * the like are what the device does, without. Nothing a guest does makes `read` or `write` throw, as long as the
 * hooks do not.
 */
export class RegisterBlock<Table extends RegisterTable> {
  readonly #table: Table
  readonly #part: string
  readonly #trace: Trace
  readonly #layout: Layout
  /** Hooks, by the numbers of registers. */
  readonly #onRead: readonly (ReadHook | undefined)[]
  readonly #onWrite: readonly (WriteHook | undefined)[]
  readonly #words: Uint32Array
  #bank: BankName<Table> | null = null
  /** The decoders of the selected bank. */
  #reading: Decoder | undefined
  #writing: Decoder | undefined

  /** Throws a typed error (`register-table`) when the table contradicts itself. */
  constructor(table: Table, options: RegisterBlockOptions<Table>) {
    this.#layout = layoutOf(table, options)
    const { names } = this.#layout
    const { read, write }: { readonly read?: Readonly<Record<string, ReadHook | undefined>>; readonly write?: Readonly<Record<string, WriteHook | undefined>> } = options
    this.#onRead = read === undefined ? [] : names.map((name) => read[name])
    this.#onWrite = write === undefined ? [] : names.map((name) => write[name])
    this.#table = table
    this.#part = options.name
    this.#trace = options.trace
    this.#words = new Uint32Array(this.#layout.words)
    this.reset()
  }

  /** The selected bank, or null. Selecting one takes effect with the guest's next access. */
  get bank(): BankName<Table> | null {
    return this.#bank
  }

  set bank(bank: BankName<Table> | null) {
    this.#bank = bank
    this.#reading = this.#layout.reads.get(bank)
    this.#writing = this.#layout.writes.get(bank)
  }

  /** A guest's read of `width` bytes at `offset`. Unsigned. What is not there reads as zero, with a warning. */
  read(offset: number, width: Width): number {
    const register = this.#reading?.find(offset) ?? null
    if (register !== null && register.unit === width) {
      const delta = offset - register.offset
      if (delta === 0) return this.#readWord(register, 0, 0)
      const index = register.count === 1 ? 0 : Math.floor(delta / register.stride)
      const lane = delta - index * register.stride
      if (lane % width === 0) return this.#readWord(register, index, lane === 0 ? 0 : 1)
    }
    return this.#readBytes(offset, width)
  }

  /** A guest's write of `width` bytes at `offset`. What is not there is ignored, with a warning. */
  write(offset: number, width: Width, value: number): void {
    const register = this.#writing?.find(offset) ?? null
    if (register !== null && register.unit === width) {
      const delta = offset - register.offset
      if (delta === 0) {
        this.#writeWord(register, 0, 0, value, register.mask)
        return
      }
      const index = register.count === 1 ? 0 : Math.floor(delta / register.stride)
      const lane = delta - index * register.stride
      if (lane % width === 0) {
        this.#writeWord(register, index, lane === 0 ? 0 : 1, value, register.mask)
        return
      }
    }
    this.#writeBytes(offset, width, value)
  }

  /** The stored value of a register (of element `index`); of a register of 8 bytes, its low half. */
  get(name: RegisterName<Table>, index: number = 0): number {
    return this.#words[this.#slot(this.#register(name), index)] ?? 0
  }

  /** Stores `value`, cut to the register's width. No hook is called, and `writable` does not matter. */
  set(name: RegisterName<Table>, value: number, index: number = 0): void {
    const register = this.#register(name)
    this.#words[this.#slot(register, index)] = value & register.mask
  }

  /** The stored value of a register of 8 bytes. */
  get64(name: RegisterName<Table>, index: number = 0): bigint {
    const register = this.#register(name)
    const slot = this.#slot(register, index)
    const high = register.halves === 2 ? this.#words[slot + 1] ?? 0 : 0
    return (BigInt(high) << 32n) | BigInt(this.#words[slot] ?? 0)
  }

  /** Stores the low 64 bits of `value` in a register of 8 bytes. */
  set64(name: RegisterName<Table>, value: bigint, index: number = 0): void {
    const register = this.#register(name)
    const slot = this.#slot(register, index)
    this.#words[slot] = Number(value & BigInt(register.mask))
    if (register.halves === 2) this.#words[slot + 1] = Number((value >> 32n) & 0xffff_ffffn)
  }

  /**
   * The storage of a register itself: a word for each element (two, low half first, for a register of 8 bytes). It
   * is the same array for as long as the block lives; for loops over many elements.
   */
  words(name: RegisterName<Table>): Uint32Array {
    const register = this.#register(name)
    return this.#words.subarray(register.slot, register.slot + register.count * register.halves)
  }

  /** The number that a field of a register holds. */
  field<Name extends RegisterName<Table>>(name: Name, field: FieldName<Table, Name>, index: number = 0): number {
    const bits = this.#table[name]?.fields?.[field]
    return bits === undefined ? 0 : extract(this.get(name, index), bits)
  }

  /** Stores `bits` in a field of a register; the other fields stay. */
  setField<Name extends RegisterName<Table>>(name: Name, field: FieldName<Table, Name>, bits: number, index: number = 0): void {
    const spec = this.#table[name]?.fields?.[field]
    if (spec !== undefined) this.set(name, insert(this.get(name, index), spec, bits), index)
  }

  /** Gives every register its reset value and selects no bank. */
  reset(): void {
    this.bank = null
    for (const { slot, count, halves, reset } of this.#layout.registers.values()) {
      for (let word = 0; word < count * halves; word++) this.#words[slot + word] = reset[halves === 2 && word % 2 === 1 ? 1 : 0]
    }
  }

  /** The stored values, as plain data. Write-only registers keep nothing and are left out, and so is `bank`. */
  save(): Record<string, number | number[]> {
    const state: Record<string, number | number[]> = {}
    for (const { name, access, slot, count, halves } of this.#layout.registers.values()) {
      if (access === 'wo') continue
      const words = Array.from(this.#words.subarray(slot, slot + count * halves))
      state[name] = count === 1 && halves === 1 ? words[0] ?? 0 : words
    }
    return state
  }

  /**
   * Takes back what {@link save} gave. Throws a typed error (`state`), with nothing changed, when a register is
   * missing, unknown, of another length, or holds a number that does not fit it.
   */
  restore(state: unknown): void {
    const refuse = (register: string, problem: string): never => {
      throw machinistError({
        code: 'state', part: `${this.#part}.${register}`, remedy: 'Restore a state saved by this version of this device.',
      }, problem)
    }
    if (typeof state !== 'object' || state === null || ArrayBuffer.isView(state)) return refuse('registers', 'the saved registers are not an object')
    const words = Uint32Array.from(this.#words)
    const given = new Map<string, unknown>(Object.entries(state))
    for (const { name, access, slot, count, halves, mask } of this.#layout.registers.values()) {
      if (access === 'wo') continue
      const value = given.get(name)
      given.delete(name)
      const length = count * halves
      const list: readonly unknown[] = Array.isArray(value) ? value : [value]
      if (list.length !== length) return refuse(name, `not ${length} saved values`)
      for (let word = 0; word < length; word++) {
        const number = list[word]
        if (typeof number !== 'number' || !Number.isInteger(number) || number < 0 || number > mask) {
          return refuse(name, 'the saved value does not fit the register')
        }
        words[slot + word] = number
      }
    }
    for (const name of given.keys()) return refuse(name, 'no such register')
    this.#words.set(words)
  }

  #register(name: string): Register {
    const register = this.#layout.registers.get(name)
    if (register === undefined) {
      throw machinistError({ code: 'register-table', part: this.#part, value: name, remedy: `Use one of ${[...this.#layout.registers.keys()].join(', ')}, or add it to the table.` }, 'no such register')
    }
    return register
  }

  #slot(register: Register, index: number): number {
    return index >= 0 && index < register.count ? register.slot + index * register.halves : -1
  }

  #readWord(register: Register, index: number, half: 0 | 1): number {
    const slot = register.slot + index * register.halves + half
    const stored = this.#words[slot] ?? 0
    if (register.access === 'wo') return 0
    const onRead = this.#onRead[register.number]
    const value = onRead === undefined ? stored : onRead(stored, index, half)
    if (register.access === 'rc') this.#words[slot] = 0
    return (value & register.mask) >>> 0
  }

  /** Writes those bits of one unit that are in `lanes`. */
  #writeWord(register: Register, index: number, half: 0 | 1, value: number, lanes: number): void {
    const slot = register.slot + index * register.halves + half
    const old = this.#words[slot] ?? 0
    const bits = lanes & register.writable[half]
    const { access } = register
    const onWrite = this.#onWrite[register.number]
    if (access === 'wo') {
      onWrite?.((value & bits) >>> 0, old, index, half)
      return
    }
    if (access === 'ro' || access === 'rc') {
      this.#warn(`ignored a write to the read-only register ${register.name}`)
      return
    }
    const stored = (access === 'rw' ? (old & ~bits) | (value & bits) : access === 'w1c' ? old & ~(value & bits) : old | (value & bits)) >>> 0
    this.#words[slot] = stored
    onWrite?.(stored, old, index, half)
  }

  /** A read that is not of exactly one register's width. */
  #readBytes(offset: number, width: Width): number {
    const decoder = this.#reading
    if (!this.#permits(decoder, offset, width, 'read')) return 0
    let value = 0
    for (let byte = 0; byte < width;) {
      const register = decoder?.find(offset + byte) ?? null
      if (register === null) { byte++; continue }
      const delta = offset + byte - register.offset
      const index = register.count === 1 ? 0 : Math.floor(delta / register.stride)
      const lane = delta - index * register.stride
      const skip = lane % register.unit
      const word = this.#readWord(register, index, lane >= 4 ? 1 : 0) >>> (skip * 8)
      value |= word << (byte * 8)
      byte += register.unit - skip
    }
    return width === 4 ? value >>> 0 : value & (2 ** (width * 8) - 1)
  }

  /** A write that is not of exactly one register's width. */
  #writeBytes(offset: number, width: Width, value: number): void {
    const decoder = this.#writing
    if (!this.#permits(decoder, offset, width, 'write')) return
    for (let byte = 0; byte < width;) {
      const register = decoder?.find(offset + byte) ?? null
      if (register === null) { byte++; continue }
      const delta = offset + byte - register.offset
      const index = register.count === 1 ? 0 : Math.floor(delta / register.stride)
      const lane = delta - index * register.stride
      const skip = lane % register.unit
      const bytes = Math.min(register.unit - skip, width - byte)
      const lanes = bytes === 4 ? 0xffff_ffff : ((2 ** (bytes * 8) - 1) << (skip * 8)) >>> 0
      this.#writeWord(register, index, lane >= 4 ? 1 : 0, (value >>> (byte * 8)) << (skip * 8), lanes)
      byte += bytes
    }
  }

  /** Whether an access has registers to act on, all of which take accesses of this width. */
  #permits(decoder: Decoder | undefined, offset: number, width: Width, verb: 'read' | 'write'): boolean {
    let found = false
    for (let byte = 0; byte < width; byte++) {
      const register = decoder?.find(offset + byte) ?? null
      if (register === null) continue
      found = true
      if (register.exact) {
        this.#warn(`ignored a ${verb} of ${width} bytes at offset 0x${offset.toString(16)}: ${register.name} takes ${register.unit}`)
        return false
      }
    }
    if (!found) this.#warn(`ignored a ${verb} of ${width} bytes at offset 0x${offset.toString(16)}: no register is there`)
    return found
  }

  #warn(message: string): void {
    this.#trace.warn(`${this.#part}: ${message}`)
  }
}
