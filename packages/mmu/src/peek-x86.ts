import type { DmaSpace } from '@machinist/api'
import { Paging, X86View } from './x86.ts'

const P = 1n
const PS = 1n << 7n
const NX = 1n << 63n
const bits = (from: number, to: number): bigint => to < from ? 0n : (1n << BigInt(to + 1)) - (1n << BigInt(from))

/** An address space of an x86 processor. */
export interface X86Space {
  /** As the walker's: the kind of {@link Paging}, with `pse` and `nxe` of {@link X86View}. */
  readonly view: number
  readonly cr3: bigint
  /** The four PDPTE registers; with PAE paging alone. */
  readonly pdptes?: readonly bigint[]
  /** MAXPHYADDR: 32 to 52. */
  readonly physicalBits: number
  /** Whether four and five levels have pages of 1 GiB. */
  readonly gigabytePages: boolean
}

/**
 * The guest-physical address of `linear` in an address space, or −1 when it has none. For debuggers and profilers: unlike the walker of a
 * processor it changes nothing (A, D, TLBs, untouched pages), and asks for no permission. An address that is not canonical has none.
 *
 * @param memory - guest-physical memory
 * @param linear - the linear address, sign-extended or unsigned
 */
export function peekX86(memory: Pick<DmaSpace, 'read'>, linear: bigint, space: X86Space): number {
  const { view, cr3, physicalBits, gigabytePages } = space
  const kind = view & 7
  const bytes = new Uint8Array(8)
  const data = new DataView(bytes.buffer)
  /** Ones where there is no memory, as the walker has it. */
  const read = (at: bigint, size: 4 | 8): bigint => {
    if (!memory.read(Number(at), bytes.subarray(0, size))) bytes.fill(0xff)
    return size === 4 ? BigInt(data.getUint32(0, true)) : data.getBigUint64(0, true)
  }
  if (kind === Paging.none) return Number(BigInt.asUintN(32, linear))
  if (kind === Paging.twoLevel) return peekTwoLevel(read, Number(BigInt.asUintN(32, linear)), cr3, (view & X86View.pse) !== 0, physicalBits)
  const width = kind === Paging.pae ? 32 : 12 + 9 * kind + 9
  const address = BigInt.asUintN(64, linear)
  if (kind !== Paging.pae && BigInt.asUintN(64, BigInt.asIntN(width, address)) !== address) return -1
  const frame = bits(12, physicalBits - 1)
  const reserved = bits(physicalBits, kind === Paging.pae ? 62 : 51) | ((view & X86View.nxe) === 0 ? NX : 0n)
  const first = kind === Paging.pae ? space.pdptes?.[Number(address >> 30n & 3n)] ?? 0n : P | cr3
  if ((first & P) === 0n) return -1
  let table = first & frame
  for (let level = kind === Paging.pae ? 1 : kind; level >= 0; level--) {
    const shift = BigInt(12 + 9 * level)
    const entry = read(table + (address >> shift & 511n) * 8n, 8)
    if ((entry & P) === 0n || (entry & reserved) !== 0n) return -1
    const large = level === 0 || (entry & PS) !== 0n && level <= (gigabytePages ? 2 : 1)
    if (!large) {
      if ((entry & PS) !== 0n) return -1
      table = entry & frame
      continue
    }
    const inside = (1n << shift) - 1n
    // What is below the page's own bits and above PAT (bit 12) is reserved.
    if ((entry & inside & ~0x1fffn) !== 0n) return -1
    return Number(entry & frame & ~inside | address & inside)
  }
  return -1
}

function peekTwoLevel(read: (at: bigint, size: 4 | 8) => bigint, linear: number, cr3: bigint, pse: boolean, physicalBits: number): number {
  const directory = read((cr3 & 0xffff_f000n) + BigInt((linear >>> 22) * 4), 4)
  if ((directory & P) === 0n) return -1
  if (pse && (directory & PS) !== 0n) {
    // Address bits 32 to 39 are in bits 13 to 20.
    const wide = Math.min(40, physicalBits) - 32
    if ((directory & bits(13 + wide, 21)) !== 0n) return -1
    return Number(directory >> 13n & (1n << BigInt(wide)) - 1n) * 2 ** 32 + Number(directory & 0xffc0_0000n) + (linear & 0x3f_ffff)
  }
  const page = read((directory & 0xffff_f000n) + BigInt((linear >>> 12 & 1023) * 4), 4)
  return (page & P) === 0n ? -1 : Number(page & 0xffff_f000n) + (linear & 4095)
}
