import { viewOf } from '../bytes.ts'
import type { ElfFile } from '../elf.ts'
import { LOW, segment } from './low-memory.ts'
import type { MemoryMapEntry } from './memory-map.ts'
import type { BootSegment } from '../riscv-boot.ts'

/** The note with the address where a guest is entered (Xen, public/elfnote.h: XEN_ELFNOTE_PHYS32_ENTRY). */
const NOTE = { name: 'Xen', type: 18 } as const
/** `hvm_start_info`, `hvm_modlist_entry` and `hvm_memmap_table_entry` (Xen, public/arch-x86/hvm/start_info.h). */
const MAGIC = 0x336e_c578
const VERSION = 1
const SIZE = { info: 56, module: 32, entry: 24 } as const

/** Where a kernel is entered by PVH; null when it is none. */
export function pvhEntry(elf: ElfFile): number | null {
  const note = elf.notes.find(({ name, type, bytes }) => name === NOTE.name && type === NOTE.type && bytes.length >= 4)
  return note === undefined ? null : viewOf(note.bytes).getUint32(0, true)
}

/** What a guest is told: the structure at `LOW.info`, and its lists. */
export function pvhInfo(
  commandLine: number, initrd: { readonly start: number; readonly size: number } | null, map: readonly MemoryMapEntry[], rsdp: number,
): readonly BootSegment[] {
  const info = new Uint8Array(SIZE.info)
  const lists = new Uint8Array(SIZE.module + SIZE.entry * map.length)
  const [view, list] = [viewOf(info), viewOf(lists)]
  view.setUint32(0, MAGIC, true)
  view.setUint32(4, VERSION, true)
  view.setUint32(12, initrd === null ? 0 : 1, true)
  view.setBigUint64(16, BigInt(initrd === null ? 0 : LOW.lists), true)
  view.setBigUint64(24, BigInt(commandLine), true)
  view.setBigUint64(32, BigInt(rsdp), true)
  view.setBigUint64(40, BigInt(LOW.lists + SIZE.module), true)
  view.setUint32(48, map.length, true)
  list.setBigUint64(0, BigInt(initrd?.start ?? 0), true)
  list.setBigUint64(8, BigInt(initrd?.size ?? 0), true)
  for (const [index, { base, size, type }] of map.entries()) {
    const at = SIZE.module + SIZE.entry * index
    list.setBigUint64(at, BigInt(base), true)
    list.setBigUint64(at + 8, BigInt(size), true)
    list.setUint32(at + 16, type, true)
  }
  return [segment('start info', LOW.info, info), segment('start info', LOW.lists, lists)]
}
