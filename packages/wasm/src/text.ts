import { accessOf, numericOf, prefixedOf } from './opcodes.ts'
import { ByteReader, type FunctionContents, type ModuleContents, quoted, readModule } from './read.ts'
import { type VectorInstruction, vectorOf } from './simd.ts'

/** A line of a function's text: a statement, or the beginning, middle or end of what nests statements. */
export interface TextLine {
  readonly kind: 'statement' | 'block' | 'loop' | 'if' | 'else' | 'end'
  /** Where the bytes of its statement begin in the function's code, as `Func.position` tells them. */
  readonly position: number
  /** Blocks, loops and ifs around it. */
  readonly depth: number
  /** Not indented by its depth; the later lines of a statement that takes several are indented against the first. */
  readonly text: string
}

/** How text is to look. */
export interface TextOptions {
  /** Columns after which an expression is broken over several lines; 100. */
  readonly width?: number
  /** Names of locals, by index, parameters first; the others are `l` and their index. */
  readonly locals?: ReadonlyMap<number, string>
  /** Names of blocks and loops, by the position of their first byte; the others are `b` and their number. */
  readonly labels?: ReadonlyMap<number, string>
  /** Leaves out what only hints at speed: the alignment of accesses. */
  readonly brief?: boolean
}

/** An instruction with the instructions that compute its operands. */
interface Tree {
  readonly position: number
  readonly head: string
  readonly operands: readonly Tree[]
  /** Characters of its text on one line. */
  readonly length: number
}

const WIDTH = 100

/**
 * The instructions of a function in the text format (WebAssembly core specification, section 6.5): expressions are
 * folded, blocks are not, so that the text can be cut anywhere between two statements.
 *
 * @param module - what {@link readModule} has read
 * @param target - a function of it that is not imported
 * @throws a typed error, `'wasm-module'`, for an instruction that `Func` could not have written
 */
export function functionText(module: ModuleContents, target: FunctionContents, options: TextOptions = {}): readonly TextLine[] {
  return new FunctionPrinter(module, target, options).lines()
}

class FunctionPrinter {
  readonly #module: ModuleContents
  readonly #target: FunctionContents
  readonly #options: TextOptions
  readonly #reader: ByteReader
  readonly #lines: TextLine[] = []
  /** Values computed and not yet used. */
  #stack: Tree[] = []
  readonly #labels: string[] = []
  #opened = 0

  constructor(module: ModuleContents, target: FunctionContents, options: TextOptions) {
    this.#module = module
    this.#target = target
    this.#options = options
    this.#reader = new ByteReader(target.code)
  }

  lines(): readonly TextLine[] {
    while (!this.#reader.done) this.#instruction()
    this.#flush()
    return this.#lines
  }

  #instruction(): void {
    const r = this.#reader
    const at = r.position
    const opcode = r.byte()
    const access = accessOf(opcode)
    if (access) {
      const align = 2 ** r.u32()
      const offset = r.u32()
      const hint = align === access.bytes || this.#options.brief === true ? '' : ` align=${align}`
      this.#apply(at, `${access.name}${offset === 0 ? '' : ` offset=${offset}`}${hint}`, access.store ? 2 : 1, access.store ? 0 : 1)
      return
    }
    const numeric = numericOf(opcode)
    if (numeric) this.#apply(at, numeric.name, numeric.operands, 1)
    else if (opcode >= 0x02 && opcode <= 0x0b && (opcode <= 0x05 || opcode === 0x0b)) this.#nesting(at, opcode)
    else this.#other(at, opcode)
  }

  #nesting(at: number, opcode: number): void {
    if (opcode === 0x05 || opcode === 0x0b) {
      this.#flush()
      const inner = this.#labels.at(-1)
      if (opcode === 0x0b) this.#labels.pop()
      // The last end is the function's own, which text has no word for.
      if (inner === undefined) return
      const kind = opcode === 0x05 ? 'else' : 'end'
      this.#lines.push({ kind, position: at, depth: this.#labels.length - (kind === 'else' ? 1 : 0), text: kind })
      return
    }
    const type = this.#reader.byte()
    if (type !== 0x40) throw this.#reader.unknown('type of a block,', type)
    const condition = opcode === 0x04 ? this.#stack.pop() : undefined
    this.#flush()
    const label = this.#options.labels?.get(at) ?? `b${this.#opened}`
    this.#opened++
    const kind = opcode === 0x04 ? 'if' : opcode === 0x02 ? 'block' : 'loop'
    const head = kind === 'if' ? kind : `${kind} $${label}`
    this.#lines.push({ kind, position: condition?.position ?? at, depth: this.#labels.length, text: condition ? `${this.#print(condition, 0)} ${head}` : head })
    this.#labels.push(kind === 'if' ? '' : label)
  }

  #other(at: number, opcode: number): void {
    const r = this.#reader
    switch (opcode) {
      case 0x00:
        return this.#apply(at, 'unreachable', 0, 0)
      case 0x0c:
        return this.#apply(at, `br ${this.#label()}`, 0, 0)
      case 0x0d:
        return this.#apply(at, `br_if ${this.#label()}`, 1, 0)
      case 0x0e: {
        const labels = r.list(() => this.#label())
        return this.#apply(at, `br_table ${[...labels, this.#label()].join(' ')}`, 1, 0)
      }
      case 0x0f:
        return this.#apply(at, 'return', this.#target.results.length, 0)
      case 0x10:
      case 0x12: {
        const index = r.u32()
        const callee = this.#module.functions[index]
        const takes = callee?.params.length ?? 0
        if (opcode === 0x12) return this.#apply(at, `return_call $${callee?.name ?? index}`, takes, 0)
        return this.#apply(at, `call $${callee?.name ?? index}`, takes, callee?.results.length ?? 0)
      }
      case 0x11:
      case 0x13: {
        const index = r.u32()
        const table = r.byte()
        if (table !== 0) throw r.unknown('table', table)
        const type = this.#module.types[index]
        const takes = 1 + (type?.params.length ?? 0)
        if (opcode === 0x13) return this.#apply(at, `return_call_indirect (type ${index})`, takes, 0)
        return this.#apply(at, `call_indirect (type ${index})`, takes, type?.results.length ?? 0)
      }
      case 0x1a:
        return this.#apply(at, 'drop', 1, 0)
      case 0x1b:
        return this.#apply(at, 'select', 3, 1)
      case 0x20:
        return this.#apply(at, `local.get ${this.#local()}`, 0, 1)
      case 0x21:
        return this.#apply(at, `local.set ${this.#local()}`, 1, 0)
      case 0x22:
        return this.#apply(at, `local.tee ${this.#local()}`, 1, 1)
      case 0x23:
        return this.#apply(at, `global.get ${r.u32()}`, 0, 1)
      case 0x24:
        return this.#apply(at, `global.set ${r.u32()}`, 1, 0)
      case 0x41:
        return this.#apply(at, `i32.const ${integer(BigInt(r.s32()))}`, 0, 1)
      case 0x42:
        return this.#apply(at, `i64.const ${integer(r.s64())}`, 0, 1)
      case 0x43:
        return this.#apply(at, `f32.const ${float(r.bits(4), 4)}`, 0, 1)
      case 0x44:
        return this.#apply(at, `f64.const ${float(r.bits(8), 8)}`, 0, 1)
      case 0xfc: {
        const found = prefixedOf(r.byte())
        if (!found) break
        r.slice(found.zeros)
        return this.#apply(at, found.name, found.operands, found.operands === 1 ? 1 : 0)
      }
      case 0xfd: {
        const found = vectorOf(r.u32())
        if (!found) break
        return this.#apply(at, found.name + this.#vectorSuffix(found.kind), found.operands, found.kind === 'store' ? 0 : 1)
      }
    }
    throw r.unknown('instruction', opcode)
  }

  #vectorSuffix(kind: VectorInstruction['kind']): string {
    const r = this.#reader
    switch (kind) {
      case 'load':
      case 'store': {
        // Alignment is always declared as 1, which is nobody's natural one here.
        r.u32()
        const offset = r.u32()
        return `${offset === 0 ? '' : ` offset=${offset}`}${this.#options.brief === true ? '' : ' align=1'}`
      }
      case 'extract':
      case 'replace': return ` ${r.byte()}`
      case 'shuffle': return ` ${[...r.slice(16)].join(' ')}`
      case 'const': return ` i64x2 ${integer(r.bits(8))} ${integer(r.bits(8))}`
      default: return ''
    }
  }

  #local(): string {
    const index = this.#reader.u32()
    return `$${localName(index, this.#options)}`
  }

  /** The label so many blocks out; an `if` has no name, and the function itself is outside of all. */
  #label(): string {
    const depth = this.#reader.u32()
    const label = this.#labels.at(-1 - depth)
    return label === undefined || label === '' || depth >= this.#labels.length ? String(depth) : `$${label}`
  }

  /** An instruction that takes what was computed last. */
  #apply(position: number, head: string, takes: number, gives: number): void {
    // After a branch there may be fewer; the text format does not mind, since folding only moves words.
    const operands = takes === 0 ? [] : this.#stack.splice(Math.max(0, this.#stack.length - takes))
    const length = operands.reduce((sum, operand) => sum + operand.length + 1, head.length + 2)
    const tree: Tree = { position: operands[0]?.position ?? position, head, operands, length }
    this.#stack.push(tree)
    if (gives === 0) this.#flush()
  }

  #flush(): void {
    for (const tree of this.#stack) this.#lines.push({ kind: 'statement', position: tree.position, depth: this.#labels.length, text: this.#print(tree, 0) })
    this.#stack = []
  }

  #print(tree: Tree, indent: number): string {
    const width = this.#options.width ?? WIDTH
    const wide = indent + tree.length > width
    const between = wide ? `\n${' '.repeat(indent + 2)}` : ' '
    return `(${wide ? wrap(tree.head, width, between) : tree.head}${tree.operands.map((operand) => between + this.#print(operand, wide ? indent + 2 : indent)).join('')})`
  }
}

/** Breaks what has very many words: a table of branches. */
function wrap(head: string, width: number, between: string): string {
  if (head.length <= width) return head
  let column = 0
  return head.split(' ').map((word) => {
    const fits = column > 0 && column + word.length < width
    const gap = column === 0 ? '' : fits ? ' ' : between
    column = (fits ? column + 1 : between.length) + word.length
    return gap + word
  }).join('')
}

function localName(index: number, options: TextOptions): string {
  return options.locals?.get(index) ?? `l${index}`
}

/** An integer: masks and addresses are easier to read in hexadecimal. */
function integer(value: bigint): string {
  return value > -65536n && value < 65536n ? String(value) : value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`
}

/** The number with these bits; a NaN with its payload. */
function float(bits: bigint, bytes: 4 | 8): string {
  const [fraction, exponent] = bytes === 4 ? [23n, 0xffn] as const : [52n, 0x7ffn] as const
  const sign = bits >> (fraction + (bytes === 4 ? 8n : 11n)) === 0n ? '' : '-'
  const payload = bits & ((1n << fraction) - 1n)
  if (((bits >> fraction) & exponent) === exponent) return payload === 0n ? `${sign}inf` : `${sign}nan:0x${payload.toString(16)}`
  const view = new DataView(new ArrayBuffer(8))
  view.setBigUint64(0, bits, true)
  const value = bytes === 4 ? view.getFloat32(0, true) : view.getFloat64(0, true)
  return Object.is(value, -0) ? '-0' : String(value)
}

/**
 * A whole module in the text format, which any assembler of it takes back to the same bytes, but for the names.
 *
 * @param bytes - what `ModuleBuilder.toBytes` has written
 * @throws a typed error, `'wasm-module'`, for a module that it could not have written
 */
export function moduleText(bytes: Uint8Array, options: TextOptions = {}): string {
  const module = readModule(bytes)
  const fields = module.types.map(({ params, results }) => `(type (func${group('param', params)}${group('result', results)}))`)
  const signature = ({ name, type }: FunctionContents): string => `$${name} (type ${type})`
  for (const entry of module.functions) {
    if (entry.imported) fields.push(`(import ${quoted(entry.imported.module)} ${quoted(entry.imported.name)} (func ${signature(entry)}))`)
  }
  fields.push(...module.imports, ...module.definitions)
  for (const entry of module.functions) {
    if (entry.imported) continue
    const { params, results, locals } = entry
    const named = (kind: string, type: string, index: number): string => ` (${kind} $${localName(index, options)} ${type})`
    const head = `(func ${signature(entry)}${params.map((type, i) => named('param', type, i)).join('')}${group('result', results)}`
    const lines = functionText(module, entry, options).map(({ depth, text }) => indented(text, 2 * depth + 2))
    fields.push([head, ...locals.map((type, i) => ` ${named('local', type, params.length + i)}`), ...lines].join('\n') + ')')
  }
  return `(module\n${fields.map((field) => indented(field, 2)).join('\n')})\n`
}

function group(kind: string, types: readonly string[]): string {
  return types.length === 0 ? '' : ` (${kind} ${types.join(' ')})`
}

function indented(text: string, by: number): string {
  return text.replace(/^/gm, ' '.repeat(by))
}
