import { isMachinistError, machinistError } from '@machinist/api'
import { ELF_MACHINE, type ElfFile, isBzImage, isElf, parseElf, parseLinuxImage } from '@machinist/boot'
import type { GuestArchitecture } from '../guest/index.ts'
import { usageError } from '../usage.ts'
import { parseAddress } from './arguments.ts'

/** Where a flat file is that does not say otherwise: at the beginning of RAM on the `virt` machine, and where kernels are loaded on PCs. */
const FLAT_AT: Readonly<Record<GuestArchitecture, bigint>> = { riscv64: 0x8000_0000n, amd64: 0x10_0000n, i386: 0x10_0000n }
/** What ELF files say of themselves. */
const ELF_KINDS: Readonly<Record<GuestArchitecture, { readonly machine: number; readonly bits: 32 | 64 }>> = {
  riscv64: { machine: ELF_MACHINE.riscv, bits: 64 }, amd64: { machine: ELF_MACHINE.amd64, bits: 64 }, i386: { machine: ELF_MACHINE.i386, bits: 32 },
}
const PAGE_SIZE = 4096

interface Segment {
  readonly address: bigint
  readonly bytes: Uint8Array
}

/** A guest program: bytes at addresses, some of which have names. */
export interface GuestProgram {
  readonly architecture: GuestArchitecture
  readonly segments: readonly Segment[]
  /** The symbols, for an ELF file. */
  readonly elf: ElfFile | null
}

/** How errors name the file. */
export const FILE = 'FILE'

/**
 * An ELF file for RISC-V with 64 bits or for x86, a Linux Image, or a flat binary.
 *
 * @param base - where a flat file lies; unless given, `FLAT_AT`, or what an Image's header says with RAM there
 * @param asked - what it is said to be for: what an ELF file is for, or RISC-V, unless given
 * @throws typed errors: those of `parseElf` and `parseLinuxImage`, `translate-file`, `usage`
 */
export function readProgram(bytes: Uint8Array, base?: bigint, asked?: GuestArchitecture): GuestProgram {
  const refuse = (problem: string, remedy: string, value?: number | string): Error => machinistError({ code: 'translate-file', part: FILE, value, remedy }, problem)
  if (!isElf(bytes)) {
    if (isBzImage(bytes)) throw refuse('it is a bzImage, in which the kernel is packed', 'Give what is in it: an ELF file, which vmlinux is called.')
    const architecture = asked ?? 'riscv64'
    const offset = architecture === 'riscv64' ? BigInt(textOffset(bytes)) : 0n
    return { architecture, segments: [{ address: base ?? FLAT_AT[architecture] + offset, bytes }], elf: null }
  }
  if (base !== undefined) throw usageError('--base', 'an ELF file says itself where it lies', 'Leave out --base.')
  const elf = parseElf(bytes, FILE)
  const architectures = ['riscv64', 'amd64', 'i386'] as const
  const [some] = architectures.filter((name) => ELF_KINDS[name].machine === elf.machine)
  if (some === undefined) throw refuse('the program is for another processor', 'Give one for RISC-V with 64 bits, or for x86.', elf.machine)
  if (ELF_KINDS[some].bits !== elf.bits) throw refuse(`the program has ${elf.bits} bits`, `Give one for ${some}.`)
  if (asked !== undefined && asked !== some) throw usageError('--arch', `the program is for ${some}`, 'Leave out --arch.', asked)
  const segments = elf.segments.filter((segment) => segment.bytes.length > 0).map((segment) => ({ address: segment.virtualAddress, bytes: segment.bytes }))
  if (segments.length === 0) throw refuse('the file has nothing that would be loaded', 'Link it first, for example with ld -Ttext=0x80000000.')
  return { architecture: some, segments, elf }
}

/** Where a flat file wants to be, from the start of RAM: only a Linux Image says. */
function textOffset(bytes: Uint8Array): number {
  try {
    const image = parseLinuxImage(bytes, FILE)
    if (image.architecture === 'riscv') return image.textOffset
  } catch (error) {
    // Whatever does not even look like an Image is a flat binary.
    const tiny = 64
    if (isMachinistError(error) && (error.code === 'image-magic' || bytes.length < tiny && error.code === 'image-truncated')) return 0
    throw error
  }
  throw machinistError({ code: 'translate-file', part: FILE, remedy: 'Give one for RISC-V with 64 bits, or for x86.' }, 'the kernel is for another processor')
}

/**
 * The address that `at` means: a symbol of that name, or else a hexadecimal number.
 *
 * @throws typed `translate-address`
 */
export function findAddress({ architecture, segments, elf }: GuestProgram, at: string): bigint {
  const refuse = (problem: string, remedy: string, value: string): Error => machinistError({ code: 'translate-address', part: '--at', value, remedy }, problem)
  let named: bigint | null = null
  // A name may stand for several things; a function is meant rather than something else.
  for (const { name, value, type } of at.startsWith('0x') ? [] : elf?.symbols() ?? []) {
    if (name !== at) continue
    if (type === 2) {
      named = value
      break
    }
    named ??= value
  }
  const address = named ?? parseAddress(at)
  if (address === null) {
    if (elf === null || at.startsWith('0x')) throw refuse('not an address', 'Use a hexadecimal number of up to 64 bits, such as 0x80000000.', at)
    throw refuse('no such symbol', 'Give another, or an address such as 0x80000000; nm lists the symbols of a file that was not stripped.', at)
  }
  const held = segments.map((segment) => `${hex(segment.address)} to ${hex(segment.address + BigInt(segment.bytes.length - 1))}`)
  if (!segments.some((segment) => address >= segment.address && address < segment.address + BigInt(segment.bytes.length))) {
    throw refuse('the file has no bytes there', `It has ${held.slice(0, 4).join(', ')}${held.length > 4 ? ' and more' : ''}.`, hex(address))
  }
  if (architecture === 'riscv64' && address % 2n !== 0n) throw refuse('an instruction never begins at an odd address', 'Give an even one.', hex(address))
  return address
}

/** What the program has of the page at `page`: up to the last byte that it has, with zeros in gaps. */
export function pageBytes({ segments }: GuestProgram, page: bigint): Uint8Array {
  const bytes = new Uint8Array(PAGE_SIZE)
  let length = 0
  for (const segment of segments) {
    const from = Number(page > segment.address ? page - segment.address : 0n)
    const to = Number(segment.address > page ? segment.address - page : 0n)
    if (to >= PAGE_SIZE || from >= segment.bytes.length) continue
    const part = segment.bytes.subarray(from, from + PAGE_SIZE - to)
    bytes.set(part, to)
    length = Math.max(length, to + part.length)
  }
  return bytes.subarray(0, length)
}

/** An address as people write it. */
export function hex(value: bigint): string {
  return `0x${BigInt.asUintN(64, value).toString(16)}`
}
