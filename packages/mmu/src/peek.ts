import type { DmaSpace } from '@machinist/api'

/** `satp` (privileged specification 20240411, 10.1.11): MODE in the upper four bits, the number of the root's page in the lower 44. */
const MODE_SHIFT = 60n
const ROOT_BITS = 44
/** Sv39, Sv48 and Sv57 are modes 8, 9 and 10, of three, four and five levels. */
const FIRST_MODE = 8
const LAST_MODE = 10
/** Entries of a table, and pages in a superpage of level 1. */
const ENTRIES = 512
const PTE_V = 1
const PTE_R = 2
const PTE_W = 4
const PTE_X = 8
/** Of no effect in what is not a leaf, and so reserved there: U, A, D. */
const PTE_LEAF_ONLY = 0xd0
/** In the upper word: Svnapot, Svpbmt, and bits for the future, which all fault. */
const PTE_RESERVED = 0xffc0_0000

/**
 * The guest-physical address of `va` in the address space of `satp`, or −1 when it has none. For debuggers and profilers:
 * unlike the walker of a hart it changes nothing (A, D, TLBs, untouched pages), and asks for no permission.
 *
 * @param memory - guest-physical memory
 * @param va - the virtual address, sign-extended or unsigned
 */
export function peekSv(memory: Pick<DmaSpace, 'read'>, va: bigint, satp: bigint): number {
  const mode = Number(BigInt.asUintN(64, satp) >> MODE_SHIFT)
  if (mode === 0) return physical(Number(BigInt.asUintN(64, va)))
  if (mode < FIRST_MODE || mode > LAST_MODE) return -1
  const levels = mode - FIRST_MODE + 3
  const offset = Number(BigInt.asUintN(12, va))
  // 52 bits, signed. A valid address is the sign-extension of what the levels index.
  const page = Number(BigInt.asIntN(64, va) >> 12n)
  const reach = ENTRIES ** levels / 2
  if (page < -reach || page >= reach) return -1
  const bytes = new Uint8Array(8)
  const entry = new DataView(bytes.buffer)
  let table = Number(BigInt.asUintN(ROOT_BITS, satp))
  for (let level = levels - 1; level >= 0; level--) {
    const pages = ENTRIES ** level
    if (!memory.read(table * 4096 + modulo(Math.floor(page / pages), ENTRIES) * 8, bytes)) return -1
    const flags = entry.getUint32(0, true)
    const high = entry.getUint32(4, true)
    if ((flags & PTE_V) === 0 || (flags & (PTE_R | PTE_W)) === PTE_W || (high & PTE_RESERVED) !== 0) return -1
    table = high * 2 ** 22 + (flags >>> 10)
    if ((flags & (PTE_R | PTE_X)) !== 0) return table % pages === 0 ? physical((table + modulo(page, pages)) * 4096 + offset) : -1
    if ((flags & PTE_LEAF_ONLY) !== 0) return -1
  }
  return -1
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by
}

/** Addresses that a number does not hold exactly are of no memory. */
function physical(address: number): number {
  return address <= Number.MAX_SAFE_INTEGER ? address : -1
}
