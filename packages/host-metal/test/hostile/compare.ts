/** In what two harts may differ, so that all else is a fault. */
import { crosses, type Deed } from './program.ts'

interface Finding {
  readonly a0: string
  readonly cause: number
  readonly stval: number
}

function parse(line: string): Finding {
  const field = (name: string): string => new RegExp(` ?\\b${name}=([0-9a-f]+)`).exec(line)?.[1] ?? ''
  // The log has one more than the cause, and 0 for none.
  return { a0: field('a0'), cause: Number.parseInt(field('cause'), 16) - 1, stval: Number(`0x${field('stval')}`) }
}

const AMO = 0x2f
const SC = 3
const [LOAD_MISALIGNED, STORE_MISALIGNED, LOAD_PAGE, STORE_PAGE, USER_ECALL] = [4, 6, 13, 15, 8]
const ILLEGAL = 2
const STOPI = 'csr db0'
const ACCESS_FAULTS: readonly number[] = [1, 5, 7]
const [SIP, STIP_SEIP] = ['csr 144', 0x220n]

/**
 * Whether the hardware may answer so where the software core answers otherwise.
 *
 * @param ours - of the software core
 * @param theirs - of the hardware
 */
export function mayDiffer(deed: Deed, ours: string, theirs: string): boolean {
  const { what, words, arguments: given } = deed
  const [core, hardware] = [parse(ours), parse(theirs)]
  // QEMU 7.2 shows nothing but SSIP in `sip`.
  if (what === SIP && (BigInt(`0x${core.a0}`) & ~STIP_SEIP) === BigInt(`0x${hardware.a0}`)) return true
  // QEMU 7.2 takes a write of no bits to a register that is read-only for none.
  if (what === STOPI && core.cause === ILLEGAL && hardware.cause === -1 && given[2] === 0n) return true
  // One of the words that jumps lead to is an AMO.
  if (what === 'jump' || words.some((word) => (word & 0x7f) === AMO)) {
    // QEMU 7.2 tells of a load when an AMO is misaligned, or has no page.
    if (core.cause === STORE_MISALIGNED && hardware.cause === LOAD_MISALIGNED) return true
    if (core.cause === STORE_PAGE && hardware.cause === LOAD_PAGE) return true
    // An SC without a reservation may fail before its address is looked at (Unprivileged ISA, 13.2).
    if (words.some((word) => (word & 0x7f) === AMO && word >>> 27 === SC) && (hardware.cause === -1 || hardware.cause === USER_ECALL) && hardware.a0 === '1') return true
  }
  // QEMU 7.2 tells of a load when G-stage has no page table of the guest's, whatever the guest wanted.
  if (hardware.stval >= 0x1_4000_0000 && hardware.stval < 0x2_0000_0000 && core.stval === hardware.stval && ACCESS_FAULTS.includes(core.cause) && ACCESS_FAULTS.includes(hardware.cause)) return true
  // Either of two pages may be the one that faults. An access to two pages of which one is a device's is none of the hardware's; the software core makes it by bytes.
  return crosses(deed) && hardware.cause >= 0
}
