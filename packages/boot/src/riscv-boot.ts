import { machinistError } from '@machinist/api'
import type { BootEntry } from '@machinist/api'
import { alignDown, alignUp, hex } from './bytes.ts'
import { ELF_MACHINE, isElf, parseElf } from './elf.ts'
import { isFlatProgram, isLinuxImage, parseLinuxImage } from './linux-image.ts'
import { FW_DYNAMIC_INFO_SIZE, fwDynamicInfo } from './opensbi.ts'
import { isGzip } from './unpack/inflate.ts'
import { type Inflate, unpackKernel } from './unpack/kernel.ts'

const MIB = 1024 * 1024
const PAGE = 4096
/** Linux maps its image and the device tree with 2 MiB pages. */
const LARGE_PAGE = 2 * MIB
/** Where OpenSBI's fw_jump and fw_payload, built for a generic platform, expect what they start. */
const NEXT_STAGE_OFFSET = 2 * MIB
/** The most that RISC-V Linux maps of a device tree. */
const DTB_LIMIT = 2 * MIB
/** Firmware edits the device tree in place: it adds reserved-memory nodes and may disable devices. */
const DTB_SLACK = 64 * 1024
/** 32-bit DMA, and boot loaders that keep addresses in 32 bits, see the low 4 GiB only. */
const LOW_LIMIT = 0x1_0000_0000
/** U-Boot moves itself to the top of RAM, without asking what lies there. */
const LOADER_ROOM = 64 * MIB
/**
 * RAM that Linux needs for each byte of its image and of its initrd: for tables, and for what is unpacked. Debian's kernel for riscv64 and an initrd
 * of half its size boot with 2.6, and no less.
 */
const LINUX_ROOM = 2.6

/** What to boot, and in what RAM. */
export interface RiscvBootOptions {
  /** The RAM to use: base and bytes. */
  readonly memory: { readonly base: number; readonly size: number }
  /** A Linux Image, an ELF file for S-mode (a kernel, U-Boot) linked to physical addresses, or flat code that begins 2 MiB above the base of RAM. */
  readonly kernel?: Uint8Array | undefined
  /** The initial root file system, in any form that the kernel reads. */
  readonly initrd?: Uint8Array | undefined
  /**
   * M-mode firmware: an ELF file, or flat code that begins at the base of RAM. Without it the kernel is entered in
   * S-mode directly, and the machine's own SBI answers it.
   */
  readonly firmware?: Uint8Array | undefined
  /**
   * Makes the device tree. It is called once, when it is known where the initrd lies; see {@link describeChosen}.
   */
  readonly dtb: (placed: { readonly initrd: { readonly start: number; readonly end: number } | null }) => Uint8Array
  /** Decompresses gzip, for kernels that are, sooner than ECMAScript does: at most `limit` bytes come out. */
  readonly inflate?: Inflate | undefined
}

/** Bytes for guest memory. */
export interface BootSegment {
  /** Which input it came from: `'kernel'`, `'initrd'`, `'firmware'`, `'dtb'` or `'fw-dynamic-info'`. */
  readonly part: string
  /** Guest-physical address. */
  readonly address: number
  readonly bytes: Uint8Array
  /** Bytes it occupies, at least `bytes.length`. Those after `bytes` must read as zero. */
  readonly memorySize: number
}

/** Where everything goes, and where to begin. */
export interface BootPlan {
  readonly segments: readonly BootSegment[]
  /** a0 = the hart, a1 = the device tree and, with firmware, a2 = OpenSBI's `fw_dynamic_info`. */
  readonly entry: BootEntry
  /** The mode to begin in: M with a firmware image, S without. */
  readonly mode: 'machine' | 'supervisor'
}

interface Loaded {
  /** Bytes of a Linux Image with its BSS; absent for everything else. */
  readonly linux?: number
  readonly segments: readonly BootSegment[]
  readonly entry: number
  readonly end: number
}

/** `e_type` of position-independent programs: OpenSBI's firmware may be linked to address 0 and moves itself. */
const ELF_TYPE_SHARED = 3

/** @param preferred - where to put a position-independent one */
function loadElf(bytes: Uint8Array, part: string, base: number, preferred: number): Loaded {
  const elf = parseElf(bytes, part)
  if (elf.machine !== ELF_MACHINE.riscv) {
    throw machinistError({ code: 'elf-machine', part, value: elf.machine, remedy: 'Give a file built for RISC-V' }, 'built for another processor')
  }
  if (elf.entry === null) {
    throw machinistError(
      { code: 'elf-entry', part, value: hex(elf.entryVirtual), remedy: 'Give a linked executable, not an object file' },
      'its entry point is in none of its segments',
    )
  }
  if (elf.bits !== 64) throw machinistError({ code: 'elf-machine', part, value: 'RV32', remedy: 'Build it for RV64' }, 'built for 32-bit harts')
  const lowest = elf.segments.reduce((least, { address }) => Math.min(least, address), Infinity)
  const bias = elf.type === ELF_TYPE_SHARED && lowest < preferred ? preferred - alignDown(lowest, PAGE) : 0
  // Headers that a linker put on the page below RAM are no part of the program.
  const loaded = elf.segments.filter(({ headers, address, memorySize }) => !headers || address + bias + memorySize > base)
  const segments = loaded.map(({ address, bytes: content, memorySize }) => ({ part, address: address + bias, bytes: content, memorySize }))
  const end = segments.reduce((most, { address, memorySize }) => Math.max(most, address + memorySize), 0)
  return { segments, entry: elf.entry + bias, end }
}

function loadKernel(given: Uint8Array, options: RiscvBootOptions): Loaded {
  const { memory, firmware, inflate } = options
  const bytes = isGzip(given) ? unpackKernel({ packing: 'gzip', bytes: given }, memory.size, inflate) ?? given : given
  if (isElf(bytes)) return loadElf(bytes, 'kernel', memory.base, memory.base + NEXT_STAGE_OFFSET)
  if (isFlatProgram(bytes)) {
    const address = memory.base + NEXT_STAGE_OFFSET
    return { segments: [{ part: 'kernel', address, bytes, memorySize: bytes.length }], entry: address, end: address + bytes.length }
  }
  const image = parseLinuxImage(bytes, 'kernel')
  if (image.architecture !== 'riscv' || image.bigEndian) {
    throw machinistError(
      { code: 'image-architecture', part: 'kernel', value: image.architecture, remedy: 'Give a kernel built for little-endian RISC-V' },
      'a kernel for another processor',
    )
  }
  const base = alignUp(memory.base, LARGE_PAGE)
  const address = base + (firmware === undefined ? image.textOffset : Math.max(image.textOffset, NEXT_STAGE_OFFSET))
  return { segments: [{ part: 'kernel', address, bytes, memorySize: image.imageSize }], linux: image.imageSize, entry: address, end: address + image.imageSize }
}

function loadFirmware(bytes: Uint8Array, base: number): Loaded {
  if (bytes.length === 0) {
    throw machinistError({ code: 'firmware-empty', part: 'firmware', remedy: 'Give an M-mode image such as fw_dynamic.bin' }, 'the file is empty')
  }
  if (isElf(bytes)) return loadElf(bytes, 'firmware', base, base)
  if (isLinuxImage(bytes)) {
    throw machinistError({ code: 'firmware-kernel', part: 'firmware', remedy: 'Give it as the kernel, with firmware or the built-in SBI below it' }, 'this is a Linux kernel')
  }
  return { segments: [{ part: 'firmware', address: base, bytes, memorySize: bytes.length }], entry: base, end: base + bytes.length }
}

/** Refuses what overlaps or lies outside RAM. */
function check(segments: readonly BootSegment[], memory: { readonly base: number; readonly size: number }): void {
  const sorted = [...segments].sort((a, b) => a.address - b.address)
  const end = memory.base + memory.size
  sorted.forEach((segment, index) => {
    const { part, address, memorySize } = segment
    if (address < memory.base) {
      throw machinistError(
        { code: 'boot-outside', part, value: hex(address), remedy: `Link it to addresses from ${hex(memory.base)} on` },
        'wants an address below RAM',
      )
    }
    if (address + memorySize > end) {
      // A linked address far away is not a matter of a little more memory.
      const needed = address + memorySize - memory.base
      if (needed > LOW_LIMIT && address >= end) {
        throw machinistError({ code: 'boot-outside', part, value: hex(address), remedy: `Link it to addresses from ${hex(memory.base)} on` }, 'wants an address above RAM')
      }
      throw tooSmall(part, needed)
    }
    const next = sorted[index + 1]
    if (next !== undefined && next.address < address + memorySize) {
      throw machinistError(
        { code: 'boot-overlap', part, value: `${hex(next.address)} … ${hex(address + memorySize - 1)}`, remedy: 'Link one of them to another address' },
        `overlaps ${next.part === part ? 'itself' : next.part}`,
      )
    }
  })
}

function tooSmall(part: string, needed: number): Error {
  const mib = alignUp(Math.ceil(needed / MIB), 8)
  return machinistError({ code: 'boot-memory', part, value: `needs ${mib} MiB`, remedy: `Give the machine memory of at least ${mib}M` }, 'does not fit into the RAM of this machine')
}

/** Linux with less RAM than this ends in a panic, or goes on without end, and often says nothing: it is refused before that. */
function checkLinuxRoom(memory: number, kernel: number, initrd: number, placed: number): void {
  const needed = Math.max(placed, Math.ceil(LINUX_ROOM * (kernel + initrd)))
  if (memory >= needed) return
  const size = (bytes: number): string => `${Math.ceil(bytes / MIB)} MiB`
  const mib = alignUp(Math.ceil(needed / MIB), 8)
  throw machinistError(
    { code: 'boot-memory', part: 'memory', value: size(memory), remedy: `Give the machine memory of at least ${mib}M` },
    `too little for a kernel of ${size(kernel)}${initrd === 0 ? '' : ` and an initrd of ${size(initrd)}`}, which take room to unpack and for tables`,
  )
}

/**
 * Decides where in RAM a RISC-V machine's kernel, initrd, device tree and firmware go, and where the harts begin.
 *
 * Without firmware, a kernel Image goes to `text_offset` (2 MiB on RV64) from the base of RAM, and is entered in S-mode
 * as Linux wants it (Documentation/arch/riscv/boot.rst): a0 the hart, a1 the device tree. Flat code that is no Image goes 2 MiB above the base,
 * whence kernels built for QEMU's machine begin. With firmware, that is at the
 * base of RAM and is entered in M-mode; the kernel waits 2 MiB above it, where fw_jump and fw_payload look for it and
 * where `fw_dynamic_info` points. The initrd goes as high as it can below 4 GiB, the device tree below the initrd,
 * 2 MiB aligned.
 *
 * @throws typed: what {@link parseElf} and {@link parseLinuxImage} throw; `boot-nothing`, `boot-memory` (with the memory
 * needed), `boot-outside`, `boot-overlap`, `boot-dtb`, `elf-machine`, `elf-entry`, `image-architecture`, `firmware-*`
 */
export function planRiscvBoot(options: RiscvBootOptions): BootPlan {
  const { memory } = options
  if (!Number.isSafeInteger(memory.base) || memory.base < 0 || memory.base % PAGE !== 0 || !Number.isSafeInteger(memory.base + memory.size) || memory.size <= 0) {
    throw machinistError({ code: 'boot-memory', part: 'memory', value: `${memory.size} bytes at ${memory.base}`, remedy: 'Give a page-aligned base and a positive size' }, 'not a range of RAM')
  }
  if (options.kernel === undefined && options.firmware === undefined) {
    throw machinistError({ code: 'boot-nothing', part: 'machine', remedy: 'Give a kernel, firmware or both' }, 'there is nothing to boot')
  }
  const firmware = options.firmware === undefined ? null : loadFirmware(options.firmware, memory.base)
  const kernel = options.kernel === undefined ? null : loadKernel(options.kernel, options)
  const loaded = [...(firmware?.segments ?? []), ...(kernel?.segments ?? [])]
  if (kernel?.linux !== undefined) {
    const placed = Math.max(firmware?.end ?? 0, kernel.end) - memory.base + (options.initrd?.length ?? 0) + MIB
    checkLinuxRoom(memory.size, kernel.linux, options.initrd?.length ?? 0, placed)
  }
  check(loaded, memory)

  const used = Math.max(firmware?.end ?? 0, kernel?.end ?? 0, memory.base + (firmware === null ? 0 : NEXT_STAGE_OFFSET))
  const limit = memory.base >= LOW_LIMIT ? memory.base + memory.size : Math.min(memory.base + memory.size, LOW_LIMIT)
  const initrdSize = options.initrd?.length ?? 0
  const dtbRoom = (size: number): number => alignUp(size + DTB_SLACK + FW_DYNAMIC_INFO_SIZE, PAGE)

  /** The initrd with its end at or below `top`, and the device tree below that. */
  const place = (top: number, dtbSize: number): { readonly initrd: number; readonly dtb: number } => {
    const initrd = alignDown(top - initrdSize, PAGE)
    const large = alignDown(initrd - dtbRoom(dtbSize), LARGE_PAGE)
    return { initrd, dtb: large >= used ? large : alignDown(initrd - dtbRoom(dtbSize), PAGE) }
  }
  // The size of the device tree is known only when it says where the initrd is: assume it to be as large as it may be,
  // and, where RAM is short of that, of ordinary size.
  const lowTop = firmware === null ? limit : limit - LOADER_ROOM
  const ordinary = 64 * 1024
  const top = [lowTop, limit].find((candidate) => place(candidate, DTB_LIMIT).dtb >= used) ?? limit
  const guess = place(top, ordinary)
  if (guess.dtb < used) throw tooSmall(initrdSize > 0 ? 'initrd' : 'kernel', used - memory.base + dtbRoom(ordinary) + alignUp(initrdSize, PAGE) + PAGE)
  const initrdRange = options.initrd === undefined ? null : { start: guess.initrd, end: guess.initrd + initrdSize }

  const dtb = options.dtb({ initrd: initrdRange })
  if (dtb.length > DTB_LIMIT) {
    throw machinistError({ code: 'boot-dtb', part: 'dtb', value: `${dtb.length} bytes`, remedy: 'Give a smaller one' }, 'larger than the 2 MiB that Linux maps')
  }
  const placed = place(top, dtb.length)
  if (placed.dtb < used) throw tooSmall('dtb', used - memory.base + dtbRoom(dtb.length) + alignUp(initrdSize, PAGE) + PAGE)

  const infoAddress = placed.dtb + alignUp(dtb.length + DTB_SLACK, 8)
  const next = kernel?.entry ?? alignUp(memory.base, LARGE_PAGE) + NEXT_STAGE_OFFSET
  const segments: BootSegment[] = [
    ...loaded,
    { part: 'dtb', address: placed.dtb, bytes: dtb, memorySize: dtb.length },
    ...(options.initrd !== undefined && initrdRange !== null ? [{ part: 'initrd', address: initrdRange.start, bytes: options.initrd, memorySize: initrdSize }] : []),
    ...(firmware !== null ? [{ part: 'fw-dynamic-info', address: infoAddress, bytes: fwDynamicInfo(next), memorySize: FW_DYNAMIC_INFO_SIZE }] : []),
  ]
  check(segments, memory)
  return {
    segments,
    entry: { pc: firmware?.entry ?? next, args: firmware === null ? ['hartid', placed.dtb] : ['hartid', placed.dtb, infoAddress] },
    mode: firmware === null ? 'supervisor' : 'machine',
  }
}
