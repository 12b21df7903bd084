import type { BootSegment } from '../riscv-boot.ts'

/** Where in conventional memory what a kernel is told lies. Kernels copy what they want of it, and use the rest as RAM. */
export const LOW = {
  gdt: 0x500,
  /** Six pages. */
  pages: 0x1000,
  /** `boot_params`, or the information of another protocol. */
  info: 0x7000,
  /** Lists that the information points to, and random bytes. */
  lists: 0x8000,
  commandLine: 0x2_0000,
} as const

/** Bytes of a command line that there is room for. */
export const MAX_COMMAND_LINE = 0x1_0000

/** Selectors of flat segments: those that Linux has in its boot protocol (`__BOOT_CS`, `__BOOT_DS`), and a task. */
export const SELECTOR = { code: 0x10, data: 0x18, task: 0x20 } as const

const GDT_ENTRIES = 5
/** Descriptors (SDM volume 3, 3.4.5): present, 4 GiB; code of 64 or of 32 bits, data, an available task of 104 bytes at 0. */
const DESCRIPTOR = { code64: 0x00af_9b00_0000_ffffn, code32: 0x00cf_9b00_0000_ffffn, data: 0x00cf_9300_0000_ffffn, task: 0x0000_8b00_0000_0067n } as const

/** Where a kernel finds the descriptors that its segment registers hold. */
export const BOOT_GDT: { readonly base: number; readonly limit: number } = { base: LOW.gdt, limit: 8 * GDT_ENTRIES - 1 }

/** The global descriptor table. */
export function descriptors(bits: 32 | 64): BootSegment {
  const table = new BigUint64Array(GDT_ENTRIES)
  table[SELECTOR.code / 8] = bits === 64 ? DESCRIPTOR.code64 : DESCRIPTOR.code32
  table[SELECTOR.data / 8] = DESCRIPTOR.data
  table[SELECTOR.task / 8] = DESCRIPTOR.task
  return segment('gdt', LOW.gdt, littleEndian(table))
}

const ENTRIES = 512
const LARGE_PAGE = 2 ** 21
/** Present, writable; of a large page too. */
const [TABLE, PAGE] = [3, 0x83] as const
/** GiB that are mapped. */
const GIBS = 4

/** Page tables of four levels that map the first 4 GiB to themselves, by pages of 2 MiB (SDM volume 3, 4.5). */
export function identityPages(): BootSegment {
  const words = new BigUint64Array((2 + GIBS) * ENTRIES)
  const at = (table: number): bigint => BigInt(LOW.pages + 4096 * table + TABLE)
  words[0] = at(1)
  for (let gib = 0; gib < GIBS; gib++) words[ENTRIES + gib] = at(2 + gib)
  for (let page = 0; page < GIBS * ENTRIES; page++) words[2 * ENTRIES + page] = BigInt(page * LARGE_PAGE + PAGE)
  return segment('page tables', LOW.pages, littleEndian(words))
}

/** Bytes at an address. */
export function segment(part: string, address: number, bytes: Uint8Array): BootSegment {
  return { part, address, bytes, memorySize: bytes.length }
}

function littleEndian(words: BigUint64Array): Uint8Array {
  const bytes = new Uint8Array(8 * words.length)
  const view = new DataView(bytes.buffer)
  for (const [index, word] of words.entries()) view.setBigUint64(8 * index, word, true)
  return bytes
}
