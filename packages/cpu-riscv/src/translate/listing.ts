import { machinistError } from '@machinist/api'
import { PAGE_SIZE } from '@machinist/memory'
import { type Block, type CodePurpose, type Graph, type Instruction, type Item, LIMITS, structure, writeRegions } from '@machinist/translator'
import { functionText, readModule, type TextLine } from '@machinist/wasm'
import { hartLayout } from '../hart-layout.ts'
import { decode, emptyDecoded } from '../isa/decoder.ts'
import { disassemble } from '../isa/disassembler.ts'
import { floatRegisterNames, registerNames } from '../isa/names.ts'
import { floatRegister } from './region-stage.ts'
import { Regions } from './regions.ts'

/** A guest instruction of a listing. */
export interface ListedInstruction {
  /** Guest-virtual address. */
  readonly address: bigint
  /** Its 16 or 32 bits. */
  readonly bits: number
  /** Bytes: 2 or 4. */
  readonly length: number
  readonly text: string
}

/** How control may leave the region at the end of a block. */
export type WayOut =
  /** To an address that is not in the region. */
  | { readonly kind: 'address'; readonly address: bigint }
  /** To an address computed at run time. */
  | { readonly kind: 'indirect' }
  /** To have the last instruction executed elsewhere. */
  | { readonly kind: 'escape' }

/** A basic block of a listing. */
export interface ListedBlock {
  /** Number of the entry that it is, or null: control comes in there from outside. */
  readonly entry: number | null
  readonly instructions: readonly ListedInstruction[]
  /** Numbers of the blocks of this region that may follow. */
  readonly successors: readonly number[]
  readonly waysOut: readonly WayOut[]
}

/** A stretch of the region's code, and what it is there for. */
export interface ListedCode {
  readonly kind: CodePurpose['kind']
  /** The guest block it belongs to; null at the region's entry. */
  readonly block: number | null
  /** The guest instruction it executes, for that kind. */
  readonly instruction: ListedInstruction | null
  /** WebAssembly text. */
  readonly lines: readonly TextLine[]
}

/** The translation of one page, to be read. */
export interface PageTranslation {
  readonly blocks: readonly ListedBlock[]
  /** How the blocks are nested; loops have headers. */
  readonly nesting: readonly Item[]
  /** All of the region's function, in order. */
  readonly code: readonly ListedCode[]
  /** The module. It imports what it needs of the engine, and finds the hart's record at address 0. */
  readonly wasm: Uint8Array<ArrayBuffer>
}

export interface PageTranslationOptions {
  /** Guest-virtual address of the page; 0. */
  readonly address?: bigint
  /** Most instructions, at least 1. Otherwise `LIMITS` of the translator. */
  readonly instructions?: number
  /** Columns of WebAssembly text. */
  readonly width?: number
}

/**
 * Translates a page of code without a machine, as an engine does once the page is hot, and shows what comes out. An
 * engine leaves out what was never executed; here all code that can be reached counts as executed.
 *
 * @param code - the page's bytes, 4096 or fewer; what is missing is no code
 * @param entries - offsets where control arrives
 * @throws typed `no-instruction` when none that can be translated begins at an entry, `code-length` for a longer page
 */
export function translatePage(code: Uint8Array, entries: readonly number[], options: PageTranslationOptions = {}): PageTranslation {
  if (code.length > PAGE_SIZE) throw machinistError({ code: 'code-length', part: 'translatePage', value: code.length, remedy: `Give at most ${PAGE_SIZE} bytes` }, 'more than a page')
  const { address = 0n } = options
  const page = new DataView(new ArrayBuffer(PAGE_SIZE))
  new Uint8Array(page.buffer).set(code)
  const bitsAt = (offset: number): number => {
    const half = page.getUint16(offset, true)
    return (half & 3) !== 3 || offset + 4 > PAGE_SIZE ? half : page.getUint32(offset, true)
  }
  const decoded = emptyDecoded()
  const reached = (offset: number): boolean =>
    offset % 2 === 0 && offset + 2 <= code.length && decode(bitsAt(offset), decoded).number !== 0 && offset + decoded.length <= code.length
  for (const entry of entries) {
    if (reached(entry)) continue
    const value = hex(address + BigInt(entry))
    throw machinistError({ code: 'no-instruction', part: 'page', value, remedy: 'Give the address of an instruction that lies wholly in one page' }, 'no instruction that can be translated begins there')
  }

  const purposes: { readonly position: number; readonly purpose: CodePurpose }[] = []
  const locals = new Map([[0, 'entry'], [1, 'unit'], [2, 'budget']])
  const labels = new Map<number, string>()
  const regions = new Regions(0, false)
  const source = { roots: entries, arrivals: [], ...regions.page(() => page, reached, hartLayout.size) }
  const { bytes, graphs } = writeRegions([source], regions, options.instructions === undefined ? LIMITS : { enough: options.instructions, most: options.instructions }, {
    code: (position, purpose) => purposes.push({ position, purpose }),
    local: (local, what) => locals.set(local.index, typeof what === 'number' ? registerName(what) : what),
    label: (position, name) => labels.set(position, name),
  })
  const graph = graphs[0] ?? { blocks: [], entries: [], byOffset: new Map<number, number>() }
  const list = ({ offset, length }: Instruction): ListedInstruction => {
    const bits = bitsAt(offset)
    return { address: address + BigInt(offset), bits, length, text: disassemble(bits, address + BigInt(offset)).text }
  }

  const module = readModule(bytes)
  const region = module.functions.find(({ name }) => name === 'r0')
  const lines = region ? functionText(module, region, { locals, labels, brief: true, ...(options.width !== undefined && { width: options.width }) }) : []
  let next = 0
  return {
    wasm: bytes,
    blocks: graph.blocks.map((block) => listBlock(block, graph, address, list)),
    nesting: structure(graph),
    code: purposes.map(({ purpose }, i): ListedCode => {
      const end = purposes[i + 1]?.position ?? Infinity
      const own: TextLine[] = []
      for (let line = lines[next]; line && line.position < end; line = lines[++next]) own.push({ ...line, text: withFields(line.text) })
      return {
        kind: purpose.kind,
        block: purpose.kind === 'entry' ? null : purpose.block,
        instruction: purpose.kind === 'instruction' ? list(purpose.instruction) : null,
        lines: own,
      }
    }),
  }
}

function listBlock(block: Block, graph: Graph, address: bigint, list: (instruction: Instruction) => ListedInstruction): ListedBlock {
  const entry = graph.entries.indexOf(block.offset)
  const waysOut: WayOut[] = []
  const to = (offset: number): void => {
    if (!graph.byOffset.has(offset)) waysOut.push({ kind: 'address', address: BigInt.asUintN(64, address + BigInt(offset)) })
  }
  const flow = block.instructions.at(-1)?.flow
  if (flow?.kind === 'indirect') waysOut.push({ kind: 'indirect' })
  else if (flow?.kind === 'leave') waysOut.push({ kind: 'escape' })
  else {
    if (flow?.kind !== 'jump') to(block.end)
    if (flow?.kind === 'jump' || flow?.kind === 'branch') to(flow.target)
  }
  return { entry: entry < 0 ? null : entry, instructions: block.instructions.map(list), successors: block.successors, waysOut }
}

/** The ABI name of one of the translator's registers. */
function registerName(register: number): string {
  const first = floatRegister(0)
  return (register < first ? registerNames[register + 1] : floatRegisterNames[register - first]) ?? `r${register}`
}

const fieldAt: ReadonlyMap<number, string> = new Map(Object.entries(hartLayout.offset).map(([name, offset]) => [offset, name]))

/** Says which field of the hart's record is accessed, but for registers, whose locals have their names. */
function withFields(text: string): string {
  const names = [...text.matchAll(/offset=([0-9]+)\s+\(i32\.const 0\)/g)].map(([, offset]) => fieldAt.get(Number(offset))).filter((name) => name !== undefined && name !== 'x' && name !== 'f')
  return names.length === 0 ? text : `${text}  ;; ${names.join(', ')}`
}

function hex(value: bigint): string {
  return `0x${BigInt.asUintN(64, value).toString(16)}`
}
