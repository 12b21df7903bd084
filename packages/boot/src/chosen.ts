import { machinistError } from '@machinist/api'
import type { FdtNode } from '@machinist/api'

/** What firmware tells the operating system in `/chosen` (DTSpec 3.6 and Linux's additions to it). */
export interface Chosen {
  /** The kernel's command line. */
  readonly bootargs?: string | undefined
  /** Path or alias of the console, with settings: `'/soc/serial@10000000'`, `'serial0:115200n8'`. */
  readonly stdoutPath?: string | undefined
  /** Where the initial root file system lies in RAM, first address and the one after its last. */
  readonly initrd?: { readonly start: number; readonly end: number } | null | undefined
  /**
   * Random bytes from the host, at least 32. Without them Linux has no entropy until an interrupt-driven pool fills,
   * and early system calls each try to gather some, which makes them a hundred times slower.
   */
  readonly rngSeed?: Uint8Array | undefined
  /** 64 random bits that place the kernel's virtual addresses, as two cells; 8 bytes. Linux then does not derive them. */
  readonly kaslrSeed?: Uint8Array | undefined
}

/** Linux's COMMAND_LINE_SIZE on RISC-V, with its NUL. */
const COMMAND_LINE_SIZE = 1024
const RNG_SEED_MIN = 32
const KASLR_SEED_SIZE = 8

/**
 * Adds `/chosen`.
 *
 * @param root - the root of the tree
 * @throws typed `chosen-bootargs` when the command line is longer than Linux reads, `chosen-seed` for too short a seed
 */
export function describeChosen(root: FdtNode, chosen: Chosen): void {
  const node = root.child('chosen')
  if (chosen.bootargs !== undefined) {
    if (chosen.bootargs.length >= COMMAND_LINE_SIZE) {
      throw machinistError(
        { code: 'chosen-bootargs', part: 'bootargs', value: `${chosen.bootargs.length} characters`, remedy: `Use fewer than ${COMMAND_LINE_SIZE}` },
        'the kernel command line is too long',
      )
    }
    node.set('bootargs', chosen.bootargs)
  }
  if (chosen.stdoutPath !== undefined) node.set('stdout-path', chosen.stdoutPath)
  if (chosen.initrd !== undefined && chosen.initrd !== null) {
    node.set('linux,initrd-start', [{ u64: chosen.initrd.start }])
    node.set('linux,initrd-end', [{ u64: chosen.initrd.end }])
  }
  if (chosen.rngSeed !== undefined) {
    if (chosen.rngSeed.length < RNG_SEED_MIN) throw shortSeed('rng-seed', chosen.rngSeed.length, RNG_SEED_MIN)
    node.set('rng-seed', chosen.rngSeed)
  }
  if (chosen.kaslrSeed !== undefined) {
    if (chosen.kaslrSeed.length !== KASLR_SEED_SIZE) throw shortSeed('kaslr-seed', chosen.kaslrSeed.length, KASLR_SEED_SIZE)
    node.set('kaslr-seed', chosen.kaslrSeed)
  }
}

function shortSeed(part: string, length: number, wanted: number): Error {
  return machinistError({ code: 'chosen-seed', part, value: `${length} bytes`, remedy: `Give ${wanted} random bytes` }, 'wrong number of random bytes')
}
