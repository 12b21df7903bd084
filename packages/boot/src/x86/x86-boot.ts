import { type BootEntry, machinistError, type X86Start } from '@machinist/api'
import { alignUp, hex } from '../bytes.ts'
import { ELF_MACHINE, type ElfFile, isElf, parseElf } from '../elf.ts'
import type { BootSegment } from '../riscv-boot.ts'
import { encodeUtf8 } from '../text.ts'
import { type Inflate, unpackKernel } from '../unpack/kernel.ts'
import { bootParams, entry64, isBzImage, parseBzImage, rngSeedData } from './linux-setup.ts'
import { BOOT_GDT, descriptors, identityPages, LOW, MAX_COMMAND_LINE, segment } from './low-memory.ts'
import { type AddressRange, FIRMWARE, highest, isRam, memoryMap } from './memory-map.ts'
import { MULTIBOOT_LOADED, multibootHeader, multibootInfo } from './multiboot.ts'
import { MULTIBOOT2_INFO, MULTIBOOT2_LOADED, multiboot2Header, multiboot2Info } from './multiboot2.ts'
import { pvhEntry, pvhInfo } from './pvh.ts'

/**
 * How a kernel is told what there is, and in which mode it begins: Linux's protocols of 64 and of 32 bits (Documentation/arch/x86/boot.rst), that of Xen's guests without firmware (PVH), Multiboot
 * Specification 0.6.96, Multiboot2 Specification 2.0.
 */
export const X86_PROTOCOLS = ['linux64', 'linux32', 'pvh', 'multiboot', 'multiboot2'] as const
export type X86Protocol = typeof X86_PROTOCOLS[number]

/** What to boot, and in what RAM. */
export interface X86BootOptions {
  /** The RAM, of which some begins at 0. */
  readonly memory: readonly AddressRange[]
  /** A bzImage, an ELF file for one of the protocols, or another file with a multiboot header that says where it goes. */
  readonly kernel: Uint8Array
  /** The initial root file system, or the only module. */
  readonly initrd?: Uint8Array | undefined
  /** The command line. */
  readonly append?: string | undefined
  /** Unless given, the one that the file is for: of a bzImage 64 bits rather than 32; of others multiboot, Multiboot2, PVH, Linux's, in this order. */
  readonly protocol?: X86Protocol | undefined
  /** Further ranges that the map of memory calls reserved. */
  readonly reserved?: readonly AddressRange[] | undefined
  /** Tables for firmware's part of the first MiB, 0xe0000 … 0xfffff. */
  readonly tables?: readonly { readonly part: string; readonly address: number; readonly bytes: Uint8Array }[] | undefined
  /** Where among them the ACPI root pointer is. */
  readonly rsdp?: number | undefined
  /** Random bytes for the kernel's generator, which Linux's protocols have a place for. */
  readonly rngSeed?: Uint8Array | undefined
  /** Decompresses gzip, for kernels that are: at most `limit` bytes come out. Zstandard and xz need nobody; others unpack themselves, which takes the guest long. */
  readonly inflate?: Inflate | undefined
}

/** Where everything goes, and where to begin. */
export interface X86BootPlan {
  readonly segments: readonly BootSegment[]
  readonly entry: BootEntry
  /** What is in `entry` for the CPU. */
  readonly start: X86Start
  readonly protocol: X86Protocol
}

/** A kernel that is to be loaded, before it is known where the rest goes. */
interface Loaded {
  readonly protocol: X86Protocol
  readonly segments: readonly BootSegment[]
  readonly entry: number
  /** The setup header of a bzImage. */
  readonly header: Uint8Array | null
  /** The last address for an initrd, and bytes of a command line. */
  readonly initrdMax: number
  readonly commandLine: number
  /** Whether it wants to know where it lies. */
  readonly relocatable?: boolean
}

const LIMIT = 2 ** 32
/** Linux has its initrd below this, unless its header says otherwise. */
const OLD_INITRD_MAX = 0x37ff_ffff
const PAGE = 4096
/** Bytes of an ACPI root pointer (ACPI 6.5, 5.2.5.3). */
const RSDP_SIZE = 36

/**
 * Decides where a kernel, its initrd and what it is told go, and how the first processor begins. Everything but kernel and initrd is in conventional memory, below 640 KiB.
 *
 * @throws typed: what {@link parseElf} and {@link parseBzImage} throw; `boot-memory` (it does not fit), `boot-outside`, `boot-overlap`, `boot-protocol` (the file is not for it), `boot-command-line`, `elf-machine`, `elf-entry`, `multiboot-…`
 */
export function planX86Boot(options: X86BootOptions): X86BootPlan {
  const map = memoryMap(options.memory, options.reserved)
  const kernel = load(options)
  const commandLine = encodeUtf8(`${options.append ?? ''}\0`)
  if (commandLine.length - 1 > Math.min(kernel.commandLine, MAX_COMMAND_LINE - 1)) {
    throw machinistError({ code: 'boot-command-line', part: 'append', value: `${commandLine.length - 1} bytes`, remedy: `Use at most ${Math.min(kernel.commandLine, MAX_COMMAND_LINE - 1)}` }, 'too long for this kernel')
  }
  const end = kernel.segments.reduce((most, { address, memorySize }) => Math.max(most, address + memorySize), 2 ** 20)
  const size = options.initrd?.length ?? 0
  const initrdAt = highest(map, size, alignUp(end, PAGE), Math.min(kernel.initrdMax + 1, LIMIT))
  if (options.initrd !== undefined && initrdAt < 0) {
    throw machinistError({ code: 'boot-memory', part: 'initrd', value: `${size} bytes`, remedy: 'Give the machine more memory' }, 'does not fit into the RAM of this machine')
  }
  const initrd = options.initrd === undefined ? null : { start: initrdAt, size }
  const { protocol, entry: pc } = kernel
  const linux = protocol === 'linux64' || protocol === 'linux32'
  const seed = linux && options.rngSeed !== undefined ? [segment('rng seed', LOW.lists, rngSeedData(options.rngSeed))] : []
  const rsdp = options.rsdp ?? 0
  const told = linux ? [segment('boot parameters', LOW.info, bootParams({
    header: kernel.header, commandLine: { address: LOW.commandLine, length: commandLine.length - 1 }, initrd, map, rsdp, setupData: seed.length > 0 ? LOW.lists : 0,
  })), ...seed]
    : protocol === 'pvh' ? pvhInfo(LOW.commandLine, initrd, map, rsdp)
    : protocol === 'multiboot' ? multibootInfo(LOW.commandLine, initrd, map)
    : [multiboot2Info({ commandLine, initrd, map, rsdp: rsdpOf(options), base: kernel.relocatable === true ? Math.min(...kernel.segments.map(({ address }) => address)) : null })]
  const own = [
    descriptors(protocol === 'linux64' ? 64 : 32),
    ...(protocol === 'linux64' ? [identityPages()] : []),
    ...told,
    // Multiboot2 has it among its information.
    ...(protocol === 'multiboot2' ? [] : [segment('command line', LOW.commandLine, commandLine)]),
  ]
  const given = [...kernel.segments, ...(options.initrd === undefined ? [] : [segment('initrd', initrdAt, options.initrd)])]
  const tables = (options.tables ?? []).map(({ part, address, bytes }) => segment(part, address, bytes))
  for (const { part, address, memorySize } of given) {
    if (!isRam(map, address, memorySize)) {
      throw machinistError({ code: 'boot-outside', part, value: `${hex(address)} … ${hex(address + memorySize - 1)}`, remedy: 'Give the machine more memory, or link it to other addresses' }, 'it does not lie in RAM')
    }
  }
  for (const { part, address, memorySize } of tables) {
    if (address < FIRMWARE.base || address + memorySize > FIRMWARE.base + FIRMWARE.size) {
      throw machinistError({ code: 'boot-outside', part, value: hex(address), remedy: 'Make fewer tables' }, "it does not lie in firmware's part of memory")
    }
  }
  const segments = [...own, ...given, ...tables]
  apart(segments)
  const gdt = BOOT_GDT
  const start: X86Start = protocol === 'linux64' ? { kind: 'linux64', pc, parameters: LOW.info, pages: LOW.pages, gdt } : {
    kind: 'protected', pc, gdt, esi: linux ? LOW.info : 0,
    ...(protocol === 'multiboot2' ? { eax: MULTIBOOT2_LOADED, ebx: MULTIBOOT2_INFO } : { eax: protocol === 'multiboot' ? MULTIBOOT_LOADED : 0, ebx: linux ? 0 : LOW.info }),
  }
  return { segments, protocol, start, entry: { pc, args: [], start } }
}

/** The ACPI root pointer itself, among the tables. */
function rsdpOf({ tables = [], rsdp }: X86BootOptions): Uint8Array | null {
  const table = rsdp === undefined ? undefined : tables.find(({ address, bytes }) => rsdp >= address && rsdp + RSDP_SIZE <= address + bytes.length)
  return table === undefined || rsdp === undefined ? null : table.bytes.subarray(rsdp - table.address, rsdp - table.address + RSDP_SIZE)
}

function apart(segments: readonly BootSegment[]): void {
  const sorted = [...segments].filter(({ memorySize }) => memorySize > 0).sort((a, b) => a.address - b.address)
  for (const [index, { part, address, memorySize }] of sorted.entries()) {
    const next = sorted[index + 1]
    if (next === undefined || next.address >= address + memorySize) continue
    throw machinistError({ code: 'boot-overlap', part: next.part, value: hex(next.address), remedy: 'Link it to another address' }, `it overlaps ${next.part === part ? 'itself' : part}`)
  }
}

function load(options: X86BootOptions): Loaded {
  const { kernel, protocol } = options
  if (isBzImage(kernel)) return loadBzImage(options)
  const common = { header: null, initrdMax: LIMIT - 1, commandLine: MAX_COMMAND_LINE - 1 }
  const refuse = (): Error => machinistError(
    { code: 'boot-protocol', part: 'kernel', value: protocol ?? 'none', remedy: 'Give a bzImage of Linux, or an ELF file for x86 that is for PVH or multiboot' }, 'the kernel is not made to be started so')
  const multiboot = protocol === undefined || protocol === 'multiboot' ? multibootHeader(kernel) : null
  if (multiboot?.placed !== null && multiboot !== null) {
    const { entry, address, bytes, memorySize } = multiboot.placed
    return { ...common, protocol: 'multiboot', entry, segments: [{ part: 'kernel', address, bytes, memorySize }] }
  }
  const second = multiboot === null && (protocol === undefined || protocol === 'multiboot2') ? multiboot2Header(kernel) : null
  const relocatable = second?.relocatable === true
  if (second !== null && second.placed !== null && second.entry !== null) {
    return { ...common, protocol: 'multiboot2', relocatable, entry: second.entry, segments: [{ part: 'kernel', ...second.placed }] }
  }
  if (!isElf(kernel)) throw refuse()
  const elf = parseElf(kernel, 'kernel')
  if (second !== null) return { ...common, protocol: 'multiboot2', relocatable, entry: second.entry ?? physicalEntry(elf), segments: segmentsOf(elf) }
  if (multiboot !== null) return { ...common, protocol: 'multiboot', entry: physicalEntry(elf), segments: segmentsOf(elf) }
  const pvh = protocol === undefined || protocol === 'pvh' ? pvhEntry(elf) : null
  if (pvh !== null) return { ...common, protocol: 'pvh', entry: pvh, segments: segmentsOf(elf) }
  const linux = elf.bits === 64 ? 'linux64' : 'linux32'
  if (protocol !== linux && (protocol !== undefined || elf.bits === 32)) throw refuse()
  return { ...common, protocol: linux, entry: physicalEntry(elf), segments: segmentsOf(elf), initrdMax: OLD_INITRD_MAX }
}

function loadBzImage({ memory, kernel, protocol, inflate }: X86BootOptions): Loaded {
  const image = parseBzImage(kernel)
  const common = { header: image.header, initrdMax: image.initrdMax, commandLine: image.commandLine }
  if (protocol === 'multiboot' || protocol === 'multiboot2' || protocol === 'pvh' || (protocol === 'linux64' && !image.has64)) {
    throw machinistError({ code: 'boot-protocol', part: 'kernel', value: protocol, remedy: `Use ${image.has64 ? "'linux64' or " : ''}'linux32'` }, 'a bzImage is not started so')
  }
  const total = memory.reduce((sum, { size }) => sum + size, 0)
  // A kernel of 64 bits is entered with 32 only where it unpacks itself.
  const own = image.has64 ? 'linux64' : 'linux32'
  const unpacked = image.payload === null || (protocol ?? own) !== own ? null : unpackKernel(image.payload, total, inflate)
  if (unpacked !== null && isElf(unpacked)) {
    const elf = parseElf(unpacked, 'kernel')
    if (elf.bits === (image.has64 ? 64 : 32)) return { ...common, protocol: own, entry: physicalEntry(elf), segments: segmentsOf(elf) }
  }
  const chosen = protocol ?? (image.has64 ? 'linux64' : 'linux32')
  const map = memoryMap(memory)
  // Elsewhere only where it does not fit where it wants to be.
  const first = image.alignment === 0 || isRam(map, image.address, image.room) ? image.address : alignUp(2 ** 20, image.alignment)
  if (!isRam(map, first, image.room)) {
    throw machinistError({ code: 'boot-memory', part: 'kernel', value: `${image.room} bytes at ${hex(first)}`, remedy: 'Give the machine more memory' }, 'does not fit into the RAM of this machine')
  }
  return {
    ...common, protocol: chosen, entry: chosen === 'linux64' ? entry64(first) : first,
    segments: [{ part: 'kernel', address: first, bytes: image.kernel, memorySize: image.room }],
  }
}

function segmentsOf(elf: ElfFile): readonly BootSegment[] {
  if (elf.machine !== ELF_MACHINE.i386 && elf.machine !== ELF_MACHINE.amd64) {
    throw machinistError({ code: 'elf-machine', part: 'kernel', value: elf.machine, remedy: 'Give a file built for x86' }, 'built for another processor')
  }
  return elf.segments.filter(({ headers }) => !headers).map(({ address, bytes, memorySize }) => ({ part: 'kernel', address, bytes, memorySize }))
}

function physicalEntry(elf: ElfFile): number {
  if (elf.entry !== null && elf.entry < LIMIT) return elf.entry
  throw machinistError({ code: 'elf-entry', part: 'kernel', value: hex(elf.entryVirtual), remedy: 'Give a linked executable, not an object file' }, 'its entry point is in none of its segments')
}
