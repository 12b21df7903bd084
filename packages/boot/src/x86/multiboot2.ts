import { machinistError } from '@machinist/api'
import { alignUp, concatBytes, hex, viewOf } from '../bytes.ts'
import type { BootSegment } from '../riscv-boot.ts'
import { encodeUtf8 } from '../text.ts'
import { LOW, segment } from './low-memory.ts'
import { MEMORY_TYPE, type MemoryMapEntry } from './memory-map.ts'

/** The header (Multiboot2 Specification 2.0, 3.1.1): within the first 32 KiB, at a multiple of 8; for i386 in protected mode. */
const MAGIC = 0xe852_50d6
const SEARCH = 32768
const ARCHITECTURE_I386 = 0
const HEADER = { architecture: 4, length: 8, checksum: 12, tags: 16 } as const
/** Tags of the header (3.1.3 … 3.1.13), and how long they must be. */
const ASK = { end: 0, information: 1, address: 2, entry: 3, console: 4, framebuffer: 5, pages: 6, bootServices: 7, entryEfi32: 8, entryEfi64: 9, relocatable: 10 } as const
const LEAST: Readonly<Record<number, number>> = { [ASK.address]: 24, [ASK.entry]: 12, [ASK.console]: 12, [ASK.relocatable]: 24 }
/** `flags` of a tag: it may be ignored. Of the console: there must be one. */
const [OPTIONAL, CONSOLE_REQUIRED] = [1, 1] as const
/** What information may be asked for: of these there is what there is. */
const MOST_INFORMATION = 21
/** A `load_addr` that means "from the file's beginning". */
const WHOLE_FILE = 0xffff_ffff
/** Tags of the information (3.6). */
const TELL = { end: 0, commandLine: 1, loader: 2, module: 3, memory: 4, map: 6, oldRsdp: 14, rsdp: 15, base: 21 } as const
const MAP_ENTRY = 24
/** Bytes of an RSDP of ACPI 1.0, with which later ones begin. */
const OLD_RSDP = 20
/** What EAX holds, and what EBX points to. */
export const MULTIBOOT2_LOADED = 0x36d7_6289
export const MULTIBOOT2_INFO: number = LOW.lists

/** A header. */
export interface Multiboot2Header {
  /** Where to load the file, when its header says so; otherwise it is an ELF file. */
  readonly placed: { readonly address: number; readonly bytes: Uint8Array; readonly memorySize: number } | null
  /** Where to begin; null for the entry of the ELF file. */
  readonly entry: number | null
  /** Whether it wants to be told where it was loaded. */
  readonly relocatable: boolean
}

/**
 * Finds the Multiboot2 header of a file; null when it has none.
 *
 * @throws typed `multiboot-feature` when it wants what a boot loader must refuse, or `multiboot-malformed`
 */
export function multiboot2Header(bytes: Uint8Array, part: string = 'kernel'): Multiboot2Header | null {
  const view = viewOf(bytes)
  const end = Math.min(bytes.length, SEARCH)
  for (let at = 0; at + HEADER.tags <= end; at += 8) {
    if (view.getUint32(at, true) !== MAGIC || view.getUint32(at + HEADER.architecture, true) !== ARCHITECTURE_I386) continue
    const length = view.getUint32(at + HEADER.length, true)
    if ((MAGIC + ARCHITECTURE_I386 + length + view.getUint32(at + HEADER.checksum, true)) >>> 0 !== 0) continue
    if (length < HEADER.tags + 8 || at + length > end) throw malformed(part, `length ${length}`)
    return readTags(bytes, view, at, at + length, part)
  }
  return null
}

function malformed(part: string, value: string): Error {
  return machinistError({ code: 'multiboot-malformed', part, value, remedy: 'Give a complete file' }, 'impossible tags in its multiboot2 header')
}

function readTags(bytes: Uint8Array, view: DataView, header: number, end: number, part: string): Multiboot2Header {
  const refuse = (what: string): Error => machinistError(
    { code: 'multiboot-feature', part, value: what, remedy: 'Make that tag of its header optional: there are memory, modules and ACPI, and no screen' }, 'its multiboot2 header wants what is not there')
  let [entry, placed, relocatable] = [null as number | null, null as Multiboot2Header['placed'], false]
  for (let at = header + HEADER.tags; ; ) {
    if (at + 8 > end) throw malformed(part, 'no last tag')
    const [type, flags, size] = [view.getUint16(at, true), view.getUint16(at + 2, true), view.getUint32(at + 4, true)]
    if (size < (LEAST[type] ?? 8) || at + size > end) throw malformed(part, `tag ${type} of ${size} bytes`)
    const required = (flags & OPTIONAL) === 0
    const word = (offset: number): number => view.getUint32(at + offset, true)
    if (type === ASK.end) break
    if (type === ASK.information) {
      for (let offset = 8; offset + 4 <= size && required; offset += 4) if (word(offset) > MOST_INFORMATION) throw refuse(`information ${word(offset)}`)
    } else if (type === ASK.address) placed = placedAt(bytes, header, [word(8), word(12), word(16), word(20)], part)
    else if (type === ASK.entry) entry = word(8)
    else if (type === ASK.relocatable) relocatable = true
    else if (type === ASK.console ? (word(8) & CONSOLE_REQUIRED) !== 0 && required : required && (type === ASK.framebuffer || type > ASK.relocatable)) throw refuse(`tag ${type}`)
    at += alignUp(size, 8)
  }
  if (placed !== null && entry === null) throw malformed(part, 'an address and no entry')
  return { placed, entry, relocatable }
}

/** What the tag with addresses says (3.1.5): of the header, of what is loaded and its end, and of the end of what is zero. */
function placedAt(bytes: Uint8Array, header: number, [headerAddress, load, loadEnd, bssEnd]: readonly [number, number, number, number], part: string): NonNullable<Multiboot2Header['placed']> {
  const address = load === WHOLE_FILE ? headerAddress - header : load
  const from = header - (headerAddress - address)
  const end = loadEnd === 0 ? bytes.length : from + loadEnd - address
  if (address < 0 || headerAddress < address || from < 0 || end < from || end > bytes.length) throw malformed(part, `address ${hex(headerAddress)}`)
  return { address, bytes: bytes.subarray(from, end), memorySize: Math.max(end - from, bssEnd - address) }
}

/** What a kernel is told. */
export interface Multiboot2Told {
  /** With the zero at its end. */
  readonly commandLine: Uint8Array
  readonly initrd: { readonly start: number; readonly size: number } | null
  readonly map: readonly MemoryMapEntry[]
  /** The ACPI root pointer; null for none. */
  readonly rsdp: Uint8Array | null
  /** Where it was loaded, for one that can be elsewhere. */
  readonly base: number | null
}

/** The information, a piece of tags at `MULTIBOOT2_INFO`. */
export function multiboot2Info({ commandLine, initrd, map, rsdp, base }: Multiboot2Told): BootSegment {
  const words = (...values: readonly number[]): Uint8Array => {
    const bytes = new Uint8Array(4 * values.length)
    values.forEach((value, index) => { viewOf(bytes).setUint32(4 * index, value, true) })
    return bytes
  }
  const tag = (type: number, ...content: readonly Uint8Array[]): Uint8Array => {
    const body = concatBytes(content)
    const size = 8 + body.length
    return concatBytes([words(type, size), body, new Uint8Array(alignUp(size, 8) - size)])
  }
  const kib = (from: number): number => Math.min(0xffff_ffff, (map.find(({ base: at, type }) => type === MEMORY_TYPE.ram && at === from)?.size ?? 0) / 1024)
  const wide = (value: number): readonly [number, number] => [value % 2 ** 32, Math.floor(value / 2 ** 32)]
  const tags = concatBytes([
    tag(TELL.commandLine, commandLine),
    tag(TELL.loader, encodeUtf8('Machinist\0')),
    ...initrd === null ? [] : [tag(TELL.module, words(initrd.start, initrd.start + initrd.size), Uint8Array.of(0))],
    tag(TELL.memory, words(kib(0), kib(2 ** 20))),
    tag(TELL.map, words(MAP_ENTRY, 0, ...map.flatMap((entry) => [...wide(entry.base), ...wide(entry.size), entry.type, 0]))),
    ...rsdp === null ? [] : [tag(TELL.oldRsdp, rsdp.subarray(0, OLD_RSDP)), tag(TELL.rsdp, rsdp)],
    ...base === null ? [] : [tag(TELL.base, words(base))],
    tag(TELL.end),
  ])
  return segment('multiboot information', MULTIBOOT2_INFO, concatBytes([words(8 + tags.length, 0), tags]))
}
