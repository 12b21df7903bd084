import { machinistError } from '@machinist/api'
import { hex, viewOf } from '../bytes.ts'
import type { BootSegment } from '../riscv-boot.ts'
import { encodeUtf8 } from '../text.ts'
import { LOW, segment } from './low-memory.ts'
import { MEMORY_TYPE, type MemoryMapEntry } from './memory-map.ts'

/** The header (Multiboot Specification 0.6.96, 3.1): within the first 8 KiB, at a multiple of 4. */
const MAGIC = 0x1bad_b002
const SEARCH = 8192
const HEADER = { flags: 4, checksum: 8, headerAddress: 12, load: 16, loadEnd: 20, bssEnd: 24, entry: 28, least: 12, addresses: 32 } as const
/** Flags of the header: modules at pages, memory, a video mode are what it may ask for; above, where its addresses are. */
const ASK = { known: 7, required: 0xffff, addresses: 0x1_0000 } as const
/** Flags of the information (3.3), and its length. */
const TELL = { memory: 1, commandLine: 4, modules: 8, map: 0x40, loader: 0x200 } as const
const INFO = { flags: 0, lower: 4, upper: 8, commandLine: 16, moduleCount: 20, modules: 24, mapLength: 44, map: 48, loader: 64, size: 116 } as const
const SIZE = { module: 16, entry: 24 } as const
/** What EAX holds. */
export const MULTIBOOT_LOADED = 0x2bad_b002

/** A header. */
export interface MultibootHeader {
  /** Where to load the file, when its header says so; otherwise it is an ELF file. */
  readonly placed: { readonly entry: number; readonly address: number; readonly bytes: Uint8Array; readonly memorySize: number } | null
}

/**
 * Finds the multiboot header of a file; null when it has none.
 *
 * @throws typed `multiboot-feature` when it wants what a boot loader must refuse, or `multiboot-malformed`
 */
export function multibootHeader(bytes: Uint8Array, part: string = 'kernel'): MultibootHeader | null {
  const view = viewOf(bytes)
  for (let at = 0; at + HEADER.least <= Math.min(bytes.length, SEARCH); at += 4) {
    if (view.getUint32(at, true) !== MAGIC) continue
    const flags = view.getUint32(at + HEADER.flags, true)
    if ((MAGIC + flags + view.getUint32(at + HEADER.checksum, true)) >>> 0 !== 0) continue
    if ((flags & ASK.required & ~ASK.known) !== 0) {
      throw machinistError({ code: 'multiboot-feature', part, value: hex(flags), remedy: 'Give a kernel that asks for memory and modules only' }, 'its multiboot header wants something unknown')
    }
    if ((flags & ASK.addresses) === 0) return { placed: null }
    const fail = (what: string): Error => machinistError({ code: 'multiboot-malformed', part, value: what, remedy: 'Give a complete file' }, 'impossible addresses in its multiboot header')
    if (at + HEADER.addresses > bytes.length) throw fail('header')
    const field = (offset: number): number => view.getUint32(at + offset, true)
    const [address, entry] = [field(HEADER.load), field(HEADER.entry)]
    const from = at - (field(HEADER.headerAddress) - address)
    const end = field(HEADER.loadEnd) === 0 ? bytes.length : from + field(HEADER.loadEnd) - address
    if (field(HEADER.headerAddress) < address || from < 0 || end < from || end > bytes.length) throw fail(hex(address))
    const memorySize = Math.max(end - from, field(HEADER.bssEnd) - address)
    return { placed: { entry, address, bytes: bytes.subarray(from, end), memorySize } }
  }
  return null
}

/** What a kernel is told: the structure at `LOW.info`, and its lists. */
export function multibootInfo(
  commandLine: number, initrd: { readonly start: number; readonly size: number } | null, map: readonly MemoryMapEntry[],
): readonly BootSegment[] {
  const info = new Uint8Array(INFO.size)
  const name = encodeUtf8('Machinist\0')
  const lists = new Uint8Array(SIZE.module + SIZE.entry * map.length + name.length)
  const [view, list] = [viewOf(info), viewOf(lists)]
  view.setUint32(INFO.flags, TELL.memory | TELL.commandLine | TELL.map | TELL.loader | (initrd === null ? 0 : TELL.modules), true)
  const ram = (from: number): number => (map.find(({ base, type }) => type === MEMORY_TYPE.ram && base === from)?.size ?? 0) / 1024
  view.setUint32(INFO.lower, ram(0), true)
  view.setUint32(INFO.upper, ram(2 ** 20), true)
  view.setUint32(INFO.commandLine, commandLine, true)
  if (initrd !== null) {
    view.setUint32(INFO.moduleCount, 1, true)
    view.setUint32(INFO.modules, LOW.lists, true)
    list.setUint32(0, initrd.start, true)
    list.setUint32(4, initrd.start + initrd.size, true)
    // An empty string: the zero at the end of the loader's name.
    list.setUint32(8, LOW.lists + lists.length - 1, true)
  }
  view.setUint32(INFO.mapLength, SIZE.entry * map.length, true)
  view.setUint32(INFO.map, LOW.lists + SIZE.module, true)
  for (const [index, { base, size, type }] of map.entries()) {
    const at = SIZE.module + SIZE.entry * index
    // Its length, which does not count itself.
    list.setUint32(at, SIZE.entry - 4, true)
    list.setBigUint64(at + 4, BigInt(base), true)
    list.setBigUint64(at + 12, BigInt(size), true)
    list.setUint32(at + 20, type, true)
  }
  lists.set(name, SIZE.module + SIZE.entry * map.length)
  view.setUint32(INFO.loader, LOW.lists + SIZE.module + SIZE.entry * map.length, true)
  return [segment('multiboot information', LOW.info, info), segment('multiboot information', LOW.lists, lists)]
}
