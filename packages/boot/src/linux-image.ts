import { machinistError } from '@machinist/api'
import { viewOf } from './bytes.ts'

/**
 * The header of a flat kernel Image: Linux, Documentation/arch/riscv/boot-image-header.rst and
 * Documentation/arch/arm64/booting.rst, which share one layout. All fields are little-endian.
 */
const HEADER = {
  textOffset: 8,
  imageSize: 16,
  flags: 24,
  version: 32,
  magic: 48,
  magic2: 56,
  size: 64,
} as const

/** Offsets in PE/COFF headers: of the file, of the COFF header behind the signature, and of an entry of the section table. */
const PE = {
  offset: 0x3c,
  signature: 0x4550,
  sectionCount: 6,
  optionalSize: 20,
  headerSize: 24,
  rawSize: 16,
  rawOffset: 20,
  sectionSize: 40,
} as const

/** `magic2` of a RISC-V Image: "RSC\x05". */
const MAGIC_RISCV = 0x0543_5352
/** The same field of an arm64 Image: "ARM\x64". */
const MAGIC_ARM64 = 0x644d_5241
/** The only major version of the RISC-V header so far; the minor one is in the low 16 bits. */
const VERSION_MAJOR = 0

/** What a flat kernel Image says about itself. */
export interface LinuxImage {
  readonly architecture: 'riscv' | 'arm64'
  /** Where the image wants to be, in bytes from a 2 MiB boundary at the start of RAM. */
  readonly textOffset: number
  /** Bytes of RAM it needs from its load address on, which includes BSS: never less than `bytes.length`. */
  readonly imageSize: number
  readonly bigEndian: boolean
  /** RISC-V header version, zero for arm64. */
  readonly version: { readonly major: number; readonly minor: number }
  /** What to load. */
  readonly bytes: Uint8Array
}

/**
 * A kernel that UEFI can start is a PE/COFF file as well, whose sections say how long the file is (Microsoft PE/COFF
 * specification, sections 3.1 to 4). Returns 0 for one that is not.
 */
function lengthByPe(bytes: Uint8Array): number {
  const view = viewOf(bytes)
  const pe = bytes[0] === 0x4d && bytes[1] === 0x5a && bytes.length >= HEADER.size ? view.getUint32(PE.offset, true) : 0
  if (pe === 0 || pe + PE.headerSize > bytes.length || view.getUint32(pe, true) !== PE.signature) return 0
  const sections = view.getUint16(pe + PE.sectionCount, true)
  const table = pe + PE.headerSize + view.getUint16(pe + PE.optionalSize, true)
  let end = 0
  for (let at = table; at < table + sections * PE.sectionSize && at + PE.sectionSize <= bytes.length; at += PE.sectionSize) {
    end = Math.max(end, view.getUint32(at + PE.rawOffset, true) + view.getUint32(at + PE.rawSize, true))
  }
  return end
}

/** Whether `bytes` begin like a flat kernel Image of either architecture. */
export function isLinuxImage(bytes: Uint8Array): boolean {
  if (bytes.length < HEADER.size) return false
  const magic2 = viewOf(bytes).getUint32(HEADER.magic2, true)
  return magic2 === MAGIC_RISCV || magic2 === MAGIC_ARM64
}

/** "HdrS" in the boot sector of a Linux kernel for x86 (Documentation/arch/x86/boot.rst). */
const X86_MAGIC = 0x5372_6448

/** How much of a file is looked at to tell code from text, in bytes. */
const SAMPLE = 64

/**
 * Whether `bytes` may be flat RISC-V code: no kernel Image, nothing that is compressed or wrapped, no text, and what it begins with has the form
 * of an instruction of 16 or 32 bits (unprivileged specification 20240411, 1.5).
 */
export function isFlatProgram(bytes: Uint8Array): boolean {
  // What begins as EFI programs do is one, or a kernel that was cut short.
  const efi = bytes[0] === 0x4d && bytes[1] === 0x5a
  if (bytes.length < 4 || efi || isLinuxImage(bytes) || wrapping(bytes) !== null) return false
  const sample = bytes.subarray(0, SAMPLE)
  if (sample.every((byte) => (byte >= 0x20 && byte < 0x7f) || (byte >= 0x09 && byte <= 0x0d))) return false
  const first = viewOf(bytes).getUint16(0, true)
  // Compressed: quadrant 0 with funct3 100 is reserved, all zeros illegal. Longer: 48 bits and more do not exist.
  return (first & 3) === 3 ? (first & 0x1f) !== 0x1f : first !== 0 && (first & 0xe003) !== 0x8000
}

/** What a file that is not a kernel is, with the command that makes it one. */
function wrapping(bytes: Uint8Array): { readonly what: string; readonly remedy: string } | null {
  const starts = (...magic: readonly number[]): boolean => magic.every((byte, index) => bytes[index] === byte)
  if (starts(0x1f, 0x8b)) return { what: 'compressed with gzip', remedy: 'Decompress it first, with `gzip -dc Image.gz > Image`' }
  if (starts(0xfd, 0x37, 0x7a, 0x58, 0x5a)) return { what: 'compressed with xz', remedy: 'Decompress it first, with `xz -dc Image.xz > Image`' }
  if (starts(0x28, 0xb5, 0x2f, 0xfd)) return { what: 'compressed with zstd', remedy: 'Decompress it first, with `zstd -dc Image.zst > Image`' }
  if (starts(0x42, 0x5a, 0x68)) return { what: 'compressed with bzip2', remedy: 'Decompress it first, with `bzip2 -dc Image.bz2 > Image`' }
  if (starts(0x4d, 0x5a, 0, 0, 0x7a, 0x69, 0x6d, 0x67)) {
    return { what: 'a self-decompressing EFI program (vmlinuz.efi)', remedy: 'Give the plain Image from the same kernel build' }
  }
  const at202 = bytes.length >= 0x206 ? viewOf(bytes).getUint32(0x202, true) : 0
  if (at202 === X86_MAGIC) return { what: 'built for x86 (bzImage)', remedy: 'Give a kernel built for RISC-V' }
  if (starts(0x4d, 0x5a) && !isLinuxImage(bytes) && lengthByPe(bytes) > 0) return { what: 'an EFI program', remedy: 'Start it from firmware that knows EFI' }
  if (starts(0x27, 0x05, 0x19, 0x56)) return { what: 'wrapped for U-Boot (uImage)', remedy: 'Give the plain Image from the same kernel build' }
  return null
}

/**
 * Reads a flat Linux kernel Image.
 *
 * @param bytes - the file
 * @param part - what to call it in errors
 * @throws typed `image-truncated`, `image-compressed`, `image-magic`, `image-version` or `image-malformed`
 */
export function parseLinuxImage(bytes: Uint8Array, part: string = 'kernel'): LinuxImage {
  const remedy = 'Give a RISC-V kernel: an ELF file, flat code, or Linux: arch/riscv/boot/Image of a build, or /boot/vmlinux-* of Debian'
  const wrapped = wrapping(bytes)
  if (wrapped !== null) throw machinistError({ code: 'image-compressed', part, remedy: wrapped.remedy }, `the kernel is ${wrapped.what}`)
  if (bytes.length < HEADER.size) {
    throw machinistError({ code: 'image-truncated', part, value: `${bytes.length} bytes`, remedy }, 'too short for a kernel')
  }
  const view = viewOf(bytes)
  const magic2 = view.getUint32(HEADER.magic2, true)
  if (magic2 !== MAGIC_RISCV && magic2 !== MAGIC_ARM64) {
    throw machinistError({ code: 'image-magic', part, remedy }, 'neither a Linux kernel Image nor RISC-V code')
  }
  const architecture = magic2 === MAGIC_RISCV ? 'riscv' : 'arm64'
  const textOffset = view.getBigUint64(HEADER.textOffset, true)
  const imageSize = view.getBigUint64(HEADER.imageSize, true)
  const flags = view.getUint32(HEADER.flags, true)
  const word = view.getUint32(HEADER.version, true)
  const version = architecture === 'riscv' ? { major: word >>> 16, minor: word & 0xffff } : { major: 0, minor: 0 }
  if (version.major !== VERSION_MAJOR) {
    throw machinistError({ code: 'image-version', part, value: `${version.major}.${version.minor}`, remedy }, 'unknown version of the Image header')
  }
  const limit = 1n << 46n
  if (textOffset >= limit || imageSize >= limit) {
    throw machinistError({ code: 'image-malformed', part, value: `text_offset ${textOffset}, image_size ${imageSize}`, remedy }, 'impossible sizes in the Image header')
  }
  const whole = lengthByPe(bytes)
  if (whole > bytes.length) {
    throw machinistError({ code: 'image-truncated', part, value: `${bytes.length} of ${whole} bytes`, remedy: 'Copy or download it again' }, 'the kernel has been cut short')
  }
  // `image_size` ends behind BSS, which the file does not hold: a file that is longer has been padded or extended. Without
  // PE/COFF headers nobody but the kernel knows how long its BSS is, and so whether the file has been cut.
  return {
    architecture,
    textOffset: Number(textOffset),
    imageSize: Math.max(Number(imageSize), bytes.length),
    bigEndian: (flags & 1) !== 0,
    version,
    bytes,
  }
}
