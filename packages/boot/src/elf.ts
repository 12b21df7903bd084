import { machinistError } from '@machinist/api'
import { alignUp, viewOf } from './bytes.ts'
import { decodeUtf8 } from './text.ts'

/** Numbers of the ELF format: System V ABI, chapters 4 and 5. */
const MAGIC = 0x464c_457f
const CLASS = { elf32: 1, elf64: 2 } as const
const DATA_LITTLE = 1
const SEGMENT = { load: 1, note: 4 } as const
/** Notes beyond this many are not read: those that count come first. */
const MAX_NOTES = 1024
const SECTION = { symbols: 2, nobits: 8 } as const

/** `e_machine` of the processors that Machinist knows. */
export const ELF_MACHINE = { i386: 3, amd64: 62, arm64: 183, riscv: 243 } as const

/** Sizes, offsets and physical addresses beyond this are refused: the sum of two stays exact. */
const MAX_SIZE = 1n << 51n

/** Names longer than this are cut: names may overlap, so their sum is not bounded by the file. */
const MAX_NAME = 1024

/** A part of the file that goes to memory (`PT_LOAD`). */
export interface ElfSegment {
  /** Physical address (`p_paddr`). */
  readonly address: number
  /** Virtual address (`p_vaddr`). */
  readonly virtualAddress: bigint
  /** What the file holds of it. */
  readonly bytes: Uint8Array
  /** Bytes it takes in memory; those after `bytes` are zero. */
  readonly memorySize: number
  /** `p_flags`: 1 execute, 2 write, 4 read. */
  readonly flags: number
  /** Whether it is nothing but the file's own headers, for which some linkers make a segment below the program. */
  readonly headers: boolean
}

/** A section; linkers and kernel modules have them, programs to load need none. */
export interface ElfSection {
  readonly name: string
  /** `sh_type`. */
  readonly type: number
  readonly address: bigint
  /** Empty for `SHT_NOBITS`. */
  readonly bytes: Uint8Array
}

/** An entry of the symbol table. */
export interface ElfSymbol {
  readonly name: string
  readonly value: bigint
  readonly size: bigint
  /** `st_info & 15`: 0 none, 1 object, 2 function, 3 section, 4 file. */
  readonly type: number
}

/** A note (`PT_NOTE`). */
export interface ElfNote {
  /** Who made it: `'Xen'`, `'GNU'`. */
  readonly name: string
  readonly type: number
  readonly bytes: Uint8Array
}

/** A parsed ELF file. */
export interface ElfFile {
  readonly bits: 32 | 64
  /** `e_type`: 1 relocatable, 2 executable, 3 shared. */
  readonly type: number
  /** `e_machine`; see {@link ELF_MACHINE}. */
  readonly machine: number
  /** `e_entry`, a virtual address. */
  readonly entryVirtual: bigint
  /** The physical address of `e_entry`, or null when no segment holds it; an address that is virtual in none is taken for physical. */
  readonly entry: number | null
  readonly segments: readonly ElfSegment[]
  readonly sections: readonly ElfSection[]
  /** The notes of its segments, in order. */
  readonly notes: readonly ElfNote[]
  /** The symbols of `.symtab`, in order; none when the file was stripped. */
  symbols(): Iterable<ElfSymbol>
}

/** Whether `bytes` begin like an ELF file. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && viewOf(bytes).getUint32(0, true) === MAGIC
}

interface SectionHeader extends Omit<ElfSection, 'name'> {
  readonly nameOffset: number
  readonly link: number
}

/** Reads the fields of one ELF class, each once, with its range checked. */
class Reader {
  readonly wide: boolean
  readonly bytes: Uint8Array
  readonly part: string
  readonly #view: DataView

  constructor(bytes: Uint8Array, wide: boolean, part: string) {
    this.bytes = bytes
    this.wide = wide
    this.part = part
    this.#view = viewOf(bytes)
  }

  fail(problem: string, value?: string | number, code: string = 'elf-malformed'): Error {
    return machinistError({ code, part: this.part, value, remedy: 'Give a complete little-endian ELF file' }, problem)
  }

  check(from: number, length: number, what: string): void {
    if (from + length > this.bytes.length) throw this.fail(`${what} lies beyond the end of the file`, from, 'elf-truncated')
  }

  half(at: number): number {
    return this.#view.getUint16(at, true)
  }

  word(at: number): number {
    return this.#view.getUint32(at, true)
  }

  /** A field that is as wide as an address. */
  address(at: number): bigint {
    return this.wide ? this.#view.getBigUint64(at, true) : BigInt(this.#view.getUint32(at, true))
  }

  /** A field that must be a reasonable size, offset or physical address. */
  size(at: number, what: string): number {
    const value = this.address(at)
    if (value > MAX_SIZE) throw this.fail(`impossible ${what}`, `0x${value.toString(16)}`)
    return Number(value)
  }

  slice(from: number, length: number, what: string): Uint8Array {
    this.check(from, length, what)
    return this.bytes.subarray(from, from + length)
  }

  text(table: Uint8Array, from: number): string {
    const limit = Math.min(table.length, from + MAX_NAME)
    let end = from
    while (end < limit && table[end] !== 0) end++
    return decodeUtf8(table.subarray(from, end))
  }
}

/** Offsets of a program header's entries of one type. */
function programHeaders(reader: Reader, type: number): readonly { readonly index: number; readonly at: number; readonly end: number }[] {
  const { wide } = reader
  const table = reader.size(wide ? 32 : 28, 'program header offset')
  const entrySize = reader.half(wide ? 54 : 42)
  const count = reader.half(wide ? 56 : 44)
  if (count === 0) return []
  if (entrySize < (wide ? 56 : 32)) throw reader.fail('impossible program header size', entrySize)
  reader.check(table, count * entrySize, 'the program header table')
  return Array.from({ length: count }, (_, index) => ({ index, at: table + index * entrySize, end: table + count * entrySize }))
    .filter(({ at }) => reader.word(at) === type)
}

function readSegments(reader: Reader): ElfSegment[] {
  const { wide } = reader
  const segments: ElfSegment[] = []
  for (const { index, at, end } of programHeaders(reader, SEGMENT.load)) {
    const [flags, offset, virtual, physical, fileSize, memory] = wide ? [4, 8, 16, 24, 32, 40] as const : [24, 4, 8, 12, 16, 20] as const
    const memorySize = reader.size(at + memory, 'segment size')
    if (memorySize === 0) continue
    const from = reader.size(at + offset, 'segment offset')
    const bytes = reader.slice(from, reader.size(at + fileSize, 'segment size'), `segment ${index}`)
    if (bytes.length > memorySize) throw reader.fail('a segment is larger in the file than in memory', index)
    segments.push({
      address: reader.size(at + physical, 'physical address'),
      virtualAddress: reader.address(at + virtual),
      bytes,
      memorySize,
      flags: reader.word(at + flags),
      headers: from === 0 && bytes.length <= end && memorySize === bytes.length,
    })
  }
  return segments
}

/** Notes have names and contents padded to 4 bytes, or to 8 where the segment is aligned so. One that is cut short ends its segment. */
function readNotes(reader: Reader): ElfNote[] {
  const { wide } = reader
  const notes: ElfNote[] = []
  for (const { index, at } of programHeaders(reader, SEGMENT.note)) {
    const [offset, fileSize, align] = wide ? [8, 32, 48] as const : [4, 16, 28] as const
    const bytes = reader.slice(reader.size(at + offset, 'segment offset'), reader.size(at + fileSize, 'segment size'), `segment ${index}`)
    const unit = reader.word(at + align) === 8 ? 8 : 4
    const view = viewOf(bytes)
    for (let from = 0; from + 12 <= bytes.length && notes.length < MAX_NOTES;) {
      const [nameSize, size, type] = [view.getUint32(from, true), view.getUint32(from + 4, true), view.getUint32(from + 8, true)]
      const content = from + alignUp(12 + nameSize, unit)
      if (content + size > bytes.length) break
      notes.push({ name: reader.text(bytes.subarray(from + 12, from + 12 + nameSize), 0), type, bytes: bytes.subarray(content, content + size) })
      from = content + alignUp(size, unit)
    }
  }
  return notes
}

function readSections(reader: Reader): { readonly headers: readonly SectionHeader[]; readonly names: Uint8Array } {
  const { wide } = reader
  const table = reader.size(wide ? 40 : 32, 'section header offset')
  const entrySize = reader.half(wide ? 58 : 46)
  const count = reader.half(wide ? 60 : 48)
  const nameIndex = reader.half(wide ? 62 : 50)
  if (table === 0 || count === 0) return { headers: [], names: new Uint8Array(0) }
  if (entrySize < (wide ? 64 : 40)) throw reader.fail('impossible section header size', entrySize)
  reader.check(table, count * entrySize, 'the section header table')
  const headers: SectionHeader[] = []
  for (let index = 0; index < count; index++) {
    const at = table + index * entrySize
    const type = reader.word(at + 4)
    const [address, offset, size, link] = wide ? [16, 24, 32, 40] as const : [12, 16, 20, 24] as const
    const empty = type === SECTION.nobits || type === 0
    headers.push({
      nameOffset: reader.word(at),
      type,
      address: reader.address(at + address),
      bytes: empty ? new Uint8Array(0) : reader.slice(reader.size(at + offset, 'section offset'), reader.size(at + size, 'section size'), `section ${index}`),
      link: reader.word(at + link),
    })
  }
  return { headers, names: headers[nameIndex]?.bytes ?? new Uint8Array(0) }
}

function* readSymbols(reader: Reader, headers: readonly SectionHeader[]): Generator<ElfSymbol> {
  const header = headers.find(({ type }) => type === SECTION.symbols)
  if (header === undefined) return
  const names = headers[header.link]?.bytes ?? new Uint8Array(0)
  const table = new Reader(header.bytes, reader.wide, reader.part)
  const entrySize = reader.wide ? 24 : 16
  for (let at = 0; at + entrySize <= header.bytes.length; at += entrySize) {
    const [info, value, size] = reader.wide ? [4, 8, 16] as const : [12, 4, 8] as const
    yield {
      name: table.text(names, table.word(at)),
      value: table.address(at + value),
      size: table.address(at + size),
      type: (header.bytes[at + info] ?? 0) & 15,
    }
  }
}

/**
 * Reads a little-endian ELF file of 32 or 64 bits. Bytes are views of `bytes`, not copies.
 *
 * @param bytes - the file
 * @param part - what to call it in errors
 * @throws typed `elf-magic`, `elf-truncated` or `elf-malformed`
 */
export function parseElf(bytes: Uint8Array, part: string = 'program'): ElfFile {
  const elfClass = bytes[4]
  const reader = new Reader(bytes, elfClass === CLASS.elf64, part)
  if (!isElf(bytes)) throw reader.fail('not an ELF file', undefined, 'elf-magic')
  reader.check(0, elfClass === CLASS.elf64 ? 64 : 52, 'the file header')
  if (elfClass !== CLASS.elf32 && elfClass !== CLASS.elf64) throw reader.fail('unknown ELF class', elfClass)
  if (bytes[5] !== DATA_LITTLE) throw reader.fail('not little-endian', bytes[5])

  const entryVirtual = reader.address(24)
  const segments = readSegments(reader)
  const { headers, names } = readSections(reader)
  const holder = segments.find((s) => entryVirtual >= s.virtualAddress && entryVirtual < s.virtualAddress + BigInt(s.memorySize))
  const physical = segments.some(({ address, memorySize }) => entryVirtual >= BigInt(address) && entryVirtual < BigInt(address + memorySize))
  return {
    bits: reader.wide ? 64 : 32,
    type: reader.half(16),
    machine: reader.half(18),
    entryVirtual,
    entry: holder !== undefined ? holder.address + Number(entryVirtual - holder.virtualAddress) : physical ? Number(entryVirtual) : null,
    segments,
    notes: readNotes(reader),
    sections: headers.map(({ nameOffset, type, address, bytes: content }) => ({ name: reader.text(names, nameOffset), type, address, bytes: content })),
    symbols: () => readSymbols(reader, headers),
  }
}
