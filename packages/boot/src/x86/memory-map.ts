import { alignDown } from '../bytes.ts'

/** A range of guest-physical addresses. */
export interface AddressRange {
  readonly base: number
  /** Bytes. */
  readonly size: number
}

/** What a range is, by the numbers of INT 15H, E820H (ACPI 6.5, table 15.4), which all protocols use. */
export const MEMORY_TYPE = { ram: 1, reserved: 2 } as const

/** One line of the map that a kernel is given. */
export interface MemoryMapEntry extends AddressRange {
  readonly type: typeof MEMORY_TYPE[keyof typeof MEMORY_TYPE]
}

const MIB = 2 ** 20
const PAGE = 4096
/** Where conventional memory ends: the last KiB below 640 KiB is where software looks for the extended BIOS data area. */
export const LOW_END = 0x9_fc00
/** Firmware's part of the first MiB, which software searches for tables: RSDP from 0xe0000 on, MP tables from 0xf0000 on. */
export const FIRMWARE: AddressRange = { base: 0xe_0000, size: 0x2_0000 }

/**
 * The map of memory: RAM, of whose first MiB only conventional memory counts, and what is reserved. In order of addresses, nothing twice.
 *
 * @param reserved - ranges outside of RAM: what no driver may use but who has it by other tables (ECAM)
 */
export function memoryMap(ram: readonly AddressRange[], reserved: readonly AddressRange[] = []): readonly MemoryMapEntry[] {
  const entries: MemoryMapEntry[] = [
    { base: LOW_END, size: 0xa_0000 - LOW_END, type: MEMORY_TYPE.reserved },
    { ...FIRMWARE, type: MEMORY_TYPE.reserved },
    ...reserved.map((range) => ({ ...range, type: MEMORY_TYPE.reserved })),
  ]
  for (const { base, size } of ram) {
    const end = base + size
    if (base < LOW_END) entries.push({ base, size: Math.min(end, LOW_END) - base, type: MEMORY_TYPE.ram })
    const from = Math.max(base, MIB)
    if (end > from) entries.push({ base: from, size: end - from, type: MEMORY_TYPE.ram })
  }
  return entries.sort((a, b) => a.base - b.base)
}

/** Whether `size` bytes at `base` are RAM that a kernel may have been put into. */
export function isRam(map: readonly MemoryMapEntry[], base: number, size: number): boolean {
  return map.some((entry) => entry.type === MEMORY_TYPE.ram && base >= entry.base && base + size <= entry.base + entry.size)
}

/**
 * The highest page at which `size` bytes find room in RAM, below `limit` and from `from` on; −1 when there is none.
 */
export function highest(map: readonly MemoryMapEntry[], size: number, from: number, limit: number): number {
  for (const { base, size: room, type } of [...map].reverse()) {
    if (type !== MEMORY_TYPE.ram) continue
    const at = alignDown(Math.min(base + room, limit) - size, PAGE)
    if (at >= Math.max(base, from)) return at
  }
  return -1
}
