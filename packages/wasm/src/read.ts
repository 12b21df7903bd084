import type { MachinistError } from '@machinist/api'
import { moduleError } from './errors.ts'
import { typeCode, type ValueType } from './expr.ts'

/** Reads the encodings that {@link Bytes} writes. */
export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  get position(): number {
    return this.#at
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** An error about the byte before this. */
  unknown(what: string, value: number): MachinistError {
    return moduleError(`${what} 0x${value.toString(16)} at byte ${this.#at - 1} is none that a module builder writes`)
  }

  byte(): number {
    const value = this.#bytes[this.#at]
    if (value === undefined) throw moduleError(`the WebAssembly ends at byte ${this.#at}, in the middle of something`)
    this.#at++
    return value
  }

  u32(): number {
    return Number(BigInt.asUintN(32, this.#leb(false)))
  }

  s32(): number {
    return Number(BigInt.asIntN(32, this.#leb(true)))
  }

  s64(): bigint {
    return BigInt.asIntN(64, this.#leb(true))
  }

  #leb(signed: boolean): bigint {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return signed && (byte & 0x40) !== 0 ? value - (1n << (shift + 7n)) : value
    }
  }

  /** The bits of a float of 4 or 8 bytes. */
  bits(bytes: 4 | 8): bigint {
    this.slice(bytes)
    return bytes === 4 ? BigInt(this.#view.getUint32(this.#at - 4, true)) : this.#view.getBigUint64(this.#at - 8, true)
  }

  slice(length: number): Uint8Array {
    if (this.#at + length > this.#bytes.length) throw moduleError(`the WebAssembly ends within ${length} bytes at byte ${this.#at}`)
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  /** All that is left. */
  rest(): Uint8Array {
    return this.slice(this.#bytes.length - this.#at)
  }

  name(): string {
    return String.fromCharCode(...this.slice(this.u32()))
  }

  valueType(): ValueType {
    const code = this.byte()
    const type = valueTypes.get(code)
    if (type === undefined) throw this.unknown('value type', code)
    return type
  }

  list<T>(read: (index: number) => T): T[] {
    return Array.from({ length: this.u32() }, (_, index) => read(index))
  }
}

const valueTypes: ReadonlyMap<number, ValueType> = new Map((['i32', 'i64', 'f32', 'f64', 'v128'] as const).map((type) => [typeCode[type], type]))

/** What a function takes and gives. */
export interface FunctionType {
  readonly params: readonly ValueType[]
  readonly results: readonly ValueType[]
}

/** A function of a module, as its bytes have it. */
export interface FunctionContents extends FunctionType {
  /** Its name in text, without the `$`: unique in the module. */
  readonly name: string
  /** Number of its type. */
  readonly type: number
  /** Where it is imported from; its code is empty then. */
  readonly imported: { readonly module: string; readonly name: string } | null
  /** Types of the locals behind the parameters. */
  readonly locals: readonly ValueType[]
  /** Its instructions, with the `end` of the function; positions in it are those of `Func.position`. */
  readonly code: Uint8Array
}

/** A module's parts, in the order of their numbers. */
export interface ModuleContents {
  readonly types: readonly FunctionType[]
  readonly functions: readonly FunctionContents[]
  /** The other imports and definitions, in the order and the words of the text format. */
  readonly imports: readonly string[]
  readonly definitions: readonly string[]
}

type Unnamed = Omit<FunctionContents, 'name'>

/** Whether a name may stand behind `$` (core specification, 6.3.5). */
const IDENTIFIER = /[^0-9A-Za-z!#$%&'*+\-./:<=>?@\\^_`|~]/g

/**
 * Takes a module apart that {@link ModuleBuilder} wrote.
 *
 * @throws a typed error, `'wasm-module'`, for a module that it could not have written
 */
export function readModule(bytes: Uint8Array): ModuleContents {
  const reader = new ByteReader(bytes)
  if (String.fromCharCode(...reader.slice(4)) !== '\0asm' || reader.slice(4)[0] !== 1) throw moduleError('this is no WebAssembly module of version 1')
  const types: FunctionType[] = []
  const functions: Unnamed[] = []
  const imports: string[] = []
  const definitions: string[] = []
  const declared: number[] = []
  const names = new Map<number, string>()
  const exported: { readonly name: string; readonly kind: number; readonly index: number }[] = []

  const typed = (type: number): FunctionType => types[type] ?? { params: [], results: [] }
  const global = (r: ByteReader): string => {
    const type = r.valueType()
    return r.byte() === 1 ? `(mut ${type})` : type
  }
  const limits = (r: ByteReader): string => {
    const flags = r.byte()
    return `${r.u32()}${(flags & 1) === 0 ? '' : ` ${r.u32()}`}${(flags & 2) === 0 ? '' : ' shared'}`
  }
  const table = (r: ByteReader): string => {
    const element = r.byte()
    if (element !== 0x70) throw r.unknown('table of', element)
    return `${limits(r)} funcref`
  }
  const constant = (r: ByteReader): string => {
    const opcode = r.byte()
    const text = opcode === 0x41 ? `(i32.const ${r.s32()})` : opcode === 0x42 ? `(i64.const ${r.s64()})` : null
    if (text === null || r.byte() !== 0x0b) throw r.unknown('initial value with', opcode)
    return text
  }
  const readImport = (r: ByteReader): void => {
    const module = r.name()
    const name = r.name()
    const kind = r.byte()
    if (kind === 0) {
      const type = r.u32()
      names.set(functions.length, name)
      functions.push({ type, ...typed(type), imported: { module, name }, locals: [], code: new Uint8Array(0) })
      return
    }
    const what = kind === 1 ? `table ${table(r)}` : kind === 2 ? `memory ${limits(r)}` : kind === 3 ? `global ${global(r)}` : null
    if (what === null) throw r.unknown('import of', kind)
    imports.push(`(import ${quoted(module)} ${quoted(name)} (${what}))`)
  }
  const readCode = (r: ByteReader, index: number): void => {
    const body = new ByteReader(r.slice(r.u32()))
    const locals = body.list(() => ({ count: body.u32(), type: body.valueType() })).flatMap(({ count, type }) => Array.from({ length: count }, () => type))
    const type = declared[index] ?? 0
    functions.push({ type, ...typed(type), imported: null, locals, code: body.rest() })
  }
  const readNames = (r: ByteReader): void => {
    if (r.name() !== 'name' || r.done || r.byte() !== 1) return
    r.u32()
    r.list(() => names.set(r.u32(), r.name()))
  }
  const sections: Readonly<Record<number, (r: ByteReader) => unknown>> = {
    0: readNames,
    1: (r) => r.list(() => {
      const form = r.byte()
      if (form !== 0x60) throw r.unknown('type', form)
      types.push({ params: r.list(() => r.valueType()), results: r.list(() => r.valueType()) })
    }),
    2: (r) => r.list(() => readImport(r)),
    3: (r) => r.list(() => declared.push(r.u32())),
    4: (r) => r.list(() => definitions.push(`(table ${table(r)})`)),
    6: (r) => r.list(() => definitions.push(`(global ${global(r)} ${constant(r)})`)),
    7: (r) => r.list(() => exported.push({ name: r.name(), kind: r.byte(), index: r.u32() })),
    9: (r) => r.list(() => {
      const form = r.byte()
      if (form !== 0) throw r.unknown('elements', form)
      definitions.push(`(elem ${constant(r)} func ${r.list(() => r.u32()).join(' ')})`)
    }),
    10: (r) => r.list((index) => readCode(r, index)),
  }
  while (!reader.done) {
    const id = reader.byte()
    const read = sections[id]
    if (!read) throw reader.unknown('section', id)
    read(new ByteReader(reader.slice(reader.u32())))
  }
  for (const { name, kind, index } of exported) {
    definitions.push(`(export ${quoted(name)} (${['func', 'table', 'memory', 'global'][kind] ?? ''} ${index}))`)
  }
  const taken = new Set<string>()
  return {
    types,
    functions: functions.map((entry, index) => {
      const wanted = (names.get(index) ?? `f${index}`).replace(IDENTIFIER, '_')
      const name = wanted === '' || taken.has(wanted) ? `${wanted}.${index}` : wanted
      taken.add(name)
      return { ...entry, name }
    }),
    imports,
    definitions,
  }
}

/** A string of the text format. */
export function quoted(text: string): string {
  return `"${text.replace(/[^ -~]|["\\]/g, (character) => `\\${(character.charCodeAt(0) & 0xff).toString(16).padStart(2, '0')}`)}"`
}
