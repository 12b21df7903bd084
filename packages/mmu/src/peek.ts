import type { DmaSpace } from '@machinist/api'

/** `satp` (privileged specification 20240411, 10.1.11): MODE in the upper four bits, the number of the root's page in the lower 44. */
const MODE_SHIFT = 60n
const PAGE_NUMBER = (1n << 44n) - 1n
/** Sv39, Sv48 and Sv57 are modes 8, 9 and 10, of three, four and five levels. */
const FIRST_MODE = 8
const LAST_MODE = 10
const PTE_V = 1n
const PTE_R = 2n
const PTE_W = 4n
const PTE_X = 8n
/** Of no effect in what is not a leaf, and so reserved there: U, A, D. */
const PTE_LEAF_ONLY = 0xd0n

/**
 * The guest-physical address of `va` in the address space of `satp`, or −1 when it has none. For debuggers and profilers:
 * unlike the walker of a hart it changes nothing (A, D, TLBs, untouched pages), and asks for no permission.
 *
 * @param memory - guest-physical memory
 * @param va - the virtual address, sign-extended or unsigned
 */
export function peekSv(memory: Pick<DmaSpace, 'read'>, va: bigint, satp: bigint): number {
  const mode = Number(BigInt.asUintN(64, satp) >> MODE_SHIFT)
  if (mode === 0) return physical(BigInt.asUintN(64, va))
  if (mode < FIRST_MODE || mode > LAST_MODE) return -1
  const levels = mode - FIRST_MODE + 3
  if (BigInt.asIntN(12 + 9 * levels, va) !== BigInt.asIntN(64, va)) return -1
  const bytes = new Uint8Array(8)
  const entry = new DataView(bytes.buffer)
  let table = (satp & PAGE_NUMBER) << 12n
  for (let level = levels - 1; level >= 0; level--) {
    const shift = BigInt(12 + 9 * level)
    if (!memory.read(Number(table | ((va >> shift) & 511n) << 3n), bytes)) return -1
    const pte = entry.getBigUint64(0, true)
    if ((pte & PTE_V) === 0n || (pte & (PTE_R | PTE_W)) === PTE_W || pte >> 54n !== 0n) return -1
    table = ((pte >> 10n) & PAGE_NUMBER) << 12n
    if ((pte & (PTE_R | PTE_X)) === 0n) {
      if ((pte & PTE_LEAF_ONLY) !== 0n) return -1
      continue
    }
    const inside = (1n << shift) - 1n
    return (table & inside) === 0n ? physical(table | va & inside) : -1
  }
  return -1
}

/** Addresses that a number does not hold exactly are of no memory. */
function physical(address: bigint): number {
  return address <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(address) : -1
}
