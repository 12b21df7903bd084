/** Numbers of the flattened format: Devicetree Specification 0.4, chapter 5. */

/** Header field `magic`. */
export const FDT_MAGIC = 0xd00dfeed
/** The version written, and the newest one read. */
export const FDT_VERSION = 17
/** Readers of this version or later understand what is written (`last_comp_version`). */
export const FDT_LAST_COMPATIBLE_VERSION = 16

/** Bytes of the header (section 5.2). */
export const FDT_HEADER_SIZE = 40
/** Byte offsets of the header's big-endian 32-bit fields (section 5.2). */
export const FDT_HEADER = {
  magic: 0,
  totalsize: 4,
  off_dt_struct: 8,
  off_dt_strings: 12,
  off_mem_rsvmap: 16,
  version: 20,
  last_comp_version: 24,
  boot_cpuid_phys: 28,
  size_dt_strings: 32,
  size_dt_struct: 36,
} as const

/** Bytes of an entry of the memory reservation block: address and size, 64 bits each (section 5.3). */
export const FDT_RESERVATION_SIZE = 16

/** Tokens of the structure block (section 5.4.1). */
export const FDT_TOKEN = { beginNode: 1, endNode: 2, prop: 3, nop: 4, end: 9 } as const
