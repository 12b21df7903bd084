import { machinistError } from '@machinist/api'
import { hex, viewOf } from '../bytes.ts'
import type { MemoryMapEntry } from './memory-map.ts'

/** Fields of the setup header, by their offsets in the file and in `boot_params` (Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"). */
const FIELD = {
  setupSectors: 0x1f1,
  systemSize: 0x1f4,
  bootFlag: 0x1fe,
  headerLength: 0x201,
  magic: 0x202,
  version: 0x206,
  loader: 0x210,
  loadFlags: 0x211,
  ramdisk: 0x218,
  ramdiskSize: 0x21c,
  commandLine: 0x228,
  initrdMax: 0x22c,
  alignment: 0x230,
  relocatable: 0x234,
  extendedFlags: 0x236,
  commandLineSize: 0x238,
  payload: 0x248,
  payloadLength: 0x24c,
  setupData: 0x250,
  preferred: 0x258,
  initSize: 0x260,
  end: 0x268,
} as const

/** Fields of `boot_params` besides (zero-page.rst). */
const PARAMS = { rsdp: 0x70, mapEntries: 0x1e8, map: 0x2d0, mapRoom: 128, mapEntry: 20, size: 4096 } as const

const HEADER = FIELD.setupSectors
const MAGIC = 0x5372_6448
const BOOT_FLAG = 0xaa55
const SECTOR = 512
/** What a header with 0 sectors means. */
const OLD_SETUP_SECTORS = 4
/** `loadflags`: the kernel lies at 1 MiB or above; segments stay as they are. */
const LOADED_HIGH = 1
const KEEP_SEGMENTS = 0x40
/** `xloadflags`: there is an entry of 64 bits, this far behind that of 32. */
const XLF_KERNEL_64 = 1
const ENTRY_64 = 0x200
/** "Undefined" among `type_of_loader`. */
const LOADER = 0xff
/** Protocol versions that bring fields. */
const VERSION = { commandLineSize: 0x206, payload: 0x208, placement: 0x20a, extendedFlags: 0x20c } as const
/** Where kernels lie that say nothing of it. */
const OLD_ADDRESS = 0x10_0000
/** Bytes of the boot sector and setup code that boot loaders may expect. */
const MOST_HEADER = 0x290
/** A header as no file brought it: that of a kernel which is an ELF file. */
const OWN_VERSION = 0x20f
/** `setup_data` of type SETUP_RNG_SEED. */
const SETUP_RNG_SEED = 9

/** How a kernel's payload is compressed. */
export type Packing = 'gzip' | 'bzip2' | 'lzma' | 'xz' | 'lzo' | 'lz4' | 'zstd'

const PACKINGS: readonly (readonly [Packing, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]], ['bzip2', [0x42, 0x5a, 0x68]], ['lzma', [0x5d, 0, 0]], ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]], ['lzo', [0x89, 0x4c, 0x5a, 0x4f]], ['lz4', [0x02, 0x21]], ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
]

/** A Linux kernel for x86 as it is in `/boot`: a bzImage. */
export interface BzImage {
  /** Of the boot protocol: 0x20f is 2.15. */
  readonly version: number
  /** Its setup header, which begins at 0x1f1 of `boot_params`. */
  readonly header: Uint8Array
  /** What is loaded. */
  readonly kernel: Uint8Array
  readonly has64: boolean
  /** Where it wants to be, and what that must be a multiple of when it is elsewhere; 0 when it cannot be. */
  readonly address: number
  readonly alignment: number
  /** Bytes that it needs from there on, to unpack itself. */
  readonly room: number
  /** The last address that an initrd may have. */
  readonly initrdMax: number
  /** Bytes of the longest command line, without the zero at its end. */
  readonly commandLine: number
  /** The kernel proper within it, an ELF file, and how that is compressed; null where it does not say. */
  readonly payload: { readonly packing: Packing; readonly bytes: Uint8Array; readonly length: number } | null
}

/** Whether `bytes` begin like a bzImage. */
export function isBzImage(bytes: Uint8Array): boolean {
  return bytes.length >= FIELD.version && viewOf(bytes).getUint32(FIELD.magic, true) === MAGIC
}

/**
 * Reads a bzImage: its header, the part to load, and what is packed in that. Bytes are views of `bytes`.
 *
 * @throws typed `bzimage-truncated`, `bzimage-version` or `bzimage-malformed`
 */
export function parseBzImage(bytes: Uint8Array, part: string = 'kernel'): BzImage {
  const fail = (code: string, problem: string, value?: string | number): Error =>
    machinistError({ code, part, value, remedy: 'Give a complete bzImage, of Linux 2.6.20 or later: arch/x86/boot/bzImage of a build, or /boot/vmlinuz-*' }, problem)
  if (!isBzImage(bytes)) throw fail('bzimage-malformed', 'not a bzImage')
  if (bytes.length < FIELD.end) throw fail('bzimage-truncated', 'the header lies beyond the end of the file', bytes.length)
  const view = viewOf(bytes)
  const version = view.getUint16(FIELD.version, true)
  if (view.getUint16(FIELD.bootFlag, true) !== BOOT_FLAG) throw fail('bzimage-malformed', 'it has no boot sector', hex(view.getUint16(FIELD.bootFlag, true)))
  if (version < VERSION.commandLineSize) throw fail('bzimage-version', 'its boot protocol is too old', hex(version))
  if ((view.getUint8(FIELD.loadFlags) & LOADED_HIGH) === 0) throw fail('bzimage-malformed', 'a zImage, which wants to be below 1 MiB')
  const headerEnd = FIELD.magic + view.getUint8(FIELD.headerLength)
  if (headerEnd < FIELD.commandLineSize + 4 || headerEnd > MOST_HEADER || headerEnd > bytes.length) throw fail('bzimage-malformed', 'impossible length of its header', headerEnd)
  const from = ((view.getUint8(FIELD.setupSectors) || OLD_SETUP_SECTORS) + 1) * SECTOR
  const length = view.getUint32(FIELD.systemSize, true) * 16
  // The last paragraph need not be whole.
  if (from >= bytes.length || from + length - 15 > bytes.length) throw fail('bzimage-truncated', 'the kernel has been cut short', `${bytes.length} of ${from + length} bytes`)
  const kernel = bytes.subarray(from)
  const has = (field: number, since: number): boolean => version >= since && headerEnd >= field
  const placed = has(FIELD.end - 4, VERSION.placement)
  const relocatable = view.getUint8(FIELD.relocatable) !== 0
  const alignment = view.getUint32(FIELD.alignment, true)
  const address = placed ? view.getBigUint64(FIELD.preferred, true) : BigInt(OLD_ADDRESS)
  if (address < BigInt(OLD_ADDRESS) || address >= 1n << 32n) throw fail('bzimage-malformed', 'impossible address', hex(address))
  if (relocatable && (alignment < 4096 || !Number.isInteger(Math.log2(alignment)))) throw fail('bzimage-malformed', 'impossible alignment', alignment)
  return {
    version, kernel,
    header: bytes.subarray(HEADER, headerEnd),
    has64: has(FIELD.commandLineSize, VERSION.extendedFlags) && (view.getUint16(FIELD.extendedFlags, true) & XLF_KERNEL_64) !== 0,
    address: Number(address),
    alignment: relocatable ? alignment : 0,
    room: Math.max(kernel.length, placed ? view.getUint32(FIELD.initSize, true) : 4 * kernel.length),
    initrdMax: view.getUint32(FIELD.initrdMax, true),
    commandLine: view.getUint32(FIELD.commandLineSize, true),
    payload: has(FIELD.setupData, VERSION.payload) ? payloadOf(kernel, view.getUint32(FIELD.payload, true), view.getUint32(FIELD.payloadLength, true)) : null,
  }
}

function payloadOf(kernel: Uint8Array, from: number, length: number): BzImage['payload'] {
  const bytes = kernel.subarray(from, from + length)
  const packing = PACKINGS.find(([, magic]) => magic.every((byte, index) => bytes[index] === byte))?.[0]
  if (packing === undefined || bytes.length < length || length < 8) return null
  // Behind all but gzip, which has it anyway, is the length of what comes out.
  return { packing, bytes: packing === 'gzip' ? bytes : bytes.subarray(0, length - 4), length: new DataView(bytes.buffer, bytes.byteOffset).getUint32(length - 4, true) }
}

/** Where a kernel of 64 bits is entered, by where it lies. */
export const entry64 = (address: number): number => address + ENTRY_64

/** What a kernel is told in `boot_params`. */
export interface LinuxParameters {
  /** The setup header of its file; of an ELF file null. */
  readonly header: Uint8Array | null
  /** Its address, and bytes without the zero at its end. */
  readonly commandLine: { readonly address: number; readonly length: number }
  readonly initrd: { readonly start: number; readonly size: number } | null
  readonly map: readonly MemoryMapEntry[]
  /** Address of the ACPI root pointer; 0 for none. */
  readonly rsdp: number
  /** Address of the first `setup_data`; 0 for none. */
  readonly setupData: number
}

/** The page of `boot_params` ("zero page"). */
export function bootParams({ header, commandLine, initrd, map, rsdp, setupData }: LinuxParameters): Uint8Array {
  const page = new Uint8Array(PARAMS.size)
  const view = viewOf(page)
  if (header === null) {
    view.setUint16(FIELD.bootFlag, BOOT_FLAG, true)
    view.setUint32(FIELD.magic, MAGIC, true)
    view.setUint16(FIELD.version, OWN_VERSION, true)
    view.setUint32(FIELD.commandLineSize, commandLine.length, true)
  } else page.set(header, HEADER)
  page[FIELD.loader] = LOADER
  page[FIELD.loadFlags] = ((page[FIELD.loadFlags] ?? 0) | LOADED_HIGH | KEEP_SEGMENTS)
  view.setUint32(FIELD.commandLine, commandLine.address, true)
  if (initrd !== null) {
    view.setUint32(FIELD.ramdisk, initrd.start, true)
    view.setUint32(FIELD.ramdiskSize, initrd.size, true)
  }
  view.setBigUint64(FIELD.setupData, BigInt(setupData), true)
  view.setBigUint64(PARAMS.rsdp, BigInt(rsdp), true)
  const entries = map.slice(0, PARAMS.mapRoom)
  page[PARAMS.mapEntries] = entries.length
  for (const [index, { base, size, type }] of entries.entries()) {
    const at = PARAMS.map + PARAMS.mapEntry * index
    view.setBigUint64(at, BigInt(base), true)
    view.setBigUint64(at + 8, BigInt(size), true)
    view.setUint32(at + 16, type, true)
  }
  return page
}

/** `setup_data` with random bytes for the kernel's generator. */
export function rngSeedData(seed: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16 + seed.length)
  const view = viewOf(bytes)
  view.setUint32(8, SETUP_RNG_SEED, true)
  view.setUint32(12, seed.length, true)
  bytes.set(seed, 16)
  return bytes
}

