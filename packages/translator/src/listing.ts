import { functionText, readModule, type TextLine } from '@machinist/wasm'
import type { CodePurpose, Instruction } from './code.ts'
import { LIMITS, type RegionModule, type RegionSource, writeRegions } from './compiler.ts'
import type { Block, Graph } from './graph.ts'
import { type Item, structure } from './structure.ts'

/** A guest instruction of a listing. */
export interface ListedInstruction {
  /** Guest-virtual address. */
  readonly address: bigint
  /** Bytes. */
  readonly length: number
  /** Its encoding in hexadecimal digits, as disassemblers for its instruction set show it. */
  readonly code: string
  readonly text: string
}

/** How control may leave the region at the end of a block. */
export type ListedWayOut =
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
  readonly waysOut: readonly ListedWayOut[]
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
  /** The module. It imports what it needs of the engine, and finds the processor's record at address 0. */
  readonly wasm: Uint8Array<ArrayBuffer>
}

/** What a listing is to be like. */
export interface PageTranslationOptions {
  /** Guest-virtual address of the page; 0. */
  readonly address?: bigint
  /** Most instructions, at least 1. Otherwise what the translator takes at most. */
  readonly instructions?: number
  /** Columns of WebAssembly text. */
  readonly width?: number
}

/** What an instruction set has to say for {@link listRegion}. */
export interface ListingNames {
  /** Encoding and text of the instruction at an offset. */
  instruction(offset: number, length: number): Pick<ListedInstruction, 'code' | 'text'>
  /** The name of one of the front end's registers. */
  register(number: number): string
  /** What lies in the processor's record at an offset; undefined where that is no news. */
  field(offset: number): string | undefined
}

/** The address of an instruction at an offset, as the instruction set cuts addresses. */
function addressOf({ frontend: { addressMask = 0xffff_ffff_ffff_ffffn } }: RegionSource, unit: bigint, offset: number): bigint {
  return unit + BigInt(offset) & addressMask
}

/**
 * Writes the region of one unit whose record is at address 0, as it would be for a machine, and shows what came out.
 *
 * @param names - what things are called
 */
export function listRegion(source: RegionSource, module: RegionModule, names: ListingNames, { address = 0n, instructions, width }: PageTranslationOptions = {}): PageTranslation {
  const purposes: { readonly position: number; readonly purpose: CodePurpose }[] = []
  const locals = new Map([[0, 'entry'], [1, 'unit'], [2, 'budget']])
  const labels = new Map<number, string>()
  const { bytes, graphs } = writeRegions([source], module, instructions === undefined ? LIMITS : { enough: instructions, most: instructions }, {
    code: (position, purpose) => purposes.push({ position, purpose }),
    local: (local, what) => locals.set(local.index, typeof what === 'number' ? names.register(what) : what),
    label: (position, name) => labels.set(position, name),
  })
  const graph = graphs[0] ?? { blocks: [], entries: [], byOffset: new Map<number, number>() }
  const list = ({ offset, length }: Instruction): ListedInstruction => ({ address: addressOf(source, address, offset), length, ...names.instruction(offset, length) })
  const read = readModule(bytes)
  const region = read.functions.find(({ name }) => name === 'r0')
  const lines = region ? functionText(read, region, { locals, labels, brief: true, ...(width !== undefined && { width }) }) : []
  let next = 0
  return {
    wasm: bytes,
    blocks: graph.blocks.map((block) => listBlock(block, graph, (offset) => addressOf(source, address, offset), list)),
    nesting: structure(graph),
    code: purposes.map(({ purpose }, i): ListedCode => {
      const end = purposes[i + 1]?.position ?? Infinity
      const own: TextLine[] = []
      for (let line = lines[next]; line && line.position < end; line = lines[++next]) own.push({ ...line, text: withFields(line.text, names) })
      return {
        kind: purpose.kind,
        block: purpose.kind === 'entry' ? null : purpose.block,
        instruction: purpose.kind === 'instruction' ? list(purpose.instruction) : null,
        lines: own,
      }
    }),
  }
}

function listBlock(block: Block, graph: Graph, at: (offset: number) => bigint, list: (instruction: Instruction) => ListedInstruction): ListedBlock {
  const entry = graph.entries.indexOf(block.offset)
  const waysOut: ListedWayOut[] = []
  const to = (offset: number): void => {
    if (!graph.byOffset.has(offset)) waysOut.push({ kind: 'address', address: at(offset) })
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

/** Says which field of the processor's record is accessed. */
function withFields(text: string, { field }: ListingNames): string {
  const places = [...text.matchAll(/\.(?:load|store)\w*(?: offset=([0-9]+))?\s+\(i32\.const (0x[0-9a-f]+|[0-9]+)\)/g)]
  const found = places.map(([, offset = '0', address = '0']) => field(Number(offset) + Number(address))).filter((name) => name !== undefined)
  return found.length === 0 ? text : `${text}  ;; ${found.join(', ')}`
}
